"""Does the built-in base keep pace at sizes that it was not trained at?

    python -m benchmarks.sizes [--pictures 20] [--out benchmarks/results]

Pictures and measures are those of `tiny_quality`, with more around each frame; clips are as the network paints them, by
the latent route: at full size it always sees its picture at the size it was trained at. Writes sizes.md.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.tiny_quality import (
    AS_PAINTED,
    CANVAS,
    PSNR_FRAMES,
    Row,
    camera_ideal,
    held_out_pictures,
    run,
    score_camera,
    summary,
)
from miva_core import MIVAAdapter, Motion, load_base
from miva_core.bases.tiny.spec import SHIPPED

SIZES = ((64, 64), (64, 96), (80, 128))
MOTIONS = ("pan_left", "zoom_in", "zoom_out", "roll_cw")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    pictures = held_out_pictures(args.pictures, 2 * CANVAS)
    lines = [
        "# The built-in base at larger sizes",
        f"\n`python -m benchmarks.sizes`: {args.pictures} held-out pictures, one seed; median speed / ideal speed, and "
        f"PSNR at frame 8 above a still picture's, dB; {AS_PAINTED}. It was trained at 64×64, and at full size "
        "sees every picture so.\n",
        f"| width × height | {' | '.join(MOTIONS)} |",
        "|---" * (1 + len(MOTIONS)) + "|",
    ]
    for height, width in SIZES:
        base, cells = replace(load_base("tiny"), size=(height, width)), []
        for motion in MOTIONS:
            ideal, row = camera_ideal(pictures, motion, base), Row(motion)
            chosen = [Motion(MIVAAdapter.load(SHIPPED / f"{motion}.safetensors", base.backbone))]
            score_camera(row, run(base, ideal.frames[:, 0], chosen, 0, base.noise), ideal, motion)
            values = summary(row)
            cells.append(f"{values.ratio:.2f}, {values.gains[PSNR_FRAMES.index(8)]:+.1f}")
        lines.append(f"| {width} × {height} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    (args.out / "sizes.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
