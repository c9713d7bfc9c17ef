"""How clips, and the masks beside them, are called in a folder."""

from collections.abc import Collection

VIDEOS = (
    *(".mp4", ".mov", ".webm", ".mkv", ".avi", ".m4v", ".mpg", ".mpeg", ".wmv", ".ts", ".flv"),
    *(".3gp", ".ogv", ".mts", ".m2ts", ".gif", ".webp", ".apng"),
)
MASK_ENDINGS = ("_mask", "_beside_mask")
"""Behind the name of a clip: of its subject's masks, and of those of a second one beside it."""


def mask_names(clip: str, ending: str) -> set[str]:
    """What masks of a clip may be called, in lower case."""
    return {f"{clip}{ending}".lower(), f"{clip}{ending}s".lower()}


def is_of_masks(name: str, clips: Collection[str]) -> bool:
    """Whether something of this name holds the masks of one of these clips."""
    return any(name.lower() in mask_names(clip, ending) for clip in clips for ending in MASK_ENDINGS)
