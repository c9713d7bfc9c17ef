"""The command `animate`: turns a picture into a clip, or each picture of a folder."""

import argparse

from tqdm import tqdm

from ..errors import MIVAError
from ..media.video import check_rate
from ..rendering.frame import SceneFrame
from ..storage import files
from .animator import Animator, Still
from .chosen import device
from .chosen_motions import ChosenMotion, check_chosen_masks, mask_paths, read_masks, read_motions
from .clip_files import ClipFiles, Sheet
from .file_checks import check_distinct


def run_animate(options: argparse.Namespace) -> None:
    """Run the command."""
    # Everything that can be wrong is found before the model is loaded.
    if options.source.is_dir():
        # Late, since what processes are shared by takes half a second.
        from .animate_folder import animate_folder

        animate_folder(options)
    else:
        _animate_picture(options)


def _animate_picture(options: argparse.Namespace) -> None:
    target = ClipFiles(options.out, ())
    target.check_writable()
    if options.fps:
        check_rate(options.out, options.fps)
    if options.sheet:
        files.check_writable(options.sheet, (".png",))
    motions = read_motions(options)
    masks = mask_paths(options.mask, motions)
    if options.save_masks:
        target = ClipFiles(options.out, masks)
        target.check_writable()
    read = [options.source, *(one.path for one in motions), *masks.values()]
    check_distinct([options.out, options.sheet, *target.masks.values()], read)
    still = Still.read(options.source, check_chosen_masks(read_masks(masks), motions), options)
    if options.save_masks and not masks:
        raise MIVAError("There are no masks to save: run a motion that was trained with masks, and give it its --mask.")

    animator = Animator.load(options, motions, device(options.device))
    with _bar("Animating", animator.steps, "step") as bar:
        clip = animator.clip(still, on_step=bar.update)
    if clip.fitting:
        print(f"The picture was {clip.fitting}.")
    for note in clip.notes:
        print(note)
    sheet = Sheet(_label(motions), len(clip)) if options.sheet else None
    with _bar("Writing", len(clip), "frame") as bar:

        def pass_by(frame: SceneFrame) -> None:
            bar.update()
            if sheet:
                sheet.add(frame)

        target.write(clip, pass_by)
    height, width = clip.size
    print(f"Wrote {options.out}: {len(clip)} frames of {width}×{height} at {clip.fps:g} a second.")
    for path in target.masks.values():
        print(f"Wrote {path}.")
    if sheet:
        sheet.write(options.sheet)
        print(f"Wrote {options.sheet}.")


def _bar(what: str, total: int, unit: str) -> "tqdm[None]":
    # The delay keeps the bar away until there is something to show, and a refusal alone on its line.
    return tqdm(total=total, unit=unit, desc=what, delay=1e-3)


def _label(motions: list[ChosenMotion]) -> str:
    """What the sheet calls the clip."""
    return " + ".join(f"{one.path.stem} {one.text.strength:g}" for one in motions) or "no motion"
