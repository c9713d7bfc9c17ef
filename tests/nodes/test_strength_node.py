"""Strength over Time: its presets are the curves they are called after, and each way to give a curve gives the same."""

from typing import Any

import numpy as np
import pytest
import torch
from comfyui_miva.miva_core.attention.curve import Curve
from comfyui_miva.miva_core.attention.strength import Strength
from comfyui_miva.miva_core.errors import MIVAError
from comfyui_miva.nodes import MIVAStrength
from node_runs import motion, run, run_unchecked

SHARES = (0.0, 0.2, 0.5, 0.75, 1.0)


def strength(frames: Any = "constant", steps: Any = "constant", **settings: Any) -> Strength:
    """What the node gives; a menu is the option's name, or a dict with what stands below it."""
    return run(MIVAStrength, over_frames=menu("over_frames", frames), over_steps=menu("over_steps", steps), **settings)[
        0
    ]


def menu(name: str, chosen: Any) -> dict[str, Any]:
    chosen = {"how": chosen} if isinstance(chosen, str) else chosen
    return {name if key == "how" else key: value for key, value in chosen.items()}


def over_frames(given: Strength) -> list[float]:
    """The strength of all parts, which is the same, at some shares of the clip."""
    parts = [set(given.at(0.0, 0.0, share)) for share in SHARES]
    assert all(len(part) == 1 for part in parts)
    return [part.pop() for part in parts]


def over_steps(given: Strength) -> list[float]:
    return [given.at(share, share)[0] for share in SHARES]


def test_without_curves_it_is_a_number() -> None:
    assert strength(strength=1.5) == Strength(1.5, 1.5, 1.5)


def test_what_is_eased_out_and_what_is_eased_in_sum_to_1() -> None:
    for between in ("linear", "cosine"):
        ease = {"begin": 0.25, "end": 0.75, "between": between}
        leaves, enters = (over_frames(strength({"how": how, **ease})) for how in ("ease out", "ease in"))
        assert [a + b for a, b in zip(leaves, enters, strict=True)] == pytest.approx([1.0] * 5)
        assert enters == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0])


def test_a_pulse_goes_there_and_back() -> None:
    pulse = {"how": "pulse", "peak": 0.5, "between": "linear"}
    assert over_frames(strength(pulse, strength=2.0)) == pytest.approx([0.0, 0.8, 2.0, 1.0, 0.0])
    assert over_frames(strength({"how": "pulse", "peak": 0.0, "between": "linear"})) == pytest.approx(
        [1.0, 0.8, 0.5, 0.25, 0.0]
    )


def test_each_way_to_give_a_curve_over_frames_gives_the_same() -> None:
    points = [[0.0, 0.0], [0.5, 1.0], [1.0, 0.0]]
    ways: list[dict[str, Any]] = [
        {"how": "points", "points": "0:0, 0.5:1, 1:0", "between": "linear"},
        {"how": "points", "points": "0, 1, 0", "between": "linear"},
        {"how": "values", "values": [0.0, 1.0, 0.0]},
        {"how": "values", "values": torch.tensor([0.0, 1.0, 0.0])},
        {"how": "values", "values": np.array([0, 1, 0])},
        {"how": "values", "values": list(np.array([0, 1, 0], np.float32))},
        {"how": "drawn", "curve": {"points": points, "interpolation": "linear"}},
        {"how": "pulse", "peak": 0.5, "between": "linear"},
    ]
    for way in ways:
        assert over_frames(strength(way)) == pytest.approx([0.0, 0.4, 1.0, 0.5, 0.0]), way


def test_a_drawn_curve_is_as_smooth_as_it_was_drawn() -> None:
    drawn = {"points": [[0.0, 0.0], [1.0, 1.0]], "interpolation": "monotone_cubic"}
    (curve,) = strength({"how": "drawn", "curve": drawn}).curves
    smooth = Curve(((0.0, 0.0), (1.0, 1.0)), "cosine", "frames")
    assert max(abs(curve.at(share / 1000) - smooth.at(share / 1000)) for share in range(1001)) < 1e-3


def test_the_presets_over_steps_are_those_of_the_engine() -> None:
    assert strength(steps={"how": "part of the run", "start": 0.2, "end": 0.7}) == Strength.of(Curve.span(1, 0.2, 0.7))
    assert strength(steps={"how": "more motion early", "early": 1.5, "late": 1.0}) == Strength.of(Curve.more_early())
    assert strength(steps="EDG") == Strength.of(Curve.edg())
    own = {"how": "points", "points": "0:-0.1875, 0.5:1.25", "between": "hold", "over": "noise"}
    assert strength(steps=own) == Strength.of(Curve.edg())
    assert over_steps(strength(steps={"how": "values", "values": [1.5, 1.0]})) == [1.5, 1.5, 1.0, 1.0, 1.0]


def test_curves_over_steps_and_frames_are_multiplied() -> None:
    pulse = {"how": "pulse", "peak": 0.5, "between": "linear"}
    both = strength(pulse, {"how": "more motion early", "early": 1.5, "late": 1.0}, strength=0.5)
    assert both.at(0.2, 0.2, 0.5)[0] == pytest.approx(0.75)
    assert both.at(0.6, 0.6, 0.25)[0] == pytest.approx(0.25)


def test_parts_are_set_one_by_one() -> None:
    prompt = strength(strength=1.5, part="prompt")
    assert prompt == Strength(1.0, 1.5, 1.0)
    both = strength({"how": "pulse", "peak": 0.5, "between": "linear"}, part="temporal", prev=prompt)
    assert [both.at(0.0, 0.0, share) for share in (0.0, 0.5)] == [(1.0, 1.5, 0.0), (1.0, 1.5, 1.0)]
    assert strength(strength=0.5, prev=prompt) == Strength(0.5, 0.75, 0.5)


def test_it_goes_into_load_miva() -> None:
    fade = strength({"how": "ease in", "begin": 0.0, "end": 1.0, "between": "linear"})
    assert motion("jump", strength=fade)[0].strength == fade


def test_its_curves_are_shown() -> None:
    pulse = {"over_frames": "pulse", "peak": 0.5, "between": "linear"}
    for frames, steps in (({"over_frames": "constant"}, "constant"), (pulse, "constant"), (pulse, "EDG")):
        shown = run(MIVAStrength, over_frames=frames, over_steps={"over_steps": steps}).ui.as_dict()
        assert len(shown["images"]) == 1


@pytest.mark.parametrize(
    ("frames", "steps", "message"),
    [
        ({"how": "ease in", "begin": 0.5, "end": 0.5, "between": "linear"}, "constant", "It would ease in from 0.5 to"),
        ("constant", {"how": "part of the run", "start": 0.5, "end": 0.1}, "It would act from 0.5 to 0.1 of the steps"),
        ({"how": "points", "points": "", "between": "hold"}, "constant", "A curve without points was given"),
        ({"how": "points", "points": "0.5:1, 0:0", "between": "hold"}, "constant", "lie at 0.5, 0: let them rise"),
        ({"how": "points", "points": "0:0, 16:1", "between": "hold"}, "constant", "The point 16:1 lies beyond the cli"),
        ({"how": "points", "points": "0:nan", "between": "hold"}, "constant", "'0:nan' is no point of a curve"),
        ({"how": "values", "values": []}, "constant", r"`values` holds \[\]: connect a list"),
        ({"how": "values", "values": [0.0, float("nan")]}, "constant", r"`values` holds \[0.0, nan\]: connect"),
        ({"how": "values", "values": ["a"]}, "constant", r"`values` holds \['a'\]: connect"),
        ("constant", {"how": "values", "values": []}, r"`values` holds \[\]: connect a list"),
        ({"how": "drawn", "curve": None}, "constant", "There is no curve: draw one here in Nodes 2.0, or connect"),
    ],
)
def test_what_is_no_curve_is_told(frames: Any, steps: Any, message: str) -> None:
    with pytest.raises(MIVAError, match=message) as raised:
        run_unchecked(MIVAStrength, over_frames=menu("over_frames", frames), over_steps=menu("over_steps", steps))
    assert "\n" not in str(raised.value)


def test_a_comfyui_without_curves_to_draw_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("comfy_api.input.CurveInput")
    with pytest.raises(MIVAError, match="this ComfyUI is too old to draw one, so choose `points`"):
        run_unchecked(
            MIVAStrength, over_frames=menu("over_frames", {"how": "drawn"}), over_steps=menu("over_steps", "EDG")
        )


def test_a_menu_that_is_missing_is_told() -> None:
    with pytest.raises(MIVAError, match="What is chosen for `over_steps` is not known"):
        run_unchecked(MIVAStrength, over_frames={"over_frames": "constant"}, over_steps={"over_steps": "sinus"})
