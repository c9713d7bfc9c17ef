"""Do damaged and hostile files end in one sentence each?

    python -m benchmarks.fuzz [--files 5000] [--seed 0] [--kinds adapters models clips trainings] [--keep FOLDER]
                              [--out benchmarks/results]

Small whole files are made, damaged by `benchmarks.damage` (each by a seed of its own, so that a failure can be made
again alone), and taken through the doors that people use: an adapter is read and animates a picture, a research
checkpoint is converted, a clip is read as a picture's clip and as one to learn from, a training goes on from its
checkpoint. All that happens in a process of its own, in which a crash, a hang or a feast of memory counts as what
became of the file. Right is that a file is used, or refused by one sentence that names it. Writes fuzz.md.
"""

import argparse
import collections
import random
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.damage import ANY, SAFETENSORS, damaged
from benchmarks.watched import Door, Outcome, Watched

COLUMNS = ("fine", "sentence", "unnamed", "traceback", "crash", "hang", "memory")
LONGEST_SENTENCE = 1500
SHARES = {"adapters": 0.3, "models": 0.3, "clips": 0.25, "trainings": 0.15}
"""Of all files; those that take long are fewer."""
_WAN = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "num_layers": 2,
    "ffn_dim": 16,
    "text_dim": 8,
    "freq_dim": 16,
}
_SEED_SIZE = 32


# --- whole files -----------------------------------------------------------------------------------------------------


def adapter_files(folder: Path) -> Iterator[Path]:
    """Random adapters of the built-in base: plain, masked, and in half precision."""
    import torch

    from miva_core import MIVAAdapter, MIVAConfig, load_base

    backbone = load_base("tiny").backbone
    for name, masked, dtype in (("plain", False, "float32"), ("masked", True, "float32"), ("half", False, "float16")):
        adapter = MIVAAdapter(backbone, MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=2, mask=masked))
        for parameter in adapter.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        record = {"motion": "hop", "frames": 16, "size": (64, 64), "fps": 8, "training": {"steps": 3, "clips": "a, b"}}
        adapter.save(folder / f"{name}.safetensors", adapter.info(**record), getattr(torch, dtype))
        yield folder / f"{name}.safetensors"


def model_files(folder: Path) -> Iterator[Path]:
    """A research checkpoint in all the ways in which PyTorch saves it, and as safetensors."""
    import torch
    from safetensors.torch import save_file

    tensors = research_checkpoint()
    for name, content, options in (
        ("zip.ckpt", tensors, {}),
        ("wrapped.pt", {"state_dict": {f"module.{key}": tensor for key, tensor in tensors.items()}, "step": 3}, {}),
        ("old.pt", tensors, {"_use_new_zipfile_serialization": False}),
        ("half.pth", {key: tensor.bfloat16() for key, tensor in tensors.items()}, {}),
    ):
        torch.save(content, folder / name, **options)
        yield folder / name
    save_file(tensors, folder / "whole.safetensors", {"a": "{}"})
    yield folder / "whole.safetensors"


def research_checkpoint() -> dict[str, Any]:
    """What the authors' code saves of a small Wan after training by PEFT, random."""
    import torch

    width = _WAN["num_attention_heads"] * _WAN["attention_head_dim"]
    tensors = {}
    for k in range(_WAN["num_layers"]):
        for matrix in ("q", "o"):
            tensors[f"blocks.{k}.i2v_adapter.{matrix}.lora_A.weight"] = torch.randn(2, width)
            tensors[f"blocks.{k}.i2v_adapter.{matrix}.lora_B.weight"] = torch.randn(width, 2)
        tensors[f"blocks.{k}.i2v_adapter.weight_module.linear.weight"] = torch.randn(2, width)
        tensors[f"blocks.{k}.i2v_adapter.weight_module.linear.bias"] = torch.randn(2)
        tensors[f"blocks.{k}.cross_attn.CA2.weight"] = torch.randn(3, width)
        tensors[f"blocks.{k}.cross_attn.CA_norm.weight"] = torch.randn(3)
        tensors[f"blocks.{k}.cross_attn.CA_norm.bias"] = torch.randn(3)
        tensors[f"blocks.{k}.cross_attn.CA3.weight"] = torch.randn(width, 3)
    return tensors


def clip_files(folder: Path) -> Iterator[Path]:
    """Short clips in the containers and codecs that people have."""
    import av
    import numpy as np
    import torch

    from miva_core.video import write_video

    frames = torch.rand(1, 8, 8, 3).repeat(12, _SEED_SIZE // 8, _SEED_SIZE // 8, 1)
    for k in range(12):
        frames[k, k : k + 8, 4:12] = 1
    for ending in (".mp4", ".gif", ".webp"):
        write_video(frames, folder / f"clip{ending}", 8)
        yield folder / f"clip{ending}"
    pixels = (frames * 255).byte().numpy()
    for ending, codec, layout in (
        (".mkv", "ffv1", "bgr0"),
        (".webm", "libvpx-vp9", "yuv420p"),
        (".avi", "mjpeg", "yuvj420p"),
        (".mov", "qtrle", "argb"),
        (".ts", "mpeg2video", "yuv420p"),
        (".flv", "flv", "yuv420p"),
    ):
        with av.open(str(folder / f"clip{ending}"), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.width = stream.height = _SEED_SIZE
            stream.pix_fmt = layout
            for picture in pixels:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        yield folder / f"clip{ending}"


def training_files(folder: Path) -> Iterator[Path]:
    """The checkpoint of a training of the built-in base after two of its three steps."""
    from miva_core.training import CHECKPOINT, train

    asked: list[bool] = []
    train(*lesson(), folder=folder, stop=lambda: bool(asked.append(True)) or len(asked) == 2)
    yield folder / CHECKPOINT


def lesson() -> tuple[Any, Any, Any]:
    """The built-in base, a clip for it, and a recipe of three quick steps."""
    from dataclasses import replace

    import torch

    from miva_core import MIVAConfig, load_base
    from miva_core.clip_files import TrainingClip
    from miva_core.lesson import Lesson
    from miva_core.recipes import recipe

    base = load_base("tiny")
    frames = torch.randint(256, (base.frames, 3, *base.size), generator=torch.Generator().manual_seed(0)).byte()
    clips = Lesson("hop", [TrainingClip("a", frames, torch.zeros(0, base.frames, *base.size).byte())])
    config = MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=2)
    quick = replace(recipe("tiny"), config=config, steps=3, batch=1, rolled_out=0.0, colours=1)
    return base, clips.encode(base, colours=1, seed=0), quick


# --- damage of its own -----------------------------------------------------------------------------------------------


def strange_checkpoint(path: Path, chance: random.Random) -> str:
    """Write a checkpoint that PyTorch can read, but that is none: one of its tensors claims, lacks or is something."""
    import torch

    tensors: dict[Any, Any] = research_checkpoint()
    name = chance.choice(list(tensors))
    tensor = tensors[name]
    strange: dict[str, Callable[[], Any]] = {
        "claims gigabytes": lambda: torch.zeros(1).expand(chance.choice((10**5, 10**9)), 30_000),
        "claims rows": lambda: torch.zeros(24).as_strided((10**6, 24), (0, 1)),
        "sparse": tensor.to_sparse,
        "on meta": lambda: tensor.to("meta"),
        "quantised": lambda: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8),
        "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        "whole numbers": tensor.long,
        "complex": lambda: tensor.to(torch.complex64),
        "NaN": lambda: tensor * float("nan"),
        "huge": lambda: tensor * chance.choice((1e4, 1e30)),
        "turned": lambda: tensor.T if tensor.ndim == 2 else tensor[None],
        "no dimension": tensor.sum,
        "empty": lambda: tensor[:0],
        "a text": lambda: "x" * 300_000,
        "itself": lambda: tensors,
        "one for all": lambda: torch.zeros(3000),
    }
    kind = chance.choice(list(strange))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensors[chance.choice((name, name, name * 3000, 5))] = made = strange[kind]()
        content = {f"{key}.{k}": made for key in tensors for k in range(50)} if kind == "one for all" else tensors
        for _ in range(chance.choice((0, 0, 1, 3, 400))):
            content = {chance.choice(("state_dict", "model", "x")): content}
        torch.save(content, path, _use_new_zipfile_serialization=chance.random() < 0.7)
    return kind


# --- doors -----------------------------------------------------------------------------------------------------------


def adapter_door() -> Door:
    """Read the adapter and animate a picture by it, in one step."""
    import torch

    from miva_core import MIVAAdapter, animate, load_base, read_info

    torch.set_num_threads(1)
    base = load_base("tiny")
    picture, mask = torch.rand(*base.size, 3), torch.ones(base.size)

    def door(path: Path) -> None:
        info, adapter = read_info(path), MIVAAdapter.load(path, base.backbone)
        masks = {path.stem: mask} if info.config.mask else {}
        clip = animate(base, picture, {path.stem: (adapter, 1.0)}, masks=masks, steps=2, frames=4)
        if not clip.frames.isfinite().all():
            raise ValueError("The frames are NaN.")

    return door


def model_door() -> Door:
    """Convert the research checkpoint and save the adapter."""
    import json

    from miva_core import wan
    from miva_core.official import convert_official

    configs = Path(tempfile.mkdtemp(prefix="fuzz-"))
    config = json.loads((wan.CONFIGS / "transformer.json").read_text()) | _WAN
    (configs / "transformer.json").write_text(json.dumps(config))

    def door(path: Path) -> None:
        adapter, _ = convert_official(path, alpha=2.0, configs=configs)
        adapter.save(configs / "out.safetensors", adapter.info(motion="hop", frames=17, size=(832, 480), fps=8))

    return door


def clip_door() -> Door:
    """Read the clip alone, and as one of a folder of training clips."""
    import av

    from miva_core.clip_files import Wanted, read_clips
    from miva_core.video import read_video

    av.logging.set_level(None)

    def door(path: Path) -> None:
        read_video(path)
        read_clips(path.parent, Wanted((_SEED_SIZE, _SEED_SIZE), 4, 8.0), masks=0)

    return door


def training_door() -> Door:
    """Go on with the training."""
    from miva_core.training import train

    work = lesson()

    def door(path: Path) -> None:
        train(*work, folder=path.parent, resume=True)

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
    own = source.suffix == ".safetensors"
    changes = (ANY + SAFETENSORS * 3 if kind != "models" else ANY + SAFETENSORS[:3]) if own else ANY
    content, how = damaged(source.read_bytes(), changes, chance)
    path.write_bytes(content)
    return path, f"{source.name}: {how}"


def judged(outcome: Outcome, path: Path) -> Outcome:
    """A sentence must be short, of one line, and name the file."""
    if outcome.kind != "sentence":
        return outcome
    text = outcome.text
    named = path.stem in text or path.parent.name in text
    return outcome if named and "\n" not in text and len(text) < LONGEST_SENTENCE else Outcome("unnamed", text)


def run(kind: str, files: int, seed: int, keep: Path | None) -> tuple[collections.Counter, list[str]]:
    """How many files of a kind ended how, and what is wrong with those that ended wrongly."""
    counts, failures = collections.Counter(), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "whole").mkdir()
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
                    path.rename(keep / f"{kind}-{number}-{path.name}")
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
    (args.out / "fuzz.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
