"""Clips with words, by which one adapter learns several motions: in sub-folders of that name, or with a text beside."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..checks import printable
from ..errors import MIVAError
from .files import FindMasks, is_clip, read_clips
from .skipped import visible_entries
from .training_clip import ClipSpec, TrainingClip, drop_partial_masks

_LONGEST = 10_000
"""Bytes of a text."""


def read_worded_clips(
    folder: Path,
    spec: ClipSpec,
    masks: int,
    find_masks: FindMasks | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[TrainingClip]:
    """Read the clips of a folder and of its sub-folders, each with its words.

    The words of `clip.mp4` are in `clip.txt`; without that they are the name of the sub-folder that it is in.

    Args:
        folder: the folder.
        spec: what the base needs.
        masks: see `read_clips`.
        find_masks: see `read_clips`.
        on_progress: see `read_clips`; it is called for one folder after the other.

    Raises:
        MIVAError: as from `read_clips`, or clips have no words, or a text cannot be read.
    """
    entries = visible_entries(folder) if folder.is_dir() else []
    groups = [path for path in entries if path.is_dir() and path.suffix != ".training" and not is_clip(path)]
    clips = []
    if not groups or any(map(is_clip, entries)):
        clips += [
            _worded(clip, folder, "") for clip in read_clips(folder, spec, masks, find_masks, on_progress, groups)
        ]
    for group in groups:
        found = read_clips(group, spec, masks, find_masks, on_progress)
        clips += [replace(_worded(clip, group, group.name), name=f"{group.name}/{clip.name}") for clip in found]
    without = [printable(clip.name) for clip in clips if not clip.words]
    if without:
        raise MIVAError(
            f"These clips have no words: {', '.join(without)}. Put a text beside each, clip.txt for clip.mp4, or put "
            "those of one motion into a sub-folder that has its words for a name."
        )
    return clips if masks else drop_partial_masks(clips)


def _worded(clip: TrainingClip, folder: Path, otherwise: str) -> TrainingClip:
    path = folder / f"{clip.name}.txt"
    words = _read(path) if path.is_file() else otherwise.replace("_", " ")
    return replace(clip, words=" ".join(words.split()))


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _LONGEST:
            raise MIVAError(f"{path} is longer than {_LONGEST} bytes: a word or two say which motion a clip shows.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MIVAError(f"{path} cannot be read as a text: save it as UTF-8.") from error
    return printable(" ".join(text.split()))
