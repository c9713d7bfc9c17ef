"""The words of a base that knows some by heart, and needs no text encoder for them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import torch
from torch import Tensor

from ..checks import printable, shown
from ..errors import MIVAError

_NAMED = 3
"""Near words that a message names."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Texts of a word for each slot, each with a vector. What is not said is zero.

    Attributes:
        slots: what words are about, as "camera", in the order in which a text has them.
        vectors: (dim,) of each word, by names as "camera pan_left", which begin with their slot.
        speeds: the slowest and the fastest speed that the base was trained on, by the word's name: such a base moves by
            its words alone, as fast as they are long. Empty for bases whose words say no speed.
        local: the slots whose words move a part of the picture, which a mask marks.
    """

    slots: Sequence[str]
    vectors: Mapping[str, Tensor]
    speeds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    local: Sequence[str] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """As people say them, see `phrases`."""
        return phrases(self.vectors)

    def phrase(self, name: str) -> str:
        """A word, by its name, as people say it."""
        return dict(zip(self.vectors, self.words, strict=True))[name]

    def encode(self, text: str, choice: Sequence[str] = ()) -> Tensor:
        """The vectors of a text, such as "pan left" or "Pan left, jump".

        Args:
            text: words of at most one for each slot; letters of any case, whatever stands between them.
            choice: what a message names in place of all words, such as those that an adapter has learnt.

        Returns:
            (slots, dim), float32.

        Raises:
            MIVAError: it has none, an unknown one, whose nearest are named if there is no choice, or two of one slot.
        """
        said = torch.zeros(len(self.slots), *next(iter(self.vectors.values())).shape)
        for slot, name in self.find(text, choice).items():
            said[self.slots.index(slot)] = self.vectors[name]
        return said

    def find(self, text: str, choice: Sequence[str] = ()) -> dict[str, str]:
        """The names of the words of a text, by their slot; see `encode`."""
        found: dict[str, tuple[str, str]] = {}
        for word in self._split(text, choice):
            name = self._names()[word]
            slot = name.partition(" ")[0]
            if slot in found:
                raise MIVAError(f"{shown(text)} says two things of the {slot}, {found[slot][0]} and {word}: say one.")
            found[slot] = word, name
        return {slot: name for slot, (_, name) in found.items()}

    def _names(self) -> dict[str, str]:
        """Names by what is said for them, with the slot in front or without, where it is clear without."""
        return dict(zip(self.words, self.vectors, strict=True)) | {
            name.replace("_", " "): name for name in self.vectors
        }

    def _split(self, text: str, choice: Sequence[str]) -> list[str]:
        """The words of a text, the longest first at each place."""
        rest, words, names = re.findall(r"[^\W_]+", text.lower()), [], self._names()
        longest = max(len(name.split()) for name in names)
        while rest:
            for length in range(min(longest, len(rest)), 0, -1):
                if (word := " ".join(rest[:length])) in names:
                    words.append(word)
                    rest = rest[length:]
                    break
            else:
                raise MIVAError(self._unknown(" ".join(rest[:longest]), choice))
        if not words:
            raise MIVAError(f"{shown(text)} holds no word: say one of {_listed(choice or self.words)}.")
        return words

    def _unknown(self, said: str, choice: Sequence[str]) -> str:
        if choice:
            return f"{shown(said)} is unknown to this base; say one of {_listed(choice)}."
        near = get_close_matches(said, self.words, _NAMED, cutoff=0.0)
        return f"{shown(said)} is unknown to this base; the nearest that it knows are {_listed(near)}."


def phrases(names: Iterable[str]) -> tuple[str, ...]:
    """Words as people say them: "pan left"; those that two slots share begin with their slot.

    Args:
        names: as "camera pan_left".
    """
    pairs = [(name.partition(" ")[2].replace("_", " "), name.replace("_", " ")) for name in names]
    short = [phrase for phrase, _ in pairs]
    return tuple(phrase if short.count(phrase) == 1 else name for phrase, name in pairs)


def _listed(words: Sequence[str]) -> str:
    return ", ".join(map(printable, words))
