"""A picture and motions in, a clip out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..miva_core.attention.turns import take_turn
from ..miva_core.clips.camera import EASINGS, Easing
from ..miva_core.errors import MIVAError
from ..miva_core.media.pictures import format_size
from ..miva_core.media.pixel_values import frame_batch
from . import comfy_bridge
from .clip_batch import ClipBatch
from .masks import pictures_of
from .messages import collect_warnings, friendly_errors, node_text
from .noise import OPTIONS
from .run_progress import RunProgress
from .sockets import MivaModel, ModelSocket, StackSocket
from .stack_checks import advise_base_or_words, check_base, check_masks, check_words
from .stacks import MivaStack, motions_of
from .words import with_prompt

if TYPE_CHECKING:
    from ..miva_core.animation.clip import Clip
    from ..miva_core.animation.options import RunOptions

_LARGEST = 8192
_ADAIN = {"as the base needs": None, "on": True, "off": False}
_RENDER: dict[str, Literal["full", "latents"] | None] = {"auto": None, "full": "full", "latents": "latents"}


class MIVASampler(io.ComfyNode):
    """`animate` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIVASampler",
            display_name="MIVA Sampler",
            category="MIVA",
            description="Animates a picture by motions, with the built-in bases at the picture's own size. The clip "
            "begins with the picture, or with the part of it that the camera stays in. There is no prompt. Of a batch "
            "of pictures each becomes a clip, one after the other. For ComfyUI's own Wan and Stable Diffusion 1.5 take "
            "Apply MIVA and KSampler.",
            search_aliases=["animate", "image to video", "i2v", "ksampler video", "miva", "motion"],
            inputs=[
                ModelSocket.Input("model", tooltip="From Load MIVA Base."),
                StackSocket.Input(
                    "mivas",
                    optional=True,
                    tooltip="The motions, from Load MIVA, Motion by Words or Stack MIVAs. Without any, a built-in base "
                    "makes one of its camera moves, which the seed chooses, and Wan moves as it likes; Stable "
                    "Diffusion 1.5 needs one.",
                ),
                io.Image.Input("image", tooltip="The picture to animate, of any size; or several."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Another seed, another clip; the same seed gives the same one. With the built-in bases "
                    "clips hardly differ. Each further picture of a batch has the next higher seed.",
                ),
                io.Int.Input(
                    "steps",
                    default=0,
                    min=0,
                    max=1000,
                    tooltip="Denoising steps. 0: as many as the base needs, which is 3 for MiraMo tiny, 4 for "
                    "tiny, 25 for Stable Diffusion 1.5, 50 for Wan.",
                ),
                io.Noise.Input(
                    "noise",
                    optional=True,
                    tooltip="Start noise in place of the sampler's own, such as DCTInit Noise. Its seed counts for the "
                    "clip; the seed here for the masks.",
                ),
                io.Sigmas.Input(
                    "sigmas",
                    optional=True,
                    tooltip="Noise levels in place of `steps`, from a scheduler node: falling from about 14.6 (Wan and "
                    "MiraMo tiny: 1) and ending at 0. Leave it free with the built-in bases, which are made for their "
                    "own few steps.",
                ),
                io.Int.Input(
                    "width",
                    default=0,
                    min=0,
                    max=_LARGEST,
                    step=2,
                    tooltip="Of the clip, in pixels. 0: the picture's own with the built-in bases, up to 1024 on the "
                    "longer side, or by its aspect if `height` is given; with the others what they were trained on, "
                    "which is best (512, 832).",
                    advanced=True,
                ),
                io.Int.Input(
                    "height",
                    default=0,
                    min=0,
                    max=_LARGEST,
                    step=2,
                    tooltip="Of the clip, in pixels. 0: the picture's own with the built-in bases, up to 1024 on the "
                    "longer side, or by its aspect if `width` is given; with the others what they were trained on, "
                    "which is best (320, 480).",
                    advanced=True,
                ),
                io.Int.Input(
                    "frames",
                    default=0,
                    min=0,
                    max=1024,
                    tooltip="Length of the clip. 0: by `duration` with the built-in bases, which make any length; with "
                    "the others what they were trained on (16, 17). At most 32 with Stable Diffusion 1.5 (24 with the "
                    "first motion modules), 81 with Wan, which makes 4 k + 1.",
                    advanced=True,
                ),
                io.Combo.Input(
                    "fit",
                    options=["crop", "pad"],
                    default="crop",
                    tooltip="A picture of another aspect than the clip: crop cuts off what sticks out, pad keeps all "
                    "of it. Masks follow.",
                ),
                io.Combo.Input(
                    "adain",
                    options=list(_ADAIN),
                    default="as the base needs",
                    tooltip="Give all frames the colours of the first at the end. It changes frames that come from "
                    "latents alone.",
                    advanced=True,
                ),
                io.Float.Input(
                    "fps",
                    optional=True,
                    default=0.0,
                    min=0.0,
                    max=120.0,
                    step=1.0,
                    tooltip="Frames a second, with the built-in bases: how finely the motion is shown, not how fast "
                    "it is. 0: 24. The others make 8.",
                ),
                io.Float.Input(
                    "duration",
                    optional=True,
                    default=0.0,
                    min=0.0,
                    max=60.0,
                    step=0.5,
                    round=0.001,
                    tooltip="Seconds, with the built-in bases: how much of the motion is seen, at its own speed. 0: 2, "
                    "there and back 4. Beyond, all goes on, but tiny moves subjects to and fro.",
                ),
                io.Combo.Input(
                    "easing",
                    optional=True,
                    options=list(EASINGS),
                    default="linear",
                    tooltip="Whether the motion starts or stops gently, with the built-in bases.",
                    advanced=True,
                ),
                io.Boolean.Input(
                    "loop",
                    optional=True,
                    default=False,
                    tooltip="So that the clip can be played over and over, with the built-in bases: it goes there and "
                    "back; with MiraMo tiny waves close, and clouds fade into themselves.",
                ),
                io.Combo.Input(
                    "edges",
                    optional=True,
                    options=["inside", "mirror"],
                    default="inside",
                    tooltip="Where the camera would look beyond the picture. inside: the clip shows a part of the "
                    "picture, with nothing invented. mirror: all of it, and what comes into view is mirrored and soft.",
                ),
                io.Combo.Input(
                    "render",
                    optional=True,
                    options=list(_RENDER),
                    default="auto",
                    tooltip="What frames are made of. full: the picture itself is moved by what the base says, sharp "
                    "at any size. latents: what the base paints, at the size it works at (64×64 for the built-in "
                    "ones). auto: full where the base can.",
                    advanced=True,
                ),
                io.Conditioning.Input(
                    "words",
                    optional=True,
                    tooltip="Which motion, for files that hold several: a prompt from CLIP Text Encode, with Stable "
                    "Diffusion 1.5. For tiny the words are written in Load MIVA.",
                ),
                io.Image.Input(
                    "depth",
                    optional=True,
                    tooltip="How near each part of the picture is, white where it is near, as depth nodes make it. It "
                    "is for MiraMo tiny: for truck and dolly by Motion by Words, and for motions that depth guides. "
                    "Without it what is lower in the picture counts as nearer. One for all pictures of a batch, or one "
                    "for each.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "frames",
                    tooltip="The clip as a batch of frames, for Create Video or Save Animated WEBP; of several "
                    "pictures one clip after the other.",
                ),
                io.Mask.Output(
                    "masks",
                    tooltip="Where masked motions act, one mask for each frame; black without any.",
                ),
                io.Float.Output("fps", tooltip="Frames a second of the clip, for Create Video or Save Animated WEBP."),
            ],
        )

    @classmethod
    @friendly_errors
    def execute(
        cls,
        model: MivaModel,
        image: Tensor,
        seed: int,
        steps: int,
        width: int,
        height: int,
        frames: int,
        fit: Literal["crop", "pad"],
        adain: str,
        mivas: MivaStack | None = None,
        noise: Any = None,
        sigmas: Tensor | None = None,
        fps: float = 0.0,
        duration: float = 0.0,
        easing: Easing = "linear",
        loop: bool = False,
        edges: Literal["inside", "mirror"] = "inside",
        render: str = "auto",
        words: Any = None,
        depth: Tensor | None = None,
    ) -> io.NodeOutput:
        from ..miva_core.animation.animate import animate
        from ..miva_core.animation.options import RunOptions, clip_shape, denoised_shape, renders_full
        from ..miva_core.rendering.timing import Timing

        base, pictures, mivas = model.base, pictures_of(image), mivas or ()
        depths = _depths(depth, len(pictures))
        options = RunOptions(
            steps=steps or None,
            size=(height or None, width or None) if height or width else None,
            frames=frames or None,
            fit=fit,
            adain=_ADAIN[adain],
            sigmas=sigmas,
            render=_RENDER[render],
            edges=edges,
            timing=Timing(fps or None, duration or None, easing, loop),
        )
        _check_stack(mivas, model, len(pictures))
        mivas = with_prompt(mivas, words, base.vocabulary, base.backbone.text_dim)
        notes: list[str] = []
        size = pictures.shape[1], pictures.shape[2]
        full, shape = renders_full(base, options), denoised_shape(base, options, size)
        batch = ClipBatch(len(pictures), *clip_shape(base, size, options), full)
        # Another thread must not move the base, nor what it notes, in between.
        with take_turn(base.model), collect_warnings() as warned:
            adapters, masked = model.adapters(mivas), sum(entry.mask is not None for entry in mivas)
            # Before the base is brought, since a model that the noise is made with could drive it out again.
            empty = torch.zeros(len(pictures), *base.latent_shape(*shape)[1:])
            starts = [None] * len(pictures) if noise is None else _starts(noise, empty, options, full)
            model.load_to_device(comfy_bridge.memory_for_sampling(base, *shape, 1 + masked), adapters)
            progress = RunProgress(base, len(pictures), full)
            for k, (picture, start) in enumerate(zip(pictures, starts, strict=True)):
                motions = motions_of(mivas, [loaded.adapter for loaded in adapters], k)
                near = None if depths is None else depths[k % len(depths)]
                chosen = replace(options, seed=(seed + k) % 2**64, start=start, nearness=near)
                clip = animate(base, picture, motions, chosen, progress.after_step(k))
                batch.add(clip, progress.after_frame(k))
                notes += clip.notes
        # On the node the first lines are seen. There are never none, which would leave what the last run has shown.
        lines = [*notes, *model.remarks, *_fitting(clip, len(pictures)), *warned, _outcome(len(pictures), clip)]
        text = node_text("\n".join(dict.fromkeys(lines)))
        return io.NodeOutput(batch.frames, batch.masks, float(clip.fps), ui=text)


def _fitting(clip: "Clip", pictures: int) -> list[str]:
    which = "The picture was" if pictures == 1 else "The pictures were"
    return [f"{which} {clip.fitting}."] if clip.fitting else []


def _outcome(pictures: int, clip: "Clip") -> str:
    each, what = len(clip), f"frames of {format_size(clip.size)}, {clip.fps:g} a second"
    if pictures == 1:
        return f"{each} {what}."
    return f"{pictures} pictures × {each} frames = {pictures * each} {what}, one clip after the other."


def _check_stack(mivas: MivaStack, model: MivaModel, pictures: int) -> None:
    """What the artist can mend before anything is loaded."""
    if not mivas and model.base.text is None:
        raise MIVAError(
            f"No motion is connected, and the {model.base.name} base has no text encoder to go by: connect Load MIVA "
            "to `mivas`, and see that it is neither muted nor bypassed."
        )
    check_base(mivas, model.base.backbone, lambda info: advise_base_or_words(info, model.base))
    check_words(mivas, model.base)
    check_masks(mivas, pictures)


def _depths(depth: Tensor | None, pictures: int) -> Tensor | None:
    """The depth maps (N, H, W, C) of pictures, one for each or one for all."""
    if depth is None:
        return None
    maps = frame_batch(depth, "The depth map")
    if len(maps) not in (1, pictures):
        raise MIVAError(
            f"`depth` holds {len(maps)} maps, and the batch has {pictures} picture{'s' if pictures > 1 else ''}: "
            "connect one map for each picture, or one for all."
        )
    return maps


def _starts(noise: Any, empty: Tensor, options: "RunOptions", full: bool) -> Sequence[Tensor]:
    """Start latents (1, C, F, h, w) of a NOISE for each picture, in place of empty ones (N, C, F, h, w).

    Raises:
        MIVAError: it gives others.
    """
    starts = noise.generate_noise({"samples": empty, **({OPTIONS: options} if full else {})})
    if starts.shape != empty.shape:
        raise MIVAError(
            f"The start noise is for another model or size, {tuple(starts.shape)} in place of {tuple(empty.shape)}: "
            "connect DCTInit Noise with the same Load MIVA Base, or leave `noise` unconnected."
        )
    return starts.split(1)
