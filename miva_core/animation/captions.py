"""What is said to a base, as captions of its clips: words as long as they are to be fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from ..attention.strength import level_at
from ..bases.base import Base
from ..bases.registry import BASES
from ..bases.vocabulary import Vocabulary
from ..checks import printable
from ..errors import MIVAError
from ..motion_fields.motions import MOTIONS, MotionField
from .said import Said

_FILM = "Film a Still, or the command film"


@dataclass(frozen=True)
class Word:
    """One of the words that are said to a base.

    Attributes:
        slot: what it is about.
        name: in the base's vocabulary, as "camera pan_left".
        field: what is known of the motion that it stands for, or None.
    """

    slot: str
    name: str
    field: MotionField | None

    @property
    def adds_up(self) -> bool:
        """Whether what it does in a frame is added to what it has done before, so that curves are of its speed."""
        return self.field is not None and self.field.kind != "shake" and self.field.period is None


def find_words(base: Base, name: str, text: str) -> list[Word]:
    """Find the words of a text in a base's vocabulary.

    Args:
        base: that of the run.
        name: of the motion, for messages.
        text: what is said.

    Raises:
        MIVAError: the base does not move by words, or does not know these.
    """
    known = moving_vocabulary(base, name)
    try:
        found = known.find(text)
    except MIVAError as error:
        raise MIVAError(str(error) if name == text else f"The words of {printable(name)}: {error}") from error
    return [Word(slot, word, MOTIONS.get(word.partition(" ")[2])) for slot, word in found.items()]


def moving_vocabulary(base: Base, name: str) -> Vocabulary:
    """The words that a base moves by.

    Args:
        base: that of the run.
        name: of the motion, for the message.

    Raises:
        MIVAError: there are none.
    """
    if base.vocabulary is None or not base.vocabulary.speeds:
        raise MIVAError(no_words(base.name, name))
    return base.vocabulary


def no_words(base: str, name: str) -> str:
    """Say that a base moves by no words.

    Args:
        base: its name.
        name: of the motion that is said to it.
    """
    others = " or ".join(spec.name for spec in BASES.values() if spec.words)
    instead = f"choose the base {others}, or " if others else ""
    return f"The {base} base does not move by words such as {printable(name)!r}: {instead}load a MIVA of that motion."


def check_said(base: Base, said: Mapping[str, Said]) -> None:
    """Check that a base knows all that is said to it, and that nothing is said twice.

    Args:
        base: that of the run.
        said: by name.

    Raises:
        MIVAError: it does not, or two without masks are about one thing, or one with a mask moves the whole picture.
    """
    about: dict[str, str] = {}
    for name, one in said.items():
        known = moving_vocabulary(base, name)
        for word in find_words(base, name, one.text):
            if one.mask is not None:
                _check_local(known, name, word)
            elif word.slot in about:
                raise MIVAError(_twice(about[word.slot], name, word.slot, word.slot in known.local))
            else:
                about[word.slot] = name


def _twice(one: str, other: str, slot: str, is_local: bool) -> str:
    """Say that two motions without masks are about one thing, and what to do instead."""
    instead = (
        "mark what each of them is to move by a mask of its own"
        if is_local
        else f"film the picture by both, which needs no base ({_FILM})"
    )
    return f"{one} and {other} are both about the {slot}, of which a clip hears one word: leave one out, or {instead}."


def _check_local(known: Vocabulary, name: str, word: Word) -> None:
    if word.slot in known.local:
        return
    if word.field is not None and word.field.kind == "shake":
        instead = f"film the picture, where a mask may mark what is to shake ({_FILM})"
    else:
        local = [known.phrase(one) for one in known.vectors if one.partition(" ")[0] in known.local]
        instead = f"say a word that moves a part of it, such as {local[0]}"
    raise MIVAError(
        f"A mask is given for {name}, but {known.phrase(word.name)} moves the whole picture: leave the mask out, or "
        f"{instead}."
    )


def caption(base: Base, said: Mapping[str, Said], shares: Sequence[float]) -> Tensor:
    """Build the caption of one clip.

    A word that goes on and on has in frame k the mean of the speeds that its curve asks for up to there, since the base
    answers the whole way; one that comes back has the value itself.

    Args:
        base: that of the run; its own caption is added.
        said: what is said to the clip, by name.
        shares: of the clip at its frames, see `frame_shares`.

    Returns:
        (F, slots, dim)
    """
    assert base.text is not None, "a base that moves by words has a caption"
    text = base.text.expand(len(shares), -1, -1).clone()
    for name, one in said.items():
        known = moving_vocabulary(base, name)
        for word in find_words(base, name, one.text):
            speeds = _speeds(one, known.speeds[word.name], shares, word.adds_up)
            vector = known.vectors[word.name].to(text)
            text[:, known.slots.index(word.slot)] += torch.tensor(speeds).to(text)[:, None] * vector
    return text


def last_pace(base: Base, said: Mapping[str, Said], shares: Sequence[float]) -> float:
    """How fast what goes on and on is at the end of a clip, by its mean speed.

    Args:
        base: that of the run.
        said: what is said to one clip, by name.
        shares: of the clip at its frames.

    Returns:
        1 where nothing changes its speed, or comes back to where it was.
    """
    for name, one in said.items():
        for word in find_words(base, name, one.text):
            if word.adds_up and not isinstance(one.strength, int | float):
                speeds = [level_at(one.strength, share) for share in shares[1:]]
                return speeds[-1] / mean if (mean := sum(speeds) / len(speeds)) else 1.0
    return 1.0


def degree_speed(degree: float | None, speeds: tuple[float, float]) -> float:
    """The speed that a degree stands for; 1 where there is none.

    Args:
        degree: from 0 to 1.
        speeds: the slowest and the fastest one.
    """
    slowest, fastest = speeds
    return 1.0 if degree is None else slowest + degree * (fastest - slowest)


def _speeds(one: Said, known: tuple[float, float], shares: Sequence[float], adds_up: bool) -> list[float]:
    factor = degree_speed(one.degree, known)
    speeds = [factor * level_at(one.strength, share) for share in shares]
    if not adds_up:
        return speeds
    means = [way / k for k, way in enumerate(accumulate(speeds[1:]), start=1)]
    return [means[0], *means]
