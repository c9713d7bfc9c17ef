"""One sampling call: how it begins and ends, and what each call of the model by the sampler does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ....miva_core.adapters.backbone import Backbone
from ....miva_core.diffusion.init_noise import adain
from ....miva_core.errors import MIVAError
from .host_protocol import Host
from .mask_limits import check_masked_run
from .mask_rows import mask_rows
from .plan import KEY, Plan
from .run import Run


class OuterSample:
    """OUTER_SAMPLE: makes the run, and gives the clip its first frame.

    Args:
        plan: of the MODEL.
        host: of the MODEL.
        backbone: of the MODEL.
    """

    def __init__(self, plan: Plan, host: Host, backbone: Backbone) -> None:
        self._plan, self._host, self._backbone = plan, host, backbone

    def __call__(
        self, executor: Any, noise: Tensor, latent: Tensor, sampler: Any, sigmas: Tensor, *rest: Any, **named: Any
    ) -> Tensor:
        guider, plan, host = executor.class_obj, self._plan, self._host
        self._check(latent)
        picture = guider.model_patcher.model.process_latent_in(plan.picture)
        options = guider.model_options["transformer_options"]  # of this call alone
        run = options[KEY] = Run(plan, host, self._backbone, picture)
        if run.masked:
            check_masked_run(guider, latent, sigmas, plan.frames)
            run.mask_rows = mask_rows(run.masks, plan, guider.model_patcher, sigmas, _seed(rest, named))
        _put_innermost(options["wrappers"])
        # Before the call, since some samplers write into the levels that they are given.
        ends_clean = float(sigmas[-1]) == 0
        ended = executor(noise, latent, sampler, sigmas, *rest, **named)
        result = self._completed(ended) if ends_clean else ended
        if plan.record is not None and run.mask_rows is not None:
            plan.record.fill(result, run.mask_rows.subjects(), (plan.frames - 1) * host.stride + 1)
        return result

    def _completed(self, ended: Tensor) -> Tensor:
        """What a sampler has ended with, with the picture itself and AdaIN."""
        clip = self._host.to_clips(ended, 1).clone()
        clip[:, :, :1] = self._plan.picture.to(clip)
        return self._host.to_model(adain(clip) if self._plan.adain else clip)

    def _check(self, latent: Tensor) -> None:
        plan = self._plan
        wanted = plan.picture.shape[1], plan.frames, *plan.picture.shape[-2:]
        found = tuple(self._host.to_clips(latent, 1).shape[1:])
        if found != wanted:
            raise MIVAError(
                f"The latent is {_in_words(found)}, but Apply MIVA was set for {_in_words(wanted)}: connect the latent "
                "that it gives to the sampler."
            )


def _in_words(size: tuple[int, ...]) -> str:
    channels, frames, height, width = size
    return f"{width}×{height} with {frames} frames and {channels} channels"


def _put_innermost(wrappers: dict[str, dict[str | None, list[Any]]]) -> None:
    """Let the wrappers of other nodes stand around ours, such as caches, which must not see our rows."""
    for kind in (WrappersMP.APPLY_MODEL, WrappersMP.DIFFUSION_MODEL, WrappersMP.CALC_COND_BATCH):
        wrappers[kind][KEY] = wrappers[kind].pop(KEY)


def calc_cond_batch(
    executor: Any, model: Any, conds: list[Any], x: Tensor, timestep: Tensor, options: dict[str, Any]
) -> list[Tensor]:
    """CALC_COND_BATCH: which motions act follows the noise level."""
    run: Run = options["transformer_options"][KEY]
    # the one value of a step that is read back from the device
    run.move_to(float(timestep.flatten()[0]), model.model_sampling.percent_to_sigma)
    denoised: list[Tensor] = executor(model, conds, x, timestep, options)
    run.guide_by_masks()
    return denoised


def prepare_sampling(executor: Any, model: Any, shape: Sequence[int], *rest: Any, **named: Any) -> Any:
    """PREPARE_SAMPLING: memory is asked for the masks' rows, too."""
    run: Run = named["model_options"]["transformer_options"][KEY]
    rows = 1 if run.mask_rows is None else 1 + len(run.mask_rows)
    return executor(model, [shape[0] * rows, *shape[1:]], *rest, **named)


def _seed(rest: Sequence[Any], named: Mapping[str, Any]) -> int:
    """The seed of a sampling call: behind the mask of what is denoised, the callback and whether a bar is hidden."""
    seed = named.get("seed", rest[3] if len(rest) > 3 else None)
    return 0 if seed is None else int(seed)
