"""The motions that options of `animate` name, and their masks."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from ..adapters.info import AdapterInfo, read_info
from ..animation.masks import check_masks
from ..animation.motion import unique_names
from ..animation.motion_text import MotionText, parse_mask, parse_motion, parse_words
from ..bases.library import resolve_adapter
from ..errors import MIVAError
from ..media.pictures import read_mask


class ChosenMotion(NamedTuple):
    """A motion that was asked for: what was typed, its file, a name of its own, the file's header, and its words."""

    text: MotionText
    path: Path
    name: str
    info: AdapterInfo
    words: str | None = None


def read_motions(options: argparse.Namespace) -> list[ChosenMotion]:
    """The motions that were asked for; of their files only the headers are read."""
    texts = [parse_motion(text) for text in options.miva]
    paths = [resolve_adapter(text.name, options.adapters) for text in texts]
    names = unique_names([path.stem for path in paths])
    motions = zip(texts, paths, names, strict=True)
    chosen = [ChosenMotion(text, path, name, read_info(path)) for text, path, name in motions]
    said = _words(options.words, chosen)
    return [one._replace(words=said.get(one.name)) for one in chosen]


def _words(texts: Sequence[str], motions: Sequence[ChosenMotion]) -> dict[str, str]:
    """What is said to motions, by their name."""
    words: dict[str, str] = {}
    for text in texts:
        asked, said = parse_words(text, _names(motions))
        one = _meant(asked, motions, "Words are", f'--words "{{}}={said}"')
        if one.name in words:
            raise MIVAError(f"Words are said to {asked} twice: say all of them at once.")
        if not one.info.config.words:
            raise MIVAError(f"{asked} was trained without words, and hears none: leave --words out for it.")
        words[one.name] = said
    return words


def mask_paths(texts: Sequence[str], motions: Sequence[ChosenMotion]) -> dict[str, Path]:
    """The files, or folders, of masks by the name of their motion.

    People give that as they typed it, or as the file is called.
    """
    paths: dict[str, Path] = {}
    for text in texts:
        asked, path = parse_mask(text, _names(motions))
        name = _meant(asked, motions, "A mask is", f'--mask "{{}}={path.name}"').name
        if name in paths:
            raise MIVAError(f"Two masks are given for {asked}: give one, which may show several places.")
        paths[name] = path
    return paths


def _names(motions: Sequence[ChosenMotion]) -> set[str]:
    return {name for one in motions for name in (one.name, one.text.name)}


def _meant(asked: str, motions: Sequence[ChosenMotion], what: str, example: str) -> ChosenMotion:
    """The motion that people call so.

    Args:
        asked: as they typed it, or as the file is called.
        motions: all of them.
        what: begins the message where it is not one of them.
        example: what to write, with {} for a name.

    Raises:
        MIVAError: it is none of them, or several.
    """
    meant = [one for one in motions if asked in (one.name, one.text.name)]
    if len(meant) != 1:
        names = ", ".join(one.name for one in motions)
        advice = f": write {example.format(meant[0].name)}, for example" if meant else ""
        raise MIVAError(f"{what} given for {asked!r}, but the motions are {names or 'none'}{advice}.")
    return meant[0]


def read_masks(paths: Mapping[str, Path]) -> dict[str, Tensor]:
    """Masks (H, W) in [0, 1] by the name of their motion."""
    return {name: read_mask(path) for name, path in paths.items()}


def check_chosen_masks(masks: Mapping[str, Tensor], motions: Sequence[ChosenMotion]) -> dict[str, Tensor]:
    """Check that there is a mask (H, W) for each masked motion, and for no other one; see `check_masks`."""
    return check_masks(masks, {one.name: one.info.config for one in motions})
