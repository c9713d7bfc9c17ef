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
from .options import RunOptions
from .output import Output
from .predictors import FiniteAnswers, WithProgress
from .readout import DecoderReadout, fit_readout
from .rows import Row, captions, guides
from .segments import Beginning, Chain
from .steps import Steps
from .words import encode_words

ProgressCallback = Callable[[Progress], None]


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


