"""How a run is made, apart from its picture and motions."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from torch import Tensor

from ..bases.base import Base, ReadoutName
from ..bases.spec import BaseSpec
from ..checks import is_whole
from ..diffusion.init_noise import NoiseInit
from ..diffusion.schedulers import SettableScheduler
from ..errors import MIVAError
from ..rendering.timing import FPS, Timing, flow_times
from ..rendering.view import AskedSize, Size, choose_size
from ..rendering.window import EDGES, Edges

Render = Literal["full", "latents"]
_LONGEST_ASPECT = 2.0
"""Sides of what a base works at, to each other at most: it knows no wider ones."""


@dataclass(frozen=True, eq=False)
class RunOptions:
    """Options of `animate`; what is None is as the base has it.

    Attributes:
        seed: of the start noise, from 0 to 2^64 - 1; the same seed gives the same clip.
        steps: denoising steps.
        size: (height, width) of the clip in pixels. At full size None is the picture's own, up to 1024 along the longer
            side; either of the two may be None, too, and follows the picture's aspect. Sides are rounded down to even
            numbers.
        frames: length of the clip, or of each of its segments; at full size in place of `Timing.duration`.
        fit: how a picture of another aspect is fitted: "crop" fills the clip and cuts off what sticks out, "pad" keeps
            the whole picture. Masks follow.
        size_in_file: (height, width) of the picture in its file, where it was scaled down as it was read; masks are
            compared with this, and `Clip.fitting` speaks of it.
        nearness: (H, W) in [0, 1] of the picture, 1 where it is nearest to the camera, for motions in depth on a base
            that takes a guide.
        noise: how the start noise is drawn.
        adain: whether frames 2..F get the latent statistics of frame 1 after the last step (AdaIN, section 3.3), which
            is seen where frames are decoded.
        scheduler: a diffusers scheduler in place of the base's own, for the same noise; get one by
            `UniPCMultistepScheduler.from_config(base.scheduler.config)`. It spaces its steps itself, and may need
            more: `Base.last_timestep`, and `Base.steps` with it, are for the base's own alone.
            A `MIVAWarning` tells of steps that end in noise too weak for the base.
        sigmas: (steps + 1,) noise levels in place of a scheduler and `steps`, see `SigmaSchedule`; the warning is the
            same.
        start: (1, C, F, h, w) start latents in place of the clip's drawn ones; its first frame is not used. What else
            is drawn stays the same, and so do further segments.
        readout: how masks are read off their latents, "linear" or by the "decoder".
        render: what the frames are made of: "full" moves the original picture by the flow that the base predicts, at
            any size; "latents" decodes what the base denoised. None is "full" where the base predicts a flow.
        edges: what is done at full size where a camera would look beyond the picture: "inside" cuts the clip so that
            nothing invented shows, "mirror" keeps all of the picture and mirrors it.
        timing: rate, length and pace of a clip at full size.
        segments: how often the base makes a clip, from 1. Each goes on from the last frame of the one before it, by a
            seed that is greater by 1, and together they have segments (F - 1) + 1 frames. At full size there is one,
            since the motion goes on by itself for as long as `Timing.duration`.

    Raises:
        MIVAError: one of them is out of range. What depends on the base is checked by `animate`.
    """

    seed: int = 0
    steps: int | None = None
    size: AskedSize = None
    frames: int | None = None
    fit: Literal["crop", "pad"] = "crop"
    size_in_file: tuple[int, int] | None = None
    nearness: Tensor | None = None
    noise: NoiseInit | None = None
    adain: bool | None = None
    scheduler: SettableScheduler | None = None
    sigmas: Tensor | None = None
    start: Tensor | None = None
    readout: ReadoutName | None = None
    render: Render | None = None
    edges: Edges = "inside"
    timing: Timing = field(default_factory=Timing)
    segments: int = 1

    def __post_init__(self) -> None:
        if not is_whole(self.seed) or not 0 <= self.seed < 2**64:
            raise MIVAError(f"The seed is {self.seed!r}, but it must be a whole number from 0 to {2**64 - 1}.")
        if self.readout not in (None, "linear", "decoder"):
            raise MIVAError(f"The read-out of masks is {self.readout!r}, expected 'linear' or 'decoder'.")
        if not is_whole(self.segments) or self.segments < 1:
            raise MIVAError(f"The number of segments is {self.segments!r}, but it must be a whole number from 1.")
        if self.size_in_file is not None and not _is_size(self.size_in_file):
            raise MIVAError(f"The size in the file is {self.size_in_file!r}, but it must be (height, width) in pixels.")
        if self.render not in (None, "full", "latents"):
            raise MIVAError(f"A clip is rendered from {self.render!r}, expected 'full' or 'latents'.")
        if self.edges not in EDGES:
            raise MIVAError(f"The edges are {self.edges!r}, expected one of {', '.join(EDGES)}.")
        if not isinstance(self.timing, Timing):
            raise MIVAError(f"The timing is a {type(self.timing).__name__}, expected Timing, as in Timing(fps=24).")

    @property
    def asked_size(self) -> AskedSize:
        """`size`, or None where neither of its sides is given."""
        return None if isinstance(self.size, Sequence) and [*self.size] == [None, None] else self.size


def _is_size(value: Any) -> bool:
    return isinstance(value, Sequence) and len(value) == 2 and all(is_whole(side) and side > 0 for side in value)


def check_render(base: Base | BaseSpec, render: Render | None, segments: int = 1) -> None:
    """Check, even before a base is loaded, that frames can be made as they are asked for.

    Args:
        base: that of the run, or its spec.
        render: see `RunOptions`.
        segments: see `RunOptions`.

    Raises:
        MIVAError: "full" was asked for, and the base predicts no flow; or segments were, at full size.
    """
    if render == "full" and not base.predicts_flow:
        raise MIVAError(
            f"The {base.name} base predicts no flow, by which a picture could be moved at full size: leave `render` "
            "out, or take 'latents'."
        )
    if segments > 1 and base.predicts_flow and render != "latents":
        raise MIVAError(
            "At full size a clip has no segments, since its motion goes on by itself: ask for a longer `duration`, or "
            "for `render` 'latents'."
        )


def check_run(base: Base, options: RunOptions) -> None:
    """Check all of a run that does not depend on its picture.

    Args:
        base: that of the run.
        options: those of the run.

    Raises:
        MIVAError: the base cannot make such clips.
    """
    if renders_full(base, options):
        clip_timing(options)
    else:
        denoised_shape(base, options, base.size)


def clip_timing(options: RunOptions) -> Timing:
    """The timing of a clip at full size, whose length may have been given in frames.

    Args:
        options: those of the run.

    Raises:
        MIVAError: it was given twice, or cannot be made.
    """
    timing, frames = options.timing, options.frames
    if frames is None:
        return timing
    if timing.duration is not None:
        raise MIVAError(
            f"Both {frames} frames and a duration of {timing.duration:g} s are asked for: leave one of them out."
        )
    if not is_whole(frames) or frames < 2:
        raise MIVAError(f"A clip has at least 2 frames: {frames} cannot be made.")
    fps = timing.fps or FPS
    try:
        return replace(timing, duration=frames / fps)
    except MIVAError as error:
        raise MIVAError(f"{frames} frames, {fps:g} a second, are too many for a clip: {error}") from error


def renders_full(base: Base, options: RunOptions) -> bool:
    """Whether the frames of a run are made of the picture itself, moved by the flow of its base.

    Args:
        base: that of the run.
        options: those of the run.

    Raises:
        MIVAError: it was asked for, and the base predicts no flow; or segments were, at full size.
    """
    check_render(base, options.render, options.segments)
    return base.predicts_flow and options.render != "latents"


def denoised_shape(base: Base, options: RunOptions, picture: Size) -> tuple[int, Size]:
    """The length and the (height, width) of what a base denoises in a run; at full size its own.

    Args:
        base: that of the run.
        options: those of the run.
        picture: (height, width) of the picture, as it was read.

    Raises:
        MIVAError: the base cannot make such clips.
    """
    if renders_full(base, options):
        return base.frames, _working_size(base, options, picture) if base.keeps_aspect else base.size
    return _length(base, options.frames), _size(base, options.size)


def clip_shape(base: Base, picture: Size, options: RunOptions) -> tuple[int, Size]:
    """The length and the (height, width) of the clip that a run makes.

    Args:
        base: that of the run.
        picture: (height, width) of the picture, as it was read.
        options: those of the run.

    Raises:
        MIVAError: there is no such clip.
    """
    if not renders_full(base, options):
        frames, size = denoised_shape(base, options, picture)
        return options.segments * (frames - 1) + 1, size
    times = flow_times(clip_timing(options), base.frames, base.fps)
    return len(times), choose_size(options.asked_size, options.size_in_file or picture, min(base.size))


def _working_size(base: Base, options: RunOptions, picture: Size) -> Size:
    """The (height, width) at which a base works that keeps the aspect of a clip, within 2 to 1."""
    clip, shorter = choose_size(options.asked_size, options.size_in_file or picture, min(base.size)), min(base.size)
    sides = (min(_LONGEST_ASPECT, side / min(clip)) * shorter for side in clip)
    height, width = (round(side / base.multiple) * base.multiple for side in sides)
    return height, width


def _size(base: Base, size: AskedSize) -> tuple[int, int]:
    """The (height, width) of a clip, if the base can make it; what is None is as it was trained."""
    if size is None:
        return base.size
    if not isinstance(size, Sequence) or len(size) != 2:
        raise MIVAError(f"The size is {size!r}, but it must be (height, width).")
    height, width = (usual if side is None else side for side, usual in zip(size, base.size, strict=True))
    if not all(is_whole(side) for side in (height, width)):
        raise MIVAError(f"The size is {size!r}, but it must be (height, width) in whole pixels.")
    if not all(side > 0 and side % base.multiple == 0 for side in (height, width)):
        nearest = "×".join(str(max(1, round(side / base.multiple)) * base.multiple) for side in (width, height))
        raise MIVAError(
            f"The size {width}×{height} cannot be used: both must be multiples of {base.multiple}, as in {nearest}."
        )
    return height, width


def _length(base: Base, frames: int | None) -> int:
    """The number of frames of a clip, if the base can make it; None is what it was trained on."""
    frames = base.frames if frames is None else frames
    if not is_whole(frames) or not 2 <= frames <= base.longest:
        raise MIVAError(f"The {base.name} base makes clips of 2 to {base.longest} frames: {frames} cannot be made.")
    if (frames - 1) % base.stride:
        nearest = round((frames - 1) / base.stride) * base.stride + 1
        raise MIVAError(
            f"The {base.name} base makes clips of {base.stride} k + 1 frames: {frames} cannot be made, "
            f"{max(nearest, base.stride + 1)} can."
        )
    return frames
