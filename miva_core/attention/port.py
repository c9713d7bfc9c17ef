"""What processors see of an attention module, whichever program it belongs to."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from .softmax_attention import Bias


class AttentionPort(Protocol):
    """One attention module in one call: its maps, its norms and its positions.

    A port is made anew for each call, so that it can carry what came with the call, such as rotary positions.
    Processors ask for query, key and value of the whole input of the call: programs that have made them before they are
    asked return those, and None as the query's matrix.

    Shapes: tokens (b, s, d), or with more dimensions in front; b rows of s tokens of d channels.
    """

    def query(self, x: Tensor) -> Tensor:
        """W_Q x, neither normed nor rotated."""
        ...

    def query_matrix(self, x: Tensor) -> Tensor | None:
        """W_Q (d, d) where `query` is just x W_Qᵀ, so that it may be merged with another matrix.

        None where the layer itself must be asked, since it has a bias, is quantised, offloaded or carries a LoRA.
        """
        ...

    def key(self, x: Tensor) -> Tensor:
        """W_K x, normed where the module norms keys, not rotated."""
        ...

    def value(self, x: Tensor) -> Tensor:
        """W_V x."""
        ...

    def norm_query(self, query: Tensor) -> Tensor:
        """The module's norm of queries; the query itself where it has none."""
        ...

    def rotate(self, tokens: Tensor) -> Tensor:
        """Queries or keys turned by their rotary positions; the tokens themselves where there are none."""
        ...

    def attend(self, q: Tensor, k: Tensor, v: Tensor, bias: Bias | None = None) -> Tensor:
        """Attention of the module's own kind, with its number of heads, guided by masks where there is a bias.

        Softmax attention is `softmax_attention.attend`; without a bias a program may take its own fastest kernel. In
        linear attention the bias is codes, and their product is a factor of the similarities.
        """
        ...

    def output(self, y: Tensor) -> Tensor:
        """W_O y, with its bias."""
        ...

    def attend_text(self, x: Tensor, text: Tensor) -> Tensor:
        """The module's own attention to a text, its output map included.

        It is one call, so that whatever stands in the module's place already may answer it.

        Args:
            x: (b, s, d) some rows of the input of the call.
            text: (b, words, d_text), those of the same rows.

        Returns:
            (b, s, d), or (b, 1, d) where all tokens of a row get the same.
        """
        ...
