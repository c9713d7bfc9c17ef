"""One sampling call: how it begins and ends, and what each call of the model by the sampler does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ....miva_core.adapters.backbone import Backbone
from ....miva_core.diffusion.init_noise import adain
from ....miva_core.errors import MIVAError
from ....miva_core.media.pictures import format_size
from .course import Course
from .equal_passes import passes_are_equal
from .host_protocol import Host
from .mask_limits import check_masked_run
from .mask_rows import mask_rows
from .network_noise import NetworkNoise
from .plan import KEY, NO_PROMPT, STRUCTURED, Plan
from .run import Run, run_of

_LATE = 0.25
"""Share of a schedule up to which a run of an empty latent begins: some schedulers leave out the strongest noise."""


class OuterSample:
    """OUTER_SAMPLE: makes the run, its start noise and the first frame of what it gives.

    Args:
        plan: of the MODEL.
        host: of the MODEL.
        backbone: of the MODEL.
    """

    def __init__(self, plan: Plan, host: Host, backbone: Backbone) -> None:
        self._plan, self._host, self._backbone = plan, host, backbone

    def __call__(
        self,
        executor: Any,
        noise: Tensor,
        latent: Tensor,
        sampler: Any,
        sigmas: Tensor,
        *rest: Any,
        **named: Any,
    ) -> Tensor:
        guider, plan = executor.class_obj, self._plan
        self._check_latent(latent)
        _check_windows(guider.model_options, latent)
        _check_areas(guider.conds)
        picture = guider.model_patcher.get_model_object("latent_format").process_in(plan.picture)
        # Before the call, since some samplers write into the levels that they are given.
        begins = _begins(guider.model_patcher, noise, latent, float(sigmas[0]))
        run = Run(plan, self._host, self._backbone, picture, _course(guider.model_patcher, sigmas.tolist(), begins))
        run.prompted = not self._host.drops_text or _is_prompted(guider.conds)
        ends = float(sigmas[-1]) == 0
        if run.masked:
            clips = len(self._host.to_clips(latent, 1))
            check_masked_run(begins and ends, guider.model_options, clips, plan.frames)
            run.mask_rows = mask_rows(run.masks, plan, guider.model_patcher, sigmas, _seed(rest, named))
        if begins and ends:
            run.check_acting()
        if begins:
            noise = self._structured(noise, picture)
        options = guider.model_options["transformer_options"]  # of this call alone
        options[KEY] = run
        _put_innermost(options["wrappers"])
        result: Tensor = executor(noise, latent, sampler, sigmas, *rest, **named)
        run.check_heard()
        result = self._finished(result) if ends else result
        self._keep_masks(run, result)
        return result

    def _check_latent(self, latent: Tensor) -> None:
        plan, host = self._plan, self._host
        wanted = plan.picture.shape[1], plan.frames, *plan.picture.shape[-2:]
        if latent.ndim != host.to_model(plan.picture).ndim:
            raise MIVAError("The latent is no clip of this model: connect the one that Apply MIVA gives.")
        found = tuple(host.to_clips(latent, 1).shape[1:])
        if found != wanted:
            raise MIVAError(
                f"The latent is {_in_words(found, host)}, but Apply MIVA was set for {_in_words(wanted, host)}: "
                "connect the latent that it gives to the sampler."
            )

    def _structured(self, noise: Tensor, picture: Tensor) -> Tensor:
        """The sampler's noise with the low band of the picture, where that is asked for and not in it already."""
        if self._plan.noise is None or getattr(noise, STRUCTURED, False):
            return noise
        drawn = self._host.to_clips(noise, 1)
        first = picture.expand(len(drawn), -1, -1, -1, -1)
        return self._host.to_model(self._plan.noise.structure(first, drawn))

    def _keep_masks(self, run: Run, result: Tensor) -> None:
        """Put masks that were made beside a clip where a reader finds them."""
        run.advance_masks()
        record, frames = self._plan.record, (self._plan.frames - 1) * self._host.stride + 1
        if record is not None and run.mask_rows is not None and run.mask_rows.masks:
            record.fill(result, run.mask_rows.subjects(), frames)

    def _finished(self, result: Tensor) -> Tensor:
        """With the very picture as frame 1, and its statistics in all frames."""
        clip = self._host.to_clips(result, 1).clone()
        clip[:, :, :1] = self._plan.picture.to(clip)
        return self._host.to_model(adain(clip) if self._plan.adain else clip)


def _in_words(size: tuple[int, ...], host: Host) -> str:
    """A size of latents as an artist has set it: in pixels and frames."""
    channels, frames, height, width = size
    length = (frames - 1) * host.stride + 1
    pixels = format_size((height * host.scale, width * host.scale))
    return f"{pixels} with {length} frame{'s' if length > 1 else ''} and {channels} channels"


def _check_windows(model_options: Mapping[str, Any], latent: Tensor) -> None:
    """Windows of ComfyUI's own nodes; those of other packs have no `dim`."""
    frames_at = 2 if latent.ndim == 5 else 0
    divided = getattr(model_options.get("context_handler"), "dim", frames_at)
    if divided != frames_at:
        raise MIVAError(
            f"The context windows divide dimension {divided} of the latent, but its frames are dimension {frames_at}: "
            f"set `dim` to {frames_at} in the node that makes the windows."
        )


def _is_prompted(conds: dict[str, list[dict[str, Any]]]) -> bool:
    return any(NO_PROMPT not in cond for one in conds.values() for cond in one)


def _check_areas(conds: dict[str, list[dict[str, Any]]]) -> None:
    if any("area" in cond or cond.get("set_area_to_bounds") for one in conds.values() for cond in one):
        raise MIVAError(
            "A prompt is set to an area, which cuts the clip that motions need whole: use Conditioning (Set Mask)."
        )


def _seed(rest: Sequence[Any], named: Mapping[str, Any]) -> int:
    """The seed of a sampling call, its eighth argument."""
    seed = named.get("seed", rest[3] if len(rest) > 3 else None)
    return 0 if seed is None else int(seed)


def _percent_to_sigma(patcher: Any) -> Any:
    return patcher.get_model_object("model_sampling").percent_to_sigma


def _course(patcher: Any, sigmas: list[float], begins: bool) -> Course:
    noise = NetworkNoise(patcher.get_model_object("model_sampling"))
    return Course(sigmas, _percent_to_sigma(patcher), noise, begins)


def _begins(patcher: Any, noise: Tensor, latent: Tensor, sigma: float) -> bool:
    """Whether a run begins with noise alone, rather than going on from what another has made."""
    return not latent.any() and bool(noise.any()) and sigma >= _percent_to_sigma(patcher)(_LATE)


def _put_innermost(wrappers: dict[str, dict[str | None, list[Any]]]) -> None:
    """Let the wrappers of other nodes stand around ours: caches must not see the rows that are added for masks."""
    for kind in (WrappersMP.CALC_COND_BATCH, WrappersMP.APPLY_MODEL, WrappersMP.DIFFUSION_MODEL):
        wrappers[kind][KEY] = wrappers[kind].pop(KEY)


def prepare_sampling(executor: Any, model: Any, noise_shape: Any, *rest: Any, **named: Any) -> Any:
    """PREPARE_SAMPLING: memory is asked for the rows of masks, too."""
    streams = sum(motion.adapter.config.mask for motion in model.get_attachment(KEY).motions)
    rows, *clip = noise_shape
    return executor(model, [rows * (1 + streams), *clip], *rest, **named)


def calc_cond_batch(
    executor: Any, model: Any, conds: list[Any], x: Tensor, timestep: Tensor, options: dict[str, Any]
) -> list[Tensor]:
    """CALC_COND_BATCH: which motions act follows the noise level, and a second pass that would repeat the first is
    left out."""
    run = run_of(options["transformer_options"])
    # The one value of a step that is read back from the device.
    run.move_to(float(timestep.flatten()[0]))
    if not passes_are_equal(conds, options, run.masked or run.leaves_text):
        answers: list[Tensor] = executor(model, conds, x, timestep, options)
        return answers
    answer = executor(model, [conds[0], None], x, timestep, options)[0]
    return [answer, answer.clone()]
