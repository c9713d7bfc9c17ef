"""Check files that people name, and write files and folders completely or not at all."""

import hashlib
import math
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import MIVAError
from .identify import identify_file

# How files begin, the most specific first; the names complete "it looks like …".
_BEGINNINGS = (
    (rb"\x89PNG\r\n", "a PNG picture"),
    (rb"\xff\xd8\xff", "a JPEG picture"),
    (rb"GIF8", "a GIF picture"),
    (rb"BM.{4}\0\0\0\0", "a BMP picture"),
    (rb"RIFF....WEBP", "a WebP picture"),
    (rb"II[*+]\0|MM\0[*+]", "a TIFF picture"),
    (rb"....ftyp(avif|avis)", "an AVIF picture"),
    (rb"....ftyp(hei[cfx]|hevc|mif1)", "a HEIF picture"),
    # The four bytes in front are a size, not text.
    (rb"[\0-\x1f]...(ftyp|moov|mdat|wide)|\x1aE\xdf\xa3|RIFF....AVI |FLV\1|OggS|\0\0\1[\xba\xb3]", "a video"),
    (rb"%PDF", "a PDF document"),
    (rb"\s*(<\?xml[^>]*>\s*)?<svg", "an SVG drawing"),
)


def require_file(path: str | Path, kind: str) -> Path:
    """Check that a file is there and has content.

    Args:
        path: what the user named.
        kind: what it should be, for the message: "picture", "video".

    Returns:
        The path.

    Raises:
        MIVAError: no such file, a folder, unreadable, or empty.
    """
    path = Path(path)
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise MIVAError(f"{path} is neither a file nor a folder: name a {kind}.")
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError:
        raise MIVAError(f"There is no {kind} {path}: check the name and the folder.") from None
    except OSError as error:
        # Windows reports a folder as a missing permission.
        if os.path.isdir(path):
            raise MIVAError(f"{path} is a folder, not a {kind}: name a file in it.") from None
        raise MIVAError(f"The {kind} {path} cannot be opened: {error.strerror}.") from error
    if empty:
        raise MIVAError(f"The {kind} {path} is empty (0 bytes): copy or download it again.")
    return path


def looks_like(path: Path) -> str:
    """Describe a file by its first bytes, in words that complete "it looks like …"."""
    with path.open("rb") as file:
        head = file.read(512)
    for beginning, name in _BEGINNINGS:
        if re.match(beginning, head, re.DOTALL):
            return name
    return identify_file(path)


def check_writable(path: str | Path, extensions: Collection[str]) -> Path:
    """Check that a file can be written, so that hours of work are not lost when it cannot.

    Args:
        path: the file that will be written; one that exists will be replaced.
        extensions: endings that the writer knows, in lower case with the dot.

    Returns:
        The path.

    Raises:
        MIVAError: unknown ending, the folder is missing (it is not created), the path is a folder, or nothing can be
            written there.
    """
    path = Path(path)
    if os.path.isdir(path):
        raise MIVAError(f"{path} is a folder: name a file in it, ending in {_listed(extensions)}.")
    if path.suffix.lower() not in extensions:
        raise MIVAError(f"{path} cannot be written by its ending: name a file ending in {_listed(extensions)}.")
    if not os.path.isdir(path.parent):
        raise MIVAError(f"There is no folder {path.parent} to write {path.name} into: create it first.")
    try:
        # This fails if the name is too long; that there is no such file yet is fine.
        with suppress(FileNotFoundError):
            path.stat()
    except OSError as error:
        raise MIVAError(f"{path} cannot be written: {error.strerror}.") from error
    check_fillable(path.parent)
    return path


def check_fillable(folder: Path) -> None:
    """Check that files can be written into a folder, by writing one.

    Permission bits mean nothing on Windows, and say nothing about read-only disks.

    Raises:
        MIVAError: they cannot.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise MIVAError(f"Nothing can be written into the folder {folder}: {error.strerror}.") from error


def check_new(path: str | Path, extensions: Collection[str]) -> Path:
    """Check that a new file can be written.

    Args:
        path: the file that will be written.
        extensions: as in `check_writable`.

    Returns:
        The path.

    Raises:
        MIVAError: the file exists, or cannot be written, see `check_writable`.
    """
    path = check_writable(path, extensions)
    if path.exists():
        raise MIVAError(f"{path} exists already: name another file, or move it away.")
    return path


def create_folder(folder: Path, parents: bool = False) -> None:
    """Create a folder unless it is there.

    Args:
        folder: the path.
        parents: whether to create missing folders above it too.

    Raises:
        MIVAError: the file system refuses, or a file has that name.
    """
    try:
        folder.mkdir(parents=parents, exist_ok=True)
    except OSError as error:
        raise MIVAError(f"The folder {folder} cannot be made: {error.strerror}.") from error


class FileTakenError(MIVAError):
    """Something appeared where a new file or folder was about to be put; it is left alone."""


@contextmanager
def replacing(path: Path, new: bool = False) -> Iterator[Path]:
    """Write a file by way of a temporary one, which takes its place if the block ends well and is removed otherwise.

    Temporary files of writers that were killed are removed from the folder once they are a day old.

    Args:
        path: the file to write.
        new: whether to refuse to replace a file, even one that has appeared meanwhile.

    Yields:
        The path of the temporary file.

    Raises:
        FileTakenError: there is such a file when the block ends, and `new` is set.
        MIVAError: the file system refuses (full, no permission).
    """
    target = Path(os.path.realpath(path))  # a symbolic link would otherwise be replaced itself
    temporary = _temporary(target, path.suffix)
    try:
        temporary.touch()
        found = temporary.stat()
        # By the clock of the file system, which may differ from ours on a network.
        _sweep(target.parent, before=found.st_mtime - _A_DAY)
        yield temporary
        # Some writers make files that only their owner may read.
        temporary.chmod(found.st_mode)
        if new:
            _put(temporary, target)
        else:
            os.replace(temporary, target)
    except OSError as error:
        raise MIVAError(f"{path} could not be written: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Fill a folder by way of a temporary one, which takes its place if the block ends well and is removed otherwise.

    Args:
        folder: one that does not exist, or is empty.

    Yields:
        The path of the temporary folder.

    Raises:
        FileTakenError: something is in the folder by now; the results are in a folder whose name has a number.
        MIVAError: the file system refuses.
    """
    target = Path(os.path.realpath(folder))
    made = _temporary(target)
    try:
        made.mkdir()
        _sweep(target.parent, before=made.stat().st_mtime - _A_DAY)
        yield made
        _place(made, target)
    except OSError as error:
        raise MIVAError(f"The folder {folder} could not be filled: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def sweep(path: Path) -> None:
    """Remove the temporary files of killed writers of a file, or of all files in a folder.

    Args:
        path: the file or folder; nobody may be writing it.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        _sweep(target)
    else:
        _sweep(target.parent, _mark(target))


_TEMPORARY = re.compile(r"\.miva-[0-9a-f]{8}-[0-9a-f]{16}(\..*)?", re.DOTALL)
"""The whole name of temporary files and folders: people's own names may begin like it."""
_A_DAY = 24 * 3600.0
"""Seconds without a change after which a temporary file is left over from a killed writer."""


def _temporary(target: Path, ending: str = "") -> Path:
    """Make a temporary name in the folder of a target."""
    return target.with_name(f"{_mark(target)}{uuid.uuid4().hex[:16]}{ending}")


def _mark(target: Path) -> str:
    """The beginning of the names of a target's temporary files: a hash, since its own name may be too long."""
    # Names on Windows may hold half a character, which no encoding takes otherwise.
    return f".miva-{hashlib.sha256(target.name.encode(errors='surrogatepass')).hexdigest()[:8]}-"


def _sweep(folder: Path, mark: str = "", before: float = math.inf) -> None:
    """Remove temporary files and folders, as far as the file system allows it.

    Args:
        folder: that they are in.
        mark: the beginning of their names.
        before: time stamp; what has changed since then stays.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(mark) and _TEMPORARY.fullmatch(entry.name):
                with suppress(OSError):
                    if _last_change(entry) >= before:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry)
                    else:
                        os.unlink(entry)


def _last_change(entry: os.DirEntry[str]) -> float:
    """The time of the last change of a file, or of anything in a folder, whose own time ignores what grows in it."""
    inside = (os.path.join(place, name) for place, folders, files in os.walk(entry) for name in (*folders, *files))
    return max(os.lstat(path).st_mtime for path in (entry.path, *inside))


def _place(made: Path, target: Path) -> None:
    """Move a folder to its name, or to one with a number if a folder of that name is not empty."""
    try:
        with suppress(FileNotFoundError):
            target.rmdir()
        made.rename(target)
    except OSError as error:
        if not target.exists():
            raise
        number = 2
        while (other := target.with_name(f"{target.name}_{number}")).exists():
            number += 1
        made.rename(other)
        raise FileTakenError(
            f"{target} was filled meanwhile, and is left alone: the results are in {other}."
        ) from error


def _put(temporary: Path, target: Path) -> None:
    """Move a file to its name unless that is taken, in one step, since another process may take it at any time."""
    try:
        try:
            os.link(temporary, target)
        except FileExistsError:
            raise
        except OSError:
            # A file system without hard links, as on memory cards: take the name first, then replace the empty file.
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            try:
                os.replace(temporary, target)
            except OSError:
                target.unlink()
                raise
    except FileExistsError as error:
        raise FileTakenError(
            f"{target.name} has appeared in {target.parent} meanwhile, and is left alone: name another file."
        ) from error


def _listed(extensions: Collection[str]) -> str:
    *first, last = extensions
    return f"{', '.join(first)} or {last}" if first else last
