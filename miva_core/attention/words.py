"""What adapters hear of words: one token for each frame, by attention of learned queries (EDG, stage 1).

The tokens are made once for each forward pass. Each site of temporal attention adds them to its input, by a map of its
own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..adapters.adapter import MIVAAdapter
from ..adapters.layers import WORD_HEADS, WORD_WIDTH, Words
from ..errors import MIVAError
from .softmax_attention import attend


class Listener:
    """One adapter, and what is said to it.

    Args:
        words: the adapter's. Nothing is said at first.
    """

    def __init__(self, words: Words) -> None:
        self._words: Words | _Frozen = words
        self.say(None)

    def say(self, text: Tensor | None) -> None:
        """Say words (words, d_text) to all clips or (b, words, d_text) to each its own, or nothing."""
        said = self._words.key.detach().new_zeros(1, self._words.key.shape[-1]) if text is None else text
        self._text = said if said.ndim == 3 else said[None]

    def tokens(self, shares: Sequence[float]) -> Tensor:
        """What it hears: softmax attention of the queries to the text, of which each frame takes its part.

        Args:
            shares: of the clip, at each frame.

        Returns:
            (b, frames, `WORD_WIDTH`)
        """
        words = self._words
        text = self._text.to(words.queries)
        queries = words.queries.expand(len(text), -1, -1)
        return _along(attend(queries, F.linear(text, words.key), F.linear(text, words.value), WORD_HEADS), shares)

    def freeze(self, device: torch.device) -> None:
        """Keep the parameters as they are now, see `Injection.freeze`; they are computed with in their own dtype."""
        words = self._words
        self._words = _Frozen(
            *(part.detach().to(device, copy=True) for part in (words.queries, words.key, words.value))
        )


class _Frozen(NamedTuple):
    """The parameters of `Words`."""

    queries: Tensor
    key: Tensor
    value: Tensor


def heard_by_all(listeners: Sequence[Listener | None], shares: Sequence[float], clips: int) -> Tensor:
    """What every adapter hears.

    Args:
        listeners: in the order of the adapters, at least one; None for those that were made without words.
        shares: of the clip, at each frame of a forward pass.
        clips: of the batch.

    Returns:
        (n, b, frames, `WORD_WIDTH`), with zeros for those without; b is 1 where all clips hear the same.

    Raises:
        MIVAError: words are said to other clips than these.
    """
    tokens = [None if one is None else one.tokens(shares) for one in listeners]
    present = [one for one in tokens if one is not None]
    said_to = {len(one) for one in present} - {1}
    if said_to - {clips}:
        raise MIVAError(
            f"Words are said to {max(said_to - {clips})} clips, but the batch has {clips}: say them to each clip, or "
            "the same to all."
        )
    nothing = present[0].new_zeros(1, len(shares), WORD_WIDTH)
    # Where memory is short, a program that manages it may have left some of them elsewhere.
    alike = [(nothing if one is None else one.to(nothing)).expand(max(said_to, default=1), -1, -1) for one in tokens]
    return torch.stack(alike)


def listeners_of(adapters: Iterable[MIVAAdapter]) -> list[Listener | None]:
    """One for each adapter, None for those without words; empty where none hears any."""
    listeners = [None if adapter.words is None else Listener(adapter.words) for adapter in adapters]
    return listeners if any(listeners) else []


def check_words(name: str, text: Any, listener: Listener | None, width: int) -> None:
    """Check what is to be said to an adapter.

    Args:
        name: of the adapter.
        text: see `Injection.set_words`.
        listener: the adapter's; None if it was made without words.
        width: d_text of the base.

    Raises:
        MIVAError: it is no text, or the adapter hears none.
    """
    if text is None:
        return
    if listener is None:
        raise MIVAError(
            f"{name} was trained without words, and hears none: leave them out, or take one that hears words."
        )
    if not isinstance(text, Tensor) or text.ndim not in (2, 3) or text.shape[-1] != width or not text.numel():
        what = f"of shape {tuple(text.shape)}" if isinstance(text, Tensor) else f"a {type(text).__name__}"
        raise MIVAError(
            f"The words for {name} are {what}, expected a tensor (words, {width}), as the base encodes texts."
        )


def _along(tokens: Tensor, shares: Sequence[float]) -> Tensor:
    """Tokens (b, q, d) at shares of the way from the first to the last, (b, frames, d), linear in between."""
    places = [share * (tokens.shape[1] - 1) for share in shares]
    before = [min(int(place), tokens.shape[1] - 2) for place in places]
    way = tokens.new_tensor([place - k for place, k in zip(places, before, strict=True)])[:, None]
    return tokens[:, before] * (1 - way) + tokens[:, [k + 1 for k in before]] * way
