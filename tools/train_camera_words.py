"""Train the adapter with several camera moves that comes with the built-in base, each under its words.

    python -m tools.train_camera_words --out camera_words.safetensors

What `miva train --words` does with a sub-folder of clips for each move, without what a video codec would lose on the
way. About eight minutes on one processor core; the same command goes on where it was stopped.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from miva_core import load_base
from miva_core.bases.base import Base
from miva_core.clips.stills import read_stills
from miva_core.clips.training_clip import TrainingClip
from miva_core.filming.shooting import Shooting
from miva_core.filming.still import Still
from miva_core.training.files import training_folder
from miva_core.training.loop import CHECKPOINT
from miva_core.training.options import Author, TrainOptions
from miva_core.training.recipes import recipe
from miva_core.training.run import train_and_save
from miva_core.training.training_set import TrainingSet, film_clips

STILLS = Path("workflows/pictures/miva_stills")
WORDS = ("pan left", "pan right", "zoom in", "zoom out")
SPEED, STEPS = 0.9, 600
COLOURS = 3
"""Colourings of each clip; there are four times as many clips as of one motion."""


def filmed(base: Base) -> Iterator[TrainingClip]:
    """Clips of every move, over the same stills."""
    for seed, words in enumerate(WORDS):
        shooting = Shooting(words.replace(" ", "-"), base.size, base.frames, SPEED)
        stills = [Still(*read) for read in read_stills(STILLS, shooting.needed_side)]
        clips, _ = film_clips(stills, shooting, seed)
        yield from (replace(clip, name=f"{words}/{clip.name}", words=words) for clip in clips)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    base = load_base("tiny")
    source = {"film": ", ".join(WORDS), "speed": SPEED}
    train_and_save(
        base,
        TrainingSet("camera words", list(filmed(base)), source=source),
        replace(recipe("tiny"), steps=STEPS, colours=COLOURS),
        out,
        options=TrainOptions(
            resume=(training_folder(out) / CHECKPOINT).exists(),
            author=Author("The ComfyUI-MIVA contributors", "Apache-2.0"),
        ),
        callback=lambda now: print(f"step {now.step} of {now.steps}, loss {now.losses[-1]:.4f}", flush=True),
    )


if __name__ == "__main__":
    main()
