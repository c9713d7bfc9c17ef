"""The command `animate`: turns a picture into a clip."""

import argparse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from torch import Tensor
from tqdm import tqdm

from ..adapters.adapter import MIVAAdapter
from ..adapters.info import AdapterInfo, read_info
from ..animation.animate import animate
from ..animation.clip import Clip
from ..animation.masks import check_masks
from ..animation.motion import Motion, base_for, unique_names
from ..animation.motion_text import MotionText, parse_mask, parse_motion
from ..animation.options import RunOptions
from ..bases.library import resolve_adapter
from ..diffusion.init_noise import NoiseInit
from ..errors import MIVAError
from ..media.contact_sheet import contact_sheet, frames_over_masks
from ..media.pictures import parse_size, read_large_picture, read_mask
from ..media.video import check_writable, write_png, write_video
from ..storage import files
from .chosen import device, load_chosen_base
from .file_checks import check_distinct

_LARGEST_USUAL = 1024
"""No base makes larger clips of itself, along any side."""


def run_animate(options: argparse.Namespace) -> None:
    # Everything that can be wrong is found before the model is loaded.
    _check_outputs(options)
    chosen = _read_motions(options)
    mask_paths = _mask_paths(options.mask, chosen)
    saved = _mask_outputs(options, mask_paths if options.save_masks else ())
    read = [options.picture, *(one.path for one in chosen), *mask_paths.values()]
    check_distinct([options.out, options.sheet, *saved.values()], read)
    size = parse_size(options.size) if options.size is not None else None
    picture, size_in_file = read_large_picture(options.picture, max(size) if size else _LARGEST_USUAL)
    masks = _read_masks(mask_paths, chosen)
    if options.save_masks and not masks:
        raise MIVAError("There are no masks to save: run a motion that was trained with masks, and give it its --mask.")

    base = load_chosen_base(options, device(options.device))
    motions = [
        Motion(
            MIVAAdapter.load(one.path, base.backbone), one.text.strength, masks.get(one.name), one.name, one.text.span
        )
        for one in chosen
    ]
    run = RunOptions(
        seed=options.seed,
        steps=options.steps,
        size=size,
        frames=options.frames,
        fit=options.fit,
        size_in_file=size_in_file,
        noise=_noise(base.noise, options),
        adain=options.adain,
    )
    with _bar(options.steps or base.steps) as bar:
        clip = animate(base_for(base, motions, run.seed), picture, motions, run, callback=lambda _: bar.update())
    if clip.fitting:
        print(f"The picture was {clip.fitting}.")
    for note in clip.notes:
        print(note)
    _write(clip, options, saved, " + ".join(f"{one.path.stem} {one.text.strength:g}" for one in chosen))


class _Chosen(NamedTuple):
    """A motion that was asked for: what was typed, its file, a name of its own, and the file's header."""

    text: MotionText
    path: Path
    name: str
    info: AdapterInfo


def _check_outputs(options: argparse.Namespace) -> None:
    check_writable(options.out)
    if options.sheet:
        files.check_writable(options.sheet, (".png",))


def _read_motions(options: argparse.Namespace) -> list[_Chosen]:
    """The motions that were asked for; of their files only the headers are read."""
    texts = [parse_motion(text) for text in options.miva]
    paths = [resolve_adapter(text.name, options.adapters) for text in texts]
    names = unique_names([path.stem for path in paths])
    return [_Chosen(text, path, name, read_info(path)) for text, path, name in zip(texts, paths, names, strict=True)]


def _mask_paths(texts: Sequence[str], chosen: Sequence[_Chosen]) -> dict[str, Path]:
    """The files of masks by the name of their motion, which people give as they typed it, or by the file's name."""
    paths: dict[str, Path] = {}
    for text in texts:
        asked, path = parse_mask(text, {name for one in chosen for name in (one.name, one.text.name)})
        meant = [one.name for one in chosen if asked in (one.name, one.text.name)]
        if len(meant) != 1:
            names = ", ".join(one.name for one in chosen)
            raise MIVAError(f"A mask is given for {asked!r}, but the motions are {names or 'none'}.")
        if meant[0] in paths:
            raise MIVAError(f"Two masks are given for {asked}: give one, which may show several places.")
        paths[meant[0]] = path
    return paths


def _mask_outputs(options: argparse.Namespace, names: Collection[str]) -> dict[str, Path]:
    """Where masks are to be saved, by the name of their motion."""
    saved = {name: options.out.with_stem(f"{options.out.stem}_{name}_mask") for name in names}
    for path in saved.values():
        check_writable(path)
    return saved


def _read_masks(paths: Mapping[str, Path], chosen: Sequence[_Chosen]) -> dict[str, Tensor]:
    """The masks of the motions, (H, W) in [0, 1] by name."""
    given = {name: read_mask(path) for name, path in paths.items()}
    return check_masks(given, {one.name: one.info.config for one in chosen})


def _bar(steps: int) -> "tqdm":
    # The delay keeps the bar away until the first step, and a refusal alone on its line.
    return tqdm(total=steps, unit="step", desc="Animating", delay=1e-3)


def _write(clip: Clip, options: argparse.Namespace, saved: Mapping[str, Path], label: str) -> None:
    """Write all that was asked for, and say so.

    Args:
        saved: where masks go, by the name of their motion.
        label: what the sheet calls the clip; empty without motions.
    """
    write_video(clip.frames, options.out, clip.fps)
    print(f"Wrote {options.out}: {len(clip.frames)} frames at {clip.fps} a second.")
    for name, path in saved.items():
        write_video(clip.masks[name][..., None].expand(-1, -1, -1, 3), path, clip.fps)
        print(f"Wrote {path}.")
    if options.sheet:
        shown = frames_over_masks(clip.frames, list(clip.masks.values())) if clip.masks else clip.frames
        write_png(contact_sheet([(label or "no motion", shown)]), options.sheet)
        print(f"Wrote {options.sheet}.")


def _noise(default: NoiseInit, options: argparse.Namespace) -> NoiseInit:
    return replace(
        default,
        dct=default.dct and not options.no_dct,
        strength=default.strength if options.dct_strength is None else options.dct_strength,
        shared_ratio=0.0 if options.no_shared_noise else default.shared_ratio,
    )
