"""A motion without a file, by words that a base knows."""

from comfy_api.v0_0_2 import io

from ..miva_core.attention.strength import Strength
from ..miva_core.checks import is_line
from ..miva_core.errors import MIVAError
from .messages import friendly_errors
from .sockets import StackSocket, StrengthSocket
from .stacks import MivaStack, StackedWords

_NO_DEGREE = -1.0


class MIVASay(io.ComfyNode):
    """One motion by words."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIVASay",
            display_name="Motion by Words",
            category="MIVA",
            description="Tells a base that moves by words what to do, such as MiraMo tiny in Load MIVA Base: pan left, "
            "zoom in, dolly in; or, with Bind Mask to MIVA behind it, how a part of the picture moves: drift left, "
            "ripple, rise. Chain several by `prev`, as Load MIVA, and mix them with motions from files; then MIVA "
            "Sampler. It knows a few words alone: it is no prompt.",
            search_aliases=[
                "motion words",
                "say motion",
                "camera move",
                "dolly",
                "parallax",
                "drift",
                "prompt motion",
                "miramo tiny",
            ],
            inputs=[
                io.String.Input(
                    "text",
                    default="dolly in",
                    tooltip="What moves: pan, zoom, roll, truck, dolly or shake for the whole picture; drift, sway, "
                    "flag, ripple or breathe for a region with a mask; rise, slide or jump for a subject with a mask. "
                    "With a direction, as in pan left; a shake may follow, as in pan left, shake. Where a word is not "
                    "known, MIVA Sampler names the nearest.",
                ),
                io.Float.Input(
                    "weight",
                    default=0.5,
                    min=-2.0,
                    max=2.0,
                    step=0.05,
                    tooltip="Its speed: at 1 a pan moves by an eighth of the picture's width in a second, at 0.5 half "
                    "as far. Below 0 it goes the other way round. Weights need not sum to 1.",
                ),
                io.Float.Input(
                    "degree",
                    default=_NO_DEGREE,
                    min=_NO_DEGREE,
                    max=1.0,
                    step=0.05,
                    tooltip="How fast it is, from 0, the slowest that the base has learnt, to 1, the fastest; `weight` "
                    "is multiplied with that, so set it to 1. -1: `weight` alone says it.",
                    advanced=True,
                ),
                StackSocket.Input("prev", optional=True, tooltip="Motions that this one is added to."),
                StrengthSocket.Input(
                    "strength",
                    optional=True,
                    tooltip="From Strength over Time, over the frames of the clip: its speed as it changes, in place "
                    "of `weight`.",
                ),
            ],
            outputs=[StackSocket.Output("mivas", tooltip="The motions before it, and this one on top.")],
        )

    @classmethod
    @friendly_errors
    def execute(
        cls,
        text: str,
        weight: float,
        degree: float,
        prev: MivaStack | None = None,
        strength: Strength | None = None,
    ) -> io.NodeOutput:
        from ..miva_core.animation.said import Said, as_speed

        if not text.strip() or not is_line(text):
            fault = "is no single line" if text.strip() else "is empty"
            raise MIVAError(f"`text` {fault}: write what the base knows, such as pan left, or pan left, shake.")
        speed = weight if strength is None else as_speed(text, strength)
        said = Said(text, speed, degree=None if degree == _NO_DEGREE else degree)
        return io.NodeOutput((*(prev or ()), StackedWords(said)))
