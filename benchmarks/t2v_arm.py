"""What MIVA brings by itself: its parts on a base that never saw a clean first frame.

    python -m benchmarks.t2v_arm --base FOLDER --work FOLDER [--pictures 40] [--seeds 3] [--out benchmarks/results]

`--base` is what `benchmarks.t2v_base` trained. The motion, its clips and the variants are those of `ablations`, in
four times as many steps, since this base can neither be told a flow nor follows a picture. How clips begin from noise
is changed as in `claims`. Writes t2v_arm.md and t2v_arm.jpg; what is in the work folder already is taken as it is.
"""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.ablations import MOTION, RULE, VARIANTS, Trainings, variants_table
from benchmarks.claims import (
    SHOWN,
    caption_of,
    level_cells,
    options_parser,
    parse,
    settings_table,
    start_settings,
)
from benchmarks.t2v_base import load, text_to_video
from benchmarks.tiny_quality import camera_ideal, held_out_pictures, write_jpeg
from miva_core.bases.base import Base
from miva_core.media.contact_sheet import contact_sheet
from miva_core.training.recipes import recipe

STEPS = 300
SAMPLES = 3
"""Clips shown of the base's own."""


def samples(base: Base, words: nn.Embedding) -> list[tuple[str, Tensor]]:
    """Clips of the base by its caption alone."""
    clips = text_to_video(base, caption_of(MOTION, words.weight), SAMPLES, seed=0)
    return [(f"the base alone, by caption, {k + 1}", clip) for k, clip in enumerate(clips)]


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--base", type=Path, required=True, help="folder that benchmarks.t2v_base wrote")
    options = parse(parser)
    base, words = load(options.base)
    chosen = replace(recipe("tiny"), steps=STEPS)
    ideal = camera_ideal(held_out_pictures(options.pictures), MOTION, base)
    trainings = Trainings(base, chosen, ideal, options.seeds, options.work)
    table, sheet = variants_table(trainings)
    bare, shown = trainings.of_nothing("bare")
    starts, shown_starts = settings_table(
        base,
        MOTION,
        trainings.adapter(VARIANTS[0], 0),
        start_settings(base),
        ideal,
        options.seeds,
        options.work,
    )
    lines = [
        "# MIVA on a base that never saw a clean first frame",
        f"\n`python -m benchmarks.t2v_arm --base FOLDER --work FOLDER`: {MOTION}, {STEPS} steps; {len(ideal.frames)} "
        f"held-out pictures, {options.seeds} seeds. {RULE} The last row is this base as it is, beside a clean first "
        "frame.\n",
        *table,
        f"| no adapter | 0 | {' | '.join(level_cells(bare))} | | | | |",
        "\n## How a clip begins and ends\n\nThe first training's adapter; seeds are those of the noise. AdaIN is "
        "judged by the drift of colours.\n",
        *starts,
        "\n![a clip of each variant](t2v_arm.jpg)",
    ]
    sheet = [
        *samples(base, words),
        ("ideal", ideal.frames[SHOWN]),
        *sheet,
        ("no adapter", shown[SHOWN]),
        *shown_starts[1:],
    ]
    write_jpeg(contact_sheet(sheet, every=3), options.out / "t2v_arm.jpg")
    (options.out / "t2v_arm.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
