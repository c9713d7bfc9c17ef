"""A run of a base that is checked and can be made: its parts, their rows, and the steps of each."""

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..attention.injection import Injection
from ..bases.base import Base
from ..bases.inject import check_bare, inject
from ..bases.model_predictor import ModelPredictor
from ..diffusion.init_noise import NoiseInit
from ..diffusion.loop import Sampled, StepCallback, sample
from ..diffusion.predictor import Predictor
from ..errors import MIVAError
from ..media.flow_warp import warp
from .clip import Progress
from .frame_strengths import frame_shares, reached
from .mask_guidance import GuidedByMasks, mask_steps
from .mask_sequences import MaskStream
from .motion import Motion
from .options import RunOptions
from .output import Output
from .predictors import FiniteAnswers, WithProgress
from .readout import DecoderReadout, fit_readout
from .rows import Row, captions, guides, together
from .segments import Beginning, Chain
from .steps import Steps
from .words import encode_words

ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True)
class Run:
    """A run that can be made: all that it was given is checked.

    Attributes:
        base: see `animate`.
        rows: the clips that the base makes of the picture.
        options: see `animate`.
        steps: those it makes.
        output: what it is made for.
    """

    base: Base
    rows: tuple[Row, ...]
    options: RunOptions
    steps: Steps
    output: Output

    def denoise(self, callback: ProgressCallback | None) -> tuple[Sampled, dict[str, Tensor]]:
        """Denoise all parts: the clip, and the masks of its subjects, (F, H, W) on the grid of their read-out."""
        parts = [_Part(self, rows) for rows in together(self.rows)]
        steps = self.options.segments * self.steps.count
        clips: list[Sampled] = []
        masks: dict[str, Tensor] = {}
        for k, part in enumerate(parts):
            with part.injected() as injection:
                clip, of_subjects = part.sample(
                    injection, _counted(callback, k * steps, len(parts) * steps) if callback else None
                )
            clips.append(clip)
            masks |= of_subjects
        return _on_ground(clips), masks


def _counted(callback: ProgressCallback, before: int, steps: int) -> ProgressCallback:
    """A callback of one part of a run, that counts the steps of all."""
    return lambda progress: callback(replace(progress, step=before + progress.step, steps=steps))


def _on_ground(clips: Sequence[Sampled]) -> Sampled:
    """Clips of subjects that move on the moving ground of the first one, by the flows of all."""
    flows = [flow for clip in clips if clip.flow is not None for flow in clip.flow]
    layers = [one for clip in clips for one in clip.layers]
    if len(flows) < 2:
        return replace(clips[0], layers=layers)
    ground, *subjects = flows
    return Sampled(clips[0].latents, (ground + sum(warp(flow, ground) for flow in subjects))[None], layers)


@dataclass(frozen=True)
class _Part:
    """What of a run is made in one batch: clips on which the same adapters act.

    Attributes:
        run: all of it.
        rows: these clips.
    """

    run: Run
    rows: Sequence[Row]

    @property
    def motions(self) -> Mapping[str, Motion]:
        """The adapters that act, by name."""
        return self.rows[0].motions

    @property
    def base(self) -> Base:
        return self.run.base

    @property
    def options(self) -> RunOptions:
        return self.run.options

    @property
    def steps(self) -> Steps:
        return self.run.steps

    @property
    def output(self) -> Output:
        return self.run.output.part(self.rows)

    @property
    def noise(self) -> NoiseInit:
        return self.options.noise or self.base.noise

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
        streams = [name for name, motion in self.motions.items() if motion.adapter.config.mask]
        masks = {name: mask for name, mask in conditioning.masks.items() if name in streams}
        x1 = self.base.encode(conditioning.picture)
        chain = Chain(self.base, self.options, Beginning(x1, masks, self.options.seed, self.options.start))
        for k in range(self.options.segments):
            if injection:
                self._set_frames(injection, k)
            counted = _counted(callback, k * steps, self.options.segments * steps) if callback else None
            chain.add(*self._segment(chain.beginning(), self._predictor(k), injection, counted))
        return chain.joined()

    def _predictor(self, segment: int) -> Predictor:
        """The model under the captions of the rows in a segment of the clip, with what guides them."""
        predictor = ModelPredictor.of(self.base)
        if any(row.said for row in self.rows):
            shares = frame_shares(self._length, segment, self.options.segments)
            predictor = replace(predictor, text=captions(self.base, self.rows, shares))
        if self.base.guided:
            predictor = replace(predictor, guide=guides(self.rows, self.output.conditioning))
        return FiniteAnswers(predictor, [name for row in self.rows for name in (*row.motions, *row.said)])

    def _segment(
        self,
        beginning: Beginning,
        predictor: Predictor,
        injection: Injection | None,
        callback: ProgressCallback | None,
    ) -> tuple[Sampled, dict[str, Tensor]]:
        """`sample` for one segment of the clip."""
        generator = torch.Generator().manual_seed(beginning.seed)
        drawn = self._drawn(beginning.x1, generator)
        start = drawn if beginning.start is None else _check_start(beginning.start, drawn)
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
            beginning.x1.expand(len(self.rows), *[-1] * 4),
            start.expand(len(self.rows), *[-1] * 4),
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
        # On a centred base DCTInit has nothing to add, unlike in MiraMo's own start, see `miramo.sampling.sample_clip`.
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
            callback(Progress(step, steps, now, injection, self.base, self.output))

        return report


def _check_start(start: Tensor, drawn: Tensor) -> Tensor:
    if not isinstance(start, Tensor) or start.shape != drawn.shape or not start.isfinite().all():
        what = f"of shape {tuple(start.shape)}" if isinstance(start, Tensor) else f"a {type(start).__name__}"
        raise MIVAError(f"The start noise is {what}, expected finite numbers of shape {tuple(drawn.shape)}.")
    return start.to(drawn)
