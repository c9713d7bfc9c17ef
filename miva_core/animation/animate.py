"""One picture and some motions in, a clip out."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..adapters.adapter import MIVAAdapter
from ..attention.injection import Injection
from ..attention.turns import take_turn
from ..bases.base import Base, ReadoutName
from ..bases.diffusers_installer import check_bare
from ..bases.inject import inject
from ..checks import is_number, is_whole
from ..diffusion import init_noise
from ..diffusion.init_noise import NoiseInit
from ..diffusion.loop import check_same_noise, prepare_scheduler, sample
from ..diffusion.sigmas import SigmaSchedule
from ..diffusion.step_schedule import steps_down_to
from ..errors import MIVAError, MIVAWarning
from ..media.pictures import fit_picture
from ..media.pixel_values import clamp_unit
from .mask_stream import MaskStreams, mask_steps
from .masks import fit_masks
from .readout import DecoderReadout, fit_readout

_WEAK_NOISE = 0.5
"""Of the timestep at which a base makes its last step: half of it and less spoils what is seen."""


@dataclass(frozen=True)
class Clip:
    """What `animate` returns.

    Attributes:
        frames: (F, H, W, 3) float32 in [0, 1] on the CPU; frame 0 is the decoded picture.
        fps: frames per second to show them at.
        masks: (F, H, W) float32 in [0, 1] on the CPU, the subjects' masks as generated with the clip, by the name of
            their adapter; the first is the given one.
    """

    frames: Tensor
    fps: int
    masks: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """State of a run after one step.

    Attributes:
        step: steps done, from 1.
        steps: steps in all.
        latents: (1, C, F, h, w) the clip as the model predicts it now.
        miva: the adapters at work, by the names given to `animate`; `set_weights` and `set_spans` change the steps to
            come. None where there are none.
    """

    step: int
    steps: int
    latents: Tensor
    miva: Injection | None
    _base: Base

    def preview(self) -> Tensor:
        """The predicted clip decoded, (F, H, W, 3) in [0, 1]."""
        return self._base.decode(self.latents)


def animate(
    base: Base,
    image: Tensor,
    adapters: Mapping[str, tuple[MIVAAdapter, float]],
    *,
    masks: Mapping[str, Tensor] | None = None,
    spans: Mapping[str, tuple[float, float]] | None = None,
    steps: int | None = None,
    seed: int = 0,
    size: tuple[int, int] | None = None,
    frames: int | None = None,
    noise: NoiseInit | None = None,
    adain: bool | None = None,
    scheduler: Any = None,
    sigmas: Tensor | None = None,
    start: Tensor | None = None,
    mask_stop_iou: float | None = None,
    readout: ReadoutName | None = None,
    callback: Callable[[Progress], None] | None = None,
) -> Clip:
    """Animate a picture by motions.

    Threads may share a base: its model makes one clip at a time, and a second thread waits until the first is done.

    Args:
        base: from `load_base`.
        image: (H, W, 3) in [0, 1], any size; it is centre-cropped and scaled to `size`.
        adapters: weighted motions by name; none lets the base move as it likes. Weights that sum to 1 are the most
            stable; what is missing to 1 is the base's own motion.
        masks: for each adapter with a mask stream, and for no other, where its subject is in the picture: (H, W) in
            [0, 1] by name, see `fit_masks`. Of overlapping ones the last adapter's is on top.
        spans: for adapters that are to act during a part of the run alone: (start, end), shares of its steps, by name;
            see `Injection.set_spans`. A `MIVAWarning` names those that are off at a step that alone decides.
        steps: denoising steps, default the base's own choice.
        seed: of the start noise; the same seed gives the same clip.
        size: (height, width), default the size the base was trained on.
        frames: length of the clip, default what the base was trained on.
        noise: start noise, default the base's own choice.
        adain: after the last step give frames 2..F the latent statistics of frame 1 (AdaIN, section 3.3), default the
            base's own choice.
        scheduler: a diffusers scheduler in place of the base's own, for the same noise; get one by
            `UniPCMultistepScheduler.from_config(base.scheduler.config)`. It spaces its steps itself, and may need
            more: `Base.last_timestep`, and `Base.steps` with it, are for the base's own alone.
            A `MIVAWarning` tells of steps that end in noise too weak for the base.
        sigmas: noise levels in place of a scheduler and `steps`, see `SigmaSchedule`; the warning is the same.
        start: (1, C, F, h, w) start latents in place of the clip's drawn ones; its first frame is not used. What else
            is drawn stays the same.
        mask_stop_iou: in [0, 1], stop generating masks once two predictions in a row agree so well (intersection over
            union); None (default) never stops before their last step.
        readout: how masks are read off their latents, "linear" or by the "decoder", default the base's own choice.
        callback: called after every step; raising an exception in it stops the run.

    Raises:
        MIVAError: something above is out of range, told before sampling starts; or the run became NaN. Nothing stays
            injected in the model, whatever happens.
    """
    height, width = _check_size(base, size or base.size)
    frames = _check_frames(base, base.frames if frames is None else frames)
    image = _check_image(image)
    _check_adapters(adapters)
    if not is_whole(seed) or not 0 <= seed < 2**64:
        raise MIVAError(f"The seed is {seed!r}, but it must be a whole number from 0 to {2**64 - 1}.")
    spans = {} if spans is None else spans
    if not isinstance(spans, Mapping):
        raise MIVAError(f"The spans are a {type(spans).__name__}, expected names with (start, end).")
    for name in spans:
        if name not in adapters:
            raise MIVAError(f"A span is given for {name!r}, but there is no such adapter: they are {list(adapters)}.")
    if not adapters and base.text is None:
        raise MIVAError(f"The {base.name} base runs without its text encoder, so it needs an adapter: name a motion.")
    schedule = _schedule(base, base.steps if steps is None else steps, scheduler, sigmas)
    _warn_of_weak_noise(base, schedule)
    if callback is not None and not callable(callback):
        raise MIVAError(f"The callback is a {type(callback).__name__}, expected a function of the progress.")
    picture, _ = fit_picture(image, (height, width))
    chosen = {name: adapter for name, (adapter, _) in adapters.items()}
    given = fit_masks(masks, chosen, tuple(image.shape[:2]), (height, width))
    _check_mask_options(mask_stop_iou, readout)
    generator = torch.Generator().manual_seed(seed)
    with take_turn(base.model), _injected(base, chosen) as miva:
        if miva:
            miva.set_weights(**{name: weight for name, (_, weight) in adapters.items()})
            miva.set_spans(**spans)
            _check_spans(miva.spans, len(schedule.timesteps))
            if _ends_early(base, scheduler, sigmas):
                acting = {name: span for name, span in miva.spans.items() if adapters[name][1]}
                _warn_of_lost_motions(acting, len(schedule.timesteps))
        x1 = base.encode(picture)
        prior = torch.zeros_like(x1) if base.centred else x1
        noise, length = noise or base.noise, (frames - 1) // base.stride + 1
        drawn = noise.start_latents(prior, length, generator)
        start = drawn if start is None else _check_start(start, drawn)
        streams = None
        if given:
            streams = _mask_streams(
                base, miva, schedule, given, noise, length, generator, readout or base.readout, mask_stop_iou
            )

        def report(step: int, total: int, latents: Tensor) -> None:
            callback(Progress(step, total, latents, miva, base))

        latents = sample(
            base.model,
            schedule,
            x1,
            start,
            text=base.text,
            text_per_frame=base.text_per_frame,
            centred=base.centred,
            dtype=base.model.dtype,
            generator=generator,
            before_step=miva.set_progress if miva else None,
            masks=streams,
            callback=report if callback else None,
            motions=list(adapters),
        )
    adain = base.adain if adain is None else adain
    clip = base.decode(init_noise.adain(latents) if adain else latents)
    shown = {name: _enlarge(streams.masks[name], given[name], len(clip)) for name in given}
    return Clip(clip, base.fps, shown)


def _injected(base: Base, adapters: dict[str, MIVAAdapter]) -> AbstractContextManager[Injection | None]:
    """The adapters at work; without any the model must be bare, since it would act by those of somebody else."""
    if adapters:
        return inject(base.model, **adapters)
    check_bare(base.model, base.backbone)
    return nullcontext()


def _schedule(base: Base, steps: int, scheduler: Any, sigmas: Tensor | None) -> Any:
    """What steps a run makes."""
    if sigmas is not None:
        return SigmaSchedule(base.scheduler, sigmas)
    if _ends_early(base, scheduler, sigmas):
        return steps_down_to(base.scheduler, steps, base.last_timestep)
    schedule = prepare_scheduler(scheduler or base.scheduler, steps)
    check_same_noise(schedule, base.scheduler)
    return schedule


def _ends_early(base: Base, scheduler: Any, sigmas: Tensor | None) -> bool:
    """Whether a run makes the base's own steps, which end where noise is still strong."""
    return base.last_timestep is not None and scheduler is None and sigmas is None


def _mask_streams(
    base: Base,
    miva: Injection,
    schedule: Any,
    given: Mapping[str, Tensor],
    noise: NoiseInit,
    length: int,
    generator: torch.Generator,
    readout: ReadoutName,
    stop_iou: float | None,
) -> MaskStreams:
    """The mask sequences of a run, which start as its clip does."""
    x1 = {name: base.encode(mask[..., None].expand(-1, -1, 3)) for name, mask in given.items()}
    return MaskStreams(
        miva,
        schedule,
        given,
        x1,
        start={
            name: noise.start_latents(torch.zeros_like(z) if base.centred else z, length, generator)
            for name, z in x1.items()
        },
        readouts={
            name: fit_readout(base, z, given[name]) if readout == "linear" else DecoderReadout(base)
            for name, z in x1.items()
        },
        steps=mask_steps(len(schedule.timesteps)),
        centred=base.centred,
        stop_iou=stop_iou,
    )


def _enlarge(mask: Tensor, given: Tensor, frames: int) -> Tensor:
    """A mask sequence at the size and length of the clip, behind the given first frame."""
    stride = (frames - 1) // (len(mask) - 1)
    large = F.interpolate(mask[1:, None], given.shape, mode="bilinear")[:, 0].repeat_interleave(stride, dim=0)
    return torch.cat([given[None], large.cpu().float()])


def _check_size(base: Base, size: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(size, Sequence) or len(size) != 2:
        raise MIVAError(f"The size is {size!r}, but it must be (height, width).")
    height, width = size
    if not all(is_whole(side) and side > 0 and side % base.multiple == 0 for side in size):
        nearest = "×".join(str(max(1, round(side / base.multiple)) * base.multiple) for side in (width, height))
        raise MIVAError(
            f"The size {width}×{height} cannot be used: both must be multiples of {base.multiple}, as in {nearest}."
        )
    return height, width


def _check_frames(base: Base, frames: int) -> int:
    if not is_whole(frames) or not 2 <= frames <= base.longest:
        raise MIVAError(f"The {base.name} base makes clips of 2 to {base.longest} frames: {frames} cannot be made.")
    if (frames - 1) % base.stride:
        nearest = round((frames - 1) / base.stride) * base.stride + 1
        raise MIVAError(
            f"The {base.name} base makes clips of {base.stride} k + 1 frames: {frames} cannot be made, "
            f"{max(nearest, base.stride + 1)} can."
        )
    return frames


def _check_start(start: Tensor, drawn: Tensor) -> Tensor:
    if not isinstance(start, Tensor) or start.shape != drawn.shape or not start.isfinite().all():
        told = f"of shape {tuple(start.shape)}" if isinstance(start, Tensor) else f"a {type(start).__name__}"
        raise MIVAError(f"The start noise is {told}, expected finite numbers of shape {tuple(drawn.shape)}.")
    return start.to(drawn)


def _check_adapters(adapters: Mapping[str, tuple[MIVAAdapter, float]]) -> None:
    if not isinstance(adapters, Mapping):
        raise MIVAError(f"The adapters are a {type(adapters).__name__}, expected names with (adapter, weight).")
    for name, pair in adapters.items():
        if not isinstance(name, str) or not isinstance(pair, tuple) or len(pair) != 2:
            raise MIVAError(f'The adapter {name!r} is no name with (adapter, weight), as in {{"pan": (pan, 1.0)}}.')
        if not isinstance(pair[0], MIVAAdapter):
            raise MIVAError(f"{name} is a {type(pair[0]).__name__}, expected a MIVAAdapter.")


def _check_mask_options(stop_iou: float | None, readout: str | None) -> None:
    if stop_iou is not None and not (is_number(stop_iou) and 0 <= stop_iou <= 1):
        raise MIVAError(f"mask_stop_iou is {stop_iou!r}, expected a number from 0 to 1, or None.")
    if readout not in (None, "linear", "decoder"):
        raise MIVAError(f"The read-out of masks is {readout!r}, expected 'linear' or 'decoder'.")


def _check_spans(spans: Mapping[str, tuple[float, float]], steps: int) -> None:
    for name, (start, end) in spans.items():
        if not any(start <= i / steps < end for i in range(steps)):
            raise MIVAError(f"The span {start:g} to {end:g} of {name} holds none of the {steps} steps: widen it.")


def _warn_of_lost_motions(spans: Mapping[str, tuple[float, float]], steps: int) -> None:
    """Where all steps lie in strong noise, hardly anything of one remains in what the next one answers."""
    for name, (start, end) in spans.items():
        if not start <= (steps - 1) / steps < end:
            text = f"{name} is off at the last step, which alone decides on the clips of this base: "
            warnings.warn(f"{text}let it act to the end.", MIVAWarning, stacklevel=3)


def _warn_of_weak_noise(base: Base, schedule: Any) -> None:
    """Where a base is made for strong noise, it takes the blur of its earlier steps for what is there in weak noise."""
    if base.last_timestep is not None and schedule.timesteps[-1] < _WEAK_NOISE * base.last_timestep:
        text = "These steps end in weak noise, where this base breaks later frames into blocks: it is made for "
        warnings.warn(
            f"{text}its own {base.steps} steps in strong noise. Take those, without SIGMAS or a scheduler.",
            MIVAWarning,
            stacklevel=3,
        )


def _check_image(image: Tensor) -> Tensor:
    """(H, W, 3) float32 in [0, 1]."""
    if not isinstance(image, Tensor):
        raise MIVAError(f"The picture is a {type(image).__name__}, expected a float tensor (H, W, 3) in [0, 1].")
    if image.ndim != 3 or image.shape[-1] != 3 or not image.is_floating_point():
        raise MIVAError(
            f"The picture must be a float tensor (H, W, 3) in [0, 1], but it is {image.dtype} {tuple(image.shape)}."
        )
    if image.numel() == 0:
        raise MIVAError("The picture is empty: it has no pixels.")
    return clamp_unit(image.float(), "The picture")
