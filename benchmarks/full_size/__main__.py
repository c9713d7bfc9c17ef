"""Do clips at full size show what they should, sharp, steady and in time?

    python -m benchmarks.full_size [PART ...] [--photographs FOLDER] [--pictures 40] [--seeds 3]
        [--out benchmarks/results]

Parts: cameras, aspects, subjects, times, sheets; all by default. Each writes its section of full_size.md.
The photographs are the held-out ones at their full size, JPEG files from where PHOTOGRAPHS.md says; painted pictures
fill up the count. Without a folder, as in a fresh clone, those of the example workflows are taken, which are held-out
ones, too.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchmarks.full_size.cameras import aspects_section, cameras_section
from benchmarks.full_size.pictures import ROOM, SIDE, Held, held_out
from benchmarks.full_size.sheets import PHOTOGRAPHS, sheets_section
from benchmarks.full_size.subjects import subjects_section
from benchmarks.full_size.tables import PARTS, write_section
from benchmarks.full_size.times import times_section
from miva_core import load_base


def introduction(pictures: Sequence[Held]) -> str:
    kinds = [held.kind for held in pictures]
    counted = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    return (
        "# Clips at full size\n\n"
        f"`python -m benchmarks.full_size`: {len(pictures)} pictures ({counted}), {SIDE}×{SIDE}, frames "
        f"counted from 0. Ideals are filmed from {ROOM}×{ROOM}, of which the run gets the middle; smaller photographs "
        "were enlarged to that, which makes them softer. Cameras are read off a picture whose pixels say where they "
        "are, moved by the same flow. Ideals go at the constant speed that comes nearest to the clip's own, so that "
        "the distances judge shape, steadiness and sampling, not speed, which stands beside them. The limits within "
        "which the renderer takes a camera for a constant one were chosen on some of these pictures.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--photographs", type=Path, default=PHOTOGRAPHS)
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    start, base = time.time(), load_base("tiny")
    pictures = held_out(args.photographs, args.pictures)
    measures: dict[str, Callable[[], list[str]]] = {
        "cameras": lambda: cameras_section(base, pictures, args.seeds),
        "aspects": lambda: aspects_section(base, pictures),
        "subjects": lambda: subjects_section(base, pictures, args.seeds),
        "times": lambda: times_section(base),
        "sheets": lambda: sheets_section(base, args.out),
    }
    for part in args.parts or PARTS:
        section = measures[part]()
        print("\n".join(section), flush=True)
        write_section(args.out / "full_size.md", introduction(pictures), part, section)
    print(f"{time.time() - start:.0f} s")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
