"""The numbers that an adapter is trained with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ..adapters.config import MIVAConfig

if TYPE_CHECKING:
    from .guide import GuideKind

Preset = Literal["quick", "normal", "paper"]
PRESETS: tuple[Preset, ...] = ("quick", "normal", "paper")


@dataclass(frozen=True)
class Recipe:
    """The numbers of a training.

    Attributes:
        preset: name of the preset that they come from.
        config: structure of the adapter.
        steps: optimiser steps.
        lr: learning rate of AdamW at its highest.
        batch: clips in a step of each process.
        cosine: whether the rate rises over 30 steps and falls to 0 by half a cosine; otherwise it stays.
        beta2: decay of AdamW's second moment.
        weight_decay: of AdamW.
        power: exponent by which timesteps are drawn; 1 is uniform, below 1 noisy steps are preferred.
        rolled_out: share of the clips, 0 to 1, that the model itself denoises to their step instead of being given
            the noised clip.
        subject: how much more the loss counts where the subject is; 0 counts all places alike.
        colours: random colourings in which each clip is seen.
        short: every how many steps whole windows are used, the other steps taking twice as many of half the length;
            1 uses whole ones alone.
        checkpointing: whether activations are computed again in the backward pass, which needs far less memory.
    """

    preset: Preset
    config: MIVAConfig
    steps: int
    lr: float
    batch: int
    cosine: bool
    beta2: float
    weight_decay: float
    power: float
    rolled_out: float
    subject: float
    colours: int
    short: int
    checkpointing: bool

    def as_paper(self, steps: int) -> Recipe:
        """The paper's constant learning rate of 1e-5 with one clip a step (section 4)."""
        return replace(self, preset="paper", steps=steps, lr=1e-5, cosine=False, batch=1)

    def with_degree(self) -> Recipe:
        """The same for an adapter with a degree."""
        return replace(self, config=replace(self.config, degree=True))

    def with_mask(self) -> Recipe:
        """The same for an adapter that generates its subject's mask together with the clip (3.4)."""
        # Places count less for it than for plain adapters, since the rest is to keep still.
        return replace(self, config=replace(self.config, mask=True), subject=self.subject / 6)

    def with_guide(self, guide: GuideKind) -> Recipe:
        """The same for an adapter that acts where its base is guided."""
        # What is inside of a mask bends its way late in a clip, where short windows have ended.
        short = 1 if guide == "mask" else self.short
        return replace(self, config=replace(self.config, guide=guide), short=short)

    def with_words(self) -> Recipe:
        """The same for an adapter that learns several motions, each by its words."""
        return replace(self, config=replace(self.config, words=True))


def full_size_recipes(paper_steps: int) -> dict[Preset, Recipe]:
    """The recipes of a base of full size; nobody has measured "quick" and "normal" yet.

    Args:
        paper_steps: optimiser steps that the paper takes for this base.
    """
    normal = Recipe(
        preset="normal",
        config=MIVAConfig.default(),
        steps=6000,
        lr=3e-5,
        batch=1,
        cosine=True,
        beta2=0.999,
        weight_decay=0.0,
        power=1.0,
        rolled_out=0.0,
        subject=0.0,
        colours=1,
        short=1,
        checkpointing=True,
    )
    return {
        "quick": replace(normal, preset="quick", steps=1500, lr=3 * normal.lr),
        "normal": normal,
        "paper": normal.as_paper(paper_steps),
    }
