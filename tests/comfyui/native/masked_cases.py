"""Two masked motions and a plain one on a MODEL, and the engine's own run of them with the same noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from comfyui_miva.miva_core import MIVAConfig, Strength, inject
from comfyui_miva.miva_core.animation.mask_guidance import GuidedByMasks, mask_steps
from comfyui_miva.miva_core.animation.mask_sequences import MaskStream
from comfyui_miva.miva_core.animation.predictors import WithProgress
from comfyui_miva.miva_core.animation.readout import LinearReadout
from comfyui_miva.miva_core.attention.strength import Level
from comfyui_miva.miva_core.bases.model_predictor import ModelPredictor
from comfyui_miva.miva_core.diffusion import loop
from comfyui_miva.miva_core.diffusion.noise_process import NoiseProcess
from comfyui_miva.miva_core.diffusion.schedulers import prepare_scheduler
from comfyui_miva.nodes.comfy_bridge.native.plan import KEY, PlannedMask
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor

from .adapters import MASKED, planned, random_adapter
from .cases import Case
from .runs import error, sample

SEED, CLOSE = 5, 2e-5
STRENGTHS = {"left": 0.5, "plain": 0.2, "right": 0.3}
SUBJECTS = ("left", "right")


@dataclass
class Steps:
    """What a run has come to.

    Attributes:
        clips: (1, C, F, h, w) as predicted at each step, in the MODEL's scale.
        masks: (F, h, w) by name, as predicted up to then.
        end: (1, C, F, h, w).
    """

    clips: list[Tensor] = field(default_factory=list)
    masks: list[dict[str, Tensor]] = field(default_factory=list)
    end: Tensor = field(default_factory=lambda: torch.empty(0))


class MaskedCase:
    """Subjects that overlap, and a plain motion between them in depth.

    Args:
        case: MODEL and diffusers model.
        left: config of one masked motion.
        right: of the other one.
        steps: of a run.
        spans: shares of the run in which motions act, by name; where not given it is all of it.
        strengths: of the motions, by name.

    Attributes:
        adapters: by name, in the order of depth.
        levels: noise levels (steps + 1,) of a run as the engine makes it.
    """

    def __init__(
        self,
        case: Case,
        left: MIVAConfig = MASKED,
        right: MIVAConfig = MASKED,
        steps: int = 4,
        spans: Mapping[str, tuple[float, float]] | None = None,
        strengths: Mapping[str, Level | Strength] = STRENGTHS,
    ) -> None:
        self.case, self.steps, self._strengths = case, steps, strengths
        self._spans = dict.fromkeys(STRENGTHS, (0.0, 1.0)) | dict(spans or {})
        configs = {"left": left, "plain": replace(left, mask=False), "right": right}
        self.adapters = {name: random_adapter(case.backbone, configs[name], k) for k, name in enumerate(configs)}
        generator = torch.Generator().manual_seed(3)
        self.x1 = {name: torch.randn(case.picture.shape, generator=generator) for name in SUBJECTS}
        weight = 0.05 * torch.randn(case.picture.shape[1], generator=generator)
        half = torch.tensor(0.5)
        self.readouts = dict(zip(SUBJECTS, (LinearReadout(weight, half), LinearReadout(-weight, half)), strict=True))
        self._schedule: Any = prepare_scheduler(_scheduler(case.name), steps)
        self.levels = _levels(self._schedule)

    @property
    def firsts(self) -> dict[str, Tensor]:
        """(H, W) by name: two boxes."""
        boxes = (slice(0, 64), slice(0, 48)), (slice(16, 48), slice(40, 80))
        masks = {name: torch.zeros(64, 96) for name in SUBJECTS}
        for mask, box in zip(masks.values(), boxes, strict=True):
            mask[box] = 1
        return masks

    def applied(self, **plan: Any) -> Any:
        """The MODEL with the motions; arguments as of `Case.applied`."""
        return self.case.applied(*self.motions, **plan)

    @property
    def motions(self) -> list[Any]:
        """PlannedMotion of all, in the order of depth."""
        return [self._planned(name) for name in self.adapters]

    def _planned(self, name: str) -> Any:
        motion = planned(self.adapters[name], self._strengths[name], self._spans[name], name)
        if name not in SUBJECTS:
            return motion
        x1 = self._latent_format.process_out(self.x1[name])
        return replace(motion, mask=PlannedMask(self.firsts[name], x1, self.readouts[name]))

    def by_engine(self) -> Steps:
        """A run of the engine; its noise is drawn by the seed, first that of the clip."""
        drawn, shape = torch.Generator().manual_seed(SEED), (1, self.case.picture.shape[1], self.case.frames, 8, 12)
        clip, *masks = (torch.randn(shape, generator=drawn) for _ in range(3))
        firsts, process, seen = self.firsts, NoiseProcess(self._schedule), Steps()
        streams = {
            name: MaskStream(firsts[name], self.x1[name], start, self.readouts[name])
            for name, start in zip(SUBJECTS, masks, strict=True)
        }
        text_per_frame = self.case.name == "sd15"
        model = ModelPredictor(self.case.reference, self.case.positive[0][0], text_per_frame, torch.float32)
        with inject(self.case.reference, **self.adapters) as injection:
            injection.set_weights(**self._strengths)
            injection.set_frames([k / (self.case.frames - 1) for k in range(self.case.frames)])
            injection.set_spans(**self._spans)
            predictor, timesteps = WithProgress(model, injection, process, self.steps), self._schedule.timesteps
            guided = GuidedByMasks(predictor, injection, process, timesteps, streams, mask_steps(self.steps))

            def see(step: int, steps: int, now: loop.Sampled) -> None:
                seen.clips.append(now.latents)
                seen.masks.append(guided.masks)

            picture = self._latent_format.process_in(self.case.picture)
            seen.end = loop.sample(guided, process, self._schedule, picture, clip, callback=see).latents
        return seen

    def by_comfyui(self, model: Any, **settings: Any) -> Steps:
        """A run of ComfyUI's with the same noise."""
        noise = self.as_rows(torch.randn(self._shape, generator=torch.Generator().manual_seed(SEED)))
        seen = Steps()
        with runs_of(model) as runs:

            def see(step: int, x0: Tensor, x: Tensor, steps: int) -> None:
                seen.clips.append(self.as_clip(x0.clone()))
                runs[-1].advance_masks()
                seen.masks.append(runs[-1].mask_rows.masks)

            ended = sample(
                *(model, self.case.latent, self.case.positive),
                **{"steps": self.levels, "noise": noise, "seed": SEED, "callback": see} | settings,
            )
        seen.end = self._latent_format.process_in(self.as_clip(ended))
        return seen

    def as_rows(self, clip: Tensor) -> Tensor:
        """(1, C, F, h, w) in the layout of the MODEL."""
        return clip if self.case.name == "wan" else clip[0].transpose(0, 1)

    def as_clip(self, rows: Tensor) -> Tensor:
        """The layout of the MODEL as (1, C, F, h, w)."""
        return rows if self.case.name == "wan" else rows.transpose(0, 1)[None]

    @property
    def _shape(self) -> tuple[int, ...]:
        return 1, self.case.picture.shape[1], self.case.frames, 8, 12

    @property
    def _latent_format(self) -> Any:
        return self.case.model.get_model_object("latent_format")


def check_run(masked: MaskedCase) -> None:
    """A run of ComfyUI's is the engine's, and its masks are neither all alike nor what they were at first."""
    expected, got = masked.by_engine(), masked.by_comfyui(masked.applied())
    assert len(got.clips) == masked.steps
    for clip, by_engine in zip([*got.clips, got.end], [*expected.clips, expected.end], strict=True):
        assert error(clip, by_engine) < CLOSE
    for masks, by_engine in zip(got.masks, expected.masks, strict=True):
        for name in SUBJECTS:
            assert error(masks[name], by_engine[name]) < CLOSE
    for name in SUBJECTS:
        assert got.masks[-1][name].std() > 0.1
        assert (got.masks[-1][name] - got.masks[0][name]).abs().max() > 0.1


@contextmanager
def runs_of(model: Any) -> Iterator[list[Any]]:
    """The state of every sampling call of a MODEL, while the block runs."""
    runs: list[Any] = []

    def see(executor: Callable[..., Any], guider: Any, *rest: Any, **named: Any) -> Any:
        runs.append(guider.model_options["transformer_options"][KEY])
        return executor(guider, *rest, **named)

    model.add_wrapper_with_key("sampler_sample", "seen", see)
    try:
        yield runs
    finally:
        model.remove_wrappers_with_key("sampler_sample", "seen")


def _scheduler(name: str) -> Any:
    if name == "wan":
        return FlowMatchEulerDiscreteScheduler(shift=8.0)
    betas = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
    return DDIMScheduler(**betas, clip_sample=False, timestep_spacing="trailing")


def _levels(schedule: Any) -> Tensor:
    """(steps + 1,) as ComfyUI's samplers take them."""
    if hasattr(schedule, "sigmas"):
        return schedule.sigmas.clone()
    kept = schedule.alphas_cumprod[schedule.timesteps]
    return torch.cat([((1 - kept) / kept).sqrt(), torch.zeros(1)])
