"""The command `animate`: turns a picture into a clip, or each picture of a folder."""

import argparse

from ..animation.clip import Progress
from ..errors import MIVAError
from ..media.pictures import read_picture
from ..media.video import check_rate
from ..storage import files
from .animator import Animator, Still
from .chosen import device
from .chosen_motions import Chosen, ChosenMotion, check_chosen_masks, mask_paths, read_masks, read_motions
from .clip_files import ClipFiles, progress_bar, write_clip
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
    _check_written(options)
    motions = read_motions(options)
    masks = mask_paths(options.mask, motions)
    target = ClipFiles(options.out, masks if options.save_masks else ())
    target.check_writable()
    paths = [one.path for one in motions if isinstance(one, ChosenMotion)]
    read = [options.source, *paths, *masks.values(), *([options.depth] if options.depth else [])]
    check_distinct([options.out, options.sheet, *target.masks.values()], read)
    given = check_chosen_masks(read_masks(masks), motions)
    depth = read_picture(options.depth) if options.depth else None
    still = Still.read(options.source, given, depth, options)
    if options.save_masks and not masks:
        raise MIVAError("There are no masks to save: give a motion of a part its --mask.")
    animator = Animator.load(options, motions, device(options.device))
    with progress_bar("Animating", None, "step") as bar:

        def show(progress: Progress) -> None:
            bar.total = progress.steps
            bar.update()

        clip = animator.clip(still, on_step=show)
    for line in [*([f"The picture was {clip.fitting}."] if clip.fitting else []), *clip.notes]:
        print(line)
    write_clip(clip, target, options.sheet, _label(motions))


def _check_written(options: argparse.Namespace) -> None:
    """Check that what is asked for can be written."""
    ClipFiles(options.out, ()).check_writable()
    if options.fps:
        check_rate(options.out, options.fps)
    if options.sheet:
        files.check_writable(options.sheet, (".png",))


def _label(motions: list[Chosen]) -> str:
    """What the sheet calls the clip."""
    return " + ".join(one.label for one in motions) or "no motion"
