"""Runs of the base, and the scenes that move their pictures."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from torch import Tensor

from miva_core import Clip, MIVAAdapter, Motion, RunOptions, animate
from miva_core.bases.base import Base
from miva_core.bases.tiny.spec import SHIPPED
from miva_core.media.pictures import scale_picture
from miva_core.rendering.scene import Scene
from miva_core.rendering.view import View


def shipped(base: Base, motion: str) -> MIVAAdapter:
    return MIVAAdapter.load(SHIPPED / f"{motion}.safetensors", base.backbone)


def denoised(base: Base, picture: Tensor, motion: Motion, seed: int) -> Clip:
    """The base's own clip, and the flow it predicts; it is shown the whole picture squashed, as `animate` shows it."""
    mask = None if motion.mask is None else scale_picture(motion.mask[..., None], base.size)[..., 0]
    small = replace(motion, mask=mask)
    return animate(base, scale_picture(picture, base.size), [small], RunOptions(seed, render="latents"))


def staged(
    picture: Tensor,
    flow: Tensor | None,
    masks: Mapping[str, Tensor] | None = None,
    asked: np.ndarray | None = None,
) -> Scene:
    """A picture moved by a flow, at its own size and at the times of the flow's frames.

    `animate` builds the same scene of the same flow; frame by frame, only those that are measured are rendered.
    """
    assert flow is not None
    height, width = picture.shape[:2]
    times = np.arange(len(flow), dtype=np.float64)
    return Scene.of(picture, flow, masks or {}, View((height, width), (0, 0, height, width)), times, asked=asked)
