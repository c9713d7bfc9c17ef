"""Training clips as a model sees them: every frame encoded once, latents drawn from what the encoder says of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..animation.readout import fit_readout
from ..bases.base import Base
from ..clips.optical_flow import join_flow, mirrored

WINDOWS = 8
"""About how many windows are cut from a long clip, evenly spread, for bases that encode a clip as a whole (Wan)."""


class Pixels(NamedTuple):
    """A clip before it is encoded.

    Attributes:
        frames: (N, 3, H, W) in [0, 1].
        masks: (K, N, H, W) in [0, 1], K being 0 where there are none.
        flow: (1, N, 3, H, W), see `measure_flow`, for bases that predict flow; otherwise (0, N).
        motion: (3, N), see `degrees.measured`, where a degree is learnt.
        guide: (N, H, W) in [0, 1], what guides the base in a clip that begins with this frame, where something does.
    """

    frames: Tensor
    masks: Tensor
    flow: Tensor
    motion: Tensor | None = None
    guide: Tensor | None = None

    def part(self, span: slice) -> "Pixels":
        """Some of the frames, with all that belongs to them."""
        motion = None if self.motion is None else self.motion[:, span]
        guide = None if self.guide is None else self.guide[span]
        return Pixels(self.frames[span], self.masks[:, span], self.flow[:, span], motion, guide)


@dataclass(frozen=True)
class LatentClip:
    """An encoded clip of N latent frames with K masks.

    Attributes:
        mean: (1 + K, C, N, h, w), of the clip and of its masks as pictures.
        std: (1 + K, C, N, h, w), how far latents spread around the mean; None for not at all.
        masks: (K, N, h, w) in [0, 1].
        readout_weight: (K, C), see `LinearReadout`.
        readout_bias: (K,), see `LinearReadout`.
        flow: see `Pixels`.
        motion: (3, N), of each latent frame the mean of its frames', see `Pixels`.
        words: (words, d_text) what is said of it; None where nothing is.
        guide: see `Pixels`, for bases with a latent frame to each frame.
    """

    mean: Tensor
    std: Tensor | None
    masks: Tensor
    readout_weight: Tensor
    readout_bias: Tensor
    flow: Tensor
    motion: Tensor | None = None
    words: Tensor | None = None
    guide: Tensor | None = None

    def __len__(self) -> int:
        return self.mean.shape[2]

    def window(self, span: slice) -> "LatentClip":
        """Some of the latent frames, with all that belongs to them."""
        return replace(
            self,
            mean=self.mean[:, :, span],
            std=None if self.std is None else self.std[:, :, span],
            masks=self.masks[:, span],
            flow=self.flow[:, span],
            motion=None if self.motion is None else self.motion[:, span],
            guide=None if self.guide is None else self.guide[span],
        )


@torch.no_grad()
def encode(base: Base, pixels: Pixels, masked: bool, stride: int = 1) -> list[LatentClip]:
    """Encode a clip in all its phases: every `stride`-th frame, beginning with the first, the second and so on.

    Where the base encodes clips as a whole, windows of them are encoded.

    Args:
        base: that encodes.
        pixels: at the size of the base; every `stride`-th of its frames are at least as many as the base makes.
        masked: whether the masks are encoded as pictures, too.
        stride: number of phases.

    Returns:
        An encoded clip for each phase or window.
    """
    phases = [pixels.part(slice(k, None, stride)) for k in range(stride)]
    phases = [phase for phase in phases if len(phase.frames) >= base.frames]
    most = max(1, WINDOWS // len(phases))
    return [_encode(base, window, masked) for phase in phases for window in _windows(base, phase, most)]


def _windows(base: Base, pixels: Pixels, most: int) -> Iterator[Pixels]:
    if base.stride == 1:
        yield pixels
        return
    slack = len(pixels.frames) - base.frames
    starts = {round(start) for start in torch.linspace(0, slack, min(most, slack + 1)).tolist()}
    for start in sorted(starts):
        yield pixels.part(slice(start, start + base.frames))


def _encode(base: Base, pixels: Pixels, masked: bool) -> LatentClip:
    shown = [pixels.frames, *(mask[:, None].expand(-1, 3, -1, -1) for mask in pixels.masks if masked)]
    moments = [base.encode_clip(clip) for clip in shown]
    mean = torch.stack([mean for mean, _ in moments])
    std = torch.stack([std for _, std in moments]).cpu()
    readouts = [
        fit_readout(base.encode, latent[None, :, :1], mask[0])
        for latent, mask in zip(mean[1:], pixels.masks, strict=False)
    ]
    mean = mean.cpu()
    small = F.interpolate(pixels.masks, mean.shape[-2:], mode="area")
    masks = _by_latent_frame(small, base.stride)
    weight = [readout.weight for readout in readouts]
    return LatentClip(
        mean,
        std if std.any() else None,
        masks,
        torch.stack(weight).cpu() if readouts else mean.new_zeros(0, mean.shape[1]),
        torch.stack([readout.bias for readout in readouts]).cpu() if readouts else mean.new_zeros(0),
        pixels.flow,
        None if pixels.motion is None else _by_latent_frame(pixels.motion, base.stride),
        guide=pixels.guide,
    )


def _by_latent_frame(values: Tensor, stride: int) -> Tensor:
    """Means (K, N, …) of what belongs to frames (K, 1 + `stride` (N - 1), …): the first by itself, then `stride`."""
    return torch.cat([values[:, :1], values[:, 1:].unflatten(1, (-1, stride)).mean(2)], dim=1)


class Batch(NamedTuple):
    """B clips of one length, each with K mask sequences, and the noise that is to be added to them.

    Attributes:
        latents: (1 + K, B, C, F, h, w), the clips first.
        noise: (1 + K, B, C, F, h, w) standard normal.
        masks: (K', B, F, h, w) in [0, 1]; K' is K, or more where masks are known but not generated.
        readout_weight: (K, B, C), see `LinearReadout`.
        readout_bias: (K, B), see `LinearReadout`.
        flow: (1, B, F, 3, H, W) to the first frame, see `join_flow`, for bases that predict flow; otherwise (0, B, F).
        motion: (1, B), how much each clip moves, see `degrees.measured`, where a degree is learnt; otherwise (0, B).
        words: (1, B, words, d_text) what is said of each clip, or (0, B) where nothing is.
        guide: (1, B, H, W) what guides the base in each clip, or (0, B) where nothing does.
    """

    latents: Tensor
    noise: Tensor
    masks: Tensor
    readout_weight: Tensor
    readout_bias: Tensor
    flow: Tensor
    motion: Tensor
    words: Tensor
    guide: Tensor


def draw_batch(
    clips: Sequence[Sequence[LatentClip]], count: int, full: int, frames: int, generator: torch.Generator
) -> Batch:
    """Draw windows of random clips, and their noise.

    All clips are drawn alike, however many versions there are of each.

    Args:
        clips: each in its versions: phases, windows, colourings.
        count: number B of clips to draw.
        full: latent frames of a whole window, by which its start is drawn.
        frames: how many of them are taken, from the start on.
        generator: also draws the latents, for encoders that only tell their mean and spread; of the first frame of a
            window, which the model is shown clean, the mean is taken, as in `animate`.
    """
    rows = torch.randint(len(clips), (count,), generator=generator).tolist()
    versions, places = torch.rand(2, count, generator=generator).tolist()
    chosen = [clips[row][int(version * len(clips[row]))] for row, version in zip(rows, versions, strict=True)]
    starts = [int(place * (len(clip) - full + 1)) for clip, place in zip(chosen, places, strict=True)]
    windows = [clip.window(slice(start, start + frames)) for clip, start in zip(chosen, starts, strict=True)]
    latents = torch.stack([window.mean for window in windows], dim=1)
    if any(window.std is not None for window in windows):
        spread = torch.stack([_spread(window) for window in windows], dim=1)
        spread[:, :, :, 0] = 0
        latents = latents + spread * torch.randn(latents.shape, generator=generator)
    flow = torch.stack([window.flow for window in windows], dim=1)
    return Batch(
        latents,
        torch.randn(latents.shape, generator=generator),
        torch.stack([window.masks for window in windows], dim=1),
        torch.stack([window.readout_weight for window in windows], dim=1),
        torch.stack([window.readout_bias for window in windows], dim=1),
        join_flow(flow[0])[None] if len(flow) else flow,
        _amounts(windows),
        _texts(windows),
        _guides(windows),
    )


def _amounts(windows: Sequence[LatentClip]) -> Tensor:
    """How much windows move, (1, B); (0, B) if that was not measured."""
    amounts = [window.motion[0, 1:].mean() for window in windows if window.motion is not None]
    return torch.stack(amounts)[None] if amounts else torch.zeros(0, len(windows))


def _texts(windows: Sequence[LatentClip]) -> Tensor:
    """What is said of windows, (1, B, words, d_text); (0, B) if nothing is."""
    said = [window.words for window in windows if window.words is not None]
    return torch.stack(said)[None] if said else torch.zeros(0, len(windows))


def _guides(windows: Sequence[LatentClip]) -> Tensor:
    """What guides windows, (1, B, H, W); (0, B) if nothing does."""
    guides = [window.guide[0].float() for window in windows if window.guide is not None]
    return torch.stack(guides)[None] if guides else torch.zeros(0, len(windows))


def _spread(clip: LatentClip) -> Tensor:
    return torch.zeros_like(clip.mean) if clip.std is None else clip.std


class Colouring(NamedTuple):
    """How the colours of a clip are changed.

    Attributes:
        gain: (3, 1, 1), of each channel, after the exponent.
        gamma: (1,), the exponent of all channels.
    """

    gain: Tensor
    gamma: Tensor


def draw_colourings(count: int, generator: torch.Generator) -> list[Colouring | None]:
    """Draw how the colours of a clip are changed in each of its versions.

    Args:
        count: number of versions.
        generator: on the CPU.

    Returns:
        A colouring for each; the first is None, which leaves a clip as it is.
    """
    drawn: list[Colouring | None] = [None]
    for _ in range(1, count):
        gain = 1 + 0.15 * torch.randn(3, 1, 1, generator=generator)
        drawn.append(Colouring(gain, torch.exp(0.2 * torch.randn(1, generator=generator))))
    return drawn


def varied(pixels: Pixels, colourings: Sequence[Colouring | None], flip: bool) -> Iterator[Pixels]:
    """A clip as it is learnt from: in several colourings, mirrored every second time, masks and flow with it.

    Args:
        pixels: the clip.
        colourings: see `draw_colourings`.
        flip: whether mirrored ones are wanted, too, at least one.
    """
    for k in range(max(len(colourings), 2 if flip else 1)):
        frames = pixels.frames
        colouring = colourings[k] if k < len(colourings) else None
        if colouring:
            frames = (frames.clamp(1e-4, 1) ** colouring.gamma * colouring.gain).clamp(0, 1)
        coloured = pixels._replace(frames=frames)
        yield _mirrored(coloured) if flip and k % 2 else coloured


def _mirrored(pixels: Pixels) -> Pixels:
    frames, masks, flow, motion, guide = pixels
    return Pixels(frames.flip(-1), masks.flip(-1), mirrored(flow), motion, None if guide is None else guide.flip(-1))
