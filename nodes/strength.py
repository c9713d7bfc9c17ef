"""How strongly a motion acts in the course of the steps and of the clip."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from comfy_api.v0_0_2 import io, ui

from ..miva_core.animation.curve_text import parse_curve
from ..miva_core.attention.curve import Between, Curve, Over
from ..miva_core.attention.strength import Level, Part, Strength, product
from ..miva_core.checks import is_number, shown
from ..miva_core.errors import MIVAError
from .comfy_bridge.drawn_curves import drawn_curve, draws_curves
from .messages import friendly_errors
from .sockets import StrengthSocket

_ALL = "all"
_PARTS = {part.label: part for part in Part}
_STRONGEST = 2.0


class MIVAStrength(io.ComfyNode):
    """A `Strength` of the engine."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIVAStrength",
            display_name="Strength over Time",
            category="MIVA",
            description="How strongly a motion acts: eased in or out, in a pulse, or by a curve of your own, over the "
            "frames of the clip; and over the steps of the run. Connect it to `strength` of Load MIVA or Motion by "
            "Words. To hand over from one motion to the next, ease one out and the other in, with the same `begin` and "
            "`end`.",
            search_aliases=["strength curve", "strength schedule", "ease in", "fade motion", "keyframes", "edg"],
            is_output_node=True,
            inputs=[
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=-_STRONGEST,
                    max=_STRONGEST,
                    step=0.05,
                    tooltip="All of the curve is multiplied by it. 1: as the motion was trained. On tiny "
                    "1.5 is about a quarter to a third faster and about 1 dB worse, 0.5 has three fifths of the speed; "
                    "beyond 2 motions turn back.",
                ),
                io.DynamicCombo.Input(
                    "over_frames",
                    options=[
                        io.DynamicCombo.Option("constant", []),
                        io.DynamicCombo.Option("ease in", _ease_inputs()),
                        io.DynamicCombo.Option("ease out", _ease_inputs()),
                        io.DynamicCombo.Option("pulse", [_peak_input(), _smooth_input()]),
                        io.DynamicCombo.Option("points", [_points_input("0:0, 0.5:1, 1:0"), _between_input("linear")]),
                        io.DynamicCombo.Option("values", [_values_input()]),
                        io.DynamicCombo.Option("drawn", [_drawn_input()]),
                    ],
                    tooltip="Over the frames of the clip, on every base. ease in: from 0 to all of it. ease out: from "
                    "all of it to 0. pulse: there and back. points, values, drawn: your own curve.",
                ),
                io.DynamicCombo.Input(
                    "over_steps",
                    options=[
                        io.DynamicCombo.Option("constant", []),
                        io.DynamicCombo.Option("part of the run", _span_inputs()),
                        io.DynamicCombo.Option("more motion early", _early_inputs()),
                        io.DynamicCombo.Option("EDG", []),
                        io.DynamicCombo.Option(
                            "points", [_points_input("0:1.5, 0.5:1"), _between_input("hold"), _over_input()]
                        ),
                        io.DynamicCombo.Option("values", [_values_input()]),
                        io.DynamicCombo.Option("drawn", [_drawn_input()]),
                    ],
                    tooltip="Over the steps of the run, early ones deciding on large movements. On the built-in bases "
                    "the last step alone decides. EDG: -0.1875 until half of the noise is gone, then 1.25; not for the "
                    "built-in bases, whose steps all lie before that.",
                ),
                io.Combo.Input(
                    "part",
                    options=[_ALL, *_PARTS],
                    default=_ALL,
                    tooltip="Of what the motion changes: all of it, or its attention to other frames, its prompt, or "
                    "its attention over time alone. The other parts have the strength of `prev`, or 1.",
                    advanced=True,
                ),
                StrengthSocket.Input(
                    "prev",
                    optional=True,
                    tooltip="Another strength, which this one is multiplied with: one for each part, for example.",
                ),
            ],
            outputs=[StrengthSocket.Output("strength", tooltip="For Load MIVA, or Motion by Words.")],
        )

    @classmethod
    @friendly_errors
    def execute(
        cls,
        strength: float,
        over_frames: dict[str, Any],
        over_steps: dict[str, Any],
        part: str,
        prev: Strength | None = None,
    ) -> io.NodeOutput:
        from .strength_plot import plot_levels

        steps, frames = _over_steps(over_steps), _over_frames(over_frames)
        level = product(strength, *steps, *frames)
        acting = tuple(Part) if part == _ALL else (_PARTS[part],)
        levels = (
            product(before, level) if one in acting else before
            for one, before in zip(Part, (prev or Strength()).by_part(), strict=True)
        )
        plot = plot_levels(product(strength, *steps), frames)
        return io.NodeOutput(Strength(*levels), ui=ui.PreviewImage(plot[None], cls=cls))


def _over_frames(chosen: dict[str, Any]) -> list[Level]:
    """The curve over the frames, or none."""
    match chosen["over_frames"]:
        case "constant":
            return []
        case "pulse":
            peak = chosen["peak"]
            points = [(0.0, 0.0)] * (peak > 0) + [(peak, 1.0)] + [(1.0, 0.0)] * (peak < 1)
            return [Curve(tuple(points), chosen["between"], "frames")]
        case "ease in" | "ease out" as ease:
            begin, end = chosen["begin"], chosen["end"]
            if begin >= end:
                raise MIVAError(f"It would {ease} from {begin:g} to {end:g} of the clip: set `end` above `begin`.")
            values = (0.0, 1.0) if ease == "ease in" else (1.0, 0.0)
            return [Curve(((begin, values[0]), (end, values[1])), chosen["between"], "frames")]
    return [_own_curve(chosen, chosen["over_frames"], "frames")]


def _over_steps(chosen: dict[str, Any]) -> list[Level]:
    """The curve over the steps, or none."""
    match chosen["over_steps"]:
        case "constant":
            return []
        case "part of the run":
            start, end = chosen["start"], chosen["end"]
            if start >= end:
                raise MIVAError(
                    f"It would act from {start:g} to {end:g} of the steps, which is none of them: set `end` above "
                    "`start`."
                )
            return [Curve.span(1.0, start, end)]
        case "more motion early":
            return [Curve.more_early(chosen["early"], chosen["late"])]
        case "EDG":
            return [Curve.edg()]
    return [_own_curve(chosen, chosen["over_steps"], chosen.get("over", "steps"))]


def _own_curve(chosen: dict[str, Any], how: str, over: Over) -> Curve:
    """What an artist typed, connected or drew."""
    if how == "points":
        between: Between = chosen["between"]
        return parse_curve(chosen["points"], over, between)
    if how == "values":
        return _of_values(chosen["values"], over)
    if chosen.get("curve") is None:
        raise MIVAError(
            "There is no curve: draw one here in Nodes 2.0, or connect Curve Editor."
            if draws_curves()
            else "There is no curve: this ComfyUI is too old to draw one, so choose `points` in place of `drawn`."
        )
    return replace(drawn_curve(chosen["curve"]), over=over)


def _of_values(values: Any, over: Over) -> Curve:
    """A list, an array, or a number alone; numbers may be those of NumPy and torch."""
    listed = _plain(values)
    numbers = [_plain(one) for one in listed] if isinstance(listed, Sequence) else [listed]
    if not numbers or not all(map(is_number, numbers)):
        raise MIVAError(f"`values` holds {shown(numbers)}: connect a list of finite numbers, at least one.")
    return Curve.of_values(numbers, over)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _share(name: str, default: float, tooltip: str) -> io.Input:
    return io.Float.Input(name, default=default, min=0.0, max=1.0, step=0.01, tooltip=tooltip)


def _ease_inputs() -> list[io.Input]:
    return [
        _share("begin", 0.0, "Share of the clip, from 0 to 1, at which the change begins."),
        _share("end", 1.0, "Share of the clip, from 0 to 1, at which the change ends."),
        _smooth_input(),
    ]


def _peak_input() -> io.Input:
    return _share("peak", 0.5, "Share of the clip, from 0 to 1, at which it is strongest.")


def _smooth_input() -> io.Input:
    return io.Combo.Input(
        "between",
        options=["linear", "cosine"],
        default="cosine",
        tooltip="How it goes from point to point. linear: straight. cosine: smooth, with rest at both ends.",
    )


def _span_inputs() -> list[io.Input]:
    return [
        _share("start", 0.0, "From which share of the steps on it acts."),
        _share("end", 0.5, "Up to which share of the steps it acts."),
    ]


def _early_inputs() -> list[io.Input]:
    limits: dict[str, float] = {"min": -_STRONGEST, "max": _STRONGEST, "step": 0.05}
    return [
        io.Float.Input("early", default=1.5, tooltip="In the first half of the steps.", **limits),
        io.Float.Input("late", default=1.0, tooltip="In the second half of the steps.", **limits),
    ]


def _points_input(default: str) -> io.Input:
    return io.String.Input(
        "points",
        default=default,
        tooltip="Share and strength of each point: 0 is the beginning, 1 the end, so 0.5:1 is a strength of 1 in the "
        "middle. Or strengths alone, which lie evenly: 0, 1, 0.",
    )


def _between_input(default: Between) -> io.Input:
    return io.Combo.Input(
        "between",
        options=["hold", "linear", "cosine"],
        default=default,
        tooltip="How it goes from point to point. hold: it stays until the next. linear: straight. cosine: smooth, "
        "with rest at both ends.",
    )


def _over_input() -> io.Input:
    return io.Combo.Input(
        "over",
        options=["steps", "noise"],
        default="steps",
        tooltip="What the shares are of: the steps, or the noise that is gone, which is the same for every scheduler.",
    )


def _values_input() -> io.Input:
    return io.MultiType.Input(
        "values",
        [io.Custom("FLOATS"), io.Custom("FLOAT")],
        tooltip="A list of strengths, from a node that makes one: spread evenly over the clip, or one for each step.",
    )


def _drawn_input() -> io.Input:
    return io.Custom("CURVE").Input(
        "curve",
        optional=True,
        tooltip="Draw it here in Nodes 2.0, or connect Curve Editor. The bottom is 0, the top all of `strength`.",
    )
