"""The node Measure Motion: how fast, how much and which way the frames of a clip move."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from comfy_api.v0_0_2 import io, ui
from torch import Tensor

from ..miva_core.errors import MIVAError
from ..miva_core.media.pictures import fit_picture, format_size
from ..miva_core.media.pixel_values import mask_batch
from . import comfy_bridge
from .masks import pictures_of
from .messages import friendly_errors, node_text

if TYPE_CHECKING:
    from ..miva_core.measure.clip_motion import ClipMotion

_EVEN = 1.2
"""Ratio of the fastest frame's speed to the slowest one's up to which a clip is called even."""
_ONE_COLOUR = 1e-3
"""Standard deviation of a clip's colours below which it shows nothing."""
_MOST_LISTED = 10


class MIVAMeasureMotion(io.ComfyNode):
    """`measure_motion` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIVAMeasureMotion",
            display_name="Measure Motion",
            category="MIVA",
            description="Measures how fast, how much and which way the frames of a clip move, whatever made them, so "
            "that clips can be compared. With a mask the subject alone is measured.",
            search_aliases=["optical flow", "motion score", "speed of video", "dynamics", "ms-ssim", "motion bucket"],
            is_output_node=True,
            inputs=[
                io.Image.Input(
                    "frames",
                    tooltip="The frames of a clip, two or more. Large ones are measured at 384 pixels along the longer "
                    "side.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="White on the subject that is measured: one for each frame, as MIVA Sampler and MIVA Masks "
                    "give them, or a single one for all.",
                ),
                io.Image.Input(
                    "picture",
                    optional=True,
                    tooltip="What the clip was made from; then the text says how true its first frame is to it.",
                ),
            ],
            outputs=[
                io.Float.Output("speed", tooltip="Mean length of the optical flow, in pixels a frame."),
                io.Float.Output(
                    "dynamics", tooltip="1 - MS-SSIM of neighbouring frames: 0 is still, 0.3 is wild or a flicker."
                ),
                io.Int.Output(
                    "bucket",
                    tooltip="How fast, from 0 to 19, for clips of any size: 0 is as good as still, and two further is "
                    "twice as fast.",
                ),
                io.String.Output("text", tooltip="All that was found, in sentences, as on the node."),
                io.Image.Output("plot", tooltip="The speed of each frame."),
            ],
        )

    @classmethod
    @friendly_errors
    def execute(cls, frames: Tensor, mask: Tensor | None = None, picture: Tensor | None = None) -> io.NodeOutput:
        from ..miva_core.measure.clip_motion import measure_motion
        from ..miva_core.media.line_plot import line_plot

        clip = pictures_of(frames, "The clip")
        subject = None if mask is None else mask_batch(mask, "The mask")
        motion = measure_motion(clip, subject, comfy_bridge.progress_callback())
        lines = [*_motion_lines(motion, clip, mask is not None)]
        if picture is not None:
            lines.append(_fidelity(clip[0], picture))
        text = "\n".join(lines)
        plot = line_plot(range(2, len(clip) + 1), motion.speeds, "speed in pixels a frame, over frames")[None]
        return io.NodeOutput(
            motion.speed,
            motion.dynamics,
            motion.bucket(),
            text,
            comfy_bridge.to_intermediate(plot),
            ui=ui.PreviewImage(plot, cls=cls).as_dict() | node_text(text).as_dict(),
        )


def _motion_lines(motion: "ClipMotion", clip: Tensor, masked: bool) -> Iterator[str]:
    """What was found, a sentence on each line."""
    from ..miva_core.measure.frame_steps import measured_size

    what = "The subject" if masked else "The clip"
    if motion.bucket():
        speed = f"{motion.speed:.2f} pixels a frame, {motion.share:.2%} of the longer side"
        yield f"{what} moves {motion.words}: {speed}. {_course(motion.speeds)}"
    else:
        yield f"{what} stands still."
    yield f"Bucket {motion.bucket()} of 0 … 19, dynamics {motion.dynamics:.3f}."
    if motion.cuts:
        yield f"Left out, since they do not follow the frame before, as at a cut: frame {_listed(motion.cuts)}."
    unseen = sum(math.isnan(speed) for speed in motion.speeds) - len(motion.cuts)
    if unseen:
        yield f"In {unseen} of {len(motion.speeds)} frames the mask is empty, or on nothing that can be followed."
    if not motion.bucket() and clip.std((0, 1, 2)).amax() < _ONE_COLOUR:
        yield "The clip is all of one colour, in which no motion can be seen: make sure that it is the right one."
    own = clip.shape[1], clip.shape[2]
    if measured_size(own) != own:
        yield f"Measured at {format_size(measured_size(own))} and told in pixels of {format_size(own)}."


def _course(speeds: Sequence[float]) -> str:
    """How the speed changes over the frames."""
    known = {frame: speed for frame, speed in enumerate(speeds, start=2) if math.isfinite(speed)}
    slow, fast = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    if known[fast] <= _EVEN * known[slow]:
        return "It is even."
    return f"It is slowest at frame {slow} ({known[slow]:.2f}) and fastest at frame {fast} ({known[fast]:.2f})."


def _listed(frames: Sequence[int]) -> str:
    return ", ".join(str(frame) for frame in frames[:_MOST_LISTED]) + ", …" * (len(frames) > _MOST_LISTED)


def _fidelity(first: Tensor, picture: Tensor) -> str:
    """How true a clip's first frame (H, W, 3) is to the picture that it was made from."""
    from ..miva_core.measure.metrics import psnr

    pictures = pictures_of(picture, "The picture")
    if len(pictures) > 1:
        raise MIVAError(
            f"`picture` is a batch of {len(pictures)}, and a clip begins with one: put Get Image from Batch before it."
        )
    fitted, how = fit_picture(pictures[0], (first.shape[0], first.shape[1]))
    likeness = psnr(first, fitted)
    told = f" ({how})" if how else ""
    if likeness == math.inf:
        return f"The first frame is the picture{told}, exactly."
    return f"The first frame is true to the picture{told} by {likeness:.1f} dB; from 30 on it is hard to tell apart."
