"""Do damaged and hostile files end in one sentence each?

    python -m benchmarks.fuzz [--files 5000] [--seed 0] [--kinds adapters models clips trainings] [--keep FOLDER]
                              [--out benchmarks/results]

Small whole files are made, damaged by `benchmarks.damage` (each by a seed of its own, so that a failure can be made
again alone), and taken through the doors that people use: an adapter is read and animates a picture, a research
checkpoint is converted, a clip is read as a picture's clip and as one to learn from, a training goes on from its
checkpoint. All that happens in a process of its own, in which a crash, a hang or a feast of memory counts as what
became of the file. Right is that a file is used, or refused by one sentence that names it. Writes fuzz.md.

Checkpoints in PyTorch's old format are others in every run, since it names what they hold by places in memory: which of
these are used and which refused differs by a few. --keep keeps those that end wrongly.
"""

import argparse
import collections
import contextlib
import io
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.damage import ANY, SAFETENSORS, damaged
from benchmarks.watched import Door, Outcome, Watched
from benchmarks.whole_files import (
    SIZE,
    WAN,
    adapter_files,
    clip_files,
    model_files,
    short_training,
    strange_checkpoint,
    training_files,
)

COLUMNS = ("fine", "sentence", "unnamed", "traceback", "crash", "hang", "memory")
LONGEST_SENTENCE = 1500
SHARES = {"adapters": 0.3, "models": 0.3, "clips": 0.3, "trainings": 0.1}
"""Of all files; those that take long are fewer."""


# --- doors -----------------------------------------------------------------------------------------------------------


def adapter_door() -> Door:
    """Say what the adapter is, read it, and animate a picture by it."""
    import torch

    from miva_core import MIVAAdapter, Motion, RunOptions, animate, load_base, read_info
    from miva_core.cli.main import main as command

    torch.set_num_threads(1)
    base = load_base("tiny")
    picture, mask = torch.rand(*base.size, 3), torch.ones(base.size)

    def door(path: Path) -> None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            command(["info", str(path)])
        info, adapter = read_info(path), MIVAAdapter.load(path, base.backbone)
        motion = Motion(adapter, mask=mask if info.config.mask else None, name=path.stem)
        # Whatever the file makes of the camera, mirrored edges leave a clip to look at.
        clip = animate(base, picture, [motion], RunOptions(steps=2, frames=4, edges="mirror"))
        if not clip.frames.isfinite().all():
            raise ValueError("The frames are NaN.")

    return door


def model_door() -> Door:
    """Convert the research checkpoint and save the adapter."""
    import json
    from unittest.mock import patch

    from miva_core.bases.wan import loading as wan
    from miva_core.convert.official import convert_official

    config = json.dumps(json.loads((wan.CONFIGS / "transformer.json").read_text()) | WAN)

    def door(path: Path) -> None:
        # Beside the file, where all is removed after it: a process that is killed removes nothing of its own.
        (path.parent / "transformer.json").write_text(config)
        with patch.object(wan, "CONFIGS", path.parent):
            adapter = convert_official(path, alpha=2.0).adapter
        adapter.save(path.parent / "out.safetensors", adapter.info(motion="hop", frames=17, size=(832, 480), fps=8))

    return door


def clip_door() -> Door:
    """Read the clip alone, and as one of a folder of training clips."""
    import av

    from miva_core.clips.files import read_clips
    from miva_core.clips.training_clip import ClipSpec
    from miva_core.media.video import read_video

    av.logging.set_level(None)

    def door(path: Path) -> None:
        read_video(path, lambda frame: frame)
        read_clips(path.parent, ClipSpec((SIZE, SIZE), 4, 8.0), masks=0)

    return door


def training_door() -> Door:
    """Go on with the training."""
    from miva_core.training.loop import train
    from miva_core.training.options import TrainOptions

    work = short_training()

    def door(path: Path) -> None:
        train(*work, folder=path.parent, options=TrainOptions(resume=True))

    return door


@dataclass(frozen=True)
class Kind:
    """Files of one kind: how whole ones are made, what is done with them, and how they are called then."""

    seeds: Callable[[Path], Iterator[Path]]
    door: Callable[[], Door]
    name: str = ""


KINDS = {
    "adapters": Kind(adapter_files, adapter_door),
    "models": Kind(model_files, model_door),
    "clips": Kind(clip_files, clip_door),
    "trainings": Kind(training_files, training_door, "checkpoint.safetensors"),
}


# --- the run ---------------------------------------------------------------------------------------------------------


def write_case(kind: str, number: int, seed: int, seeds: list[Path], folder: Path) -> tuple[Path, str]:
    """The damaged file of this number, alone in a new folder, and how it was made."""
    chance = random.Random(f"{kind} {number} {seed}")
    source = chance.choice(seeds)
    case = folder / f"{kind}-{number}"
    case.mkdir()
    path = case / (KINDS[kind].name or f"case{number}{source.suffix}")
    if kind == "models" and chance.random() < 0.3:
        return path, strange_checkpoint(path, chance)
    # A research checkpoint as safetensors has no header of ours.
    ours = SAFETENSORS[:3] if kind == "models" else SAFETENSORS * 3
    changes = ANY + ours if source.suffix == ".safetensors" else ANY
    content, how = damaged(source.read_bytes(), changes, chance)
    path.write_bytes(content)
    return path, f"{source.name}: {how}"


def judged(outcome: Outcome, path: Path) -> Outcome:
    """A sentence must be short, of one line, and name the file, or the training whose only state the file is."""
    if outcome.kind != "sentence":
        return outcome
    text = outcome.text
    named = path.stem in text or path.parent.name in text or text.startswith("This training")
    return outcome if named and "\n" not in text and len(text) < LONGEST_SENTENCE else Outcome("unnamed", text)


def run(kind: str, files: int, seed: int, keep: Path | None) -> tuple[collections.Counter, list[str]]:
    """How many files of a kind ended how, and what is wrong with those that ended wrongly."""
    import torch

    counts, failures = collections.Counter(), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "whole").mkdir()
        torch.manual_seed(0)
        seeds = list(KINDS[kind].seeds(folder / "whole"))
        watched = Watched(KINDS[kind].door)
        for number in range(files):
            path, how = write_case(kind, number, seed, seeds, folder)
            outcome = judged(watched.run(path), path)
            counts[outcome.kind] += 1
            if outcome.kind not in ("fine", "sentence"):
                failures.append(f"{kind} {number} ({how}): {outcome.kind}: {ascii(outcome.text)[:300]}")
                print(failures[-1], flush=True)
                if keep:
                    shutil.copyfile(path, keep / f"{kind}-{number}-{path.name}")
            shutil.rmtree(path.parent)
        watched.stop()
    return counts, failures


def table(counts: dict[str, collections.Counter]) -> list[str]:
    head = "| files | of them | used | one sentence | not named, or long | traceback | crash | hang | memory |"
    rows = [
        f"| {kind} | {sum(counted.values())} | {' | '.join(str(counted[column]) for column in COLUMNS)} |"
        for kind, counted in counts.items()
    ]
    return [head, "|---" * (2 + len(COLUMNS)) + "|", *rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--keep", type=Path, help="a folder for the files that ended wrongly")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    began, counts, failures = time.perf_counter(), {}, []
    whole = sum(SHARES[kind] for kind in args.kinds)
    for kind in args.kinds:
        counts[kind], wrong = run(kind, round(args.files * SHARES[kind] / whole), args.seed, args.keep)
        failures += wrong
        print(f"{kind}: {dict(counts[kind])}, {time.perf_counter() - began:.0f} s", flush=True)
    lines = [
        "# Damaged and hostile files",
        f"\n`python -m benchmarks.fuzz --files {args.files} --seed {args.seed}`. Right is that a file is used, or "
        f"refused by one sentence of one line that names it. {len(failures)} ended otherwise.\n",
        *table(counts),
        *(f"\n    {text}" for text in failures[:50]),
    ]
    print("\n".join(lines))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "fuzz.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
