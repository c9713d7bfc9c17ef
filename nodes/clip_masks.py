"""The masks that a sampler made together with a clip."""

from typing import Any

from comfy_api.v0_0_2 import io

from . import comfy_bridge
from .messages import friendly_errors


class MIVAMasks(io.ComfyNode):
    """Reads what a run with masked motions has recorded."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIVAMasks",
            display_name="MIVA Masks",
            category="MIVA/mask",
            description="Gives the masks of subjects in all frames of a clip, which a sampler makes together with it "
            "where Apply MIVA has put in masked motions.",
            search_aliases=["subject masks", "mask sequence", "video mask", "masks of clip"],
            inputs=[
                io.Latent.Input(
                    "latent",
                    tooltip="The clip as it comes out of the sampler. Apply MIVA has masked motions before it.",
                )
            ],
            outputs=[
                io.Mask.Output("masks", tooltip="Where the subjects are, one mask for each frame, of the clip's size.")
            ],
        )

    @classmethod
    @friendly_errors
    def execute(cls, latent: dict[str, Any]) -> io.NodeOutput:
        from .comfy_bridge.native.mask_record import masks_of

        return io.NodeOutput(comfy_bridge.to_intermediate(masks_of(latent)))
