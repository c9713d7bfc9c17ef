"""One training of a file at a time: a lock that the operating system lets go of when the process that holds it ends."""

import os
import platform
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import MIVAError, MIVAWarning
from ..storage.files import create_folder

_LOCK, _HOLDER = "lock", "process.txt"


@contextmanager
def training_lock(folder: Path, target: Path) -> Iterator[None]:
    """Hold the folder of a training, which is made if it is not there, and removed again if nothing was put into it.

    Neither a process that was killed nor one on another computer that was switched off leaves it locked.

    Args:
        folder: of the training.
        target: the file that it makes, for messages.

    Raises:
        MIVAError: another training holds it, in this process or another one; or the folder cannot be made or used.
    """
    from filelock import FileLock, Timeout

    create_folder(folder)
    lock, holder = FileLock(folder / _LOCK, thread_local=False), folder / _HOLDER
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise MIVAError(
            f"{target} is being trained by {_named(holder)}: wait until that is done, stop it, or name another file."
        ) from None
    except (PermissionError, IsADirectoryError) as error:
        raise MIVAError(
            f"{folder / _LOCK} cannot be locked: {error.strerror}. Remove it, if it is in the way."
        ) from error
    except (OSError, NotImplementedError):
        # Network drives exist that know no locks. What is written there is still never replaced.
        warnings.warn(
            MIVAWarning(f"The drive of {folder} knows no locks: take care not to train {target.name} twice at once."),
            stacklevel=2,
        )
    try:
        with suppress(OSError):
            holder.write_text(f"{os.getpid()} on {platform.node()}", encoding="utf-8")
        yield
    finally:
        # Before the lock is let go of: afterwards they may be another training's.
        for path in (holder, folder / _LOCK):
            with suppress(OSError):
                path.unlink()
        lock.release()
        with suppress(OSError):
            folder.rmdir()


def _named(holder: Path) -> str:
    """Who holds a lock, by what it has written of itself."""
    with suppress(OSError, ValueError), holder.open(encoding="utf-8") as file:
        if found := re.fullmatch(r"(\d{1,10}) on ([\w.-]{1,64})", file.read(100)):
            return f"process {found[1]} on {found[2]}"
    return "another process"
