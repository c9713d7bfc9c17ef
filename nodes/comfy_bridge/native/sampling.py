"""One sampling call: how it begins and ends, and what each call of the model by the sampler does."""

from __future__ import annotations

from typing import Any

from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ....miva_core.adapters.backbone import Backbone
from ....miva_core.diffusion.init_noise import adain
from ....miva_core.errors import MIVAError
from .host_protocol import Host
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
        options[KEY] = Run(plan, host, self._backbone, picture)
        _put_innermost(options["wrappers"])
        # Before the call, since some samplers write into the levels that they are given.
        ends_clean = float(sigmas[-1]) == 0
        clip = host.to_clips(executor(noise, latent, sampler, sigmas, *rest, **named), 1)
        if not ends_clean:
            return host.to_model(clip)
        clip = clip.clone()
        clip[:, :, :1] = plan.picture.to(clip)
        return host.to_model(adain(clip) if plan.adain else clip)

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
    return executor(model, conds, x, timestep, options)
