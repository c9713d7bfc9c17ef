"""Turn every picture of a folder into a clip, by one process or by all of a launch."""

import argparse
import errno
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import torch
from torch import Tensor
from tqdm import tqdm

from ..checks import printable
from ..clips.skipped import shorten_list, visible_entries
from ..clips.stills import find_stills, is_still, mask_stems
from ..errors import MIVAError, MIVAWarning
from ..media.pictures import read_picture
from ..media.video import check_rate
from ..storage.files import check_fillable, create_folder
from ..text.terminal import PlainStream
from .animator import Animator, Still
from .chosen import device
from .chosen_motions import Chosen, check_chosen_masks, mask_paths, read_masks, read_motions
from .clip_files import ClipFiles
from .file_checks import check_distinct
from .processes import Processes, launched_processes

_FULL = (errno.ENOSPC, errno.EDQUOT)
"""What a full disk answers."""
_NO_MEMORY = "There is not enough memory for it: ask for a smaller --size."


class Job(NamedTuple):
    """A picture, and the clip to make of it."""

    picture: Path
    clip: Path


class Outcome(NamedTuple):
    """What became of a job.

    Attributes:
        picture: the file's name.
        failure: why there is no clip, in a sentence; empty where there is one.
        notes: what is odd about it, in sentences.
    """

    picture: str
    failure: str
    notes: tuple[str, ...]


def animate_folder(options: argparse.Namespace) -> None:
    """Turn every picture of a folder into a clip; those whose clip is there already are left alone.

    What fails is listed at the end, and the exit code is 1 then.

    Args:
        options: of the command `animate`.
    """
    motions = read_motions(options)
    masks = FolderMasks.of(options, motions)
    where = device(options.device)
    saved = masks.names if options.save_masks else []
    with launched_processes(where) as processes:
        jobs = processes.agreed(lambda: find_jobs(options, saved))
        outcomes: list[Outcome] = []
        if jobs:
            run = FolderRun(Animator.load(options, motions, where), masks, options, saved)
            create_folder(options.out)
            try:
                outcomes = processes.gathered(run.do(jobs, processes))
            except KeyboardInterrupt:
                if processes.is_first:
                    print("\nThe same command goes on with what is missing.")
                raise
    if processes.is_first:
        _report(sorted(outcomes), options)


def find_jobs(options: argparse.Namespace, saved: Iterable[str]) -> list[Job]:
    """Find the clips to make: of all pictures in the folder those that are not there.

    Args:
        options: of the command `animate`.
        saved: names of the motions whose masks are saved, too.

    Returns:
        In the order of the pictures' names.

    Raises:
        MIVAError: there are no pictures, or the clips cannot be written.
    """
    ending = f".{options.format}"
    if options.format != "mp4" and _same(options.source, options.out):
        raise MIVAError(
            f"{ending} clips in {options.source} would be taken for pictures the next time: name another folder in "
            "--out, or leave --format out."
        )
    if options.fps:
        check_rate(Path(f"clip{ending}"), options.fps)
    check_fillable(options.out if options.out.exists() else options.out.parent)
    names = clip_names(list(find_stills(options.source)))
    if kept := [name for path, name in names.items() if name != path.stem]:
        print(f"Clips of pictures that differ in their endings alone keep these, as in {kept[0]}{ending}.")
    jobs = [Job(path, options.out / f"{name}{ending}") for path, name in names.items()]
    check_distinct([path for job in jobs for path in ClipFiles(job.clip, saved).paths], [])
    missing = [job for job in jobs if not job.clip.exists()]
    if there := len(jobs) - len(missing):
        print(f"Of {len(jobs)} clips {there} are in {options.out} already, and are not made again.")
    return missing


def clip_names(pictures: Sequence[Path]) -> dict[Path, str]:
    """Name the clips of pictures in a folder: like the picture, with its ending only where two would have one name."""
    counts = Counter(path.stem.casefold() for path in pictures)
    names = {path: path.stem if counts[path.stem.casefold()] == 1 else path.name for path in pictures}
    distinct = len({name.casefold() for name in names.values()}) == len(names)
    return names if distinct else {path: path.name for path in pictures}


@dataclass(frozen=True)
class FolderMasks:
    """The masks for the pictures of a folder, by the name of their motion.

    Attributes:
        shared: (H, W) in [0, 1], those that are for all pictures.
        folders: those with a mask for each picture.
    """

    shared: Mapping[str, Tensor]
    folders: Mapping[str, Path]

    @classmethod
    def of(cls, options: argparse.Namespace, motions: Sequence[Chosen]) -> "FolderMasks":
        """Read the masks for all pictures, and check that each masked motion has something.

        Raises:
            MIVAError: it has not.
        """
        paths = mask_paths(options.mask, motions)
        folders = {name: path for name, path in paths.items() if path.is_dir()}
        shared = read_masks({name: path for name, path in paths.items() if name not in folders})
        # What lies in the folders is checked picture by picture.
        stand_ins = dict.fromkeys(folders, torch.ones(8, 8))
        check_chosen_masks({**shared, **stand_ins}, motions)
        if options.save_masks and not paths:
            raise MIVAError("There are no masks to save: give a motion of a part its --mask.")
        return cls(shared, folders)

    @property
    def names(self) -> list[str]:
        """Of the motions with a mask."""
        return [*self.shared, *self.folders]

    def read(self, picture: Path) -> dict[str, Tensor]:
        """The masks (H, W) in [0, 1] of a picture.

        Raises:
            MIVAError: there is none of its name in a folder, or it cannot be read.
        """
        return {
            **self.shared,
            **read_masks({name: _map_in(path, picture, "mask") for name, path in self.folders.items()}),
        }


def _map_in(folder: Path, picture: Path, kind: Literal["mask", "depth"]) -> Path:
    """The mask, or the depth map, of a picture in a folder, which may be the one that the picture is in."""
    stem = picture.stem.lower()
    names = (stem, *(mask_stems(picture) if kind == "mask" else (f"{stem}_depth",)))
    named = [path for path in visible_entries(folder) if path.stem.lower() in names and is_still(path)]
    found = [path for path in named if not _same(path, picture)]
    if len(found) != 1:
        are = f"are {shorten_list([printable(path.name) for path in found])}" if found else "is none"
        raise MIVAError(
            f"One {'mask' if kind == 'mask' else 'depth map'} of this name is needed in {folder}, but there {are}: "
            f"call it {picture.stem}.png or {picture.stem}_{kind}.png."
        )
    return found[0]


def _same(path: Path, other: Path) -> bool:
    return os.path.realpath(path) == os.path.realpath(other)


@dataclass(frozen=True)
class FolderRun:
    """What all clips of a folder have in common.

    Attributes:
        animator: makes them.
        masks: of their subjects.
        options: of the command `animate`.
        saved: names of the motions whose masks are saved, too.
    """

    animator: Animator
    masks: FolderMasks
    options: argparse.Namespace
    saved: Sequence[str]

    def do(self, jobs: Sequence[Job], processes: Processes) -> list[Outcome]:
        """Do the jobs that are this process's share."""
        outcomes = []
        # The first process, which is as fast as the others, counts for all.
        with tqdm(total=len(jobs), unit="clip", desc="Animating", disable=not processes.is_first) as bar:
            for job in processes.share(jobs):
                # On another machine, or by another command, it may have been made.
                try:
                    if not job.clip.exists():
                        outcomes.append(self._tried(job))
                except OSError as full:
                    why = f"{full.strerror}: make room, and give the same command again. All other pictures wait."
                    outcomes.append(Outcome(printable(job.picture.name), why, ()))
                    break
                bar.update(min(processes.count, len(jobs) - bar.n))
        return outcomes

    def _tried(self, job: Job) -> Outcome:
        """Make a clip, or say why there is none.

        Raises:
            OSError: the disk is full, as it will be for all other clips.
        """
        failure, notes = "", list[str]()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", MIVAWarning)
            try:
                notes = self._made(job)
            except MIVAError as error:
                failure = str(error)
            except OSError as error:
                if error.errno in _FULL:
                    raise
                failure = f"{error.filename or 'A file'} cannot be used: {error.strerror or error}."
            except (MemoryError, torch.cuda.OutOfMemoryError):
                failure = _NO_MEMORY
            except cv2.error as error:
                failure = _NO_MEMORY if error.code == cv2.Error.StsNoMem else f"It cannot be rendered: {error.err}."
            except RuntimeError as error:
                # Torch has no exception of its own for the memory of a CPU.
                if "DefaultCPUAllocator" not in str(error):
                    raise
                failure = _NO_MEMORY
        told = [str(one.message) for one in caught if issubclass(one.category, MIVAWarning)]
        return Outcome(printable(job.picture.name), failure, (*told, *notes))

    def _made(self, job: Job) -> list[str]:
        """Make a clip; what there is to be said about it."""
        still = Still.read(job.picture, self.masks.read(job.picture), self._depth(job.picture), self.options)
        clip = self.animator.clip(still)
        ClipFiles(job.clip, self.saved).write(clip)
        return [*([f"The picture was {clip.fitting}."] if clip.fitting else []), *clip.notes]

    def _depth(self, picture: Path) -> Tensor | None:
        """The depth map of a picture, where some are given."""
        given: Path | None = self.options.depth
        if given is None:
            return None
        return read_picture(_map_in(given, picture, "depth"))


def _report(outcomes: Sequence[Outcome], options: argparse.Namespace) -> None:
    """Say what was made, what is odd about it, and what failed; end with 1 if something did."""
    failed = [outcome for outcome in outcomes if outcome.failure]
    for line in _notes(outcomes):
        print(line)
    made = len(outcomes) - len(failed)
    print(f"Wrote {made} clip{'s' * (made != 1)} into {options.out}.")
    if not failed:
        return
    errors = PlainStream(sys.stderr)
    print(f"Error: {len(failed)} of {len(outcomes)} pictures could not be animated:", file=errors)
    for outcome in failed:
        print(f"  {outcome.picture}: {outcome.failure}", file=errors)
    sys.exit(1)


def _notes(outcomes: Sequence[Outcome]) -> list[str]:
    """What is odd about clips; where it is the same but for numbers, it is said of the first one."""
    alike: dict[str, list[tuple[str, str]]] = {}
    for outcome in outcomes:
        for note in outcome.notes:
            alike.setdefault(re.sub(r"[\d.]+", "", note), []).append((outcome.picture, note))
    return [_note(*told) for told in alike.values()]


def _note(first: tuple[str, str], *others: tuple[str, str]) -> str:
    likewise = f" Likewise {shorten_list([picture for picture, _ in others])}." if others else ""
    return f"{first[0]}: {first[1]}{likewise}"
