"""What the command `mask` finds in frames, as its options say, and what it writes of it."""

import argparse
import re
import warnings
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from ..errors import MIVAError, MIVAWarning
from ..media.contact_sheet import contact_sheet, shrink_to_width
from ..media.pictures import format_size, read_mask
from ..media.video import write_png
from ..storage.files import replacing
from ..subject_mask.edits import Edits
from ..subject_mask.grabcut import grabcut
from ..subject_mask.overlap import Overlap
from ..subject_mask.report import boxes_json, overlay
from ..subject_mask.search import SearchOptions
from ..subject_mask.subjects import Subjects, find_subjects, numbered_subjects, segment
from .chosen import chosen_confidence, load_chosen_detector, load_chosen_segmenter

_SHEET_FRAMES = 8
_CELL = 400


def find_masks(frames: Tensor, options: argparse.Namespace) -> Subjects:
    """Find subjects in frames and change their masks, as options say.

    Args:
        frames: (F, H, W, 3) in [0, 1].
        options: of the command.
    """
    found = _find(frames, options)
    found = found._replace(masks=_edited(found.masks, options))
    _warn_empty(found, options)
    return found


def _warn_empty(found: Subjects, options: argparse.Namespace) -> None:
    """Warn of masks that are empty after they were edited."""
    changed = options.keep_largest or options.grow or options.feather or options.invert
    for label, masks in zip(found.labels, found.masks, strict=True):
        if changed and not masks.any():
            warnings.warn(f"The mask of {label!r} is empty after its changes.", MIVAWarning, stacklevel=2)


def _find(frames: Tensor, options: argparse.Namespace) -> Subjects:
    if options.grabcut:
        return numbered_subjects(_cut_out(frames, options))
    detector = load_chosen_detector(options) if options.prompt else None
    segmenter = load_chosen_segmenter(options)
    key_frame = options.key_frame or 0
    overlap: Overlap = "best" if options.no_overlap else "keep"
    with tqdm(total=len(frames), unit="frame", delay=1) as bar:

        def show(done: int, total: int) -> None:
            bar.update(done - bar.n)

        if detector:
            return find_subjects(
                frames,
                options.prompt,
                detector,
                segmenter,
                SearchOptions(
                    confidence=chosen_confidence(options),
                    per_subject=options.per_subject or 1,
                    missing="empty" if options.allow_missing else "error",
                    overlap=overlap,
                ),
                mode="every frame" if options.every_frame else "track",
                key_frame=key_frame,
                on_progress=show,
            )
        rough = _read_rough(options.rough) if options.rough else None
        masks = segment(
            frames,
            segmenter,
            boxes=options.box,
            points=options.points,
            rough=rough,
            key_frame=key_frame,
            overlap=overlap,
            on_progress=show,
        )
    return numbered_subjects(masks)


def _cut_out(frames: Tensor, options: argparse.Namespace) -> Tensor:
    if len(frames) > 1:
        raise MIVAError(
            f"GrabCut works on one picture, but {options.source} has {len(frames)} frames: take one of them."
        )
    if options.rough:
        cut = [grabcut(frames, rough=mask) for mask in _read_rough(options.rough)]
    else:
        cut = [grabcut(frames, box=tuple(box)) for box in options.box]
    return torch.stack(cut)[:, None]


def _read_rough(paths: list[Path]) -> Tensor:
    masks = [read_mask(path) for path in paths]
    for path, mask in zip(paths, masks, strict=True):
        if mask.shape != masks[0].shape:
            sizes = f"{format_size(mask.shape)}, but {paths[0].name} is {format_size(masks[0].shape)}"
            raise MIVAError(f"{path.name} is {sizes}: give all rough masks the size of the picture.")
    return torch.stack(masks)


def _edited(masks: Tensor, options: argparse.Namespace) -> Tensor:
    edits = Edits(options.keep_largest, options.fill_holes, options.grow, options.feather or 0, options.invert)
    return edits.apply(masks)


def write_results(folder: Path, frames: Tensor, found: Subjects, key_frame: int) -> None:
    """Write masks, a picture of them over the frames, and their boxes into a folder.

    Args:
        folder: which is empty.
        frames: (F, H, W, 3) in [0, 1].
        found: in these frames.
        key_frame: the frame in which subjects were found.
    """
    for name, masks in zip(_file_names(found.labels), found.masks, strict=True):
        _write_masks(masks, folder, name)
    single = len(frames) == 1
    write_png(overlay(frames[0], found, 0) if single else _sheet(frames, found, key_frame), folder / "overlay.png")
    with replacing(folder / "boxes.json") as temporary:
        temporary.write_text(boxes_json(found) + "\n", "utf-8")


def _write_masks(masks: Tensor, folder: Path, name: str) -> None:
    """Write the masks of a subject: one picture, or for a clip a folder of them."""
    pictures = masks[..., None].expand(-1, -1, -1, 3)
    if len(pictures) == 1:
        write_png(pictures[0], folder / f"{name}.png")
        return
    (folder / f"{name}_masks").mkdir()
    for k, picture in enumerate(pictures):
        write_png(picture, folder / f"{name}_masks" / f"{k:05d}.png")


def _sheet(frames: Tensor, found: Subjects, key_frame: int) -> Tensor:
    """Lay out some frames with what was found in them, the key frame among them."""
    spread = torch.linspace(0, len(frames) - 1, min(len(frames), _SHEET_FRAMES)).round().long().tolist()
    chosen = sorted({*spread, key_frame})
    shown = torch.stack([shrink_to_width(overlay(frames[k], found, k), _CELL) for k in chosen])
    return contact_sheet([(f"frames {', '.join(map(str, chosen))}", shown)], every=1)


def _file_names(labels: list[str]) -> list[str]:
    """Make names of files from labels: without characters that file systems refuse, and each another one."""
    names: list[str] = []
    for label in labels:
        plain = re.sub(r"[^\w-]+", "_", label).strip("_")[:60] or "subject"
        candidates = (plain, *(f"{plain}_{k}" for k in range(2, len(labels) + 3)))
        names.append(next(name for name in candidates if name not in ("overlay", *names)))
    return names
