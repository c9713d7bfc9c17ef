"""A still picture in motion by formulas: no model is asked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from comfy_api.v0_0_2 import io
from torch import Tensor

from ..miva_core.clips.camera import EASINGS, Easing
from ..miva_core.errors import MIVAError
from ..miva_core.media.pictures import format_size
from ..miva_core.motion_fields.motions import MOTIONS, motion_field, spoken
from . import comfy_bridge
from .clip_batch import ClipBatch
from .masks import drawn_mask, pictures_of
from .messages import collect_warnings, friendly_errors, node_text
from .sockets import FilmSocket

if TYPE_CHECKING:
    from ..miva_core.filming.filmed_motion import FilmedMotion
    from ..miva_core.rendering.window import Edges

_LARGEST = 4096


class MIVAFilmMotion(io.ComfyNode):
    """A motion of Film a Still."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIVAFilmMotion",
            display_name="Motion to Film",
            category="MIVA",
            description="A motion for Film a Still: of the whole picture, in depth, or of the part that a mask shows. "
            "Chain several, and all act at once.",
            search_aliases=[
                "motion brush",
                "cinemagraph",
                "living photograph",
                "parallax",
                "camera move",
                "clouds",
                "water",
                "wind",
                "sway",
                "shake",
            ],
            inputs=[
                io.Combo.Input(
                    "motion",
                    options=[spoken(name) for name in MOTIONS],
                    default="dolly-in",
                    tooltip="pan, zoom, roll and shake move the whole picture; with truck and dolly what is near "
                    "passes what is far. The others move what the mask shows: drift for clouds, ripple for water, sway "
                    "for plants, flag for cloth, breathe for animals; rise, slide and jump cut it out and carry it.",
                ),
                io.Float.Input(
                    "speed",
                    default=0.5,
                    min=-4.0,
                    max=4.0,
                    step=0.05,
                    tooltip="At 1 it moves by an eighth of the picture's shorter side in a second, where it is "
                    "fastest; 0.3 to 0.5 looks natural. Below 0 it goes the other way round.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="White on the part that moves, from Subject Mask, Load Image's mask editor or any node "
                    "that makes masks. Leave out what stands before a sky or water. shake moves the whole picture "
                    "without one; pan, zoom, roll, truck and dolly take none.",
                ),
                FilmSocket.Input(
                    "motions", optional=True, tooltip="Further motions, which act at once; this one lies over them."
                ),
            ],
            outputs=[FilmSocket.Output("motions", tooltip="For Film a Still, or a further Motion to Film.")],
        )

    @classmethod
    @friendly_errors
    def execute(
        cls, motion: str, speed: float, mask: Tensor | None = None, motions: "Sequence[FilmedMotion]" = ()
    ) -> io.NodeOutput:
        from ..miva_core.filming.filmed_motion import FilmedMotion

        # A motion that takes no mask says so before what is wrong with the mask.
        takes_one = motion_field(motion).kind not in ("camera", "depth")
        drawn = drawn_mask(mask, f"The mask for {motion}") if mask is not None and takes_one else mask
        return io.NodeOutput((*motions, FilmedMotion(motion, speed, drawn)))


class MIVAFilm(io.ComfyNode):
    """`film` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIVAFilm",
            display_name="Film a Still",
            category="MIVA",
            description="Sets a picture, and parts of it, in motion at its own size. Formulas move the picture itself: "
            "no network is asked, and nothing is learned. What is uncovered is painted from what is around it.",
            search_aliases=[
                "animate picture",
                "cinemagraph",
                "living photograph",
                "parallax",
                "2.5d",
                "ken burns",
                "motion brush",
                "depth to video",
            ],
            inputs=[
                io.Image.Input("image", tooltip="The picture that is to move, one alone, of any size."),
                FilmSocket.Input("motions", tooltip="From Motion to Film."),
                io.Image.Input(
                    "depth",
                    optional=True,
                    tooltip="For truck and dolly: how near each place is, white where it is near, from any depth node. "
                    "Without it they take the lower half to be near. Of what is carried the nearer part is in front.",
                ),
                io.Mask.Input(
                    "front",
                    optional=True,
                    tooltip="White on what stands before all that moves, as someone before a tree that sways: it "
                    "keeps its place, and nothing is pulled from under it.",
                ),
                io.Int.Input(
                    "width",
                    default=0,
                    min=0,
                    max=_LARGEST,
                    step=2,
                    tooltip="Of the clip, in pixels. 0: the picture's own, up to 1024 on the longer side, or by its "
                    "aspect if `height` is given.",
                    advanced=True,
                ),
                io.Int.Input(
                    "height",
                    default=0,
                    min=0,
                    max=_LARGEST,
                    step=2,
                    tooltip="Of the clip, in pixels. 0: the picture's own, up to 1024 on the longer side, or by its "
                    "aspect if `width` is given.",
                    advanced=True,
                ),
                io.Float.Input(
                    "fps",
                    default=24.0,
                    min=1.0,
                    max=120.0,
                    step=1.0,
                    tooltip="Frames a second: how finely the motion is shown, not how fast it is.",
                ),
                io.Float.Input(
                    "duration",
                    default=2.0,
                    min=0.1,
                    max=60.0,
                    step=0.5,
                    round=0.001,
                    tooltip="Seconds. sway, flag and breathe come round in 2 s, ripple and jump in 1 s.",
                ),
                io.Combo.Input(
                    "easing",
                    options=list(EASINGS),
                    default="linear",
                    tooltip="Whether cameras, and what is carried, start or stop gently.",
                    advanced=True,
                ),
                io.Boolean.Input(
                    "loop",
                    default=False,
                    tooltip="So that the clip can be played over and over: waves close, clouds fade into themselves, "
                    "everything else goes there and back.",
                ),
                io.Combo.Input(
                    "edges",
                    options=["inside", "mirror"],
                    default="inside",
                    tooltip="Where the camera would look beyond the picture. inside: the clip shows a part of the "
                    "picture, with nothing invented. mirror: all of it, and what comes into view is mirrored and soft.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0x7FFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Another seed, another shake; nothing else depends on it.",
                    advanced=True,
                ),
            ],
            outputs=[
                io.Image.Output("frames", tooltip="The clip, for Create Video or Save Animated WEBP."),
                io.Mask.Output("masks", tooltip="Where the parts are that move, one mask for each frame."),
                io.Float.Output("fps", tooltip="Frames a second of the clip, for Create Video or Save Animated WEBP."),
            ],
        )

    @classmethod
    @friendly_errors
    def execute(
        cls,
        image: Tensor,
        motions: "Sequence[FilmedMotion]",
        width: int,
        height: int,
        fps: float,
        duration: float,
        easing: Easing,
        loop: bool,
        edges: "Edges",
        seed: int,
        depth: Tensor | None = None,
        front: Tensor | None = None,
    ) -> io.NodeOutput:
        from ..miva_core.filming.film import FilmOptions, film
        from ..miva_core.rendering.timing import Timing

        pictures = pictures_of(image)
        if len(pictures) != 1:
            raise MIVAError(
                f"The picture is a batch of {len(pictures)}, and one is filmed: choose it by Get Image from Batch."
            )
        before = None if front is None else drawn_mask(front, "The mask of what is in front")
        size = (height or None, width or None) if height or width else None
        options = FilmOptions(size, Timing(fps, duration, easing, loop), edges, before, seed)
        with collect_warnings() as warned:
            clip = film(pictures[0], motions, depth, options)
        batch = ClipBatch(1, len(clip), clip.size, True)
        show, length = comfy_bridge.progress_callback(), len(clip)
        batch.add(clip, lambda done: show(done, length))
        fitting = [f"The picture was {clip.fitting}."] if clip.fitting else []
        outcome = f"{length} frames of {format_size(clip.size)}, {clip.fps:g} a second."
        return io.NodeOutput(
            batch.frames,
            batch.masks,
            float(clip.fps),
            ui=node_text("\n".join([*clip.notes, *fitting, *warned, outcome])),
        )
