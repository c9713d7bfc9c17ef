"""What lies in a folder of stills or clips and is not read: named with the reason and what to do."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from ..checks import printable
from ..errors import MIVAError

_LISTED = 3
"""Number of names in a list; the rest are counted."""
# Captions, caches and settings, as other trainers keep them next to pictures and clips, and what systems leave behind.
_ROUTINE = (
    *(".txt", ".caption", ".json", ".jsonl", ".csv", ".npz", ".safetensors", ".toml", ".yaml", ".yml", ".xmp"),
    *(".md", ".html", ".log", ".ini", ".db", ".lnk", ".url"),
)
_REASONS = {
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIF, which cannot be read: convert to JPEG"),
    **dict.fromkeys(
        (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"),
        "camera raw, which cannot be read: export as JPEG",
    ),
    **dict.fromkeys(
        (".psd", ".xcf", ".kra", ".ai", ".eps", ".svg", ".pdf", ".jxl", ".exr", ".dpx", ".dds"),
        "cannot be read: export as PNG or JPEG",
    ),
    **dict.fromkeys((".zip", ".7z", ".rar", ".tar", ".gz"), "packed files: unpack them"),
}


def visible_entries(folder: Path) -> list[Path]:
    """List a folder, sorted, without hidden entries.

    Raises:
        MIVAError: the folder cannot be opened.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.name[0] != ".")
    except OSError as error:
        raise MIVAError(f"The folder {folder} cannot be opened: {error.strerror}.") from error


def describe_skipped(entries: Iterable[Path], is_readable: Callable[[Path], bool], reasons: Mapping[str, str]) -> str:
    """Describe entries of a folder that are not read: names and counts by reason.

    Args:
        entries: the paths that are not read.
        is_readable: whether an entry of a subfolder would be read if that folder were chosen.
        reasons: why files are not read that would be elsewhere, by their ending in lower case.

    Returns:
        The description, empty where nothing is worth mentioning.
    """
    by_reason: dict[str, list[str]] = {}
    for path in entries:
        reason = _why_folder(path, is_readable) if path.is_dir() else _why_file(path, reasons)
        if reason:
            by_reason.setdefault(reason, []).append(printable(path.name))
    return "; ".join(f"{shorten_list(names)} ({reason})" for reason, names in by_reason.items())


def _why_file(path: Path, reasons: Mapping[str, str]) -> str:
    ending = path.suffix.lower()
    if ending in _ROUTINE:
        return ""
    return reasons.get(ending) or _REASONS.get(ending) or "of a kind that is not known here"


def _why_folder(folder: Path, is_readable: Callable[[Path], bool]) -> str:
    # A training keeps its pictures in such a folder next to its file.
    if folder.suffix == ".training":
        return ""
    try:
        inside = visible_entries(folder)
    except MIVAError:
        return "a folder that cannot be opened"
    if count := sum(map(is_readable, inside)):
        return f"with {count} inside: choose such a folder itself"
    if any(path.is_dir() for path in inside):
        return "a folder of folders: choose the one that holds what is to be read"
    unread = any(path.suffix.lower() not in _ROUTINE for path in inside)
    return "a folder in which nothing can be read" if unread else ""


def shorten_list(names: Sequence[str]) -> str:
    """Join names to a list: the first three, and how many more there are."""
    rest = len(names) - _LISTED
    return f"{', '.join(names[:_LISTED])} and {rest} more" if rest > 0 else ", ".join(names)
