"""What do strengths do: weights below and above 1, parts, curves, pairs of motions, and files merged into one?

    python -m benchmarks.strength [PART ...] --work FOLDER [--pictures 40] [--seeds 3] [--out benchmarks/results]

Each part writes its section of strength.md; all by default. Clips are those that the built-in base paints, by the
latent route, of held-out pictures. Scores are kept in --work, so that it goes on where it was stopped; take another
folder when the base or a motion has changed.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.full_size.tables import write_section
from benchmarks.strength.frames import frames_section
from benchmarks.strength.merging import merging_section
from benchmarks.strength.pairs import pairs_section
from benchmarks.strength.parts import parts_section
from benchmarks.strength.scores import Trial
from benchmarks.strength.steps import steps_section
from benchmarks.strength.weights import weights_section
from benchmarks.tiny_quality import AS_PAINTED, held_out_pictures
from miva_core import load_base

SECTIONS: dict[str, Callable[[Trial], list[str]]] = {
    "weights": weights_section,
    "parts": parts_section,
    "frames": frames_section,
    "steps": steps_section,
    "pairs": pairs_section,
    "merging": merging_section,
}


INTRODUCTION = (
    "# Strengths on the built-in base\n\n"
    f"`python -m benchmarks.strength --work FOLDER`: held-out pictures; {AS_PAINTED}, unless something else is said. "
    "What artists make of it stands in [Strength](../../docs/strength.md).\n"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(SECTIONS)} (default: all)")
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, required=True, help="folder that scores are kept in")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results")
    args = parser.parse_args()
    for folder in (args.work, args.out):
        folder.mkdir(parents=True, exist_ok=True)
    start = time.time()
    trial = Trial(load_base("tiny"), held_out_pictures(args.pictures), args.seeds, args.work)
    for part in args.parts or SECTIONS:
        section = SECTIONS[part](trial)
        print("\n".join(section), flush=True)
        write_section(args.out / "strength.md", INTRODUCTION, part, section, tuple(SECTIONS))
    print(f"{time.time() - start:.0f} s")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
