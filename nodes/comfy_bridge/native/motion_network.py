"""AnimateDiff's motion modules, as layers for ComfyUI's own U-Net of Stable Diffusion 1.5."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from comfy.ldm.modules.attention import FeedForward, optimized_attention
from comfy.ops import manual_cast
from torch import Tensor, nn

from ....miva_core.bases.animatediff.files import MotionLayout, motion_layout, open_motion_module
from ....miva_core.bases.animatediff.motion_positions import block_positions, own_positions
from ....miva_core.errors import MIVAError
from ....miva_core.storage.meta_device import fill, on_meta

FRAMES = "miva_frames"
"""Where transformer_options say how many frames the clips of the running forward pass have."""

_HEADS = 8
_WIDEST = 4096
"""Channels; those of Stable Diffusion 1.5 go up to 1280."""
_IN_ANIMATEDIFFS_NAMES = (
    (re.compile(r"(motion_modules\.\d+)\.(?!temporal_transformer\.)"), r"\1.temporal_transformer."),
    (re.compile(r"\.attn1\."), ".attention_blocks.0."),
    (re.compile(r"\.attn2\."), ".attention_blocks.1."),
    (re.compile(r"\.norm1\."), ".norms.0."),
    (re.compile(r"\.norm2\."), ".norms.1."),
    (re.compile(r"\.norm3\."), ".ff_norm."),
)


class MotionNetwork(nn.Module):
    """All motion modules of one file. The names inside are AnimateDiff's.

    Args:
        widths: channels of the four levels of the U-Net, the finest first.
        layout: of the file.

    Attributes:
        layout: as given.
    """

    def __init__(self, widths: tuple[int, ...], layout: MotionLayout) -> None:
        super().__init__()
        self.layout = layout
        self.down_blocks = nn.ModuleList(MotionLevel(width, layout.frames, 2) for width in widths)
        self.up_blocks = nn.ModuleList(MotionLevel(width, layout.frames, 3) for width in reversed(widths))
        if layout.middle:
            self.mid_block = MotionLevel(widths[-1], layout.frames, 1)

    def by_block(self) -> Iterator[tuple[str, int, MotionModule]]:
        """Every module with the place that it has in a U-Net.

        Yields:
            "input", "output" or "middle", the number of the block there, and the module.
        """
        # The first block is a convolution, and the last of every level halves the size.
        for side, first, levels in (("input", 1, self.down_blocks), ("output", 0, self.up_blocks)):
            for number, level in enumerate(levels):
                yield from ((side, first + 3 * number + k, module) for k, module in enumerate(_modules(level)))
        if self.layout.middle:
            yield "middle", 0, _modules(self.mid_block)[0]


def _modules(level: Any) -> list[MotionModule]:
    return list(level.motion_modules)


class MotionLevel(nn.Module):
    """The motion modules of one level of the U-Net."""

    def __init__(self, width: int, frames: int, count: int) -> None:
        super().__init__()
        self.motion_modules = nn.ModuleList(MotionModule(width, frames) for _ in range(count))


class MotionModule(nn.Module):
    """One layer of the U-Net: frames (b f, c, h, w) attend to each other, place by place."""

    def __init__(self, width: int, frames: int) -> None:
        super().__init__()
        self.temporal_transformer = TemporalTransformer(width, frames)

    def forward(self, x: Tensor, frames: int, options: Mapping[str, Any]) -> Tensor:
        """The changed features.

        Args:
            x: (b f, c, h, w)
            frames: f, of a clip.
            options: the transformer_options of the call.
        """
        return self.temporal_transformer(x, frames, options)


class TemporalTransformer(nn.Module):
    """Norm of each frame by itself, one transformer block over time, and the way around both."""

    def __init__(self, width: int, frames: int) -> None:
        super().__init__()
        self.norm = manual_cast.GroupNorm(32, width, eps=1e-6)
        self.proj_in, self.proj_out = manual_cast.Linear(width, width), manual_cast.Linear(width, width)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(width, frames)])

    def forward(self, x: Tensor, frames: int, options: Mapping[str, Any]) -> Tensor:
        tokens = self.proj_in(self.norm(x).flatten(2).mT)
        for block in self.transformer_blocks:
            tokens = block(tokens, frames, options)
        return x + self.proj_out(tokens).mT.reshape(x.shape)


class TemporalBlock(nn.Module):
    """Two attentions over time and a perceptron."""

    def __init__(self, width: int, frames: int) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList(TemporalAttention(width, frames) for _ in range(2))
        self.norms = nn.ModuleList(manual_cast.LayerNorm(width) for _ in range(2))
        self.ff, self.ff_norm = FeedForward(width, glu=True, operations=manual_cast), manual_cast.LayerNorm(width)

    def forward(self, x: Tensor, frames: int, options: Mapping[str, Any]) -> Tensor:
        for norm, attention in zip(self.norms, self.attention_blocks, strict=True):
            x = x + attention(norm(x), video_length=frames, transformer_options=options)
        return x + self.ff(self.ff_norm(x))


class TemporalAttention(nn.Module):
    """Attention of all frames at one place, with their positions in time added to them."""

    def __init__(self, width: int, frames: int) -> None:
        super().__init__()
        self.heads = _HEADS
        self.to_q, self.to_k, self.to_v = (manual_cast.Linear(width, width, bias=False) for _ in range(3))
        self.to_out = nn.Sequential(manual_cast.Linear(width, width), nn.Identity())
        self.pos_encoder = Positions(width, frames)

    def forward(self, x: Tensor, video_length: int, transformer_options: Mapping[str, Any]) -> Tensor:
        """x (b f, s, c)"""
        tokens = self.pos_encoder(places_over_time(x, video_length))
        attended = optimized_attention(
            self.to_q(tokens), self.to_k(tokens), self.to_v(tokens), self.heads, transformer_options=transformer_options
        )
        return frames_of_places(self.to_out(attended), x.shape[1])


class Positions(nn.Module):
    """The positions of frames in time, of the length that the file has."""

    pe: Tensor

    def __init__(self, width: int, frames: int) -> None:
        super().__init__()
        self.register_buffer("pe", torch.empty(1, frames, width))

    def forward(self, x: Tensor) -> Tensor:
        """x (b s, f, c)"""
        return x + self.pe[:, : x.shape[1]].to(x)


def places_over_time(x: Tensor, frames: int) -> Tensor:
    """Features (b f, s, c) as one row for each place, (b s, f, c)."""
    return x.unflatten(0, (-1, frames)).transpose(1, 2).flatten(0, 1)


def frames_of_places(x: Tensor, places: int) -> Tensor:
    """The way back: (b s, f, c) to (b f, s, c)."""
    return x.unflatten(0, (-1, places)).transpose(1, 2).flatten(0, 1)


def load_motion_network(path: str | os.PathLike[str], dtype: torch.dtype, device: torch.device) -> MotionNetwork:
    """Load the motion modules of a file, frozen.

    Args:
        path: AnimateDiff v1, v2 or v3, by AnimateDiff's names or those of diffusers.
        dtype: of the weights; they are cast to that of the features where they are used.
        device: where they are to be.

    Raises:
        MIVAError: the file is missing, damaged or something else; the message says what it is.
    """
    file = open_motion_module(path)
    layout = motion_layout(file)
    tensors = {_animatediffs_name(name): tensor for name, tensor in file.items() if not name.endswith(".pe")}
    widths = tuple(_width(tensors, level, path) for level in range(4))
    network = on_meta(lambda: MotionNetwork(widths, layout))
    tensors |= _positions(network, file, path)
    fill(network, tensors, str(path), device, lambda name: torch.float32 if name.endswith(".pe") else dtype)
    return network


def _animatediffs_name(name: str) -> str:
    for pattern, replacement in _IN_ANIMATEDIFFS_NAMES:
        name = pattern.sub(replacement, name)
    return name


def _width(tensors: Mapping[str, Tensor], level: int, path: str | os.PathLike[str]) -> int:
    name = f"down_blocks.{level}.motion_modules.0.temporal_transformer.proj_in.weight"
    width = tensors[name].shape[-1] if name in tensors and tensors[name].ndim == 2 else 0
    if width % 32 or not 0 < width <= _WIDEST:
        raise MIVAError(f"{path} has no fitting {name}: it is damaged, or of a version that is not supported.")
    return width


def _positions(network: MotionNetwork, file: Mapping[str, Tensor], path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The positional encodings that the file wants, by the names of the network."""
    blocks = {name: module for name, module in network.named_modules() if isinstance(module, TemporalBlock)}
    encodings = {
        _in_diffusers(block): (network.layout.frames, _block_width(module)) for block, module in blocks.items()
    }
    positions, usual = block_positions(encodings, file, path)
    if not usual:
        warnings.warn(own_positions(path), stacklevel=2)
    return {
        f"{block}.attention_blocks.{k}.pos_encoder.pe": positions[_in_diffusers(block)]
        for block in blocks
        for k in (0, 1)
    }


def _in_diffusers(block: str) -> str:
    return block.replace(".temporal_transformer", "") + ".pos_embed.pe"


def _block_width(block: TemporalBlock) -> int:
    return block.ff_norm.normalized_shape[0]
