"""How a training runs, whatever it learns."""

from dataclasses import dataclass
from typing import Literal

from ..adapters.adapter import MIVAAdapter

Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Author:
    """Who trained an adapter, and under which licence it may be used; recorded in its file."""

    name: str = ""
    licence: str = ""


@dataclass(frozen=True)
class TrainOptions:
    """How a training runs, whatever it learns.

    Attributes:
        seed: all that is random follows from it and the number of the step.
        precision: what the model computes in; the adapter is kept in float32.
        start: an adapter to begin with, which is copied; its structure is taken, not the recipe's.
        resume: whether to go on from the last checkpoint.
        save_every: steps between checkpoints.
        validate_every: steps between clips of the validation pictures; None makes them five times in a training.
        author: recorded in the adapter's file.
    """

    seed: int = 0
    precision: Precision = "fp32"
    start: MIVAAdapter | None = None
    resume: bool = False
    save_every: int = 100
    validate_every: int | None = None
    author: Author = Author()
