"""Rows of the batch that a network is called with: taken out of it, and put behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .call import Call

_OF_CLIPS = ("cond_or_uncond", "uuids")
"""Options that are lists with an entry for each clip of the batch."""


def call_for_each_clip(call: Call, clips: int) -> list[Call]:
    """Split a call of a batch of clips.

    Args:
        call: of the network.
        clips: how many clips its batch holds, which may be several rows each.
    """
    rows = len(call.x)
    size = rows // clips

    def only(place: int) -> Call:
        part = slice(place * size, (place + 1) * size)
        of_clip = _changed(call, lambda values: values[part], lambda residual: residual[part])
        return of_clip.with_options(call.options | {k: call.options[k][place : place + 1] for k in _given(call)})

    return [only(place) for place in range(clips)]


def call_with_more(call: Call, beside: Tensor, timestep: Tensor) -> Call:
    """Put mask sequences behind the clip of a call.

    They get the text of the clip, which is not heard there, and all else that it comes with, but no residuals of a
    ControlNet, which are for what the clip shows.

    Args:
        call: of one clip.
        beside: further rows, whole multiples of those that there are.
        timestep: (m,), what the network is told of each of them.
    """
    copies = 1 + len(timestep)
    rows = len(call.x)
    more = _changed(
        call,
        lambda values: values.repeat(copies, *[1] * (values.ndim - 1)),
        lambda residual: torch.cat([residual, residual.new_zeros((copies - 1) * rows, *residual.shape[1:])]),
    )
    told = call.arguments[1]
    times = [told, *(torch.full_like(told, value) for value in timestep.tolist())]
    arguments = (torch.cat([call.x, beside]), torch.cat(times), *more.arguments[2:])
    return replace(more, arguments=arguments).with_options(
        call.options | {key: call.options[key] * copies for key in _given(call)}
    )


Change = Callable[[Tensor], Tensor]


def _changed(call: Call, change: Change, change_residual: Change) -> Call:
    """The same call with every tensor changed that has as many rows as its batch; options stay as they are."""

    def of(value: Any, change: Change) -> Any:
        if value is call.options:
            return value
        if isinstance(value, Tensor):
            return change(value) if value.ndim and len(value) == len(call.x) else value
        if isinstance(value, (list, tuple)):
            return [of(one, change) for one in value]
        # the only dicts are of ControlNets
        return {key: of(one, change_residual) for key, one in value.items()} if isinstance(value, dict) else value

    return Call(
        tuple(of(argument, change) for argument in call.arguments),
        {name: of(argument, change) for name, argument in call.named.items()},
    )


def _given(call: Call) -> list[str]:
    return [key for key in _OF_CLIPS if key in call.options]
