"""Frame 1, which is the clean picture: in what the network sees, and in what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ....miva_core.errors import MIVAError
from .call import Call
from .host_protocol import Host
from .run import Run, run_of

_OF_FRAMES = ("c_concat", "vace_context")
"""Conditioning with a frame for each of the clip's."""


def clean_places(window: Sequence[int] | None, frames: int) -> list[int]:
    """Where the picture is among the frames of a forward pass.

    Args:
        window: see `Host.window`.
        frames: of the pass; one more than in the window where it has the picture, or another frame, in front.
    """
    if window is None:
        return [0]
    ahead = frames - len(window)
    return [*range(ahead), *(place + ahead for place, frame in enumerate(window) if frame == 0)]


def with_picture(host: Host, x: Tensor, clips: int, picture: Tensor, places: Sequence[int]) -> Tensor:
    """A batch with the picture at some frames of all its clips.

    Args:
        host: knows the layout of the batch.
        x: the batch, whose channels begin with those of the latents.
        clips: how many it holds.
        picture: (1, C, 1, h, w), in the scale of the batch.
        places: of the frames.
    """
    parts = host.to_clips(x, clips).clone()
    parts[:, : picture.shape[1], list(places)] = picture.to(parts)
    return host.to_model(parts)


def apply_model(executor: Any, *arguments: Any, **named: Any) -> Tensor:
    """APPLY_MODEL: the answer holds the picture, whatever the network makes of it; a later window begins with it."""
    call = Call(arguments, named)
    run = run_of(call.options)
    host, clips, window = run.host, len(call.options["cond_or_uncond"]), run.host.window(call.options)
    frames = host.to_clips(call.x, clips).shape[2]
    _check_frames(frames, run.plan.frames, window)
    if 0 in clean_places(window, frames):
        return _answered(run, executor, call, clips, window)
    if not host.prepends or _has_frames_beside(call):
        raise MIVAError(
            "Motions need the picture in front of each context window: switch causal_window_fix on in the node that "
            "makes the windows."
        )
    parts = host.to_clips(call.x, clips)
    longer = host.to_model(torch.cat([run.picture.to(parts).expand(len(parts), -1, -1, -1, -1), parts], dim=2))
    return host.to_model(host.to_clips(_answered(run, executor, call.with_x(longer), clips, window), clips)[:, :, 1:])


def _check_frames(frames: int, of_clip: int, window: Sequence[int] | None) -> None:
    """Where the picture is could not be told in a part of the clip that nothing is known of."""
    if frames not in ((of_clip,) if window is None else (len(window), len(window) + 1)):
        raise MIVAError(
            f"Another node has cut {frames} frames out of the {of_clip} of the clip, where motions do not find the "
            "picture: take that node out, or use Context Windows (Manual)."
        )


def _has_frames_beside(call: Call) -> bool:
    """Whether there is conditioning with as many frames as the batch, which would all have to grow."""
    concat = call.arguments[2] if len(call.arguments) > 2 else None
    return concat is not None or any(call.named.get(name) is not None for name in _OF_FRAMES)


def _answered(run: Run, executor: Any, call: Call, clips: int, window: Sequence[int] | None) -> Tensor:
    places = clean_places(window, run.host.to_clips(call.x, clips).shape[2])
    return with_picture(run.host, call(executor), clips, run.picture, places)
