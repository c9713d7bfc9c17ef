"""The motions that options of `animate` name, and their masks."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from ..adapters.info import AdapterInfo, read_info
from ..animation.masks import check_masks
from ..animation.motion import unique_names
from ..animation.motion_text import MotionText, parse_mask, parse_motion
from ..bases.library import resolve_adapter
from ..errors import MIVAError
from ..media.pictures import read_mask


class ChosenMotion(NamedTuple):
    """A motion that was asked for: what was typed, its file, a name of its own, and the file's header."""

    text: MotionText
    path: Path
    name: str
    info: AdapterInfo


def read_motions(options: argparse.Namespace) -> list[ChosenMotion]:
    """The motions that were asked for; of their files only the headers are read."""
    texts = [parse_motion(text) for text in options.miva]
    paths = [resolve_adapter(text.name, options.adapters) for text in texts]
    names = unique_names([path.stem for path in paths])
    motions = zip(texts, paths, names, strict=True)
    return [ChosenMotion(text, path, name, read_info(path)) for text, path, name in motions]


def mask_paths(texts: Sequence[str], motions: Sequence[ChosenMotion]) -> dict[str, Path]:
    """The files, or folders, of masks by the name of their motion.

    People give that as they typed it, or as the file is called.
    """
    paths: dict[str, Path] = {}
    for text in texts:
        asked, path = parse_mask(text, {name for one in motions for name in (one.name, one.text.name)})
        meant = [one.name for one in motions if asked in (one.name, one.text.name)]
        if len(meant) != 1:
            names = ", ".join(one.name for one in motions)
            advice = f': write --mask "{meant[0]}={path.name}", for example' if meant else ""
            raise MIVAError(f"A mask is given for {asked!r}, but the motions are {names or 'none'}{advice}.")
        if meant[0] in paths:
            raise MIVAError(f"Two masks are given for {asked}: give one, which may show several places.")
        paths[meant[0]] = path
    return paths


def read_masks(paths: Mapping[str, Path]) -> dict[str, Tensor]:
    """Masks (H, W) in [0, 1] by the name of their motion."""
    return {name: read_mask(path) for name, path in paths.items()}


def check_chosen_masks(masks: Mapping[str, Tensor], motions: Sequence[ChosenMotion]) -> dict[str, Tensor]:
    """Check that there is a mask (H, W) for each masked motion, and for no other one; see `check_masks`."""
    return check_masks(masks, {one.name: one.info.config for one in motions})
