"""A picture and motions in, a clip out."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..miva_core.errors import MIVAError
from ..miva_core.motion_text import Motion, unique_names
from ..miva_core.pictures import fit_picture, told_size
from ..miva_core.run_notes import size_notes, weight_notes
from . import comfy_bridge
from .masks import one_picture
from .sockets import MivaModel, MivaStack, ModelSocket, StackSocket
from .telling import notes, told, written

if TYPE_CHECKING:
    from ..miva_core.animation import Progress
    from ..miva_core.base import Base

_LARGEST = 8192
_ADAIN = {"as the base needs": None, "on": True, "off": False}


class MIVASampler(io.ComfyNode):
    """`animate` as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIVASampler",
            display_name="MIVA Sampler",
            category="MIVA",
            description="Animates a picture by motions. The first frame of the clip is the picture. There is no "
            "prompt.",
            search_aliases=["animate", "image to video", "i2v", "ksampler video", "miva", "motion"],
            inputs=[
                ModelSocket.Input("model", tooltip="From Load MIVA Base."),
                StackSocket.Input(
                    "mivas",
                    optional=True,
                    tooltip="The motions, from Load MIVA or Stack MIVAs. Without any, the built-in base and Wan move "
                    "as they like; Stable Diffusion 1.5 needs one.",
                ),
                io.Image.Input("image", tooltip="The picture to animate, of any size; one at a time."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Another seed, another clip; the same seed gives the same one. "
                    "The built-in base hardly varies.",
                ),
                io.Int.Input(
                    "steps",
                    default=0,
                    min=0,
                    max=1000,
                    tooltip="Denoising steps. 0: as many as the base needs, which is 4 for the built-in one, 25 for "
                    "Stable Diffusion 1.5, 50 for Wan.",
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
                    tooltip="Noise levels in place of `steps`, from a scheduler node: falling from about 14.6 (Wan: 1) "
                    "and ending at 0.",
                ),
                io.Int.Input(
                    "width",
                    default=0,
                    min=0,
                    max=_LARGEST,
                    step=16,
                    tooltip="Of the clip, in pixels. 0: what the base was trained on, which is best (64, 512, 832).",
                    advanced=True,
                ),
                io.Int.Input(
                    "height",
                    default=0,
                    min=0,
                    max=_LARGEST,
                    step=16,
                    tooltip="Of the clip, in pixels. 0: what the base was trained on, which is best (64, 320, 480).",
                    advanced=True,
                ),
                io.Int.Input(
                    "frames",
                    default=0,
                    min=0,
                    max=1024,
                    tooltip="Length of the clip. 0: what the base was trained on (16, 16, 17). At most 16 with the "
                    "built-in base, 32 with Stable Diffusion 1.5 (24 with the first motion modules), 81 with Wan, "
                    "which makes 4 k + 1.",
                    advanced=True,
                ),
                io.Combo.Input(
                    "fit",
                    options=["crop", "pad"],
                    default="crop",
                    tooltip="A picture of another aspect: crop cuts off what sticks out, pad keeps all of it. Masks "
                    "follow.",
                ),
                io.Combo.Input(
                    "adain",
                    options=list(_ADAIN),
                    default="as the base needs",
                    tooltip="Give all frames the colours of the first at the end.",
                    advanced=True,
                ),
            ],
            outputs=[
                io.Image.Output(
                    "frames", tooltip="The clip as a batch of frames, for Create Video or Save Animated WEBP."
                ),
                io.Mask.Output(
                    "masks",
                    tooltip="Where the subjects of masked motions are, one mask for each frame; black without any.",
                ),
                io.Float.Output("fps", tooltip="Frames a second that the base is made for, for Create Video."),
            ],
        )

    @classmethod
    @told
    def execute(
        cls,
        model: MivaModel,
        image: Tensor,
        seed: int,
        steps: int,
        width: int,
        height: int,
        frames: int,
        fit: str,
        adain: str,
        mivas: MivaStack = (),
        noise: Any = None,
        sigmas: Tensor | None = None,
    ) -> io.NodeOutput:
        from ..miva_core.animation import animate
        from ..miva_core.given_masks import fit_masks

        base, picture = model.base, one_picture(image)
        size, frames = (height or base.size[0], width or base.size[1]), frames or base.frames
        _check_stack(mivas, model)
        names = unique_names([entry.path.stem for entry in mivas])
        with notes() as heard:
            given = {name: entry.mask for name, entry in zip(names, mivas, strict=True) if entry.mask is not None}
            infos = {name: entry.info for name, entry in zip(names, mivas, strict=True)}
            masks = fit_masks(given, infos, tuple(picture.shape[:2]), size, fit)
            fitted, changed = fit_picture(picture, size, fit)
            adapters = model.adapters(mivas)
            # Before the base is brought, since a model that the noise is made with could drive it out again.
            start = None if noise is None else _start(noise, base, size, frames)
            model.bring(comfy_bridge.memory_for_sampling(base, frames, size, 1 + len(masks)), mivas)
            clip = animate(
                base if any(entry.weight for entry in mivas) else base.with_drawn_caption(seed),
                fitted,
                {name: (adapter, entry.weight) for name, adapter, entry in zip(names, adapters, mivas, strict=True)},
                masks=masks,
                spans={name: entry.span for name, entry in zip(names, mivas, strict=True)},
                steps=steps or None,
                seed=seed,
                size=size,
                frames=frames,
                adain=_ADAIN[adain],
                sigmas=sigmas,
                start=start,
                callback=_watcher(base),
            )
        # On the node the first lines are seen.
        odd = [*_weight_notes(names, mivas), *size_notes(size, base.size)]
        heard = odd + [f"The picture was {changed}."] * bool(changed) + heard
        # Never nothing, which would leave what the last run has told on the node.
        heard.append(f"{len(clip.frames)} frames of {told_size(size)}, {clip.fps:g} a second.")
        together = torch.stack(list(clip.masks.values())).amax(0) if clip.masks else torch.zeros(clip.frames.shape[:3])
        return io.NodeOutput(
            comfy_bridge.to_intermediate(clip.frames),
            comfy_bridge.to_intermediate(together),
            float(clip.fps),
            ui=written("\n".join(heard)),
        )


def _check_stack(mivas: MivaStack, model: MivaModel) -> None:
    """What the artist can mend before anything is loaded."""
    if not mivas and model.base.text is None:
        raise MIVAError(
            f"No motion is connected, and the {model.base.name} base has no text encoder to go by: connect Load MIVA "
            "to `mivas`."
        )
    model.check(mivas)
    for entry in mivas:
        if entry.info.config.mask and entry.mask is None:
            raise MIVAError(
                f"{entry.path.stem} is a masked motion without its mask: put Bind Mask to MIVA behind its Load MIVA, "
                "and connect a mask of its subject."
            )


def _start(noise: Any, base: "Base", size: tuple[int, int], frames: int) -> Tensor:
    """Start latents (1, C, F, h, w) of a NOISE.

    Raises:
        MIVAError: it gives others.
    """
    empty = torch.zeros(base.latent_shape(frames, size))
    start = noise.generate_noise({"samples": empty})
    if start.shape != empty.shape:
        raise MIVAError(
            f"The start noise is for another model or size, {tuple(start.shape)} in place of {tuple(empty.shape)}: "
            "connect DCTInit Noise with the same Load MIVA Base, or leave `noise` unconnected."
        )
    return start


def _watcher(base: "Base") -> "Callable[[Progress], None]":
    """Shows progress and, step by step, one frame after the other; stops when the user wants it."""
    previewer = comfy_bridge.latent_previewer(base)
    bar = comfy_bridge.ProgressBar()

    def watch(progress: "Progress") -> None:
        comfy_bridge.check_interrupted()
        length = progress.latents.shape[2]
        frame = round((progress.step - 1) / max(1, progress.steps - 1) * (length - 1))
        preview = previewer(progress.latents, frame) if previewer else None
        bar.update(progress.step, progress.steps, preview)

    return watch


def _weight_notes(names: Sequence[str], mivas: MivaStack) -> list[str]:
    """What is odd about the motions, in words."""
    if not mivas:
        return ["No motion is connected: the base moves as it likes."]
    named = list(zip(names, mivas, strict=True))
    motions = [Motion(name, entry.weight, entry.span) for name, entry in named]
    return weight_notes(motions, [name for name, entry in named if entry.mask is not None])
