"""The command that turns a picture into a clip."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..animation.motion_text import parse_mask, parse_motion, unique_names
from ..checks import LARGEST
from ..errors import MIVAError
from .options import add_base, add_folders, check_distinct, device, load_chosen_base, share, whole

if TYPE_CHECKING:
    from ..diffusion.init_noise import NoiseInit

_LARGEST_USUAL = 1024
"""No base makes larger clips of itself, along any side."""


def add_animate(command: argparse.ArgumentParser) -> None:
    command.add_argument("picture", type=Path)
    command.add_argument(
        "--miva",
        action="append",
        default=[],
        metavar="NAME[:WEIGHT][@START-END]",
        help="a motion by name or file; repeat it to run several at once (weights that sum to 1 are the most stable); "
        "@0.4-1 lets it act from 40 %% of the steps on",
    )
    command.add_argument(
        "--mask",
        action="append",
        default=[],
        metavar="NAME=PICTURE",
        help="where the subject of a masked motion is, white on black; repeat it for each of them",
    )
    command.add_argument("--out", type=Path, required=True, metavar="CLIP", help="the clip: .mp4, .gif, .webp")
    command.add_argument("--sheet", type=Path, metavar="PNG", help="also write a contact sheet of the frames")
    command.add_argument(
        "--save-masks",
        action="store_true",
        help="also write the subjects' masks as generated with the clip, each beside it as CLIP_NAME_mask",
    )
    add_base(command)
    command.add_argument("--seed", type=whole(0, 2**64 - 1), default=0, help="another seed, another clip (default: 0)")
    command.add_argument("--steps", type=whole(1, 1000), help="denoising steps (default: the base's own)")
    command.add_argument("--frames", type=whole(2, LARGEST), help="length of the clip (default: the base's own)")
    command.add_argument("--size", metavar="WIDTHxHEIGHT", help="size of the clip (default: the base's own)")
    command.add_argument("--fit", choices=("crop", "pad"), default="crop", help="how another aspect is met")
    command.add_argument("--no-dct", action="store_true", help="start from plain noise in the low band, too")
    command.add_argument(
        "--dct-strength",
        type=share,
        metavar="A",
        help="share of the picture in the low band, 0 to 1 (the tiny base hardly heeds it)",
    )
    command.add_argument("--no-shared-noise", action="store_true", help="draw every frame's noise by itself")
    command.add_argument(
        "--adain",
        action=argparse.BooleanOptionalAction,
        help="match the frames' statistics to the picture's at the end (default: as the base wants it)",
    )
    add_folders(command)
    command.set_defaults(run=_animate)


def _animate(options: argparse.Namespace) -> None:
    # Everything that can be wrong is found before the model is loaded.
    from ..adapters.info import read_info
    from ..animation.masks import check_masks, fit_masks
    from ..animation.notes import size_notes, weight_notes, without_motion
    from ..bases.library import resolve_adapter
    from ..media.pictures import fit_picture, parse_size, read_large_picture, read_mask
    from ..media.video import check_writable, contact_sheet, frames_over_masks, write_png, write_video
    from ..storage import files

    check_writable(options.out)
    if options.sheet:
        files.check_writable(options.sheet, (".png",))
    chosen = [parse_motion(text) for text in options.miva]
    paths = [resolve_adapter(motion.name, options.adapters) for motion in chosen]
    names = unique_names([path.stem for path in paths])
    infos = {name: read_info(path) for name, path in zip(names, paths, strict=True)}
    mask_paths = _mask_paths(options.mask, [motion.name for motion in chosen], names)
    saved = {name: options.out.with_stem(f"{options.out.stem}_{name}_mask") for name in mask_paths}
    saved = saved if options.save_masks else {}
    for path in saved.values():
        check_writable(path)
    check_distinct([options.out, options.sheet, *saved.values()], [options.picture, *paths, *mask_paths.values()])
    size = parse_size(options.size) if options.size is not None else None
    picture, in_file = read_large_picture(options.picture, max(size) if size else _LARGEST_USUAL)
    masks = check_masks({name: read_mask(path) for name, path in mask_paths.items()}, infos)
    if options.save_masks and not masks:
        raise MIVAError("There are no masks to save: run a motion that was trained with masks, and give it its --mask.")

    from tqdm import tqdm

    from ..adapters.adapter import MIVAAdapter
    from ..animation.animate import animate

    base = load_chosen_base(options, device(options.device))
    adapters = {
        name: (MIVAAdapter.load(path, base.backbone), motion.weight)
        for name, path, motion in zip(names, paths, chosen, strict=True)
    }
    if not any(motion.weight for motion in chosen):
        base = base.with_drawn_caption(options.seed)
    masks = fit_masks(masks, infos, in_file, size or base.size, options.fit)
    picture, note = fit_picture(picture, size or base.size, options.fit, in_file)
    # The delay keeps the bar away until the first step, and a refusal alone on its line.
    with tqdm(total=options.steps or base.steps, unit="step", desc="Animating", delay=1e-3) as bar:
        clip = animate(
            base,
            picture,
            adapters,
            masks=masks,
            spans={name: motion.span for name, motion in zip(names, chosen, strict=True)},
            steps=options.steps,
            seed=options.seed,
            size=size,
            frames=options.frames,
            noise=_noise(base.noise, options),
            adain=options.adain,
            callback=lambda _: bar.update(),
        )
    if note:
        print(f"The picture was {note}.")
    if not any(motion.weight for motion in chosen):
        print(without_motion(base.captions is not None))
    named = [motion._replace(name=name) for name, motion in zip(names, chosen, strict=True)]
    for text in (*weight_notes(named, masks), *size_notes(size or base.size, base.size)):
        print(text)
    write_video(clip.frames, options.out, clip.fps)
    print(f"Wrote {options.out}: {len(clip.frames)} frames at {clip.fps} a second.")
    for name, path in saved.items():
        write_video(clip.masks[name][..., None].expand(-1, -1, -1, 3), path, clip.fps)
        print(f"Wrote {path}.")
    if options.sheet:
        label = " + ".join(f"{path.stem} {motion.weight:g}" for path, motion in zip(paths, chosen, strict=True))
        shown = frames_over_masks(clip.frames, list(clip.masks.values())) if clip.masks else clip.frames
        write_png(contact_sheet([(label or "no motion", shown)]), options.sheet)
        print(f"Wrote {options.sheet}.")


def _mask_paths(texts: Sequence[str], typed: Sequence[str], names: Sequence[str]) -> dict[str, Path]:
    """The files of masks by the name of their motion, which people give as they typed it, or by the file's name."""
    paths: dict[str, Path] = {}
    for text in texts:
        asked, path = parse_mask(text, {*names, *typed})
        known = [name for name, other in zip(names, typed, strict=True) if asked in (name, other)]
        if len(known) != 1:
            raise MIVAError(f"A mask is given for {asked!r}, but the motions are {', '.join(names) or 'none'}.")
        if known[0] in paths:
            raise MIVAError(f"Two masks are given for {asked}: give one, which may show several places.")
        paths[known[0]] = path
    return paths


def _noise(default: "NoiseInit", options: argparse.Namespace) -> "NoiseInit":
    from dataclasses import replace

    changes = {}
    if options.no_dct:
        changes["dct"] = False
    if options.dct_strength is not None:
        changes["strength"] = options.dct_strength
    if options.no_shared_noise:
        changes["shared_ratio"] = 0.0
    return replace(default, **changes)
