"""Strength over Time in a real ComfyUI: its menus, ComfyUI's own curves, and what it makes of a clip."""

from typing import Any

import numpy as np
import pytest

from .prompts import animate, motion
from .server import Server, node
from .test_running import frames

DRAWN = {"points": [[0.0, 0.0], [0.5, 1.0], [1.0, 0.0]], "interpolation": "linear"}


def strength(**chosen: Any) -> dict[str, Any]:
    usual = {"strength": 1.0, "over_frames": "constant", "over_steps": "constant", "part": "all"}
    return node("MIVAStrength", **usual | chosen)


def with_strength(given: dict[str, Any], **nodes: Any) -> dict[str, Any]:
    """A pan whose strength a node gives."""
    return animate() | {"strength": given, "miva": motion("pan_left", strength=["strength", 0]), **nodes}


def clip_of(server: Server, prompt: dict[str, Any]) -> np.ndarray:
    run = server.run(prompt)
    assert run.status == "success", run.error
    assert len(run.outputs["strength"]["images"]) == 1
    return frames(server, run.outputs)


def test_a_curve_is_the_same_however_it_is_given(server: Server) -> None:
    typed = clip_of(
        server,
        with_strength(
            strength(over_frames="points", over_frames__points="0:0, 0.5:1, 1:0", over_frames__between="linear")
        ),
    )
    drawn = clip_of(server, with_strength(strength(over_frames="drawn", over_frames__curve=DRAWN)))
    connected = with_strength(
        strength(over_frames="drawn", over_frames__curve=["editor", 0]), editor=node("CurveEditor", curve=DRAWN)
    )
    assert np.array_equal(drawn, clip_of(server, connected))
    # Points between those that were drawn cost a bit of the last digit.
    assert np.abs(typed.astype(int) - drawn).mean() < 0.5
    assert not np.array_equal(typed, clip_of(server, with_strength(strength())))


def test_a_constant_strength_is_a_weight(server: Server) -> None:
    by_weight = server.run(animate() | {"miva": motion("pan_left", 0.5)})
    assert np.array_equal(frames(server, by_weight.outputs), clip_of(server, with_strength(strength(strength=0.5))))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"over_frames": "drawn"}, "There is no curve"),
        ({"over_frames": "points", "over_frames__points": "0:0, 16:1", "over_frames__between": "linear"}, "beyond the"),
    ],
)
def test_what_is_no_curve_stops_at_the_node(server: Server, chosen: dict[str, Any], message: str) -> None:
    run = server.run(with_strength(strength(**chosen)))
    assert run.status == "error" and message in run.error["exception_message"]
    assert run.error["node_id"] == "strength"
