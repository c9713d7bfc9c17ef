"""What Apply MIVA attaches to a MODEL: motions, the picture, and how a run begins and ends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ....miva_core.errors import MIVAError
from .mask_record import MaskRecord

if TYPE_CHECKING:
    from ....miva_core.adapters.adapter import MIVAAdapter
    from ....miva_core.animation.readout import LinearReadout
    from ....miva_core.attention.strength import Level, Strength
    from ....miva_core.diffusion.init_noise import NoiseInit

KEY = "miva"
"""Of wrappers, additional models and attachments of a MODEL, and of the run in `transformer_options`."""
NO_PROMPT = "miva_no_prompt"
"""Key of conditioning that stands for no prompt."""
STRUCTURED = "miva_structured"
"""Attribute of a tensor of noise that holds the low band of a picture already."""


@dataclass(frozen=True, eq=False)
class PlannedMask:
    """Where the subject of a masked motion is.

    Attributes:
        first: (H, W) in [0, 1], in the picture, at the clip's size.
        x1: (1, C, 1, h, w), its latent as a picture, as the VAE gives it.
        readout: from latents in the MODEL's scale to masks.
    """

    first: Tensor
    x1: Tensor
    readout: LinearReadout


@dataclass(frozen=True, eq=False)
class PlannedMotion:
    """A motion as it is to act in every run of a MODEL.

    Attributes:
        name: what messages call it.
        adapter: made for the MODEL's backbone.
        patcher: of that adapter. Each loaded adapter has one, which ComfyUI would otherwise take for a leak.
        strength: see `Injection.set_weights`; curves over steps count those of the whole run, of which a sampler may
            make a part.
        span: (start, end), shares of the noise schedule, 0 <= start < end <= 1, in which it acts.
        mask: of its subject; for each adapter with a mask stream, and for no other.
        words: (words, d_text) what is said to it, see `Injection.set_words`; None for nothing.
        degree: how fast it is, see `Motion`.
    """

    name: str
    adapter: MIVAAdapter
    patcher: Any
    strength: Level | Strength = 1.0
    span: tuple[float, float] = (0.0, 1.0)
    mask: PlannedMask | None = None
    words: Tensor | None = None
    degree: float | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """What every run of a MODEL is to do.

    Attributes:
        motions: in the order of depth, the last one on top.
        picture: (1, C, 1, h, w), frame 1 as the VAE gives it.
        frames: latent frames of the clip.
        noise: how the sampler's noise is structured; None leaves it as it is.
        adain: whether a run ends with AdaIN.
        record: is filled by a run with masked motions; None where there are none.
    """

    motions: tuple[PlannedMotion, ...]
    picture: Tensor
    frames: int
    noise: NoiseInit | None = None
    adain: bool = True
    record: MaskRecord | None = None

    def after(self, earlier: Plan | None) -> Plan:
        """Merge with the plan that the MODEL holds already, whose motions lie below these.

        Raises:
            MIVAError: it is for another picture or clip.
        """
        if earlier is None:
            return self
        size, other = (_size(plan) for plan in (self, earlier))
        if size != other:
            raise MIVAError(
                f"This MODEL comes from another Apply MIVA, for latents of {other}, but here they are {size}: set the "
                "same width, height and length in both, or put all motions into one stack."
            )
        if not torch.equal(self.picture, earlier.picture):
            raise MIVAError(
                "This MODEL comes from another Apply MIVA with another picture: connect the same picture and VAE to "
                "both, or put all motions into one stack; a clip that goes on by `previous` takes the MODEL from "
                "before that node."
            )
        records = [plan.record for plan in (self, earlier) if plan.record is not None]
        record = MaskRecord(records) if len(records) > 1 else next(iter(records), None)
        return replace(self, motions=(*earlier.motions, *self.motions), record=record)


def _size(plan: Plan) -> str:
    height, width = plan.picture.shape[-2:]
    return f"{width}×{height}×{plan.frames}"
