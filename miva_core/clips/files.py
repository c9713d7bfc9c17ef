"""Training clips as people have them: videos, or folders of frames, with masks of their subject beside them."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..errors import MIVAError, MIVAWarning
from ..media.pictures import (
    fit_picture,
    format_size,
    is_black_and_white,
    read_cutout,
    read_mask,
    same_aspect,
    scale_picture,
)
from ..media.pixel_values import to_bytes
from ..media.transparency import is_cut_out, warn_masks_from_opacity, warn_over_white
from ..media.video import Collected, Video, open_video
from ..media.video_decoding import is_animation
from .names import MASK_ENDINGS, VIDEOS, mask_names
from .passed_over import passed_over, visible
from .stills import PICTURES, frame_files, is_picture

_PACE_SLACK = 1.5
_PERHAPS_ANIMATED = (".png", ".avif")
"""Endings of pictures that are animated in some files."""
_NO_CLIPS = dict.fromkeys(PICTURES, "pictures: a clip's frames, or masks, go into a folder of their own")
_NO_FRAMES = dict.fromkeys(VIDEOS, "a video, which is no frame")


@dataclass(frozen=True)
class TrainingClip:
    """A clip at the size of a base.

    Attributes:
        name: of its file.
        frames: (N, 3, H, W) uint8.
        masks: (K, N, H, W) uint8, of its subject and of one beside it; K is 0 where there are none.
        stride: every how many frames come near the base's rate.
    """

    name: str
    frames: Tensor
    masks: Tensor
    stride: int = 1


@dataclass(frozen=True)
class Wanted:
    """What a base needs of clips: (height, width), number of frames, frames per second."""

    size: tuple[int, int]
    frames: int
    fps: float


FindMasks = Callable[[Tensor], Tensor]
"""From frames (N, H, W, 3) in [0, 1] to masks (K, N, H, W) in [0, 1]."""


def read_clips(
    folder: Path,
    wanted: Wanted,
    masks: int,
    find: FindMasks | None = None,
    tell: Callable[[int, int], None] | None = None,
) -> list[TrainingClip]:
    """The clips of a folder, each fitted to the base's frame.

    Clips are videos, or folders of frames in the order of their names. The masks of `clip.mp4` are the pictures in
    `clip_masks/`, one for each frame, or the video `clip_mask.mp4` of any known ending. They are white where the
    subject is. Those of a second subject are called `clip_beside_masks`. Without such files the mask of a clip that is
    transparent in places is what is opaque of it. A warning names these.

    The stride of a clip comes nearest to the base's rate, but leaves enough frames.

    Args:
        masks: K, how many subjects every clip must have masks of. If 0, those of one are read if all clips have them.
        find: makes the masks of clips that have none.
        tell: called as (done, total) with numbers of clips; what it raises ends the work.

    Raises:
        MIVAError: no such folder, no clips in it, or some that cannot be used; all of them are named, each with the
            reason.
    """
    if folder.is_file():
        raise MIVAError(f"{folder} is a file: name the folder that holds it and the other clips.")
    if not folder.is_dir():
        raise MIVAError(f"There is no folder {folder} of training clips: check the name.")
    entries = visible(folder)
    found = list(filter(_is_clip, entries))
    others = sorted({*entries} - {*found})
    beside = {name: [_masks_of(name, found, ending) for ending in MASK_ENDINGS] for name in map(_name, found)}
    taken = {path for paths in beside.values() for path in paths if path}
    sources = [path for path in found if path not in taken]
    if not sources:
        raise MIVAError(f"There are no clips in {folder}, {_what_instead(others)}.")
    if rest := passed_over(others, _is_clip, _NO_CLIPS):
        warnings.warn(f"Passed over in {folder}, which is read for clips: {rest}.", MIVAWarning, stacklevel=2)
    read: dict[Path, _ReadClip] = {}
    count, problems = masks or 1, []
    # Those without files of masks come first: all files are read, or none.
    for done, path in enumerate(sorted(sources, key=lambda path: beside[_name(path)][0] is not None), 1):
        try:
            read[path] = _read(path, beside[_name(path)][:count], wanted, find, masks > 0)
            count = masks or min(count, len(read[path].clip.masks))
        except MIVAError as error:
            problems.append(str(error).removesuffix("."))
        if tell:
            tell(done, len(sources))
    if problems:
        raise MIVAError(
            f"{len(problems)} of {len(sources)} clips in {folder} cannot be used; remove or mend them: "
            f"{'; '.join(problems)}."
        )
    in_order = {path: read[path] for path in sources}
    if not masks:
        without = [path.name for path, one in in_order.items() if not (one.is_cut_out or beside[_name(path)][0])]
        _warn_left_out(len(in_order), without)
    _warn_transparent({path.name: one for path, one in in_order.items() if one.is_transparent}, count)
    return [replace(one.clip, masks=one.clip.masks[:count]) for one in in_order.values()]


def equally_masked(clips: list[TrainingClip]) -> list[TrainingClip]:
    """The clips, without masks if some have none; a warning names these."""
    without = [clip.name for clip in clips if not len(clip.masks)]
    _warn_left_out(len(clips), without)
    return [replace(clip, masks=clip.masks[:0]) for clip in clips] if without else clips


def _warn_left_out(clips: int, without: list[str]) -> None:
    """Tell of masks that are not used since some of so many clips, by name, have none."""
    if 0 < len(without) < clips:
        text = (
            f"{clips - len(without)} of {clips} clips have masks, which are not used, since these have none: "
            f"{', '.join(without)}."
        )
        warnings.warn(text, MIVAWarning, stacklevel=3)


def stride_of(name: str, frames: int, fps: float, wanted: Wanted) -> int:
    """Every how many of a clip's frames come nearest to the base's rate and leave enough of them; warns where that is
    far from its pace.

    Raises:
        MIVAError: it is too short.
    """
    if frames < wanted.frames:
        raise MIVAError(f"{name} has {frames} frames, but {wanted.frames} are needed")
    stride = min(max(1, round(fps / wanted.fps)), (frames - 1) // (wanted.frames - 1))
    pace = wanted.fps * stride / fps
    if not 1 / _PACE_SLACK <= pace <= _PACE_SLACK:
        told = f"{pace:.1f} times as fast" if pace > 1 else f"{1 / pace:.1f} times as slow"
        text = (
            f"{name} has {frames} frames at {fps:g} a second: at the base's {wanted.fps:g} its motion is learnt {told}."
        )
        warnings.warn(text, MIVAWarning, stacklevel=3)
    return stride


def warn_absent(name: str, masks: Tensor) -> None:
    """Tell of masks (N, H, W) of uint8, of which some are white somewhere, that the first ones are black."""
    seen = (masks > 127).flatten(1).any(1)
    if not seen[0]:
        text = (
            f"The subject of {name} is seen from frame {int(seen.int().argmax()) + 1} on only: a masked motion learns "
            "little from frames without it; cut them off."
        )
        warnings.warn(text, MIVAWarning, stacklevel=3)


def read_frames(path: Path) -> Tensor:
    """The frames (F, H, W, 3) in [0, 1] of a video as they are coded, or of a folder in the order of their names.

    Raises:
        MIVAError: there is no such video, or no picture in the folder, or they cannot be read.
    """
    if path.is_dir() and not frame_files(path):
        raise MIVAError(f"There are no pictures in {path}: name a folder of frames, a video or a picture.")
    video = _frames(path, read_cutout, lambda frame: frame)
    if video.opacity is not None:
        warn_over_white(str(path))
    return video.frames


def _what_instead(entries: list[Path]) -> str:
    """What is in a folder without clips, and what to do."""
    if any(map(is_picture, entries)):
        return (
            "but pictures: a camera motion is filmed over them (--camera, or Camera Clips); else put a clip's frames "
            "into a folder of their own"
        )
    rest = passed_over(entries, _is_clip, _NO_CLIPS)
    return f"but {rest}" if rest else "put videos such as .mp4, .mov or .webm, or folders of frames into it"


def _is_clip(path: Path) -> bool:
    if path.is_dir():
        # A training keeps its pictures in such a folder beside its file.
        return path.suffix != ".training" and _is_of_frames(path)
    ending = path.suffix.lower()
    return ending in VIDEOS or (ending in _PERHAPS_ANIMATED and is_animation(path))


def _is_of_frames(folder: Path) -> bool:
    """Whether the pictures in a folder are frames of one clip, and no clips themselves lie among them; not if it cannot
    be opened, which is told when it is passed over."""
    try:
        inside = visible(folder)
    except MIVAError:
        return False
    frames = frame_files(folder)
    videos = [path for path in inside if path.suffix.lower() in VIDEOS]
    return bool(frames) and set(videos) <= set(frames) and not is_animation(frames[0])


def _name(path: Path) -> str:
    """Of a clip; folders have no ending, even with a dot in their name."""
    return path.name if path.is_dir() else path.stem


def _masks_of(name: str, found: list[Path], ending: str) -> Path | None:
    return next((path for path in found if _name(path).lower() in mask_names(name, ending)), None)


@dataclass(frozen=True)
class _ReadClip:
    """A clip, whether it is transparent in places, and whether what is opaque of it can be, and is, its mask."""

    clip: TrainingClip
    is_transparent: bool
    is_cut_out: bool
    is_masked_by_opacity: bool


def _read(
    path: Path, masks: list[Path | None], wanted: Wanted, find: FindMasks | None, must_have_masks: bool
) -> _ReadClip:
    def fit(frame: Tensor) -> Tensor:
        return to_bytes(fit_picture(frame, wanted.size)[0])

    video = _frames(path, read_cutout, fit)
    frames = video.even(video.frames)
    stride = stride_of(path.name, len(frames), video.fps or wanted.fps, wanted)
    covered = [None if source is None else _read_masks(source, path, video, fit) for source in masks]
    cut_out = video.opacity is not None and is_cut_out(video.opacity)
    by_opacity = cut_out and bool(masks) and masks[0] is None
    if video.opacity is not None and by_opacity:
        covered[0] = video.opacity.amax(-1)
        warn_absent(path.name, covered[0])
    if find and any(one is None for one in covered):
        found = _find_masks(path, video, find)
        covered = [found[k] if one is None else one for k, one in enumerate(covered)]
    for one, ending in zip(covered, MASK_ENDINGS, strict=False):
        if one is None and must_have_masks:
            raise MIVAError(
                f"{path.name} has no masks: put one picture for each of its {len(video.frames)} frames into "
                f"{_name(path)}{ending}s"
            )
    shown = [video.even(one) for one in covered if one is not None]
    clip = TrainingClip(
        _name(path),
        frames.movedim(-1, 1).contiguous(),
        torch.stack(shown) if shown else torch.zeros(0, *frames[..., 0].shape).byte(),
        stride,
    )
    return _ReadClip(clip, video.opacity is not None, cut_out, by_opacity)


def _warn_transparent(clips: dict[str, _ReadClip], masks: int) -> None:
    """Tell of transparent clips, by name, what is made of them."""
    if clips:
        warn_over_white(", ".join(clips))
    by_opacity = [name for name, one in clips.items() if one.is_masked_by_opacity]
    if masks and by_opacity:
        warn_masks_from_opacity(", ".join(by_opacity))


def _frames(path: Path, read: Callable[[Path], tuple[Tensor, Tensor | None]], fit: Callable[[Tensor], Tensor]) -> Video:
    """A video, or the pictures in a folder, whose rate (0) is not known."""
    if not path.is_dir():
        return open_video(path, fit)
    collected, files = Collected(fit), frame_files(path)
    if rest := passed_over(sorted({*visible(path)} - {*files}), is_picture, _NO_FRAMES):
        warnings.warn(f"Passed over in {path}, which is read for frames: {rest}.", MIVAWarning, stacklevel=3)
    for file in files:
        picture, opacity = read(file)
        if collected.size not in (None, picture.shape[:2]):
            raise MIVAError(
                f"{path.name} changes its size at {file.name} from {format_size(collected.size)} to "
                f"{format_size(picture.shape)}: give all frames one size"
            )
        collected.add(picture, opacity)
    return collected.video(0.0, None, collected.size)


def _read_masks(masks: Path, clip: Path, video: Video, fit: Callable[[Tensor], Tensor]) -> Tensor:
    """(N, H, W) uint8, one for each frame of a clip as it is coded."""

    def fit_mask(frame: Tensor) -> Tensor:
        # Masks may have been made of the frames as they are stored, whose pixels need not be square.
        is_stored = frame.shape[:2] == video.stored_size
        return fit(scale_picture(frame, video.size) if is_stored else frame)

    read = _frames(masks, lambda path: (read_mask(path)[..., None].expand(-1, -1, 3), None), fit_mask)
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
    white = _white_of(masks, read)
    if white.max() <= 127:
        raise MIVAError(f"{masks.name} shows no subject: masks are white where it is")
    warn_absent(masks.name, white)
    return white


def _white_of(masks: Path, read: Video) -> Tensor:
    """(N, H, W) uint8, how white a video's frames are, or if they are cut-outs how opaque; see `read_mask`."""
    bright = read.frames.amax(-1)
    if read.opacity is None:
        return bright
    opacity = read.opacity.amax(-1)
    if is_black_and_white(read.frames[opacity > 240] / 255):
        # Without the white that they lie over.
        return (bright.int() + opacity - 255).clamp(0).byte()
    warnings.warn(f"The masks {masks} were taken from their transparency: opaque is the subject.", MIVAWarning, 3)
    return opacity


def _find_masks(path: Path, video: Video, find: FindMasks) -> Tensor:
    """(K, N, H, W) uint8, one for each frame as it is coded."""
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", MIVAWarning)
            masks = find(video.frames.float() / 255)
    except MIVAError as error:
        raise MIVAError(f"{path.name}: {error} Or put masks into {_name(path)}{MASK_ENDINGS[0]}s") from error
    if not masks.flatten(1).any(1).all():
        raise MIVAError(f"{path.name}: the mask found in it is empty. Put masks into {_name(path)}{MASK_ENDINGS[0]}s")
    for warning in told:
        warnings.warn(f"{path.name}: {warning.message}", warning.category, stacklevel=2)
    return to_bytes(masks)
