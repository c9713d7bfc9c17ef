"""The command `mask`: masks of subjects in a picture or clip."""

import argparse
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MIVAError, MIVAWarning
from ..storage.files import whole_folder
from ..subject_mask.pointed_text import parse_box, parse_points
from .options import (
    add_models,
    check_new_folder,
    chosen_confidence,
    load_chosen_detector,
    load_chosen_segmenter,
    whole,
)

if TYPE_CHECKING:
    from torch import Tensor

    from ..subject_mask.overlap import Overlap
    from ..subject_mask.subjects import Subjects

_SHEET_FRAMES = 8
_CELL = 400


def add_mask(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    command.add_argument("source", type=Path, metavar="PICTURE|CLIP", help="a picture, video or folder of frames")
    command.add_argument(
        "--prompt", help='a short noun phrase for each subject, ended by a full stop or comma: "horse. rider."'
    )
    command.add_argument(
        "--box",
        action="append",
        type=_argument(parse_box),
        metavar="X0,Y0,X1,Y1",
        help="around a subject, in pixels (--box=-5,… where it begins with a minus); repeat it",
    )
    command.add_argument(
        "--points",
        action="append",
        type=_argument(parse_points),
        metavar='"X,Y X,Y,0 …"',
        help="on a subject, in pixels; with ,0 beside it; repeat it for each subject",
    )
    command.add_argument(
        "--rough", action="append", type=Path, metavar="MASK", help="a picture roughly white on a subject; repeat it"
    )
    command.add_argument(
        "--grabcut", action="store_true", help="cut out by colours, from --box or --rough: needs no model"
    )
    command.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="made if it is not there")
    command.add_argument(
        "--key-frame", type=whole(0, 10**9), help="of a clip, in which subjects are found (default: 0)"
    )
    command.add_argument("--device", help="cpu, cuda … (default: the graphics card if there is one)")
    add_models(command)
    _add_search(command)
    _add_edits(command)
    command.set_defaults(run=_mask)


def _add_search(command: argparse.ArgumentParser) -> None:
    search = command.add_argument_group("with --prompt")
    search.add_argument("--per-subject", type=whole(1, 100), help="things a phrase may mean (default: 1)")
    search.add_argument("--every-frame", action="store_true", help="find anew in each frame in place of tracking")
    search.add_argument("--allow-missing", action="store_true", help="an empty mask for what is not found")


def _add_edits(command: argparse.ArgumentParser) -> None:
    edits = command.add_argument_group("changes of the masks, in this order")
    edits.add_argument("--no-overlap", action="store_true", help="give each place to the subject it fits best")
    edits.add_argument("--keep-largest", action="store_true", help="drop all pieces but the largest")
    edits.add_argument("--fill-holes", action="store_true")
    edits.add_argument(
        "--grow", type=whole(-1024, 1024), default=0, metavar="PIXELS", help="move the edge outwards; negative: inwards"
    )
    edits.add_argument("--feather", type=whole(0, 1024), metavar="PIXELS", help="soften the edge")
    edits.add_argument("--invert", action="store_true")


def _argument(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Make a parser the type of an option: its errors become argparse's."""

    def read(text: str) -> Any:
        try:
            return parse(text)
        except MIVAError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def _mask(options: argparse.Namespace) -> None:
    _check_choice(options)
    check_new_folder(options.out)
    frames = _read(options.source)
    found = _find(frames, options)
    found = found._replace(masks=_edited(found.masks, options))
    _warn_empty(found, options)
    with whole_folder(options.out) as folder:
        _write(folder, frames, found, options.key_frame or 0)
    print(f"Wrote {', '.join(found.labels)} into {options.out}: masks, overlay.png and boxes.json.")


def _warn_empty(found: "Subjects", options: argparse.Namespace) -> None:
    """Warn of masks that are empty after they were edited."""
    changed = options.keep_largest or options.grow or options.feather or options.invert
    for label, masks in zip(found.labels, found.masks, strict=True):
        if changed and not masks.any():
            warnings.warn(f"The mask of {label!r} is empty after its changes.", MIVAWarning, stacklevel=2)


def _check_choice(options: argparse.Namespace) -> None:
    """Refuse options that do not go together, before any model is loaded."""
    pointed = [name for name in ("box", "points", "rough") if getattr(options, name)]
    if bool(options.prompt) == bool(pointed):
        raise MIVAError("Say what to mask either by words (--prompt) or by --box, --points or --rough.")
    if options.grabcut and (options.prompt or "points" in pointed or len(pointed) != 1):
        raise MIVAError("GrabCut starts from --box or from --rough, and from nothing else.")
    _check_unused(options)
    needed = () if options.grabcut else ("detector", "segmenter") if options.prompt else ("segmenter",)
    for name in needed:
        if not getattr(options, name):
            other = "" if options.prompt else ", or add --grabcut, which needs no model"
            raise MIVAError(f"No model is named to do this: add --{name} FILE{other}.")


def _check_unused(options: argparse.Namespace) -> None:
    """Refuse options that would have no effect."""
    unused = {
        "without --prompt": (
            ()
            if options.prompt
            else ("detector", "vocabulary", "confidence", "per_subject", "every_frame", "allow_missing")
        ),
        "with --every-frame": ("key_frame",) if options.every_frame else (),
        "with --grabcut": ("segmenter", "key_frame", "no_overlap") if options.grabcut else (),
    }
    for where, names in unused.items():
        for name in names:
            if getattr(options, name) is not None and getattr(options, name) is not False:
                raise MIVAError(f"--{name.replace('_', '-')} is of no use {where}: leave it out.")


def _read(path: Path) -> "Tensor":
    """Read frames (F, H, W, 3) in [0, 1]; a picture is one."""
    from ..clips.files import read_frames
    from ..media.pictures import read_picture

    return read_picture(path)[None] if _is_picture(path) else read_frames(path)


def _is_picture(path: Path) -> bool:
    """Whether this is a still picture, by its content, or by its ending where the content is not known."""
    from ..clips.stills import is_picture
    from ..media.video_decoding import is_animation
    from ..storage.files import looks_like, require_file

    if path.is_dir():
        return False
    has_picture = looks_like(require_file(path, "picture")).endswith(" picture") or is_picture(path)
    return has_picture and not is_animation(path)


def _find(frames: "Tensor", options: argparse.Namespace) -> "Subjects":
    from tqdm import tqdm

    from ..subject_mask.search import SearchOptions
    from ..subject_mask.subjects import find_subjects, numbered_subjects, segment

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


def _cut_out(frames: "Tensor", options: argparse.Namespace) -> "Tensor":
    import torch

    from ..subject_mask.grabcut import grabcut

    if len(frames) > 1:
        raise MIVAError(
            f"GrabCut works on one picture, but {options.source} has {len(frames)} frames: take one of them."
        )
    if options.rough:
        cut = [grabcut(frames, rough=mask) for mask in _read_rough(options.rough)]
    else:
        cut = [grabcut(frames, box=tuple(box)) for box in options.box]
    return torch.stack(cut)[:, None]


def _read_rough(paths: list[Path]) -> "Tensor":
    import torch

    from ..media.pictures import format_size, read_mask

    masks = [read_mask(path) for path in paths]
    for path, mask in zip(paths, masks, strict=True):
        if mask.shape != masks[0].shape:
            sizes = f"{format_size(mask.shape)}, but {paths[0].name} is {format_size(masks[0].shape)}"
            raise MIVAError(f"{path.name} is {sizes}: give all rough masks the size of the picture.")
    return torch.stack(masks)


def _edited(masks: "Tensor", options: argparse.Namespace) -> "Tensor":
    from ..subject_mask.edits import Edits

    edits = Edits(options.keep_largest, options.fill_holes, options.grow, options.feather or 0, options.invert)
    return edits.apply(masks)


def _write(folder: Path, frames: "Tensor", found: "Subjects", key_frame: int) -> None:
    from ..media.video import write_png
    from ..storage.files import replacing
    from ..subject_mask.report import boxes_json, overlay

    for name, masks in zip(_file_names(found.labels), found.masks, strict=True):
        _write_masks(masks, folder, name)
    single = len(frames) == 1
    write_png(overlay(frames[0], found, 0) if single else _sheet(frames, found, key_frame), folder / "overlay.png")
    with replacing(folder / "boxes.json") as temporary:
        temporary.write_text(boxes_json(found) + "\n", "utf-8")


def _write_masks(masks: "Tensor", folder: Path, name: str) -> None:
    """Write the masks of a subject: one picture, or for a clip a folder of them."""
    from ..media.video import write_png

    pictures = masks[..., None].expand(-1, -1, -1, 3)
    if len(pictures) == 1:
        write_png(pictures[0], folder / f"{name}.png")
        return
    (folder / f"{name}_masks").mkdir()
    for k, picture in enumerate(pictures):
        write_png(picture, folder / f"{name}_masks" / f"{k:05d}.png")


def _sheet(frames: "Tensor", found: "Subjects", key_frame: int) -> "Tensor":
    """Lay out some frames with what was found in them, the key frame among them."""
    import torch

    from ..media.contact_sheet import contact_sheet
    from ..subject_mask.report import overlay

    spread = torch.linspace(0, len(frames) - 1, min(len(frames), _SHEET_FRAMES)).round().long().tolist()
    chosen = sorted({*spread, key_frame})
    shown = torch.stack([_cell(overlay(frames[k], found, k)) for k in chosen])
    return contact_sheet([(f"frames {', '.join(map(str, chosen))}", shown)], every=1)


def _cell(picture: "Tensor") -> "Tensor":
    """Scale a picture down so that several fit next to each other."""
    from ..media.pictures import crop_to

    height, width = picture.shape[:2]
    scale = min(1.0, _CELL / width)
    return crop_to(picture, (round(height * scale), round(width * scale)))


def _file_names(labels: list[str]) -> list[str]:
    """Make names of files from labels: without characters that file systems refuse, and each another one."""
    names: list[str] = []
    for label in labels:
        plain = re.sub(r"[^\w-]+", "_", label).strip("_")[:60] or "subject"
        candidates = (plain, *(f"{plain}_{k}" for k in range(2, len(labels) + 3)))
        names.append(next(name for name in candidates if name not in ("overlay", *names)))
    return names
