"""Does one adapter make each of its motions, and no other, when it is told its words?

    python -m benchmarks.words [--seeds 3] [--pictures 40] [--adapter FILE] [--out benchmarks/results]

Writes words.md and a contact sheet, words.jpg. Every number is of clips as the built-in base paints them from held-out
pictures, against the ideal clip rendered from the same picture, flow by Farneback on both. A clip is right by its words
if, of all motions that the adapter holds, it makes that one most, in shares of each one's ideal speed, and at half of
that speed at least.
"""

import argparse
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.tiny_quality import (
    AS_PAINTED,
    camera_ideal,
    flow_along,
    held_out_pictures,
    run,
    write_jpeg,
)
from miva_core import MIVAAdapter, MIVAConfig, Motion, load_base
from miva_core.bases.base import Base
from miva_core.bases.tiny.recipe import NORMAL
from miva_core.bases.tiny.spec import SHIPPED
from miva_core.measure.metrics import clip_flow, psnr
from miva_core.media.contact_sheet import contact_sheet

FRAME = 8
"""That PSNR is measured at."""
HALF = 0.5
GATE = 0.95


@dataclass
class Told:
    """What an adapter makes of the same words, clip by clip.

    Attributes:
        shares: (clips, motions) of the ideal speed of each motion.
        levels: dB to the ideal clip. gains: the same above a still picture.
    """

    shares: list[list[float]] = field(default_factory=list)
    levels: list[float] = field(default_factory=list)
    gains: list[float] = field(default_factory=list)

    def right(self, wanted: int) -> float:
        """The share of clips that make this motion."""
        shares = torch.tensor(self.shares)
        return ((shares.argmax(1) == wanted) & (shares[:, wanted] >= HALF)).float().mean().item()


@dataclass
class Ideals:
    """Clips of every motion that an adapter holds, from the same first frames, and how fast each is.

    Attributes:
        frames: (N, F, H, W, 3) by motion. speeds: (N,) of each along its own move.
    """

    frames: dict[str, Tensor]
    speeds: dict[str, list[float]]

    @classmethod
    def of(cls, moves: Iterable[str], pictures: Tensor, base: Base) -> "Ideals":
        frames = {move: camera_ideal(pictures, move, base).frames for move in moves}
        speeds = {move: [flow_along(move, clip_flow(clip)) for clip in clips] for move, clips in frames.items()}
        return cls(frames, speeds)

    @property
    def firsts(self) -> Tensor:
        return next(iter(self.frames.values()))[:, 0]


def measure(base: Base, motion: Motion, ideals: Ideals, wanted: str, seeds: int) -> tuple[Told, Tensor]:
    """Clips under a motion's words, and the last of them (N, F, H, W, 3).

    Args:
        motion: with its words.
        ideals: what is compared with.
        wanted: which of its motions PSNR is measured against.
        seeds: clips of each picture.
    """
    told = Told()
    for seed in range(seeds):
        clips = run(base, ideals.firsts, [motion], seed, base.noise)
        for k, (clip, truth) in enumerate(zip(clips, ideals.frames[wanted], strict=True)):
            flow = clip_flow(clip)
            told.shares.append([flow_along(move, flow) / speeds[k] for move, speeds in ideals.speeds.items()])
            level, still = (psnr(frame, truth[FRAME - 1]) for frame in (clip[FRAME - 1], truth[0]))
            told.levels.append(level)
            told.gains.append(level - still)
    return told, clips


def starts_as_without(base: Base, pictures: Tensor) -> bool:
    """Whether a new adapter makes the same clips, to the last bit, with words said and without any to hear."""
    clips = []
    for words in (None, "pan left"):
        config: MIVAConfig = replace(NORMAL.config, words=words is not None)
        torch.manual_seed(0)
        clips.append(run(base, pictures, [Motion(MIVAAdapter(base.backbone, config), words=words)], 0, base.noise))
    return torch.equal(*clips)


def printed(words: str, told: Told, moves: list[str], wanted: str | None) -> str:
    shares = torch.tensor(told.shares).median(0).values.tolist()
    right = "" if wanted is None else f"{100 * told.right(moves.index(wanted)):.0f} %"
    quality = (
        "" if wanted is None else f"{torch.tensor(told.levels).mean():.1f} | {torch.tensor(told.gains).mean():+.1f}"
    )
    cells = [words, right, *(f"{share:.2f}" for share in shares), quality or " | "]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--adapter", type=Path, default=SHIPPED / "camera_words.safetensors")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    start = time.time()
    base, pictures = load_base("tiny"), held_out_pictures(args.pictures)
    adapter = MIVAAdapter.load(args.adapter, base.backbone)
    known = {words.replace(" ", "_"): words for words in adapter.known_words}
    ideals = Ideals.of(known, pictures, base)
    lines = [
        "# One adapter, several motions by words",
        f"\n`{args.adapter.stem}`, {len(pictures)} held-out pictures, seeds: {args.seeds}, {AS_PAINTED}. It hears its "
        "words through temporal attention alone; all else of it is the same under every word.",
        "\n| told | right | "
        + " | ".join(f"speed: {words}" for words in known.values())
        + f" | PSNR at frame {FRAME}, dB | above a still picture, dB |",
        "|---|---|" + "---|" * (len(known) + 2),
    ]
    rights, sheet = {}, []
    for move, words in known.items():
        told, clips = measure(base, Motion(adapter, words=words), ideals, move, args.seeds)
        rights[words] = told.right(list(known).index(move))
        lines.append(printed(words, told, list(known), move))
        print(lines[-1], flush=True)
        sheet += [(f"{words}, picture {k + 1}", clips[k]) for k in (0, len(pictures) // 2)]
    nothing, _ = measure(base, Motion(adapter), ideals, next(iter(known)), 1)
    lines.append(printed("nothing", nothing, list(known), None))
    equal = starts_as_without(base, ideals.firsts[:2])
    gates = {
        f"right by its words on ≥ {100 * GATE:.0f} %, each of them": min(rights.values()) >= GATE,
        "a new adapter makes the same clips to the last bit, whatever it is told": equal,
    }
    lines.append(
        "\nGates: " + "; ".join(f"{name}: {'met' if met else '**missed**'}" for name, met in gates.items()) + "."
    )
    args.out.mkdir(parents=True, exist_ok=True)
    write_jpeg(contact_sheet(sheet, every=3), args.out / "words.jpg")
    (args.out / "words.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    print(f"{time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
