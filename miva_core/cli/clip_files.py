"""Write the files of a clip: itself, the masks of its subjects, and a sheet of its frames."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ..animation.clip import Clip
from ..media.contact_sheet import contact_sheet, frames_over_masks, shrink_to_width
from ..media.video import check_length, check_writable, video_writer, write_png
from ..rendering.frame import SceneFrame

_SHEET_FRAMES, _SHEET_COLUMNS, _CELL_WIDTH = 16, 8, 240


class ClipFiles:
    """Where a clip goes, and the masks of its subjects.

    Attributes:
        out: the clip.
        masks: by the name of the motion; empty where they are not to be saved.
    """

    def __init__(self, out: Path, mask_names: Iterable[str]) -> None:
        self.out = out
        self.masks = {name: out.with_stem(f"{out.stem}_{name.replace(' ', '_')}_mask") for name in mask_names}

    @property
    def paths(self) -> list[Path]:
        """All of them."""
        return [self.out, *self.masks.values()]

    def check_writable(self) -> None:
        """Check, before any work, that they can be written."""
        for path in self.paths:
            check_writable(path)

    def write(self, clip: Clip, on_frame: Callable[[SceneFrame], Any] = lambda _: None) -> None:
        """Write a clip while it is rendered, the files of its masks beside it.

        Args:
            clip: to be gone through once.
            on_frame: called with each frame.
        """
        for path in self.paths:
            check_length(path, clip.size, len(clip))
        with ExitStack() as stack:
            # Files are completed in the opposite order: where the clip is, the masks are, too.
            add = stack.enter_context(video_writer(self.out, clip.fps))
            add_mask = {name: stack.enter_context(video_writer(path, clip.fps)) for name, path in self.masks.items()}
            for frame in clip:
                add(frame.pixels)
                for name in add_mask:
                    add_mask[name](frame.masks[name][..., None].expand(-1, -1, 3))
                on_frame(frame)


class ContactSheet:
    """A contact sheet of a clip, which is made while its frames pass by: of some, scaled down, in rows.

    Args:
        label: what it calls the clip.
        length: number of its frames.
    """

    def __init__(self, label: str, length: int) -> None:
        self._label = label
        self._chosen = torch.linspace(0, length - 1, min(length, _SHEET_FRAMES)).round().int().tolist()
        self._cells: dict[int, Tensor] = {}
        self._passed = 0

    def add(self, frame: SceneFrame) -> None:
        """Take the next frame, which is kept if it is one of those that are shown."""
        if self._passed in self._chosen:
            masks = [mask[None] for mask in frame.masks.values()]
            shown = frames_over_masks(frame.pixels[None], masks) if masks else frame.pixels[None]
            self._cells[self._passed] = shrink_to_width(shown[0], _CELL_WIDTH)
        self._passed += 1

    def write(self, path: Path) -> None:
        """Write what was collected."""
        rows = [self._chosen[k : k + _SHEET_COLUMNS] for k in range(0, len(self._chosen), _SHEET_COLUMNS)]
        labelled = [
            (f"{self._label}, frames {', '.join(str(i + 1) for i in row)}", torch.stack([self._cells[i] for i in row]))
            for row in rows
        ]
        write_png(contact_sheet(labelled, every=1), path)


def write_clip(clip: Clip, target: ClipFiles, sheet_file: Path | None, label: str) -> None:
    """Render a clip into its files, and say which they are.

    Args:
        clip: to be gone through once.
        target: where it goes, and its masks.
        sheet_file: for a sheet of its frames; None for none.
        label: what that calls it.
    """
    sheet = ContactSheet(label, len(clip))
    with progress_bar("Writing", len(clip), "frame") as bar:

        def pass_by(frame: SceneFrame) -> None:
            bar.update()
            if sheet_file:
                sheet.add(frame)

        target.write(clip, pass_by)
    height, width = clip.size
    print(f"Wrote {target.out}: {len(clip)} frames of {width}×{height} at {clip.fps:g} a second.")
    for path in target.masks.values():
        print(f"Wrote {path}.")
    if sheet_file:
        sheet.write(sheet_file)
        print(f"Wrote {sheet_file}.")


def progress_bar(what: str, total: int | None, unit: str) -> "tqdm[None]":
    """Make a bar that shows how far some work is, in units of which there are so many, if that is known."""
    # The delay keeps the bar away until there is something to show, and a refusal alone on its line.
    return tqdm(total=total, unit=unit, desc=what, delay=1e-3)
