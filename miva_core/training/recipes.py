"""How each base is trained: presets from a quick try to what the paper did."""

from dataclasses import dataclass, replace
from typing import Literal

from ..adapters.config import MIVAConfig
from ..errors import MIVAError

Preset = Literal["quick", "normal", "paper"]
PRESETS: tuple[Preset, ...] = ("quick", "normal", "paper")


@dataclass(frozen=True)
class Recipe:
    """The numbers of a training.

    Attributes:
        preset: its name.
        config: structure of the adapter.
        steps: optimiser steps.
        lr: learning rate of AdamW at its highest.
        batch: clips in a step of each process.
        cosine: whether the rate rises over 30 steps and falls to 0 by half a cosine, or stays.
        beta2: of AdamW. weight_decay: likewise.
        power: below 1 noisy steps are preferred, see `draw_timesteps`.
        rolled_out: share of the clips that the model itself brings to their step, see `loss.rolled_out_losses`.
        subject: how much more places count where the subject is, see `loss.place_weights`.
        colours: random colourings in which each clip is met.
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


_TINY = Recipe(
    preset="normal",
    config=replace(MIVAConfig.default(), cfa_rank=16, ca_rank=64, ta_rank=16, ta_alpha=16.0),
    steps=300,
    lr=3e-3,
    batch=4,
    cosine=True,
    beta2=0.98,
    weight_decay=0.01,
    power=0.6,
    rolled_out=0.5,
    subject=6.0,
    colours=6,
    short=3,
    checkpointing=False,
)
_REAL = Recipe(
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
_PAPER_STEPS = {"tiny": 15_000, "animatediff": 15_000, "wan": 8_000}


def expected_of(chosen: Recipe, base: str) -> str:
    """What to expect of a training that has fewer steps than its preset, as "25 of the 75 steps of `quick`: …"; empty
    for one that has all of them.

    Args:
        base: `Base.name`.
    """
    whole = recipe(base, chosen.preset).steps
    if chosen.steps >= whole:
        return ""
    expected = "a weak or smeared motion" if 2 * chosen.steps < whole else "a weaker motion than with all of them"
    return f"{chosen.steps} of the {whole} steps of `{chosen.preset}`: expect {expected}"


def recipe(base: str, preset: Preset = "normal", masked: bool = False) -> Recipe:
    """The recipe of a base.

    "paper" is its learning rate, 1e-5, for its 15 000 steps, for Wan 8 000 (section 4). "normal" and "quick" take
    larger rates for fewer steps; for AnimateDiff and Wan nobody has measured them yet.

    Args:
        base: `Base.name`.
        masked: whether the adapter generates its subject's mask (3.4).

    Raises:
        MIVAError: an unknown base or preset.
    """
    if base not in _PAPER_STEPS:
        raise MIVAError(f"There is no base {base!r}; known are {', '.join(_PAPER_STEPS)}.")
    if preset not in PRESETS:
        raise MIVAError(f"There is no preset {preset!r}; known are {', '.join(PRESETS)}.")
    normal = _TINY if base == "tiny" else _REAL
    if masked:
        # Places count less for it than for plain adapters, since the rest is to keep still.
        subject = normal.subject / 6
        normal = replace(normal, config=replace(normal.config, mask=True), subject=subject)
    if preset == "quick":
        return replace(normal, preset=preset, steps=normal.steps // 4, lr=normal.lr * (1 if base == "tiny" else 3))
    if preset == "paper":
        return replace(normal, preset=preset, steps=_PAPER_STEPS[base], lr=1e-5, cosine=False, batch=1)
    return normal
