"""The motion of a clip for a picture."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..miva_core.errors import MIVAError
from ..miva_core.media.pictures import format_size
from . import comfy_bridge
from .clip_batch import check_memory
from .masks import drawn_mask, pictures_of
from .messages import collect_warnings, friendly_errors, node_text

if TYPE_CHECKING:
    from ..miva_core.motion_transfer.transfer import MovedPicture


class MIVATransferMotion(io.ComfyNode):
    """`transfer` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIVATransferMotion",
            display_name="Transfer Motion",
            category="MIVA",
            description="Lets a picture move as any clip does, at the picture's own size. The clip's optical flow is "
            "measured and moves the picture: no model is needed, and nothing is learned. What comes into view is "
            "marked in `invented`, to be repainted by a model of yours. To learn a motion instead, take Train MIVA.",
            search_aliases=[
                "motion transfer",
                "optical flow",
                "motion of a video",
                "animate like a video",
                "warp",
                "match move",
                "camera from video",
                "v2v",
            ],
            inputs=[
                io.Image.Input(
                    "frames",
                    tooltip="The clip whose motion is taken over: two or more frames of one shot, of any size, as from "
                    "Load Video and Get Video Components.",
                ),
                io.Image.Input("picture", tooltip="The picture that is to move, of any size. It is the first frame."),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="1: as far as in the clip; 0.5: half as far; 2: twice as far, and more comes into view.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where the subject is in the picture, and in the clip's first frame. It becomes a layer of "
                    "its own, cut out along its edges, which moves over a filled ground. Without one a subject that "
                    "moves over the ground stretches what is around it.",
                ),
            ],
            outputs=[
                io.Image.Output("clip", tooltip="The moving picture: one frame for each of the clip's, up to a cut."),
                io.Mask.Output(
                    "invented",
                    tooltip="White where a frame shows what the picture does not: it came into view, or the clip's "
                    "flow cannot be trusted there. For VAE Encode (for Inpainting) or Set Latent Noise Mask.",
                ),
            ],
        )

    @classmethod
    @friendly_errors
    def execute(cls, frames: Tensor, picture: Tensor, strength: float, mask: Tensor | None = None) -> io.NodeOutput:
        from ..miva_core.motion_transfer.transfer import MovedPicture

        clip, pictures = pictures_of(frames, "The clip"), pictures_of(picture)
        if len(pictures) != 1:
            raise MIVAError(
                f"The picture is a batch of {len(pictures)}, and one is moved: choose it by Get Image from Batch. The "
                "clip goes into `frames`."
            )
        subject = None if mask is None else drawn_mask(mask, "The mask of the subject")
        height, width = pictures.shape[1:3]
        check_memory((len(clip), height, width), "choose fewer frames, or scale the picture down before this node")
        show, length = comfy_bridge.progress_callback(), len(clip)
        with collect_warnings() as notes:
            moved = MovedPicture.of(clip, pictures[0], strength, subject, lambda done: show(done, 2 * length))
        pixels, invented = _rendered(moved, lambda done: show(length + done, 2 * length))
        text = node_text("\n".join([*notes, f"{len(moved)} frames of {format_size(moved.size)}."]))
        return io.NodeOutput(pixels, invented, ui=text)


def _rendered(moved: "MovedPicture", on_frame: Callable[[int], None]) -> tuple[Tensor, Tensor]:
    """All frames, and what of them was invented."""
    from ..miva_core.motion_transfer.transfer import INVENTED

    shape = (len(moved), *moved.size)
    pixels = comfy_bridge.to_intermediate(torch.empty(*shape, 3))
    invented = comfy_bridge.to_intermediate(torch.empty(shape))
    for i, frame in enumerate(moved):
        pixels[i], invented[i] = frame.pixels, frame.masks[INVENTED]
        on_frame(i + 1)
    return pixels, invented
