"""The video model of the built-in MiraMo: a small MiraMo whose clips are their first frame, moved by a `LayeredFlow`.

For every frame it is given what is noisy in it, the clean first frame, the guide, where and when it is, and in a
caption what moves how fast. The flow head is not MiraMo's: a model this small cannot paint photographs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.utils import BaseOutput
from torch import Tensor, nn

from ...media.flow_warp import warp
from ...motion_fields.shake import shake_path
from ..tiny.linear_patches import PATCH, LinearPatches
from .caption_layers import SLOTS, CaptionLayers
from .layered_flow import MASK_GUIDE, NEARNESS_GUIDE, SHAKE, LayeredFlow
from .motion_basis import HALF
from .transformer import MiraMoTransformer

FINE = 4
"""Logits of masks to a latent place, along each side."""
_PERIODS = (16.0, 8.0)
_LENGTHS = (64.0, 32.0, 16.0)
_MOMENTS = 1 + 2 * len(_PERIODS)
_PLACES = 2 + 4 * len(_LENGTHS)
_CLIP = 15.0
"""Frames after the first in the clips of training."""
_PATH = 2
_KINDS = 2
UNIT_WORD = 8.0
"""Length of a word's vector at unit speed, about."""
_LEAST_SIGMA = 0.02
_STEPS = 1000
"""Of the noise process, T."""


@dataclass
class FlowingOutput(BaseOutput):
    """The output of a `FlowingMiraMo`.

    Attributes:
        sample: (B, C, F, h, w), the velocity eps - (x - x^1) of frames 2..F.
        flow: (B, F, 2, 8h, 8w), x and y in pixels: pixel p of a frame shows what is at p + flow(p) in frame 1, as far
            as it can be seen there.
        layers: what the flow is made of.
        motion: (B, C, F, h, w), x - x^1, which `sample` stands for.
    """

    sample: Tensor
    flow: Tensor
    layers: LayeredFlow
    motion: Tensor


class FlowingMiraMo(MiraMoTransformer):
    """A small `MiraMoTransformer` with a flow head, on latents as `LinearPatches` makes them.

    Attributes:
        patches: a copy of the codec's, so that the frame is warped as a picture and not as a grid of patches.
        layers: from captions to the motions of layers.
        caption_embed: what is said in the modulation of all tokens.
        caption_input: what captions pass before they are read, where adapters add theirs.
        caption_slots: vectors of a caption.
    """

    caption_slots = len(SLOTS)

    # The signature that is wrapped is what diffusers reads a config by; diffusers has no types.
    @wraps(MiraMoTransformer.__init__)  # type: ignore[misc]
    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        channels, words = self.config.in_channels, self.config.caption_channels
        dim = self.config.num_attention_heads * self.config.attention_head_dim
        inputs = 2 * channels + PATCH**2 + _KINDS + _PLACES + _MOMENTS + _PATH
        self.patch_embed.proj = nn.Conv2d(inputs, dim, 1)
        self.caption_projection = nn.Linear(words, dim, bias=False)
        self.caption_norm = nn.Identity()  # The length of a caption is the speed.
        self.caption_embed = nn.Linear(words, dim, bias=False)
        self.caption_input = nn.Identity()
        self.proj_out = nn.Linear(dim, channels + 2 + 2 * FINE**2)
        # It has no degree of motion beside its caption's length.
        del self.degree_proj, self.degree_embed
        self.layers = CaptionLayers(words)
        self.patches = LinearPatches(channels)
        self._start_still()

    @torch.no_grad()
    def _start_still(self) -> None:
        """A new model holds its picture, and all its blocks learn from the first step on."""
        for block in self.transformer_blocks:
            block.scale_shift_table.mul_(0.1)
            block.scale_shift_table[[2, 5]] = 0.5
            block.scale_shift_table_attn3d.zero_()
            block.scale_shift_table_attn3d[2] = 0.5
        for values in self.proj_out.parameters():
            nn.init.zeros_(values)

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        guide: Tensor | None = None,
        guide_kind: Tensor | None = None,
        times: Tensor | None = None,
        path: Tensor | None = None,
    ) -> FlowingOutput:
        """Predict the motion of noisy clips.

        Args:
            sample: (B, C, F, h, w), frame 1 clean.
            timestep: (B,) T sigma, from 0 to 1000.
            encoder_hidden_states: (B, 3, D) captions, see `caption_layers.SLOTS`, or (B, F, 3, D) for every frame.
            guide: (B, 8h, 8w) in [0, 1], of frame 1; None for none.
            guide_kind: (B,) what it is, see `layered_flow`.
            times: (F,) of the frames, rising from 0; None for 0, 1, 2, …
            path: (B, F, 2) of a shake at unit speed; None for that of every run.
        """
        frames = sample.shape[2]
        times = (torch.arange(frames, device=sample.device) if times is None else times).to(sample)
        moments = times.clamp(max=_CLIP)  # The blocks know no later ones; the layers know all.
        guide, guide_kind = _guide(sample, guide, guide_kind)
        shake = shake_path(times, SHAKE).to(sample)[None] if path is None else path
        captions = encoder_hidden_states if encoder_hidden_states.ndim == 4 else encoder_hidden_states[:, None]
        caption = self.caption_input(captions)
        inputs = torch.cat([sample, *_shared(sample, guide, guide_kind), *_where_and_when(sample, moments, shake)], 1)
        answer = self._answer(inputs, timestep, caption, moments)
        # Coordinates in half precision would be off by a quarter of a pixel.
        with torch.autocast(sample.device.type, enabled=False):
            answer = answer.to(self.patches.mean)
            rest, head = answer.split([sample.shape[1], 2 + 2 * FINE**2], dim=2)
            layers = self._layers(head, caption.to(answer), times, path, guide.to(answer), guide_kind)
            return self._moved(sample.to(answer), timestep, rest.transpose(1, 2), layers)

    def _answer(self, inputs: Tensor, timestep: Tensor, caption: Tensor, times: Tensor) -> Tensor:
        """What the blocks answer to inputs (B, I, F, h, w), (B, F, O, h, w)."""
        frames, height, width = inputs.shape[2:]
        tokens = self.patch_embed(inputs.transpose(1, 2).flatten(0, 1))
        asked = self.caption_embed(caption.sum(-2)).expand(-1, frames, -1).flatten(0, 1)
        embedded = self._embedded(timestep, None, tokens.dtype).repeat_interleave(frames, 0) + asked
        text, rotary = self.caption_projection(caption.flatten(0, 1)), self._rotary(times, frames, tokens)
        modulation = self.time_embed.linear(F.silu(embedded))
        for block in self.transformer_blocks:
            tokens = self._run(block, tokens, text, modulation, rotary, (frames, height, width))
        tokens = self.proj_out(self.norm_out(tokens, embedded, self.scale_shift_table))
        return tokens.transpose(1, 2).unflatten(2, (height, width)).unflatten(0, (-1, frames))

    def _layers(
        self, head: Tensor, caption: Tensor, times: Tensor, path: Tensor | None, guide: Tensor, kind: Tensor
    ) -> LayeredFlow:
        """The layers that captions (B, K, 3, D) and the flow's part (B, F, 34, h, w) of the answer stand for."""
        residual, masks = head.split([2, 2 * FINE**2], dim=2)
        mask, nearness = F.pixel_shuffle(masks[:, 0], FINE).unbind(1)
        motions = self.layers(caption)
        return LayeredFlow(
            times=times,
            path=path,
            camera=motions.camera,
            depth=motions.depth,
            staying=motions.staying,
            carried=motions.carried,
            mask_logits=mask,
            nearness_logits=nearness,
            residual=residual * _amount(caption, times),
            guide=guide,
            kind=kind,
        )

    def _moved(self, sample: Tensor, timestep: Tensor, rest: Tensor, layers: LayeredFlow) -> FlowingOutput:
        """The first frame moved by the layers, with what is then still missing."""
        first, flow = sample[:, :, :1], layers.flow()
        pictures = self.patches.decode(first[:, :, 0]).repeat_interleave(flow.shape[1], dim=0)
        warped = self.patches.encode(warp(pictures, flow.flatten(0, 1))).unflatten(0, flow.shape[:2]).transpose(1, 2)
        motion = warped - first + rest
        sigma = (timestep.to(sample) / _STEPS).clamp(min=_LEAST_SIGMA).view(-1, 1, 1, 1, 1)
        return FlowingOutput(sample=(sample - first - motion) / sigma, flow=flow, layers=layers, motion=motion)


def _guide(sample: Tensor, guide: Tensor | None, kind: Tensor | None) -> tuple[Tensor, Tensor]:
    """The guide (B, 8h, 8w) and its kind (B,), or those of none."""
    if guide is not None and kind is not None:
        return guide, kind
    batch, _, _, height, width = sample.shape
    return sample.new_zeros(batch, PATCH * height, PATCH * width), sample.new_zeros(batch, dtype=torch.long)


def _shared(sample: Tensor, guide: Tensor, kind: Tensor) -> Iterator[Tensor]:
    """What every frame is given, (B, …, F, h, w): the first one, the guide in each latent place, and its kind."""
    kinds = torch.stack([kind == MASK_GUIDE, kind == NEARNESS_GUIDE], 1).to(guide)
    cells = F.pixel_unshuffle(guide[:, None], PATCH)
    for part in (sample[:, :, 0], cells, kinds[:, :, None, None].expand(-1, -1, *cells.shape[-2:])):
        yield part[:, :, None].expand(-1, -1, sample.shape[2], -1, -1)


def _where_and_when(sample: Tensor, times: Tensor, path: Tensor) -> Iterator[Tensor]:
    """The place, time (F,) and shake (B or 1, F, 2) of all that is in a clip, (B, …, F, h, w)."""
    batch, _, frames, height, width = sample.shape
    yield _where(height, width, sample)[None, :, None].expand(batch, -1, frames, -1, -1)
    for part in (_when(times)[None], path):
        yield part.transpose(1, 2)[..., None, None].expand(batch, -1, -1, height, width)


def _where(height: int, width: int, like: Tensor) -> Tensor:
    """(14, h, w): x and y of latent places in field units off the centre, and waves over both."""
    y, x = (PATCH * (torch.arange(side).to(like) - (side - 1) / 2) for side in (height, width))
    places = torch.stack(torch.meshgrid(x, y, indexing="xy"))
    return torch.cat([places / HALF, *(part for length in _LENGTHS for part in _wave(places, length))])


def _when(times: Tensor) -> Tensor:
    """(F, 5): the time, and waves over it."""
    return torch.stack([times / _CLIP, *(part for period in _PERIODS for part in _wave(times, period))], -1)


def _wave(values: Tensor, length: float) -> tuple[Tensor, Tensor]:
    phase = 2 * torch.pi / length * values
    return phase.sin(), phase.cos()


def _amount(caption: Tensor, times: Tensor) -> Tensor:
    """How much may move at all, (B, K, 1, 1, 1) for captions (B, K, 3, D): nothing unless something is said."""
    length = caption.detach().square().sum((-2, -1)).sqrt() / UNIT_WORD
    return (length * (times > 0))[..., None, None, None]
