"""Where attention is in ComfyUI's own U-Net of Stable Diffusion 1.5, by the names that adapter files have for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from comfy.ldm.modules.diffusionmodules.openaimodel import ResBlock, UNetModel

from ....miva_core.adapters.backbone import Backbone
from ....miva_core.bases.animatediff.sites import Level, unet_backbone
from ....miva_core.errors import MIVAError

Place = tuple[str, int, int]
"""A transformer block as ComfyUI calls it: "input", "middle" or "output", the number there, and that in the block."""

_SPATIAL = re.compile(r"(down|mid|up)_blocks?(?:\.(\d))?\.attentions\.(\d)\.transformer_blocks\.(\d)\.attn[12]")


def is_sd15(net: Any) -> bool:
    """Whether a network is the U-Net of Stable Diffusion 1.5, text to image, in any width."""
    if type(net) is not UNetModel or (len(net.input_blocks), len(net.output_blocks)) != (12, 12):
        return False
    text_width: int = _first_block(net.middle_block).attn2.to_k.in_features
    return net.in_channels == 4 and net.num_classes is None and text_width == 768


def describe_native_unet(unet: Any, middle: bool) -> Backbone:
    """Its attention sites with motion modules, equal to those of diffusers' `UNetMotionModel`.

    Args:
        unet: the motion modules may be in it or not.
        middle: whether there is one in the middle, as AnimateDiff v2 has.
    """
    heads = _first_block(unet.middle_block).attn1.heads
    # The first block of every level; the very first is a convolution.
    levels = [Level(width_of(block), heads, _attends(block)) for block in unet.input_blocks[1::3]]
    return unet_backbone(levels, middle_motion=middle)


def width_of(block: Any) -> int:
    """Channels of what a block of the U-Net gives."""
    width: int = next(layer.out_channels for layer in block if isinstance(layer, ResBlock))
    return width


def spatial_place(site: str) -> Place:
    """The transformer block that a spatial site is in.

    Args:
        site: such as "up_blocks.1.attentions.0.transformer_blocks.0.attn2".
    """
    found = _SPATIAL.fullmatch(site)
    assert found is not None  # as every site's name that this package makes
    side, level, layer, index = found.groups()
    if side == "mid":
        return "middle", 0, int(index)
    if side == "down":
        return "input", 1 + 3 * int(level) + int(layer), int(index)
    return "output", 3 * int(level) + int(layer), int(index)


def temporal_attentions(unet: Any) -> dict[str, Any]:
    """The attentions over time that are in a U-Net, by the names of their sites, whoever put them there.

    They are known by the names that AnimateDiff has for the parts of a motion module.

    Returns:
        None for each that will not run, since AnimateDiff-Evolved leaves out modules whose `effect` is 0.

    Raises:
        MIVAError: there are several in one place.
    """
    found: dict[str, Any] = {}
    for stem, layer in _motion_modules(unet):
        effect = getattr(layer, "effect", None)
        for number, attention in enumerate(layer.temporal_transformer.transformer_blocks[0].attention_blocks, 1):
            site = f"{stem}.transformer_blocks.0.attn{number}"
            if site in found:
                raise MIVAError(TWO_MOTION_MODELS)
            found[site] = None if isinstance(effect, (int, float)) and effect == 0 else attention
    return found


TWO_MOTION_MODELS = (
    "This MODEL has more than one motion model, but motions act in one: take out all but the one that they were "
    "trained with."
)


def _motion_modules(unet: Any) -> Iterator[tuple[str, Any]]:
    blocks = [("mid_block.motion_modules.0", unet.middle_block)]
    for side, first, sides_blocks in (("down_blocks", 1, unet.input_blocks), ("up_blocks", 0, unet.output_blocks)):
        for number, block in enumerate(sides_blocks[first:]):
            blocks.append((f"{side}.{number // 3}.motion_modules.{number % 3}", block))
    for stem, block in blocks:
        yield from ((stem, layer) for layer in block if hasattr(layer, "temporal_transformer"))


def _first_block(block: Any) -> Any:
    return next(layer for layer in block if hasattr(layer, "transformer_blocks")).transformer_blocks[0]


def _attends(block: Any) -> bool:
    return any(hasattr(layer, "transformer_blocks") for layer in block)
