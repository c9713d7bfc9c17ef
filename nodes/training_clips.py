"""What a motion is learnt from: clips that people have."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_api.v0_0_2 import InputImpl, io
from torch import Tensor

from ..miva_core.checks import printable
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
_FEW = 3


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
                        io.DynamicCombo.Option(FOLDER, [folder_input("A folder of clips in ComfyUI's input folder.")]),
                        io.DynamicCombo.Option(CONNECTED, _connected()),
                    ],
                    tooltip="Where the clips come from.",
                ),
                io.Boolean.Input(
                    "words",
                    optional=True,
                    default=False,
                    tooltip="Learn several motions in one file, each by its words, with the built-in bases: those of "
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
        return contents_of(clips)

    @classmethod
    @friendly_errors
    def execute(
        cls, model: list[Any], clips: Mapping[str, list[Any]], words: Sequence[bool] = (False,)
    ) -> io.NodeOutput:
        base = model[0].base
        with collect_warnings() as warned:
            if clips["clips"][0] == FOLDER:
                folder = chosen_folder(clips["folder"][0])
                found = _clips_in(folder, base, words[0])
                filmed = any(folder.glob("**/*_flow.json" if words[0] else "*_flow.json"))
            elif words[0]:
                raise MIVAError("Words are read from files: choose a folder of clips, or switch `words` off.")
            else:
                found, filmed = _connected_clips(base, clips), False
        if len(found) < _FEW:
            warned.append("So few are learnt by heart rather than as a motion: about ten are better.")
        masked = all(len(clip.masks) for clip in found)
        source = {"names": ", ".join(printable(clip.name) for clip in found)}
        return dataset_output(Dataset(found, base.name, "filmed" * filmed, masked, source), warned)


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


def folder_input(tooltip: str, preferred: str = "") -> io.Input:
    """The menu of the folders in ComfyUI's input folder, with the preferred one chosen if it is there."""
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
            (images, mask), fps = over_white(name, video, mask), clips["fps"][0]
        else:
            images, fps, mask = _of_video(name, video, mask)
        found.append(clip_from_frames(name, frames_of(images, name), fps, _clip_spec(base), mask))
    return drop_partial_masks(found)


def over_white(name: str, images: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
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


def chosen_folder(name: str) -> Path:
    """The folder of a name from the menu.

    Raises:
        MIVAError: it is not there any more.
    """
    folder = comfy_folders.input_folder(name)
    if folder is None:
        raise MIVAError(
            f"There is no folder {name!r} in ComfyUI's input folder any more: put it back, or choose another one (R "
            "refreshes menus)."
        )
    return folder


def contents_of(chosen: Any) -> Any:
    """What tells a chosen folder's files from what they were."""
    name = chosen.get("folder") if isinstance(chosen, Mapping) else None
    name = name[0] if isinstance(name, list) else name
    folder = comfy_folders.input_folder(name) if isinstance(name, str) else None
    if folder is None:
        return None
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(path.as_posix(), stamp_of(path)) for path in files]


def dataset_output(dataset: Dataset, warned: Sequence[str]) -> io.NodeOutput:
    """A dataset, its first clip, and what is said of it."""
    clips = dataset.clips
    shown = clips[0].frames[:: clips[0].stride].movedim(1, -1).float() / 255
    lines = [f"{len(clips)} clip{'s' * (len(clips) > 1)}{', with masks' * dataset.masked}.", *warned]
    return io.NodeOutput(dataset, comfy_bridge.to_intermediate(shown), ui=node_text("\n".join(lines)))
