"""The command `film`: a still picture in motion, by formulas alone."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..errors import MIVAError
from ..filming.film import FilmOptions, film
from ..filming.filmed_motion import FilmedMotion, named
from ..media.pictures import read_mask, read_picture
from ..media.video import check_rate
from ..motion_fields.motions import motion_field, spoken
from ..rendering.timing import Timing
from ..storage import files
from .clip_files import ClipFiles, write_clip
from .file_checks import check_distinct

_SPEED = 0.5


def run_film(options: argparse.Namespace) -> None:
    """Run the command."""
    asked = [_motion(text) for text in options.motion]
    masks = _mask_files(options.mask, [name for name, _ in asked])
    if options.fps:
        check_rate(options.out, options.fps)
    ClipFiles(options.out, ()).check_writable()
    if options.sheet:
        files.check_writable(options.sheet, (".png",))
    motions = [
        FilmedMotion(name, speed, read_mask(path) if path else None)
        for (name, speed), path in zip(asked, masks, strict=True)
    ]
    marked = [name for name, motion in named(motions).items() if motion.mask is not None]
    target = ClipFiles(options.out, marked if options.save_masks else ())
    target.check_writable()
    read = [options.source, *filter(None, [*masks, options.depth, options.front])]
    check_distinct([*target.paths, options.sheet], read)
    if options.save_masks and not marked:
        raise MIVAError("There are no masks to save: they are those of motions of a part, such as drift-left or sway.")
    clip = film(
        read_picture(options.source),
        motions,
        read_picture(options.depth) if options.depth else None,
        FilmOptions(
            options.size,
            Timing(options.fps, options.duration, options.easing, options.loop),
            options.edges,
            read_mask(options.front) if options.front else None,
            options.seed,
        ),
    )
    for line in [*([f"The picture was {clip.fitting}."] if clip.fitting else []), *clip.notes]:
        print(line)
    write_clip(clip, target, options.sheet, " + ".join(options.motion))


def _motion(text: str) -> tuple[str, float]:
    """A motion as it was typed: its name and speed."""
    name, equals, speed = text.partition("=")
    field = motion_field(name)
    try:
        return field.name, float(speed) if equals else _SPEED
    except ValueError:
        raise MIVAError(f"The speed in --motion {text} is no number: write {name}=0.5, for example.") from None


def _mask_files(texts: Sequence[str], names: Sequence[str]) -> list[Path | None]:
    """The files of masks, one for each motion, or None."""
    found: list[Path | None] = [None] * len(names)
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals and len(names) > 1:
            raise MIVAError(f"Of which motion is the mask {text}? Write --mask {names[0].replace('_', '-')}={text}.")
        asked = motion_field(name).name if equals else names[0]
        free = [k for k, motion in enumerate(names) if motion == asked and found[k] is None]
        if asked not in names:
            raise MIVAError(
                f"The mask {text} is for {spoken(asked)}, but the motions are {', '.join(map(spoken, names))}: name "
                "one of them."
            )
        if not free:
            raise MIVAError(
                f"The mask {text} is one more than there are motions of that name: give each motion at most one mask, "
                "which may show several places."
            )
        found[free[0]] = Path(path if equals else text).expanduser()
    return found
