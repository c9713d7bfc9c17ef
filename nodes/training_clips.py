"""What a motion is learnt from: clips filmed over stills, or clips that people have."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from comfy_api.v0_0_2 import InputImpl, io
from torch import Tensor

from ..miva_core.checks import printable
from ..miva_core.clips.camera import CAMERA_MOTIONS, EASINGS, Easing
from ..miva_core.errors import MIVAError
from ..miva_core.media.pixel_values import mask_batch
from . import comfy_bridge
from .comfy_bridge import comfy_folders
from .masks import frames_of, split_opacity
from .messages import collect_warnings, friendly_errors, node_text
from .sockets import Dataset, DatasetSocket, ModelSocket
from .stacks import stamp_of

if TYPE_CHECKING:
    from ..miva_core.bases.base import Base
    from ..miva_core.clips.training_clip import ClipSpec, TrainingClip

FOLDER, CONNECTED = "folder", "connected"
_FEW, _FEW_STILLS = 3, 8
_STILLS = "miva_stills"
"""The folder of the example workflows."""


class MIVACameraClips(io.ComfyNode):
    """Camera clips (D.2) as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIVACameraClips",
            display_name="Camera Clips",
            category="MIVA/training",
            description="Films stills: five clips of a camera motion from each, by which Train MIVA learns that "
            "motion. About twenty stills are enough; their content does not matter, sharpness and variety do.",
            search_aliases=["camera motion", "ken burns", "pan zoom clips", "training data", "film stills"],
            is_input_list=True,
            inputs=[
                ModelSocket.Input("model", tooltip="The base that will learn: the clips get its size and length."),
                io.DynamicCombo.Input(
                    "stills",
                    options=[
                        io.DynamicCombo.Option(
                            FOLDER, [_folder("A folder of pictures in ComfyUI's input folder.", _STILLS)]
                        ),
                        io.DynamicCombo.Option(
                            CONNECTED, [io.Image.Input("images", tooltip="Pictures, as a batch or a list.")]
                        ),
                    ],
                    tooltip="Where the stills come from.",
                ),
                io.Combo.Input(
                    "motion",
                    options=list(CAMERA_MOTIONS),
                    tooltip="How the camera moves; what is seen moves the other way.",
                ),
                io.Float.Input(
                    "speed",
                    default=1.0,
                    min=0.1,
                    max=10.0,
                    step=0.1,
                    tooltip="1 is normal, 0.5 slow, 2 fast. At 1 a pan moves by a 64th of the frame's width in a "
                    "frame, a zoom by 2.4 % of size, a roll by 1.5 degrees.",
                ),
                io.Combo.Input(
                    "easing", options=list(EASINGS), tooltip="Whether the camera starts or stops gently.", advanced=True
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0x7FFFFFFF,
                    control_after_generate=False,
                    tooltip="Which parts of the stills are filmed.",
                    advanced=True,
                ),
                io.Boolean.Input(
                    "vary_speed",
                    default=False,
                    optional=True,
                    tooltip="Film from a quarter to five quarters of the speed, from which Train MIVA learns a degree.",
                ),
            ],
            outputs=[
                DatasetSocket.Output("dataset", tooltip="For Train MIVA."),
                io.Image.Output("preview", tooltip="The first clip, to be looked at."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, stills: Any = None, **rest: Any) -> Any:
        return _contents(stills)

    @classmethod
    @friendly_errors
    def execute(
        cls,
        model: list[Any],
        stills: Mapping[str, list[Any]],
        motion: list[str],
        speed: list[float],
        easing: list[Easing],
        seed: list[int],
        vary_speed: Sequence[bool] = (False,),
    ) -> io.NodeOutput:
        from ..miva_core.clips.camera_clips import PACES, Shooting
        from ..miva_core.clips.stills import read_stills
        from ..miva_core.training.training_set import film_clips

        base = model[0].base
        shooting = Shooting(motion[0], base.size, base.frames, speed=speed[0], easing=easing[0])
        if vary_speed[0]:
            shooting = replace(shooting, paces=PACES)
        with collect_warnings() as warned:
            if stills["stills"][0] == FOLDER:
                pictures = read_stills(_chosen_folder(stills["folder"][0]), shooting.needed_side)
            else:
                named = [(f"batch {k} of stills", batch) for k, batch in enumerate(stills["images"], start=1)]
                batches = [_of_stills(name, batch) for name, batch in named]
                pictures = [(f"still {k + 1}", one) for k, one in enumerate(one for batch in batches for one in batch)]
            clips, source = film_clips(pictures, shooting, seed[0], comfy_bridge.progress_callback())
        if len(pictures) < _FEW_STILLS:
            warned.append(f"{len(pictures)} still{'s' * (len(pictures) > 1)}: about twenty are better.")
        return _output(Dataset(clips, base.name, motion[0], False, source), warned)


class MIVADataset(io.ComfyNode):
    """Clips of a motion as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIVADataset",
            display_name="MIVA Dataset",
            category="MIVA/training",
            description="About ten clips of one motion, by which Train MIVA learns it, each at least as long as the "
            "base's (16 frames, Wan 17); they are cropped to its size. Folders hold videos, or folders of frames; for "
            "a masked motion the masks of clip.mp4 are pictures in clip_masks, or clip_mask.mp4, or else its alpha "
            "channel.",
            search_aliases=["training clips", "video dataset", "load clips", "training data"],
            is_input_list=True,
            inputs=[
                ModelSocket.Input("model", tooltip="The base that will learn: the clips are fitted to its size."),
                io.DynamicCombo.Input(
                    "clips",
                    options=[
                        io.DynamicCombo.Option(FOLDER, [_folder("A folder of clips in ComfyUI's input folder.")]),
                        io.DynamicCombo.Option(CONNECTED, _connected()),
                    ],
                    tooltip="Where the clips come from.",
                ),
                io.Boolean.Input(
                    "words",
                    optional=True,
                    default=False,
                    tooltip="Learn several motions in one file, each by its words, with the built-in base: those of "
                    "clip.mp4 are in clip.txt, or else the name of the sub-folder that it is in.",
                ),
            ],
            outputs=[
                DatasetSocket.Output("dataset", tooltip="For Train MIVA."),
                io.Image.Output("preview", tooltip="The first clip at the size of the base, to be looked at."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, clips: Any = None, **rest: Any) -> Any:
        return _contents(clips)

    @classmethod
    @friendly_errors
    def execute(
        cls, model: list[Any], clips: Mapping[str, list[Any]], words: Sequence[bool] = (False,)
    ) -> io.NodeOutput:
        base = model[0].base
        with collect_warnings() as warned:
            if clips["clips"][0] == FOLDER:
                folder = _chosen_folder(clips["folder"][0])
                found = _clips_in(folder, base, words[0])
                camera = any(folder.glob("**/*_flow.json" if words[0] else "*_flow.json"))
            elif words[0]:
                raise MIVAError("Words are read from files: choose a folder of clips, or switch `words` off.")
            else:
                found, camera = _connected_clips(base, clips), False
        if len(found) < _FEW:
            warned.append("So few are learnt by heart rather than as a motion: about ten are better.")
        masked = all(len(clip.masks) for clip in found)
        source = {"names": ", ".join(printable(clip.name) for clip in found)}
        return _output(Dataset(found, base.name, "camera" * camera, masked, source), warned)


def _clips_in(folder: Path, base: "Base", words: bool) -> "list[TrainingClip]":
    from ..miva_core.clips.files import read_clips
    from ..miva_core.clips.worded import read_worded_clips
    from ..miva_core.training.training_set import encode_words

    read = read_worded_clips if words else read_clips
    found = read(folder, _clip_spec(base), 0, on_progress=comfy_bridge.progress_callback())
    for clip in found if words else ():
        # What the base does not know is said here, and not when it is to learn.
        encode_words(base, clip)
    return found


def _folder(tooltip: str, preferred: str = "") -> io.Input:
    folders = comfy_folders.input_folders()
    default = preferred if preferred in folders else None
    return io.Combo.Input("folder", options=folders, default=default, tooltip=tooltip)


def _connected() -> list[io.Input]:
    return [
        io.MultiType.Input(
            "videos",
            [io.Image, io.Video],
            tooltip="Clips: videos, or batches of frames, each one clip. For several connect a list, as from Load "
            "Video (from Folder).",
        ),
        io.Float.Input(
            "fps",
            default=0.0,
            min=0.0,
            max=240.0,
            step=0.5,
            tooltip="Frames a second of batches of frames; videos know their own. 0: the base's.",
        ),
        io.Mask.Input(
            "masks", optional=True, tooltip="For masked motions: of each clip a batch of masks, one for each frame."
        ),
    ]


def _connected_clips(base: "Base", clips: Mapping[str, list[Any]]) -> "list[TrainingClip]":
    from ..miva_core.clips.frames import clip_from_frames
    from ..miva_core.clips.training_clip import drop_partial_masks

    videos, masks = clips["videos"], [mask for mask in clips.get("masks") or [] if mask is not None]
    if masks and len(masks) != len(videos):
        raise MIVAError(
            f"{len(videos)} clips are connected, but masks of {len(masks)}: give every clip its batch of masks."
        )
    found = []
    for k, video in enumerate(videos):
        name, mask = f"clip {k + 1}", mask_batch(masks[k], f"The mask of clip {k + 1}") if masks else None
        if isinstance(video, Tensor):
            (images, mask), fps = _of_images(name, video, mask), clips["fps"][0]
        else:
            images, fps, mask = _of_video(name, video, mask)
        found.append(clip_from_frames(name, frames_of(images, name), fps, _clip_spec(base), mask))
    return drop_partial_masks(found)


def _of_stills(name: str, images: Tensor) -> Tensor:
    """Pictures (N, H, W, 3) of an IMAGE, over white."""
    # With masks that are given none are taken from its transparency.
    return frames_of(_of_images(name, images, torch.ones(()).expand(images.shape[:-1]))[0])


def _of_images(name: str, images: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Frames (N, H, W, 1 or 3) of an IMAGE over white, and masks (N, H, W) or None."""
    from ..miva_core.clips.videos import composite_over_white

    colours, opacity = split_opacity(images, name)
    return (colours, mask) if opacity is None else composite_over_white(name, colours, opacity, mask)


def _of_video(name: str, video: Any, mask: Tensor | None) -> tuple[Tensor, float, Tensor | None]:
    """Frames (N, H, W, C), their rate, and masks (N, H, W) or None, of a VIDEO."""
    from ..miva_core.clips.videos import composite_over_white, read_masked_video

    path = _whole_file(video)
    if path:
        return read_masked_video(name, path, mask)
    parts = video.get_components()
    images, opacity = parts.images, getattr(parts, "alpha", None)
    if opacity is not None:
        images, mask = composite_over_white(name, images, opacity, mask)
    return images, float(parts.frame_rate), mask


def _whole_file(video: Any) -> Path | None:
    """The file that a VIDEO is, unless that is a part of one or in memory: ComfyUI takes its rate for even, its pixels
    for square and what VP9 has transparent for opaque."""
    if not isinstance(video, InputImpl.VideoFromFile) or not hasattr(video, "get_active_trim_window"):
        return None
    source = video.get_stream_source()
    return Path(source) if isinstance(source, str) and video.get_active_trim_window() == (0, 0) else None


def _clip_spec(base: "Base") -> "ClipSpec":
    from ..miva_core.clips.training_clip import ClipSpec

    return ClipSpec(base.size, base.frames, base.fps)


def _chosen_folder(name: str) -> Path:
    folder = comfy_folders.input_folder(name)
    if folder is None:
        raise MIVAError(
            f"There is no folder {name!r} in ComfyUI's input folder any more: put it back, or choose another one (R "
            "refreshes menus)."
        )
    return folder


def _contents(chosen: Any) -> Any:
    """What tells a chosen folder's files from what they were."""
    name = chosen.get("folder") if isinstance(chosen, Mapping) else None
    name = name[0] if isinstance(name, list) else name
    folder = comfy_folders.input_folder(name) if isinstance(name, str) else None
    if folder is None:
        return None
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(path.as_posix(), stamp_of(path)) for path in files]


def _output(dataset: Dataset, warned: Sequence[str]) -> io.NodeOutput:
    clips = dataset.clips
    shown = clips[0].frames[:: clips[0].stride].movedim(1, -1).float() / 255
    lines = [f"{len(clips)} clip{'s' * (len(clips) > 1)}{', with masks' * dataset.masked}.", *warned]
    return io.NodeOutput(dataset, comfy_bridge.to_intermediate(shown), ui=node_text("\n".join(lines)))
