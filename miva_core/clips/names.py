"""The names of clips, and of the masks next to them, in a folder."""

from collections.abc import Collection

VIDEOS = (
    *(".mp4", ".mov", ".webm", ".mkv", ".avi", ".m4v", ".mpg", ".mpeg", ".wmv", ".ts", ".flv"),
    *(".3gp", ".ogv", ".mts", ".m2ts", ".gif", ".webp", ".apng"),
)
MASK_ENDINGS = ("_mask", "_beside_mask")
"""What follows the name of a clip in the name of its masks: of its subject, and of a second one."""


def mask_names(clip: str, ending: str) -> set[str]:
    """The names that masks of a clip may have, in lower case.

    Args:
        clip: name of the clip.
        ending: one of `MASK_ENDINGS`.
    """
    return {f"{clip}{ending}".lower(), f"{clip}{ending}s".lower()}


def is_of_masks(name: str, clips: Collection[str]) -> bool:
    """Whether a file or folder of this name holds the masks of one of these clips."""
    return any(name.lower() in mask_names(clip, ending) for clip in clips for ending in MASK_ENDINGS)
