"""Sheets of photographs in motion: five side by side, a row for each time that is shown."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from benchmarks.full_size.sheets import LARGEST, compressed
from benchmarks.looks.photographs import ASPECT, Photographs
from miva_core import Clip

GAP = 2
FONT, FONT_SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.4
WIDEST, NARROWEST = 280, 120
"""Pixels of a frame in a sheet: as wide as the sheet may be large."""

Move = Callable[[str, float, Tensor, Tensor | None, Tensor | None], Clip]
"""From a motion, its speed, a picture, a mask or None and a nearness or None to a clip of sixteen frames."""


@dataclass(frozen=True)
class Group:
    """Motions that are shown on the same photographs.

    Attributes:
        motions: from the name of each to the frames that are shown beside the first, from 0.
        speed: that is asked for.
        shown: names of five photographs, each with the name of what is marked on it, "" for nothing.
        deep: whether nearnesses are shown to them, where there are some.
    """

    motions: Mapping[str, tuple[int, ...]]
    speed: float
    shown: Sequence[tuple[str, str]]
    deep: bool = False


@dataclass(frozen=True)
class Sheet:
    """A picture of some groups.

    Attributes:
        name: of its file, without the suffix.
        groups: from top to bottom.
    """

    name: str
    groups: Sequence[Group]


def write_sheet(sheet: Sheet, move: Move, photographs: Photographs, out: Path) -> None:
    """Write a sheet as large as its bytes allow."""
    rows = [row for group in sheet.groups for row in _rows(group, move, photographs)]
    for width in range(WIDEST, NARROWEST, -20):
        content = compressed(np.vstack([_row(label, frames, width) for label, frames in rows]))
        if len(content) <= LARGEST:
            break
    (out / f"{sheet.name}.jpg").write_bytes(content)
    print(f"{sheet.name}.jpg: {len(content) // 1000} kB, frames {width} wide", flush=True)


def _rows(group: Group, move: Move, photographs: Photographs) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Labels and frames, BGR: the photographs, then each motion at its times."""
    pictures = [photographs.picture(name) for name, _ in group.shown]
    yield "frame 1", [_pixels(picture) for picture in pictures]
    for motion, times in group.motions.items():
        columns = []
        for (name, part), picture in zip(group.shown, pictures, strict=True):
            mask = photographs.mask(name, part) if part else None
            nearness = photographs.nearness(name) if group.deep else None
            clip = move(motion, group.speed, picture, mask, nearness)
            columns.append([_pixels(clip.source.frame(time).pixels) for time in times])
        for time, frames in zip(times, zip(*columns, strict=True), strict=True):
            yield f"{motion.replace('_', ' ')} {group.speed:g}: frame {time + 1}", list(frames)
        print(motion, flush=True)


def _pixels(frame: Tensor) -> np.ndarray:
    """(H, W, 3) uint8 BGR, as wide as it is ever shown."""
    height = round(WIDEST * frame.shape[0] / frame.shape[1])
    small = cv2.resize(frame.numpy(), (WIDEST, height), interpolation=cv2.INTER_AREA)
    return (small[..., ::-1] * 255).round().clip(0, 255).astype(np.uint8)


def _row(label: str, frames: Sequence[np.ndarray], width: int) -> np.ndarray:
    """Frames side by side, all of one size, and what they are."""
    row = np.hstack([_cell(frame, width) for frame in frames])
    (wide, tall), below = cv2.getTextSize(label, FONT, FONT_SIZE, 1)
    row[: tall + below + 4, : wide + 8] = 0
    cv2.putText(row, label, (4, tall + 4), FONT, FONT_SIZE, (255, 255, 255), 1, cv2.LINE_AA)
    return row


def _cell(frame: np.ndarray, width: int) -> np.ndarray:
    """The middle of a frame at the aspect of all, with a gap to the right and below."""
    height = round(width * ASPECT)
    scaled = cv2.resize(frame, (width, round(width * frame.shape[0] / frame.shape[1])), interpolation=cv2.INTER_AREA)
    above = max(0, (len(scaled) - height) // 2)
    cut = scaled[above : above + height]
    return cv2.copyMakeBorder(cut, 0, height - len(cut) + GAP, 0, GAP, cv2.BORDER_CONSTANT, value=(255, 255, 255))
