"""Training clips as people have them: videos, or folders of frames, with masks of their subject beside them."""

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from .clip_names import MASK_ENDINGS, VIDEOS, mask_names
from .errors import MIVAError, MIVAWarning
from .pictures import fit_picture, read_mask, read_picture, same_aspect, told_size
from .pixel_values import to_bytes
from .stills import PICTURES
from .video import Video, open_video

_PACE_SLACK = 1.5


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
    subject is. Those of a second subject are called `clip_beside_masks`.

    The stride of a clip comes nearest to the base's rate, but leaves enough frames.

    Args:
        masks: K, how many subjects every clip must have masks of. If 0, those of one are read if all clips have them.
        find: makes the masks of clips that have none beside them.
        tell: called as (done, total) with numbers of clips; what it raises ends the work.

    Raises:
        MIVAError: no such folder, no clips in it, or some that cannot be used; all of them are named, each with the
            reason.
    """
    if folder.is_file():
        raise MIVAError(f"{folder} is a file: name the folder that holds it and the other clips.")
    if not folder.is_dir():
        raise MIVAError(f"There is no folder {folder} of training clips: check the name.")
    entries = sorted(path for path in folder.iterdir() if path.name[0] != ".")
    found = [path for path in entries if _is_clip(path)]
    beside = {name: [_masks_of(name, found, ending) for ending in MASK_ENDINGS] for name in map(_name, found)}
    taken = {path for paths in beside.values() for path in paths if path}
    sources = [path for path in found if path not in taken]
    if not sources:
        told = (
            "but pictures: a camera motion is filmed over them (--camera, or Camera Clips); else put a clip's frames "
            "into a folder of their own"
        )
        if not any(path.suffix.lower() in PICTURES for path in entries):
            told = f"put videos ({', '.join(VIDEOS)}) or folders of frames into it"
        raise MIVAError(f"There are no clips in {folder}, {told}.")
    without = [path.name for path in sources if not beside[_name(path)][0]]
    if not masks and 0 < len(without) < len(sources):
        text = (
            f"{len(sources) - len(without)} of {len(sources)} clips have masks, which are not used, since these have "
            f"none: {', '.join(without)}."
        )
        warnings.warn(text, MIVAWarning, stacklevel=2)
    count = masks or int(not without)
    clips, problems = [], []
    for done, path in enumerate(sources, 1):
        try:
            clips.append(_read(path, beside[_name(path)][:count], wanted, find))
        except MIVAError as error:
            problems.append(str(error).removesuffix("."))
        if tell:
            tell(done, len(sources))
    if problems:
        raise MIVAError(
            f"{len(problems)} of {len(sources)} clips in {folder} cannot be used; remove or mend them: "
            f"{'; '.join(problems)}."
        )
    return clips


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
    if path.is_dir() and not _pictures(path):
        raise MIVAError(f"There are no pictures in {path}: name a folder of frames, a video or a picture.")
    return _frames(path, read_picture, lambda frame: frame).frames


def _is_clip(path: Path) -> bool:
    if path.is_dir():
        # A training keeps its pictures in such a folder beside its file.
        return path.suffix != ".training" and _pictures(path) != []
    return path.suffix.lower() in VIDEOS


def _name(path: Path) -> str:
    """Of a clip; folders have no ending, even with a dot in their name."""
    return path.name if path.is_dir() else path.stem


def _masks_of(name: str, found: list[Path], ending: str) -> Path | None:
    return next((path for path in found if _name(path).lower() in mask_names(name, ending)), None)


def _read(path: Path, masks: list[Path | None], wanted: Wanted, find: FindMasks | None) -> TrainingClip:
    sizes: list[tuple[int, int]] = []

    def fit(frame: Tensor) -> Tensor:
        sizes.append(tuple(frame.shape[:2]))
        return to_bytes(fit_picture(frame, wanted.size)[0])

    video = _frames(path, read_picture, fit)
    for source, ending in zip(masks, MASK_ENDINGS, strict=False):
        if source is None and find is None:
            raise MIVAError(
                f"{path.name} has no masks: put one picture for each of its {len(video.frames)} frames into "
                f"{_name(path)}{ending}s"
            )
    frames = video.even()
    stride = stride_of(path.name, len(frames), video.fps or wanted.fps, wanted)
    found = _find_masks(path, video, find) if find and None in masks else None
    covered = [
        _read_masks(source, path, video, sizes[0], fit) if source else found[k] for k, source in enumerate(masks)
    ]
    return TrainingClip(
        _name(path),
        frames.movedim(-1, 1).contiguous(),
        torch.stack(covered) if covered else torch.zeros(0, *frames[..., 0].shape).byte(),
        stride,
    )


def _frames(path: Path, read: Callable[[Path], Tensor], fit: Callable[[Tensor], Tensor]) -> Video:
    """A video, or the pictures in a folder, whose rate (0) is not known."""
    if not path.is_dir():
        return open_video(path, fit)
    fitted, size = [], None
    for file in _pictures(path):
        picture = read(file)
        size = size or tuple(picture.shape[:2])
        if picture.shape[:2] != size:
            raise MIVAError(
                f"{path.name} changes its size at {file.name} from {told_size(size)} to {told_size(picture.shape)}: "
                "give all frames one size"
            )
        fitted.append(fit(picture))
    return Video(torch.stack(fitted), 0.0, None)


def _read_masks(
    masks: Path, clip: Path, video: Video, size: tuple[int, int], fit: Callable[[Tensor], Tensor]
) -> Tensor:
    """(N, H, W) uint8, as evenly as the clip's frames are shown."""
    found: list[tuple[int, int]] = []

    def fit_mask(frame: Tensor) -> Tensor:
        found.append(tuple(frame.shape[:2]))
        return fit(frame)

    read = _frames(masks, lambda path: read_mask(path)[..., None].expand(-1, -1, 3), fit_mask)
    if len(read.frames) != len(video.frames):
        raise MIVAError(
            f"{masks.name} holds {len(read.frames)} masks, but {clip.name} has {len(video.frames)} frames: one is "
            "needed for each"
        )
    if not same_aspect(size, found[0]):
        raise MIVAError(
            f"{masks.name} is {told_size(found[0])}, but {clip.name} is {told_size(size)}: masks must show the same "
            "part of the picture"
        )
    if read.frames.max() <= 127:
        raise MIVAError(f"{masks.name} shows no subject: masks are white where it is")
    warn_absent(masks.name, read.frames.amax(-1))
    return replace(read, repeats=video.repeats).even().amax(-1)


def _find_masks(path: Path, video: Video, find: FindMasks) -> Tensor:
    """(K, N, H, W) uint8, as evenly as the clip's frames are shown."""
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
    shown = [replace(video, frames=to_bytes(of_subject)).even() for of_subject in masks]
    return torch.stack(shown)


def _pictures(folder: Path) -> list[Path]:
    """The pictures in a folder; 2.png comes before 10.png."""

    def by_number(path: Path) -> list[tuple[int, str]]:
        return [(int(p), "") if p.isdecimal() else (-1, p) for p in re.split(r"(\d+)", path.name.lower())]

    found = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES and path.name[0] != "."]
    return sorted(found, key=by_number)
