"""Put motions together, and say which subject each of them moves."""

from collections.abc import Mapping
from dataclasses import replace

from comfy_api.v0_0_2 import io
from torch import Tensor

from ..miva_core.errors import MIVAError
from .masks import check_left, drawn_masks, edge_inputs
from .messages import friendly_errors
from .sockets import StackSocket
from .stacks import MivaStack

_MOST = 8


class MIVAStack(io.ComfyNode):
    """Several motions in one stack."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        # Optional, so that a node before it can be muted. With min=0 older frontends would show no socket at all.
        socket = StackSocket.Input(
            "miva", optional=True, tooltip="From Load MIVA, Motion by Words or Bind Mask to MIVA."
        )
        template = io.Autogrow.TemplatePrefix(socket, prefix="miva", min=1, max=_MOST)
        return io.Schema(
            node_id="MIVAStack",
            display_name="Stack MIVAs",
            category="MIVA",
            description="Joins motions, to run at once. The order is the depth: where masks overlap, the last one lies "
            "on top.",
            search_aliases=["combine motions", "merge motions", "join mivas", "miva stack"],
            inputs=[
                io.Autogrow.Input(
                    "mivas",
                    template=template,
                    tooltip="Motions, from the back to the front; a new socket grows below the last.",
                ),
            ],
            outputs=[StackSocket.Output("mivas", tooltip="All of them, for MIVA Sampler or Apply MIVA.")],
        )

    @classmethod
    @friendly_errors
    def execute(cls, mivas: Mapping[str, MivaStack]) -> io.NodeOutput:
        # Where a socket in the middle is free, those after it keep their order.
        return io.NodeOutput(tuple(entry for stack in mivas.values() if stack for entry in stack))


class MIVABindMask(io.ComfyNode):
    """Where the subject of a masked motion is."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIVABindMask",
            display_name="Bind Mask to MIVA",
            category="MIVA/mask",
            description="Tells a masked motion where its subject is in the picture, or words what they move. In a "
            "chain it is the last motion that is bound. The masks of later frames are made together with the clip.",
            search_aliases=["subject mask", "mask motion", "bind mask", "region motion", "motion brush"],
            inputs=[
                StackSocket.Input(
                    "mivas",
                    optional=True,
                    tooltip="The masked motion, such as jump_masked, or Motion by Words, such as drift left; it comes "
                    "last in its chain. Without any there is nothing to bind, and no motion is given on.",
                ),
                io.Mask.Input(
                    "mask",
                    tooltip="White on the subject, tight around it: what it takes in moves along. From Subject Mask, "
                    "from Load Image's mask editor, or from any node that makes masks. For a cut-out with a "
                    "transparent background put Invert Mask between. One mask for all pictures of a batch, or one "
                    "for each.",
                ),
                *edge_inputs(),
            ],
            outputs=[StackSocket.Output("mivas", tooltip="The same motions, the last one bound to its subject.")],
        )

    @classmethod
    @friendly_errors
    def execute(cls, mask: Tensor, grow: int, feather: int, mivas: MivaStack = ()) -> io.NodeOutput:
        from ..miva_core.subject_mask import edits

        if not mivas:
            return io.NodeOutput(())
        *before, last = mivas
        if not last.takes_mask:
            raise MIVAError(
                f"{last.name} has no mask to bind: put Bind Mask to MIVA right behind the Load MIVA of a masked "
                "motion, such as jump_masked, or connect this one without it."
            )
        drawn = drawn_masks(mask, f"The mask for {last.name}")
        edited = edits.feather(edits.grow(drawn, grow), feather) if grow or feather else drawn
        for one, before_edits in zip(edited, drawn, strict=True):
            check_left(one, before_edits, f"the mask for {last.name}", "`grow` or `feather`")
        return io.NodeOutput((*before, replace(last, mask=edited)))
