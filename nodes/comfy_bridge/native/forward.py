"""One forward pass of a network, with the adapters that act in it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from .call import Call
from .first_frame import clean_places, with_picture
from .run import Run, run_of


def diffusion_model(executor: Any, *arguments: Any, **named: Any) -> Tensor:
    """DIFFUSION_MODEL: the picture is clean in the batch, and adapters act for this pass alone."""
    call, net = Call(arguments, named), executor.class_obj
    run = run_of(call.options)
    clips = len(call.options["cond_or_uncond"])
    frames = run.host.to_clips(call.x, clips).shape[2]
    places = clean_places(run.host.window(call.options), frames)
    return _passed(run, net, executor, call.with_x(with_picture(run.host, call.x, clips, run.picture, places)), clips)


def _passed(run: Run, net: nn.Module, executor: Any, call: Call, clips: int) -> Tensor:
    """One pass of clips alone."""
    installation = run.installation(net, call.x.device, call.x.dtype)
    if installation is None:
        return call(executor)
    rows, _, frames, height, width = run.host.to_clips(call.x, clips).shape
    installation.installer.context.begin(rows, frames, height, width)
    with run.host.installed(installation.installer, net, call) as changed:
        return changed(executor)
