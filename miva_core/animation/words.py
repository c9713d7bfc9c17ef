"""What is said to the motions of a run, as adapters hear it, and what is odd about it."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from ..attention.words import check_words
from ..bases.base import Base
from ..checks import printable
from ..errors import MIVAError
from .motion import Motion


def encode_words(base: Base, motions: Mapping[str, Motion]) -> dict[str, Tensor]:
    """Encode what is said to motions by the words that a base knows.

    Args:
        base: that of the run.
        motions: by name.

    Returns:
        (words, d_text) by name, of those to which something is said.

    Raises:
        MIVAError: the base knows no words, or not these; the message names those that the
            motion has learnt. Or a tensor is no such text.
    """
    return {
        name: _encoded(base, name, motion.words, motion.adapter.known_words)
        for name, motion in motions.items()
        if motion.words is not None
    }


def _encoded(base: Base, name: str, words: str | Tensor, learnt: Sequence[str]) -> Tensor:
    if isinstance(words, Tensor):
        check_words(name, words, True, base.backbone.text_dim)
        return words.to(base.device)
    if base.vocabulary is None:
        raise MIVAError(
            f"The {base.name} base runs without its text encoder, so {printable(name)} cannot be told its words here: "
            "run it in ComfyUI, where a prompt tells them, or give them in Python as the text encoder makes them."
        )
    try:
        return base.vocabulary.encode(words, learnt).to(base.device)
    except MIVAError as error:
        raise MIVAError(f"The words for {printable(name)}: {error}") from error


def words_notes(motions: Sequence[Motion]) -> list[str]:
    """Say which motions are told nothing that they have learnt.

    Args:
        motions: all of a run, with their names.

    Returns:
        Sentences, none where all is usual.
    """
    return [note for motion in motions if motion.acts for note in _unheard(motion)]


def _unheard(motion: Motion) -> list[str]:
    known = motion.adapter.known_words
    if not motion.adapter.config.words or not known:
        return []
    choice = f"say one of {printable(', '.join(known))}"
    if motion.words is None:
        return [f"{motion.name} holds several motions, and is not told which: {choice}."]
    if isinstance(motion.words, Tensor) or _plain(motion.words) in map(_plain, known):
        return []
    return [f"{motion.name} has not learnt the words {printable(motion.words)!r}: {choice}."]


def _plain(words: str) -> str:
    return " ".join(words.lower().replace("_", " ").replace("-", " ").split())
