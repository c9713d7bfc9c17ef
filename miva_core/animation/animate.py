"""One picture and some motions in, a clip out."""

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import reduce

import torch
from torch import Tensor

from ..attention.injection import Injection
from ..attention.turns import take_turn
from ..bases.base import Base
from ..bases.inject import check_bare, inject
from ..bases.model_predictor import ModelPredictor
from ..diffusion.init_noise import NoiseInit
from ..diffusion.loop import Sampled, StepCallback, sample
from ..diffusion.predictor import Predictor
from ..errors import MIVAError
from ..media.flow_warp import warp
from ..media.pixel_values import clamp_unit
from .clip import Clip, Progress
from .decoding import Decoding
from .degree_notes import degree_notes
from .frame_strengths import frame_shares, reached
from .full_size import FullSize
from .mask_guidance import GuidedByMasks, mask_steps
from .mask_sequences import MaskStream
from .motion import Motion, base_for, named
from .notes import run_notes
from .options import RunOptions, renders_full
from .output import Output
from .predictors import FiniteAnswers, WithProgress
from .readout import DecoderReadout, fit_readout
from .segments import Beginning, Chain
from .steps import Steps, check_strengths, choose_steps
from .words import encode_words, words_notes

ProgressCallback = Callable[[Progress], None]


def animate(
    base: Base,
    picture: Tensor,
    motions: Sequence[Motion] = (),
    options: RunOptions | None = None,
    callback: ProgressCallback | None = None,
) -> Clip:
    """Animate a picture by motions.

    At full size masked motions are denoised apart from all others, and put together by their flows.

    Threads may share a base: its model makes one clip at a time, and a second thread waits until the first is done.
    A `MIVAWarning` tells of masks that were changed, of steps in weak noise and of motions whose span loses them.

    Args:
        base: from `load_base`.
        picture: (H, W, 3) in [0, 1], any size; it is fitted to the clip, see `RunOptions.fit`.
        motions: to act together; without any that acts, a base with captions of motions runs under one of them, which
            the seed draws, and another base moves as it likes.
        options: how the run is made; default all as the base has it, with the seed 0.
        callback: called after every step; raising an exception in it stops the run.

    Returns:
        The clip.

    Raises:
        MIVAError: something above is out of range, found before sampling starts; or the run became NaN, or its camera
            leaves the picture too far. Nothing stays injected in the model, whatever happens.

    Example:
        >>> base = load_base("tiny")
        >>> pan = MIVAAdapter.load("pan_left.safetensors", base.backbone)
        >>> clip = animate(base, read_picture("photo.jpg"), [Motion(pan, 0.8)], RunOptions(seed=3))
        >>> write_video((frame.pixels for frame in clip), "clip.mp4", clip.fps)
    """
    run = _prepared(base, picture, motions, _check_options(options))
    if callback is not None and not callable(callback):
        raise MIVAError(f"The callback is a {type(callback).__name__}, expected a function of the progress.")
    with take_turn(base.model):
        sampled, masks = _denoised(run, callback)
    frames, oddities = run.output.render(sampled, masks)
    return Clip(
        frames,
        run.output.fps,
        flow=None if sampled.flow is None else sampled.flow[0].float().cpu(),
        notes=(*run.notes(), *oddities),
        fitting=run.output.fitting,
    )


def _denoised(run: "_Run", callback: ProgressCallback | None) -> tuple[Sampled, dict[str, Tensor]]:
    """Denoise all parts of a run: the clip, and the masks of its subjects, (F, H, W) on the grid of their read-out."""
    parts, steps = run.parts(), run.options.segments * run.steps.count
    clips: list[Sampled] = []
    masks: dict[str, Tensor] = {}
    for k, part in enumerate(parts):
        with part.injected() as injection:
            clip, of_subjects = part.sample(
                injection, _counted(callback, k * steps, len(parts) * steps) if callback else None
            )
        clips.append(clip)
        masks |= of_subjects
    return reduce(_on_ground, clips), masks


def _counted(callback: ProgressCallback, before: int, steps: int) -> ProgressCallback:
    """A callback of one part of a run, that counts the steps of all."""
    return lambda progress: callback(replace(progress, step=before + progress.step, steps=steps))


def _on_ground(ground: Sampled, subjects: Sampled) -> Sampled:
    """A clip of subjects that move on a moving ground, by the flows of both."""
    if ground.flow is None or subjects.flow is None:
        return subjects
    return Sampled(subjects.latents, ground.flow + warp(subjects.flow[0], ground.flow[0])[None])


@dataclass(frozen=True)
class _Run:
    """A run that can be made: all that it was given is checked.

    Attributes:
        base: see `animate`.
        motions: by name.
        options: see `animate`.
        steps: those it makes.
        output: what it is made for.
    """

    base: Base
    motions: Mapping[str, Motion]
    options: RunOptions
    steps: Steps
    output: Output

    @property
    def noise(self) -> NoiseInit:
        return self.options.noise or self.base.noise

    def notes(self) -> list[str]:
        """What is to be said of its motions."""
        motions = list(self.motions.values())
        return [
            *run_notes(self.base, motions, self.steps.count),
            *words_notes(motions),
            *degree_notes(motions, self.base.size),
        ]

    def parts(self) -> tuple["_Run", ...]:
        """The runs of the base that this one takes.

        At full size each layer moves by itself. So what moves the ground is denoised apart from what moves masked
        subjects: together, a camera takes them along in part only, and wavers with their jumps.
        """
        masks = self.output.conditioning.masks
        ground = {name: motion for name, motion in self.motions.items() if name not in masks}
        subjects = {name: motion for name, motion in self.motions.items() if name in masks}
        both = all(any(motion.acts for motion in motions.values()) for motions in (ground, subjects))
        if not both or not renders_full(self.base, self.options):
            return (self,)
        return replace(self, motions=ground), replace(self, motions=subjects)

    def injected(self) -> AbstractContextManager[Injection | None]:
        """The adapters at work; without any the model must be bare, since it would act by those of somebody else."""
        if self.motions:
            return inject(self.base.model, **{name: motion.adapter for name, motion in self.motions.items()})
        check_bare(self.base.model, self.base.backbone)
        return nullcontext()

    def sample(
        self, injection: Injection | None, callback: ProgressCallback | None
    ) -> tuple[Sampled, dict[str, Tensor]]:
        """Denoise the clip, and the masks of its subjects: (F, H, W) on the grid of their read-out."""
        if injection:
            injection.freeze()
            self._set_strengths(injection)
        conditioning, steps = self.output.conditioning, self.steps.count
        masks = {name: mask for name, mask in conditioning.masks.items() if name in self.motions}
        x1 = self.base.encode(conditioning.picture)
        chain = Chain(self.base, self.options, Beginning(x1, masks, self.options.seed, self.options.start))
        for k in range(self.options.segments):
            if injection:
                self._set_frames(injection, k)
            counted = _counted(callback, k * steps, self.options.segments * steps) if callback else None
            chain.add(*self._segment(chain.beginning(), injection, counted))
        return chain.joined()

    def _segment(
        self, beginning: Beginning, injection: Injection | None, callback: ProgressCallback | None
    ) -> tuple[Sampled, dict[str, Tensor]]:
        """`sample` for one segment of the clip."""
        generator = torch.Generator().manual_seed(beginning.seed)
        drawn = self._drawn(beginning.x1, generator)
        start = drawn if beginning.start is None else _check_start(beginning.start, drawn)
        predictor: Predictor = FiniteAnswers(ModelPredictor.of(self.base), list(self.motions))
        guided = None
        if injection:
            predictor = WithProgress(predictor, injection, self.steps.process, self.steps.count)
        if injection and beginning.masks:
            streams = {name: self._stream(mask, generator) for name, mask in beginning.masks.items()}
            predictor = guided = self._guided(predictor, injection, streams)
        sampled = sample(
            predictor,
            self.steps.process,
            copy.deepcopy(self.steps.schedule),  # which a run uses up
            beginning.x1,
            start,
            generator=generator,
            callback=self._reporter(injection, callback) if callback else None,
        )
        return sampled, {name: guided.masks[name] for name in beginning.masks} if guided else {}

    def _set_strengths(self, injection: Injection) -> None:
        injection.set_weights(**{name: motion.strength for name, motion in self.motions.items()})
        injection.set_spans(**{name: motion.span for name, motion in self.motions.items()})
        known = {name: degrees for name, motion in self.motions.items() if (degrees := motion.adapter.degree)}
        injection.set_degrees(**{name: known[name].centred(self.motions[name].degree) for name in known})
        injection.set_words(**encode_words(self.base, self.motions))
        check_strengths(self.motions, self.steps)

    def _set_frames(self, injection: Injection, segment: int) -> None:
        """Set the strengths in a segment of the clip, where they change from frame to frame.

        Words are heard anew in each segment, as in a clip of its own; so curves are what is cut.
        """
        injection.set_frames(frame_shares(self._length))
        shares = frame_shares(self._length, segment, self.options.segments)
        injection.set_weights(**reached(self.base, self.motions, shares))

    @property
    def _length(self) -> int:
        """Latent frames of the clip, or of each of its segments."""
        return (self.output.conditioning.frames - 1) // self.base.stride + 1

    def _drawn(self, x1: Tensor, generator: torch.Generator) -> Tensor:
        """Start latents (1, C, F, h, w) for a clip or mask sequence that begins with the latent (1, C, 1, h, w)."""
        return self.noise.start_latents(self.base.noise_process.relative(x1), self._length, generator)

    def _guided(self, predictor: Predictor, injection: Injection, streams: Mapping[str, MaskStream]) -> GuidedByMasks:
        timesteps = self.steps.schedule.timesteps
        return GuidedByMasks(predictor, injection, self.steps.process, timesteps, streams, mask_steps(self.steps.count))

    def _stream(self, mask: Tensor, generator: torch.Generator) -> MaskStream:
        """The mask sequence that begins with a mask, drawn as the clip is."""
        x1 = self.base.encode(mask[..., None].expand(-1, -1, 3))
        linear = (self.options.readout or self.base.readout) == "linear"
        readout = fit_readout(self.base.encode, x1, mask) if linear else DecoderReadout(self.base)
        return MaskStream(mask, x1, self._drawn(x1, generator), readout)

    def _reporter(self, injection: Injection | None, callback: ProgressCallback) -> StepCallback:
        def report(step: int, steps: int, now: Sampled) -> None:
            callback(Progress(step, steps, now.latents, now.flow, injection, self.base, self.output))

        return report


def _prepared(base: Base, picture: Tensor, motions: Sequence[Motion], options: RunOptions) -> _Run:
    """A run, if it can be made.

    Raises:
        MIVAError: see `animate`.
    """
    picture, by_name = _check_picture(picture), named(motions)
    if not by_name and base.text is None:
        raise MIVAError(f"The {base.name} base runs without its text encoder, so it needs an adapter: name a motion.")
    encode_words(base, by_name)
    steps = choose_steps(base, options)
    kind: type[FullSize] | type[Decoding] = FullSize if renders_full(base, options) else Decoding
    captioned = base_for(base, list(by_name.values()), options.seed)
    return _Run(captioned, by_name, options, steps, kind.of(base, picture, by_name, options))


def _check_start(start: Tensor, drawn: Tensor) -> Tensor:
    if not isinstance(start, Tensor) or start.shape != drawn.shape or not start.isfinite().all():
        what = f"of shape {tuple(start.shape)}" if isinstance(start, Tensor) else f"a {type(start).__name__}"
        raise MIVAError(f"The start noise is {what}, expected finite numbers of shape {tuple(drawn.shape)}.")
    return start.to(drawn)


def _check_options(options: RunOptions | None) -> RunOptions:
    if options is not None and not isinstance(options, RunOptions):
        raise MIVAError(f"The options are a {type(options).__name__}, expected RunOptions, as in RunOptions(seed=1).")
    return options or RunOptions()


def _check_picture(picture: Tensor) -> Tensor:
    """(H, W, 3) float32 in [0, 1]."""
    if not isinstance(picture, Tensor):
        raise MIVAError(f"The picture is a {type(picture).__name__}, expected a float tensor (H, W, 3) in [0, 1].")
    if picture.ndim != 3 or picture.shape[-1] != 3 or not picture.is_floating_point():
        raise MIVAError(
            f"The picture must be a float tensor (H, W, 3) in [0, 1], but it is {picture.dtype} {tuple(picture.shape)}."
        )
    if picture.numel() == 0:
        raise MIVAError("The picture is empty: it has no pixels.")
    return clamp_unit(picture.float(), "The picture")
