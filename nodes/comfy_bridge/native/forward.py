"""One forward pass of a network, with the adapters that act in it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .call import Call
from .call_rows import call_for_each_clip, call_with_more
from .first_frame import clean_places, with_picture
from .mask_limits import windows_with_masks
from .mask_rows import MaskRows
from .run import Installation, Run, run_of

_SEEN = 4
"""Channels that tell an image-to-video model which frames of the latents after them it is given."""
# Where a network is compiled, what these functions call is compiled, but not they: what they decide would stay.
_not_compiled = torch.compiler.disable(recursive=False)


@_not_compiled
def diffusion_model(executor: Any, *arguments: Any, **named: Any) -> Tensor:
    """DIFFUSION_MODEL: the picture is clean in the batch, and adapters act for this pass alone."""
    call, net = Call(arguments, named), executor.class_obj
    run = run_of(call.options)
    clips = len(call.options["cond_or_uncond"])
    frames, window = run.host.to_clips(call.x, clips).shape[2], run.host.window(call.options)
    call = call.with_x(with_picture(run.host, call.x, clips, run.picture, clean_places(window, frames)))
    if run.mask_rows is None:
        return _passed(run, net, executor, call, clips)
    if window is not None and list(window) != list(range(run.plan.frames)):
        raise windows_with_masks()
    # one by one, since masks guide a single clip
    return torch.cat([_beside_masks(run, run.mask_rows, net, executor, one) for one in call_for_each_clip(call, clips)])


@_not_compiled
def _beside_masks(run: Run, rows: MaskRows, net: nn.Module, executor: Any, call: Call) -> Tensor:
    """One pass of a clip, which has mask sequences behind it where they are due."""
    # The first of a sampler's conditions is the prompt, the others are what it is compared with.
    if call.options["cond_or_uncond"] != [0] or run.sigma is None or not rows.due(run.sigma):
        return _passed(run, net, executor, call, clips=1)
    clip = run.host.to_clips(call.x, 1)
    beside = run.host.to_model(_like_clip(rows.latents, clip))
    more = call_with_more(call, beside, rows.timestep)
    answers = run.host.to_clips(_passed(run, net, executor, more, 1 + len(rows), masked=True), 1 + len(rows))
    rows.hear(answers[1:])
    return run.host.to_model(answers[:1])


def _like_clip(masks: Tensor, clip: Tensor) -> Tensor:
    """Mask sequences (m, C, F, h, w) with what further channels of the clip (1, C + n, F, h, w) tell a network."""
    channels = masks.shape[1]
    told = clip[:, channels:].repeat(len(masks), 1, 1, 1, 1)
    if told.shape[1] == _SEEN + channels:
        # An image-to-video model is told of the first frame, which is another one here.
        told[:, _SEEN:, :1] = masks[:, :, :1].to(told)
    return torch.cat([masks.to(clip), told], dim=1)


@_not_compiled
def _passed(run: Run, net: nn.Module, executor: Any, call: Call, clips: int, masked: bool = False) -> Tensor:
    """One pass of clips, or of one clip and its mask sequences."""
    installation = run.installation(net, call.x.device, call.x.dtype)
    output = call(executor) if installation is None else _changed(run, installation, net, executor, call, clips, masked)
    run.has_passed(net)
    return output


@_not_compiled
def _changed(
    run: Run, installation: Installation, net: nn.Module, executor: Any, call: Call, clips: int, masked: bool
) -> Tensor:
    """One pass with adapters in it."""
    rows, _, frames, height, width = run.host.to_clips(call.x, clips).shape
    run.tell_frames(installation, run.host.window(call.options), frames)
    installation.injection.set_mask_streams(masked)
    installation.installer.context.begin(rows, frames, height, width)
    with run.host.installed(installation.installer, net, call) as changed:
        return changed(executor)
