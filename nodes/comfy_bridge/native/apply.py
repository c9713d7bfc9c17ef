"""A MODEL with motions: a clone of one of ComfyUI's own, which it leaves as it is."""

from __future__ import annotations

from typing import Any

from comfy.patcher_extension import WrappersMP

from .first_frame import apply_model
from .forward import diffusion_model
from .host import find_host
from .plan import KEY, Plan
from .sampling import OuterSample, calc_cond_batch, prepare_sampling


def apply_plan(model: Any, plan: Plan) -> Any:
    """Let motions act in every sampling of a MODEL.

    Args:
        model: one of ComfyUI's MODELs; it stays as it is. Motions that act in it already go on to do so.
        plan: what is to act.

    Returns:
        A clone of the MODEL.

    Raises:
        MIVAError: motions cannot act on it, or it has motions for another picture or clip.
    """
    host = find_host(model)
    clone = host.prepare(model.clone())
    plan = plan.after(clone.get_attachment(KEY))
    wrappers = {
        WrappersMP.OUTER_SAMPLE: OuterSample(plan, host, host.backbone(model)),
        WrappersMP.PREPARE_SAMPLING: prepare_sampling,
        WrappersMP.CALC_COND_BATCH: calc_cond_batch,
        WrappersMP.APPLY_MODEL: apply_model,
        WrappersMP.DIFFUSION_MODEL: diffusion_model,
    }
    for kind, wrapper in wrappers.items():
        clone.remove_wrappers_with_key(kind, KEY)
        clone.add_wrapper_with_key(kind, KEY, wrapper)
    clone.set_additional_models(KEY, list(dict.fromkeys(motion.patcher for motion in plan.motions)))
    clone.set_attachments(KEY, plan)
    return clone
