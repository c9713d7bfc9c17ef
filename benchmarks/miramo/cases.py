"""What the model is asked for: every word it knows, with its guide and without, of one speed and size."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from benchmarks.miramo.models import Answer
from benchmarks.miramo.scores import Scores, joined, scores_of
from miva_core.motion_fields.motions import MOTIONS
from tools.motion_world.batch import WorldBatch
from tools.motion_world.clips import World
from tools.motion_world.drawing import Ask

TIMES = torch.tensor([0.0, 2.0, 4.0, 7.0, 9.0, 11.0, 13.0, 15.0])
"""The frames that are asked for, of 16."""
SPEED = 0.5
"""What is asked for where nothing else is said."""
SPEEDS = (0.25, 0.5, 1.0)
SIZE = (64, 64)
OTHER_SIZES = ((64, 96), (96, 64))
AT_ONCE = 8
"""Clips in a batch."""


@dataclass(frozen=True)
class Case:
    """A word, and what is shown beside the picture.

    Attributes:
        word: a motion.
        guided: whether its mask or nearness is.
        hard: of a region motion, whether a cut-out moves in place of a part of the picture.
    """

    word: str
    guided: bool = False
    hard: bool = False

    @property
    def kind(self) -> str:
        return MOTIONS[self.word].kind

    @property
    def guide(self) -> str:
        """What is shown, in words."""
        if self.kind not in ("depth", "region", "carried"):
            return "not needed"
        if not self.guided:
            return "none"
        return "nearness" if self.kind == "depth" else "rough mask" if self.hard or self.kind == "carried" else "mask"

    @property
    def label(self) -> str:
        """What moves, in words."""
        return self.word.replace("_", " ") + (", a cut-out" if self.hard else "")


def cases(unguided: Sequence[str] = ("depth", "region", "carried"), hard: bool = True) -> list[Case]:
    """All cases in the order of the words.

    Args:
        unguided: kinds of motions that are asked for without their guide, too.
        hard: whether cut-outs are, too.
    """
    asked = []
    for word, motion in MOTIONS.items():
        plain = Case(word, guided=bool(motion.needs))
        asked.append(plain)
        if hard and motion.kind == "region":
            asked.append(replace(plain, hard=True))
        if motion.kind in unguided:
            asked.append(replace(plain, guided=False))
    return asked


def clips_of(
    world: World, case: Case, numbers: Sequence[int], seed: int, size: tuple[int, int] = SIZE, speed: float = SPEED
) -> WorldBatch:
    """Clips of a case over the pictures of these numbers; those of other speeds are alike but for the speed."""
    asks = [Ask(case.word, speed, case.guided, case.hard, number) for number in numbers]
    return world.clips(1000 * seed + numbers[0], size, TIMES, asks)


def measured(
    model: Answer, world: World, case: Case, seeds: Sequence[int], size: tuple[int, int] = SIZE, speed: float = SPEED
) -> Scores:
    """Scores of a case over all pictures of a world, for each of the seeds."""
    numbers = range(len(world.photographs))
    parts = []
    for seed in seeds:
        for start in range(0, len(numbers), AT_ONCE):
            batch = clips_of(world, case, numbers[start : start + AT_ONCE], seed, size, speed)
            parts.append(scores_of(model(batch, seed), batch))
    return joined(parts)
