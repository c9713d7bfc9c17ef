"""Does the built-in MiraMo move pictures as its words say, how fast is that, and does it keep to its masks?

    python -m benchmarks.miramo [--seeds 3] [--pictures 40] [--out benchmarks/results]
    python -m benchmarks.miramo --checkpoint OUT/ema.pt --quick

Its flow is compared with the exact one of clips drawn over held-out photographs, see `tools.motion_world`. Writes
miramo.md and miramo.jpg. `--quick` prints one table of 8 clips a word, for a model in training.
"""

import argparse
import time
from pathlib import Path

import torch
from einops import rearrange

from benchmarks.miramo.cases import SPEED, cases
from benchmarks.miramo.models import Answer, shipped_model, trained_model
from benchmarks.miramo.sheet import write_sheet
from benchmarks.miramo.tables import case_table, size_table, speed_table
from benchmarks.tiny_quality import held_out_pictures
from tools.motion_world.clips import World
from tools.motion_world.photographs import HELD_OUT, Photographs, held_out_photographs

INTRODUCTION = (
    "# The flow of the built-in MiraMo\n\n"
    "`python -m benchmarks.miramo`: one step from pure noise, the flow of 8 of a clip's 16 frames against the exact "
    "one of clips that formulas of the motions draw over pictures that no training has seen. Errors are of end points, "
    "in pixels of the small frame, over what moves; *relative* is their mean as a share of the mean motion, so that a "
    "still picture has 1. A clip goes the right way if its flow is within 45° of the true one and at least a tenth as "
    f"fast. *Speed* is the projection on the true flow. Asked for at a speed of {SPEED:g} where nothing else is said. "
    "Parts of the picture move as far as their mask says; masks of cut-outs are roughly drawn.\n"
)


def all_pictures(count: int) -> Photographs:
    """The pictures that other benchmarks use: held-out photographs, then painted ones of unseen seeds."""
    pictures = rearrange(held_out_pictures(count), "n c h w -> n h w c").contiguous().numpy()
    return Photographs(list(pictures), [str(number) for number in range(count)])


def quick(model: Answer) -> None:
    """Print a table of 8 clips a word."""
    case_table(model, World(held_out_photographs()), cases(unguided=("depth",)), seeds=[0])


def sections(model: Answer, count: int, seeds: int) -> list[str]:
    """All tables."""
    photographs, pictures = World(held_out_photographs()), World(all_pictures(count))
    guided = cases(unguided=(), hard=False)
    return [
        INTRODUCTION,
        f"## {len(HELD_OUT)} held-out photographs, {seeds} seeds\n",
        *case_table(model, photographs, cases(), range(seeds)),
        f"\n## {count} held-out pictures, {seeds} seeds\n",
        *case_table(model, pictures, cases(unguided=("depth",)), range(seeds)),
        f"\n## What speeds are got of those that are asked for: {count} pictures\n",
        *speed_table(model, pictures, guided),
        f"\n## Relative error and speed at other sizes: {count} pictures\n",
        *size_table(model, pictures, guided),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="ema.pt of a training; default: the weights that ship")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results")
    args = parser.parse_args()
    start, model = time.time(), trained_model(args.checkpoint) if args.checkpoint else shipped_model()
    if args.quick:
        quick(model)
    else:
        args.out.mkdir(parents=True, exist_ok=True)
        lines = sections(model, args.pictures, args.seeds)
        (args.out / "miramo.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        write_sheet(model, World(held_out_photographs()), args.out / "miramo.jpg")
    print(f"{time.time() - start:.0f} s")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
