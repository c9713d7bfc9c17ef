"""The header of an adapter file: which base it needs, how it is built, what it was trained on."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from safetensors import SafetensorError, safe_open

from ..checks import LARGEST, is_count, is_line, is_number, is_whole, printable, shown
from ..errors import MIVAError
from ..storage.identify import BROKEN, FORMAT_VERSION, LONGEST_ADAPTER_HEADER, NEWER, header_length, identify_file
from .backbone import Backbone
from .config import MIVAConfig
from .degree import DegreeRange

_MOST_WORDS = 1000
"""No adapter hears as many motions apart; a file that claims more is not worth the time to show them."""


@dataclass(frozen=True)
class AdapterInfo:
    """What an adapter file says of itself, as JSON under the metadata key "miva".

    Args:
        family: `Backbone.family` of the base it was trained on.
        fingerprint: `Backbone.fingerprint` of that base.
        config: the adapter's structure.
        motion: name of the motion, such as "pan left".
        frames: number of frames it was trained on.
        size: width and height of the training clips in pixels.
        fps: frames per second of the training clips.
        subject: phrase for what moves, the default text to find it by; empty for a camera move.
        training: how it was trained, such as steps, clips, lr and seed; a flat record of numbers and texts.
        licence: licence of the adapter's weights, such as an SPDX name.
        author: who trained it.
        degree: what its degrees mean; of adapters that have them, and of no others.
        words: what was said of its training clips, each once; of adapters that hear words alone.

    Raises:
        MIVAError: a field has the wrong type or is out of range.
    """

    family: str
    fingerprint: str
    config: MIVAConfig
    motion: str
    frames: int
    size: tuple[int, int]
    fps: float
    subject: str = ""
    training: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    licence: str = ""
    author: str = ""
    degree: DegreeRange | None = None
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("family", "fingerprint", "motion", "subject", "licence", "author"):
            if not is_line(getattr(self, name)):
                raise MIVAError(f"{name} is {shown(getattr(self, name))}, expected a text of one line.")
        if not is_count(self.frames):
            raise MIVAError(f"frames is {shown(self.frames)}, expected an integer from 1 to {LARGEST}.")
        if not (isinstance(self.size, tuple) and len(self.size) == 2 and all(is_count(side) for side in self.size)):
            raise MIVAError(f"size is {shown(self.size)}, expected (width, height) in pixels.")
        if not (is_number(self.fps) and self.fps > 0):
            raise MIVAError(f"fps is {shown(self.fps)}, expected a positive number.")
        if not isinstance(self.training, Mapping) or not all(
            is_line(name) and _is_recordable(value) for name, value in self.training.items()
        ):
            raise MIVAError(f"training is {shown(self.training)}, expected names with finite numbers or texts.")
        if not isinstance(self.degree, DegreeRange if self.config.degree else type(None)):
            raise MIVAError(
                f"degree is {shown(self.degree)}, expected a range for an adapter with a degree, and None for another."
            )
        if not (isinstance(self.words, tuple) and len(self.words) <= _MOST_WORDS and all(map(_is_said, self.words))):
            raise MIVAError(f"words are {shown(self.words)}, expected up to {_MOST_WORDS} texts of one line.")
        if self.words and not self.config.words:
            raise MIVAError(f"words are {shown(self.words)}, but the adapter hears none.")

    def check(self, backbone: Backbone, path: str | os.PathLike[str] | None = None) -> None:
        """Compare the base the adapter was trained on with the one at hand; neither's weights are needed.

        Args:
            backbone: of the base at hand.
            path: the adapter's file, for the message.

        Raises:
            MIVAError: they differ.
        """
        if (self.family, self.fingerprint) != (backbone.family, backbone.fingerprint):
            name = repr(printable(self.motion)) if path is None else path
            raise MIVAError(
                f"The adapter {name} was trained on another base, or another release of it "
                f"({printable(self.family)}, {printable(self.fingerprint)}), than this one ({backbone.family}, "
                f"{backbone.fingerprint}); load the base it was trained on."
            )

    def to_json(self) -> str:
        """One line of JSON with the format version in front."""
        data = asdict(self) | {"config": self.config.to_dict()}
        later = {name: data.pop(name) for name in _LATER}
        known = {name: value for name, value in later.items() if value}
        return json.dumps({"format_version": self.config.since_version, **data, **known}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> AdapterInfo:
        """Inverse of `to_json`.

        Raises:
            MIVAError: it is no JSON object, a newer format version, or a field missing, unknown or out of range.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            why = printable(str(error)) if isinstance(error, ValueError) else "it is nested too deeply"
            raise MIVAError(f"its header is not valid JSON ({why}).") from error
        if not isinstance(data, dict):
            raise MIVAError(f"its header is {shown(data)}, expected a JSON object.")
        _check_version(data.pop("format_version", None))
        required = {"family", "fingerprint", "config", "motion", "frames", "size", "fps"}
        if wrong := (required - data.keys()) | (data.keys() - {item.name for item in fields(cls)}):
            raise MIVAError(f"its header lacks, or should not have, the fields {shown(sorted(wrong))}.")
        size, words, degree = data.pop("size"), data.pop("words", ()), data.pop("degree", None)
        return cls(
            config=MIVAConfig.from_dict(data.pop("config")),
            size=tuple(size) if isinstance(size, list) else size,
            degree=None if degree is None else DegreeRange.from_dict(degree),
            words=tuple(words) if isinstance(words, list) else words,
            **data,
        )


_LATER = ("degree", "words")
"""Fields that older code does not know; files have them only where they say something."""


def read_info(path: str | os.PathLike[str]) -> AdapterInfo:
    """Read the header of an adapter file, and no tensor.

    Raises:
        MIVAError: the file is no adapter (the message says what it is), or its header is broken or too new.
    """
    _check_name(path)
    header = _header(path)
    try:
        return AdapterInfo.from_json(header)
    except MIVAError as error:
        raise MIVAError(f"{path} is a MIVA adapter that cannot be used: {error}") from error


def _check_name(path: str | os.PathLike[str]) -> None:
    """The library of safetensors takes no name that is not Unicode, and would not say so of a sound file."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError as error:
        name = printable(os.fspath(path))
        raise MIVAError(f"The name {name} is not Unicode: rename the file, with letters and digits alone.") from error


def _header(path: str | os.PathLike[str]) -> str:
    with contextlib.suppress(OSError, SafetensorError, KeyError):
        length = header_length(path)
        if length is not None and length <= LONGEST_ADAPTER_HEADER:
            with safe_open(path, framework="pt") as file:
                return (file.metadata() or {})["miva"]
    found = identify_file(path)
    if found == "not there":
        raise MIVAError(f"There is no adapter {path}: check the name and the folder.")
    another = "choose one that ComfyUI-MIVA has saved, or its command `convert` made from a research checkpoint"
    advice = "update ComfyUI-MIVA" if found == NEWER else "get it again" if found in BROKEN else another
    raise MIVAError(f"{path} is {found}, but a whole MIVA adapter was expected: {advice}.")


_PARTS = {
    ".ta.words.": "words",
    "words.": "words",
    ".cfa.q.": "cross-frame attention",
    ".cfa.out.": "cross-frame attention",
    ".cfa.": "biases of cross-frame attention",
    ".cfa_mask.q.": "cross-frame attention of the mask",
    ".cfa_mask.out.": "cross-frame attention of the mask",
    ".cfa_mask.": "its biases",
    ".gate.": "gate",
    ".ca.first.": "prompt",
    ".ca.second.": "prompt",
    ".ca.degree.": "degree",
    ".ca.": "norm of the prompt",
    ".ta.": "temporal attention",
    "caption.": "caption",
}
"""The component that a tensor of an adapter file belongs to, by the first of these parts that its name has."""


def count_parameters(shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Parameters of an adapter by component, from the names and shapes in its file."""
    counts: dict[str, int] = {}
    for name, shape in shapes.items():
        part = next((part for mark, part in _PARTS.items() if mark in f"{name}."), "unknown")
        counts[part] = counts.get(part, 0) + math.prod(shape)
    return {part: counts[part] for part in dict.fromkeys([*_PARTS.values(), "unknown"]) if part in counts}


def _check_version(version: Any) -> None:
    if not is_whole(version) or version < 1:
        raise MIVAError(f"its format version is {shown(version)}, expected an integer of at least 1.")
    if version > FORMAT_VERSION:
        raise MIVAError(
            f"its format version is {shown(version)}, and this ComfyUI-MIVA reads up to {FORMAT_VERSION}; update it."
        )


def _is_said(value: Any) -> bool:
    return is_line(value) and bool(value.strip())


def _is_recordable(value: Any) -> bool:
    return isinstance(value, bool) or is_line(value) or is_number(value)
