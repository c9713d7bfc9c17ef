"""What lies in a folder of stills or clips and is not read: told in a sentence, with the reason and what to do."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from ..checks import printable
from ..errors import MIVAError

_NAMED = 3
"""Files that are named in one list; the rest are counted."""
# Captions, caches and settings, as other trainers keep them beside pictures and clips, and what systems leave behind.
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


def visible(folder: Path) -> list[Path]:
    """What is in a folder, sorted, but for what is hidden.

    Raises:
        MIVAError: the folder cannot be opened.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.name[0] != ".")
    except OSError as error:
        raise MIVAError(f"The folder {folder} cannot be opened: {error.strerror}.") from error


def passed_over(entries: Iterable[Path], wanted: Callable[[Path], bool], reasons: Mapping[str, str]) -> str:
    """Names and counts of what is not read, by reason; empty where there is nothing worth a word.

    Args:
        entries: of a folder, that are not read.
        wanted: whether something in a folder below would be read, were that folder chosen.
        reasons: why files are not read, by their endings in lower case, that would be read elsewhere.
    """
    by_reason: dict[str, list[str]] = {}
    for path in entries:
        reason = _why_folder(path, wanted) if path.is_dir() else _why_file(path, reasons)
        if reason:
            by_reason.setdefault(reason, []).append(printable(path.name))
    return "; ".join(f"{listed(names)} ({reason})" for reason, names in by_reason.items())


def _why_file(path: Path, reasons: Mapping[str, str]) -> str:
    ending = path.suffix.lower()
    if ending in _ROUTINE:
        return ""
    return reasons.get(ending) or _REASONS.get(ending) or "of a kind that is not known here"


def _why_folder(folder: Path, wanted: Callable[[Path], bool]) -> str:
    # A training keeps its pictures in such a folder beside its file.
    if folder.suffix == ".training":
        return ""
    try:
        inside = visible(folder)
    except MIVAError:
        return "a folder that cannot be opened"
    if count := sum(map(wanted, inside)):
        return f"with {count} inside: choose such a folder itself"
    if any(path.is_dir() for path in inside):
        return "a folder of folders: choose the one that holds what is to be read"
    unread = any(path.suffix.lower() not in _ROUTINE for path in inside)
    return "a folder in which nothing can be read" if unread else ""


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - _NAMED
    return f"{', '.join(names[:_NAMED])} and {rest} more" if rest > 0 else ", ".join(names)
