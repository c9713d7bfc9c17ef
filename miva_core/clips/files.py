"""Read training clips from a folder: videos, or folders of frames, with masks of their subjects next to them."""

import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..errors import MIVAError, MIVAWarning
from ..media.pictures import (
    crop_to,
    format_size,
    is_black_and_white,
    read_cutout,
    read_mask,
    same_aspect,
    scale_picture,
)
from ..media.pixel_values import to_bytes
from ..media.transparency import is_cut_out, warn_masks_from_opacity, warn_over_white
from ..media.video import FrameCollector, Video, read_video
from ..media.video_decoding import is_animation
from .names import MASK_ENDINGS, VIDEOS, mask_names
from .skipped import describe_skipped, visible_entries
from .stills import PICTURES, frame_files, is_picture
from .training_clip import ClipSpec, TrainingClip, choose_stride, warn_late_subject, warn_unused_masks

_PERHAPS_ANIMATED = (".png", ".avif")
"""Endings of pictures that are animated in some files."""
_NO_CLIPS = dict.fromkeys(PICTURES, "pictures: a clip's frames, or masks, go into a folder of their own")
_NO_FRAMES = dict.fromkeys(VIDEOS, "a video, which is no frame")


FindMasks = Callable[[Tensor], Tensor]
"""Finds masks (K, N, H, W) in [0, 1] of the K subjects of a clip (N, H, W, 3) in [0, 1]."""


def read_clips(
    folder: Path,
    spec: ClipSpec,
    masks: int,
    find_masks: FindMasks | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    elsewhere: Collection[Path] = (),
) -> list[TrainingClip]:
    """Read the clips of a folder, each fitted to the frame of a base.

    Clips are videos, or folders of frames in the order of their names. The masks of `clip.mp4` are the pictures in
    `clip_masks/`, one for each frame, or the video `clip_mask.mp4` with any known ending. They are white where the
    subject is. Those of a second subject are called `clip_beside_masks`. Without such files the opaque part of a clip
    that is transparent in places is its mask, with a warning.

    Args:
        folder: the folder.
        spec: what the base needs.
        masks: number of subjects that every clip must have masks of. With 0, those of one subject are read if all
            clips have them.
        find_masks: makes the masks of clips that have none.
        on_progress: called as (done, total) with numbers of clips; what it raises ends the reading.
        elsewhere: paths in the folder that are no clips and read by themselves, so that no warning names them.

    Raises:
        MIVAError: no such folder, no clips in it, or some that cannot be used; the message names all of these with the
            reason.
    """
    found, others = _clips_in(folder)
    mask_paths = {name: [_masks_of(name, found, ending) for ending in MASK_ENDINGS] for name in map(_name, found)}
    taken = {path for paths in mask_paths.values() for path in paths if path}
    sources = [path for path in found if path not in taken]
    if not sources:
        raise MIVAError(f"There are no clips in {folder}, {_describe_contents(others)}.")
    if skipped := describe_skipped([path for path in others if path not in elsewhere], is_clip, _NO_CLIPS):
        warnings.warn(f"Passed over in {folder}, which is read for clips: {skipped}.", MIVAWarning, stacklevel=2)
    read: dict[Path, _ReadClip] = {}
    count, problems = masks or 1, []
    # Clips without files of masks come first: files of masks are read for all clips, or for none.
    for done, path in enumerate(sorted(sources, key=lambda path: mask_paths[_name(path)][0] is not None), 1):
        try:
            read[path] = _read_clip(path, mask_paths[_name(path)][:count], spec, find_masks, masks > 0)
            count = masks or min(count, len(read[path].clip.masks))
        except MIVAError as error:
            problems.append(str(error).removesuffix("."))
        if on_progress:
            on_progress(done, len(sources))
    if problems:
        raise MIVAError(
            f"{len(problems)} of {len(sources)} clips in {folder} cannot be used; remove or mend them: "
            f"{'; '.join(problems)}."
        )
    in_order = {path: read[path] for path in sources}
    if not masks:
        without = [path.name for path, one in in_order.items() if not (one.is_cut_out or mask_paths[_name(path)][0])]
        warn_unused_masks(len(in_order), without)
    _warn_transparent({path.name: one for path, one in in_order.items() if one.is_transparent}, count)
    return [replace(one.clip, masks=one.clip.masks[:count]) for one in in_order.values()]


def _clips_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """The clips and masks in a folder, and all that is neither."""
    if folder.is_file():
        raise MIVAError(f"{folder} is a file: name the folder that holds it and the other clips.")
    if not folder.is_dir():
        raise MIVAError(f"There is no folder {folder} of training clips: check the name.")
    entries = visible_entries(folder)
    found = list(filter(is_clip, entries))
    return found, sorted({*entries} - {*found})


def read_frames(path: Path) -> Tensor:
    """Read the frames of a video as they are coded, or of a folder in the order of their names.

    Args:
        path: the video or folder.

    Returns:
        (F, H, W, 3) float32 in [0, 1].

    Raises:
        MIVAError: there is no such video, or no picture in the folder, or they cannot be read.
    """
    return _read_shot(path, lambda frame: frame).frames


def read_timed_frames(path: Path, transform: Callable[[Tensor], Tensor]) -> tuple[Tensor, float]:
    """Read frames at a constant rate.

    Args:
        path: as for `read_frames`.
        transform: applied to every frame, see `read_video`.

    Returns:
        The frames (F, …) as they were transformed, and how many there are a second, 0 for those of a folder.

    Raises:
        MIVAError: as from `read_frames`.
    """
    video = _read_shot(path, transform)
    return video.at_constant_rate(video.frames), video.fps


def _read_shot(path: Path, transform: Callable[[Tensor], Tensor]) -> Video:
    if path.is_dir() and not frame_files(path):
        raise MIVAError(f"There are no pictures in {path}: name a folder of frames, a video or a picture.")
    video = _read_frames(path, read_cutout, transform)
    if video.opacity is not None:
        warn_over_white(str(path))
    return video


def _describe_contents(entries: list[Path]) -> str:
    """Say what is in a folder without clips, and what to do."""
    if any(map(is_picture, entries)):
        return (
            "but pictures: a motion is filmed over them (--film, or Motion Clips); else put a clip's frames "
            "into a folder of their own"
        )
    skipped = describe_skipped(entries, is_clip, _NO_CLIPS)
    return f"but {skipped}" if skipped else "put videos such as .mp4, .mov or .webm, or folders of frames into it"


def is_clip(path: Path) -> bool:
    """Whether a path is a video or a folder of frames, clips and masks alike."""
    if path.is_dir():
        # A training keeps its pictures in such a folder next to its file.
        return path.suffix != ".training" and _is_of_frames(path)
    ending = path.suffix.lower()
    return ending in VIDEOS or (ending in _PERHAPS_ANIMATED and is_animation(path))


def _is_of_frames(folder: Path) -> bool:
    """Whether the pictures in a folder are frames of one clip, without clips among them.

    A folder that cannot be opened is none; it is named among what is passed over.
    """
    try:
        inside = visible_entries(folder)
    except MIVAError:
        return False
    frames = frame_files(folder)
    videos = [path for path in inside if path.suffix.lower() in VIDEOS]
    return bool(frames) and set(videos) <= set(frames) and not is_animation(frames[0])


def _name(path: Path) -> str:
    """The name of a clip; folders have no ending, even with a dot in their name."""
    return path.name if path.is_dir() else path.stem


def _masks_of(name: str, found: list[Path], ending: str) -> Path | None:
    return next((path for path in found if _name(path).lower() in mask_names(name, ending)), None)


@dataclass(frozen=True)
class _ReadClip:
    """A clip as it was read.

    Attributes:
        clip: the clip.
        is_transparent: whether it is transparent in places.
        is_cut_out: whether its opacity can be a mask.
        is_masked_by_opacity: whether its opacity is its mask.
    """

    clip: TrainingClip
    is_transparent: bool
    is_cut_out: bool
    is_masked_by_opacity: bool


def _read_clip(
    path: Path, mask_paths: list[Path | None], spec: ClipSpec, find_masks: FindMasks | None, must_have_masks: bool
) -> _ReadClip:
    def fit(frame: Tensor) -> Tensor:
        return to_bytes(crop_to(frame, spec.size))

    video = _read_frames(path, read_cutout, fit)
    frames = video.at_constant_rate(video.frames)
    stride = choose_stride(path.name, len(frames), video.fps or spec.fps, spec)
    masks = [None if mask_path is None else _read_masks(mask_path, path, video, fit) for mask_path in mask_paths]
    cut_out = video.opacity is not None and is_cut_out(video.opacity)
    by_opacity = cut_out and bool(mask_paths) and mask_paths[0] is None
    if video.opacity is not None and by_opacity:
        opacity = video.opacity.amax(-1)
        warn_late_subject(path.name, opacity)
        masks[0] = opacity
    if find_masks and any(mask is None for mask in masks):
        found = _find_masks(path, video, find_masks)
        masks = [found[k] if mask is None else mask for k, mask in enumerate(masks)]
    for mask, ending in zip(masks, MASK_ENDINGS, strict=False):
        if mask is None and must_have_masks:
            raise MIVAError(
                f"{path.name} has no masks: put one picture for each of its {len(video.frames)} frames into "
                f"{_name(path)}{ending}s"
            )
    repeated = [video.at_constant_rate(mask) for mask in masks if mask is not None]
    clip = TrainingClip(
        _name(path),
        frames.movedim(-1, 1).contiguous(),
        torch.stack(repeated) if repeated else torch.zeros(0, *frames[..., 0].shape).byte(),
        stride,
    )
    return _ReadClip(clip, video.opacity is not None, cut_out, by_opacity)


def _warn_transparent(clips: dict[str, _ReadClip], masks: int) -> None:
    """Warn of transparent clips, given by name, and of what is made of them."""
    if clips:
        warn_over_white(", ".join(clips))
    by_opacity = [name for name, one in clips.items() if one.is_masked_by_opacity]
    if masks and by_opacity:
        warn_masks_from_opacity(", ".join(by_opacity))


def _read_frames(
    path: Path,
    read_picture: Callable[[Path], tuple[Tensor, Tensor | None]],
    transform: Callable[[Tensor], Tensor],
) -> Video:
    """Read a video, or the pictures in a folder, whose rate is not known (0)."""
    if not path.is_dir():
        return read_video(path, transform)
    frames, files = FrameCollector(transform), frame_files(path)
    if skipped := describe_skipped(sorted({*visible_entries(path)} - {*files}), is_picture, _NO_FRAMES):
        warnings.warn(f"Passed over in {path}, which is read for frames: {skipped}.", MIVAWarning, stacklevel=3)
    for file in files:
        picture, opacity = read_picture(file)
        if frames.size is not None and frames.size != picture.shape[:2]:
            raise MIVAError(
                f"{path.name} changes its size at {file.name} from {format_size(frames.size)} to "
                f"{format_size(picture.shape)}: give all frames one size"
            )
        frames.add(picture, opacity)
    return frames.video(fps=0.0, repeats=None, stored_size=None)


def _read_masks(masks: Path, clip: Path, video: Video, fit: Callable[[Tensor], Tensor]) -> Tensor:
    """Read masks (N, H, W) uint8, one for each frame of a clip as it is coded."""

    def fit_mask(frame: Tensor) -> Tensor:
        # Masks may have been made of the frames as they are stored, whose pixels need not be square.
        is_stored = frame.shape[:2] == video.stored_size
        return fit(scale_picture(frame, video.size) if is_stored else frame)

    read = _read_frames(masks, lambda path: (read_mask(path)[..., None].expand(-1, -1, 3), None), fit_mask)
    if len(read.frames) != len(video.frames):
        raise MIVAError(
            f"{masks.name} holds {len(read.frames)} masks, but {clip.name} has {len(video.frames)} frames: one is "
            "needed for each"
        )
    if read.size != video.stored_size and not same_aspect(video.size, read.size):
        raise MIVAError(
            f"{masks.name} is {format_size(read.size)}, but {clip.name} is {format_size(video.size)}: masks must show "
            "the same part of the picture"
        )
    white = _brightness(masks, read)
    if white.max() <= 127:
        raise MIVAError(f"{masks.name} shows no subject: masks are white where it is")
    warn_late_subject(masks.name, white)
    return white


def _brightness(masks: Path, read: Video) -> Tensor:
    """The brightness of frames, or the opacity if they are cut-outs, (N, H, W) uint8; see `read_mask`."""
    bright = read.frames.amax(-1)
    if read.opacity is None:
        return bright
    opacity = read.opacity.amax(-1)
    if is_black_and_white(read.frames[opacity > 240] / 255):
        # Without the white that they were composited over.
        return (bright.int() + opacity - 255).clamp(0).byte()
    warnings.warn(f"The masks {masks} were taken from their transparency: opaque is the subject.", MIVAWarning, 3)
    return opacity


def _find_masks(path: Path, video: Video, find_masks: FindMasks) -> Tensor:
    """Find masks (K, N, H, W) uint8, one for each frame as it is coded."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", MIVAWarning)
            masks = find_masks(video.frames.float() / 255)
    except MIVAError as error:
        raise MIVAError(f"{path.name}: {error} Or put masks into {_name(path)}{MASK_ENDINGS[0]}s") from error
    if not masks.flatten(1).any(1).all():
        raise MIVAError(f"{path.name}: the mask found in it is empty. Put masks into {_name(path)}{MASK_ENDINGS[0]}s")
    for warning in caught:
        warnings.warn(f"{path.name}: {warning.message}", warning.category, stacklevel=2)
    return to_bytes(masks)
