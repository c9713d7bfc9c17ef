"""What do shipped motions look like? Each on five photographs at full size.

    python -m benchmarks.looks film|miramo|tiny [SHEET ...] --photographs FOLDER ... [--out benchmarks/results]

Writes the sheets of films by formulas (film_flag.jpg, film_ripple.jpg), of the words and files of the built-in MiraMo
(miramo_*.jpg), or of the files of the built-in U-Net (tiny_*.jpg). Masks and nearnesses are drawn by hand. The
photographs are those that PHOTOGRAPHS.md lists, as `tools.training_photographs` collects them: the held-out ones at
their full size, and two of the others.
"""

import argparse
from pathlib import Path

import cv2
import torch
from torch import Tensor

from benchmarks.looks.photographs import Photographs
from benchmarks.looks.sheets import Move, Sheet, write_sheet
from benchmarks.looks.shown import OF_FILM, OF_MIRAMO, OF_TINY
from miva_core import Clip, MIVAAdapter, Motion, RunOptions, Said, Timing, animate, load_base
from miva_core.bases.base import Base
from miva_core.bases.registry import BASES
from miva_core.filming.film import FilmOptions, film
from miva_core.filming.filmed_motion import FilmedMotion

TIMING = Timing(fps=8)
"""The sixteen frames of the bases themselves."""


def by_formulas(motion: str, speed: float, picture: Tensor, mask: Tensor | None, nearness: Tensor | None) -> Clip:
    """A `Move` of no base."""
    return film(picture, [FilmedMotion(motion, speed, mask)], nearness, FilmOptions(timing=TIMING))


def of_base(base: Base, adapters: Path) -> Move:
    """The words of a built-in base if they say a motion, else files of a folder."""
    known = base.vocabulary.words if base.vocabulary and base.vocabulary.speeds else ()

    def move(motion: str, speed: float, picture: Tensor, mask: Tensor | None, nearness: Tensor | None) -> Clip:
        word = motion.replace("_", " ")
        if word in known:
            chosen: Said | Motion = Said(word, speed, mask=mask)
        else:
            adapter = MIVAAdapter.load(adapters / f"{motion}.safetensors", base.backbone)
            chosen = Motion(adapter, speed, mask, name=motion)
        return animate(base, picture, [chosen], RunOptions(timing=TIMING, nearness=nearness))

    return move


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("of", choices=("film", "miramo", "tiny"))
    parser.add_argument("sheets", nargs="*", metavar="SHEET", help="without .jpg; all by default")
    parser.add_argument("--photographs", type=Path, nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--adapters", type=Path, metavar="FOLDER", help="files of the base; default: those that ship")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results")
    args = parser.parse_args()
    sheets: dict[str, tuple[Sheet, ...]] = {"film": OF_FILM, "miramo": OF_MIRAMO, "tiny": OF_TINY}
    move = by_formulas if args.of == "film" else of_base(load_base(args.of), args.adapters or BASES[args.of].adapters)
    photographs = Photographs(args.photographs)
    args.out.mkdir(parents=True, exist_ok=True)
    for sheet in sheets[args.of]:
        if not args.sheets or sheet.name in args.sheets:
            write_sheet(sheet, move, photographs, args.out)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    main()
