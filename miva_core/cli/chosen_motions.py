"""The motions that options of `animate` name, and their masks."""

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from ..adapters.degree import check_degree
from ..adapters.info import AdapterInfo, read_info
from ..animation.curve_text import StrengthText, combined, parse_strength
from ..animation.masks import check_masks
from ..animation.motion import unique_names
from ..animation.motion_text import MotionText, parse_degree, parse_mask, parse_motion, parse_said, parse_words
from ..animation.said import Said, as_speed
from ..attention.curve import Curve
from ..attention.strength import Strength
from ..bases.library import find_adapters, resolve_adapter
from ..bases.registry import BASES
from ..errors import MIVAError
from ..media.pictures import read_mask


class ChosenMotion(NamedTuple):
    """A motion that was asked for.

    Attributes:
        text: what was typed.
        path: its file.
        name: its own.
        info: the file's header.
        strength: its weight, times the curves that are given for it.
        words: what is said to it.
        degree: how fast it is to be; None is as it was trained.
    """

    text: MotionText
    path: Path
    name: str
    info: AdapterInfo
    strength: float | Strength = 1.0
    words: str | None = None
    degree: float | None = None

    @property
    def label(self) -> str:
        """What a sheet of its clip calls it."""
        return f"{self.path.stem} {self.text.strength:g}"


class ChosenWords(NamedTuple):
    """A motion that is said to the base.

    Attributes:
        text: what was typed.
        name: its own.
        said: the motion, without a mask.
    """

    text: MotionText
    name: str
    said: Said

    @property
    def label(self) -> str:
        """What a sheet of its clip calls it."""
        return f"{self.name} {self.text.strength:g}"


Chosen = ChosenMotion | ChosenWords


def read_motions(options: argparse.Namespace) -> list[Chosen]:
    """The motions that were asked for, files before words; of files only the headers are read."""
    texts = [parse_motion(text) for text in options.miva]
    spoken = [parse_said(text) for text in options.say]
    _check_said_or_loaded(texts, spoken, options.adapters)
    paths = [resolve_adapter(text.name, options.adapters) for text in texts]
    names = unique_names([*(path.stem for path in paths), *(text.name for text in spoken)])
    motions = zip(texts, paths, names[: len(paths)], strict=True)
    chosen: list[Chosen] = [ChosenMotion(text, path, name, read_info(path)) for text, path, name in motions]
    chosen += [
        ChosenWords(text, name, Said(text.name, name=name))
        for text, name in zip(spoken, names[len(paths) :], strict=True)
    ]
    words, strengths = _words(options.words, chosen), _strengths(options, chosen)
    degrees = _degrees(options.degree, chosen)
    return [_completed(one, strengths[one.name], words.get(one.name), degrees.get(one.name)) for one in chosen]


def _check_said_or_loaded(loaded: Sequence[MotionText], said: Sequence[MotionText], folders: Sequence[Path]) -> None:
    """Check that no word of a base is asked for as a file, and no file as a word."""
    files, words = find_adapters(folders), {word for spec in BASES.values() if spec.words for word in spec.words()}
    for text in loaded:
        word = re.sub(r"[\W_]+", " ", text.name).lower()
        if word in words and text.name.lower() not in files and not Path(text.name).exists():
            raise MIVAError(f'There is no adapter {text.name!r}, but a word: write --say "{word}".')
    for text in said:
        file = re.sub(r"\W+", "_", text.name).lower()
        if file in files and file.replace("_", " ") not in words:
            raise MIVAError(f"{text.name!r} is no word of a base, but a motion in a file: write --miva {file}.")


def _completed(one: Chosen, strength: float | Strength, words: str | None, degree: float | None) -> Chosen:
    """A motion with all that other options say of it."""
    if isinstance(one, ChosenMotion):
        return one._replace(strength=strength, words=words, degree=degree)
    return one._replace(said=replace(one.said, strength=as_speed(one.name, strength), degree=degree))


def _strengths(options: argparse.Namespace, motions: Sequence[Chosen]) -> dict[str, float | Strength]:
    """How strongly motions are to act, by their name."""
    texts = [
        *((parse_strength(text, "steps"), '--strength "{}=0:1.5,0.5:1"') for text in options.strength),
        *((parse_strength(text, "frames"), '--frames-strength "{}=0,1,0"') for text in options.frames_strength),
        *((StrengthText(name, Curve.edg()), '--edg "{}"') for name in options.edg),
    ]
    given: dict[str, list[StrengthText]] = {one.name: [] for one in motions}
    for text, example in texts:
        given[_meant(text.name, motions, "A strength is", example).name].append(text)
    return {one.name: combined(one.text.strength, given[one.name]) for one in motions}


def _words(texts: Sequence[str], motions: Sequence[Chosen]) -> dict[str, str]:
    """What is said to motions, by their name."""
    words: dict[str, str] = {}
    for text in texts:
        asked, said = parse_words(text, _names(motions))
        one = _meant(asked, motions, "Words are", f'--words "{{}}={said}"')
        if one.name in words:
            raise MIVAError(f"Words are said to {asked} twice: say all of them at once.")
        if isinstance(one, ChosenWords):
            raise MIVAError(f"{asked} is said to the base itself: leave --words out for it.")
        if not one.info.config.words:
            raise MIVAError(f"{asked} was trained without words, and hears none: leave --words out for it.")
        words[one.name] = said
    return words


def _degrees(texts: Sequence[str], motions: Sequence[Chosen]) -> dict[str, float]:
    """How fast motions are to be, by their name."""
    degrees: dict[str, float] = {}
    for text in texts:
        asked, degree = parse_degree(text, _names(motions))
        one = _meant(asked, motions, "A degree is", f'--degree "{{}}={degree:g}"')
        if one.name in degrees:
            raise MIVAError(f"Two degrees are given for {asked}: give one.")
        if isinstance(one, ChosenMotion):
            check_degree(asked, degree, one.info.degree)
        degrees[one.name] = degree
    return degrees


def mask_paths(texts: Sequence[str], motions: Sequence[Chosen]) -> dict[str, Path]:
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


def _names(motions: Sequence[Chosen]) -> set[str]:
    return {name for one in motions for name in (one.name, one.text.name)}


def _meant(asked: str, motions: Sequence[Chosen], what: str, example: str) -> Chosen:
    """The motion that people call so.

    Args:
        asked: as they typed it, or as the file is called.
        motions: all of them.
        what: begins the message where it is not one of them.
        example: what to write, with {} for a name.

    Raises:
        MIVAError: it is none of them, or several.
    """
    if not motions:
        raise MIVAError(f"{what} given for {asked!r}, but no motion: name it by --miva or --say, too.")
    meant = [one for one in motions if asked in (one.name, one.text.name) or _says(one, asked)]
    if len(meant) != 1:
        names = ", ".join(one.name for one in motions)
        advice = example.format((meant or motions)[0].name)
        raise MIVAError(f"{what} given for {asked!r}, but the motions are {names}: write {advice}, for example.")
    return meant[0]


def _says(one: Chosen, asked: str) -> bool:
    """Whether a motion is these words, whatever stands between them."""
    plain = [" ".join(re.split(r"[\W_]+", text.lower())) for text in (one.name, asked)]
    return isinstance(one, ChosenWords) and plain[0] == plain[1]


def read_masks(paths: Mapping[str, Path]) -> dict[str, Tensor]:
    """Masks (H, W) in [0, 1] by the name of their motion."""
    return {name: read_mask(path) for name, path in paths.items()}


def check_chosen_masks(masks: Mapping[str, Tensor], motions: Sequence[Chosen]) -> dict[str, Tensor]:
    """Check that there is a mask (H, W) for each masked motion, and for no other file; see `check_masks`.

    Those of words are checked by `animate`, which knows what the words mean.
    """
    configs = {one.name: one.info.config for one in motions if isinstance(one, ChosenMotion)}
    checked = check_masks({name: mask for name, mask in masks.items() if name in configs}, configs)
    return checked | {name: mask for name, mask in masks.items() if name not in configs}
