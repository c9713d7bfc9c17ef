"""Cross-frame attention of a group of adapters: each frame attends to the first and to the previous one (3.3.1)."""

from __future__ import annotations

from torch import Tensor

from .context import Context, Group
from .cross_frame import CrossFrameBias, joint_cross_frame, reference_weights, separate_cross_frame
from .softmax_attention import Attend


def mix_references(
    context: Context,
    group: Group,
    attend: Attend,
    queries: Tensor,
    k: Tensor,
    v: Tensor,
    bias: CrossFrameBias | None,
) -> Tensor:
    """λ2^j A(q_i, f^1) + λ3^j A(q_i, f^prev(i)) of all adapters of a group, in the form their config asks for.

    Args:
        context: of the injection.
        group: n adapters.
        attend: the base's way to attend.
        queries: (n, b f, s, d), of the clips.
        k: (b f, s, d), of the clips.
        v: (b f, s, d), of the clips.
        bias: of the references, by masks.

    Returns:
        (n, b f, s, d)
    """
    temb, frames = context.time_embedding(), context.counted_frames()
    lambdas = _lambdas(group, temb[: context.clip_rows(len(temb))], frames)
    cross_frame = separate_cross_frame if group.config.cfa_softmax == "separate" else joint_cross_frame
    return cross_frame(queries, k, v, lambdas, attend, frames, bias)


def mix_mask_references(
    context: Context,
    group: Group,
    attend: Attend,
    queries: Tensor,
    k: Tensor,
    v: Tensor,
    k_clip: Tensor,
    v_clip: Tensor,
) -> Tensor:
    """`mix_references` of the mask streams, each of which attends to its own frames.

    With image guidance it also attends to the frame of the clip that it belongs to, at weight 1.

    Args:
        context: of the injection.
        group: n adapters with mask streams.
        attend: the base's way to attend.
        queries: (n, b f, s, d), of each stream.
        k: (n, b f, s, d), of each stream.
        v: (n, b f, s, d), of each stream.
        k_clip: (b f, s, d), of the clips.
        v_clip: (b f, s, d), of the clips.

    Returns:
        (n, b f, s, d)
    """
    temb, frames = context.time_embedding(), context.counted_frames()
    lambdas = _lambdas(group, group.mask_rows(temb, context.clip_rows(len(temb))), frames)
    n = len(queries)
    # to attention, streams are clips of one adapter
    merged = queries.flatten(0, 1)[None], k.flatten(0, 1), v.flatten(0, 1), lambdas.flatten(0, 1)[None], attend, frames
    if group.config.cfa_softmax == "joint":
        image = (k_clip.repeat(n, 1, 1), v_clip.repeat(n, 1, 1)) if group.config.image_guidance else None
        return joint_cross_frame(*merged, image=image)[0].unflatten(0, (n, -1))
    mixed = separate_cross_frame(*merged)[0].unflatten(0, (n, -1))
    if not group.config.image_guidance:
        return mixed
    of_image = attend(queries.transpose(0, 1).flatten(1, 2), k_clip, v_clip)
    return mixed + of_image.unflatten(1, (n, -1)).transpose(0, 1)


def _lambdas(group: Group, temb: Tensor, frames: int) -> Tensor:
    """(n, b f, 2) for the time embeddings (b, d_t), or (n, b, d_t), of clips of f frames."""
    lambdas = reference_weights(temb, group.gates, group.config.gate_temperature)
    return lambdas.repeat_interleave(frames, dim=1)
