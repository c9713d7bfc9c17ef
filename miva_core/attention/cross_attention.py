"""Text cross-attention, in whose place adapters put an implicit prompt (3.3.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from .context import Group
from .linear_maps import each, fan_in, fan_out
from .port import AttentionPort
from .processor import Processor, base_share, total
from .prompt import prompt_activation, prompt_gates
from .stacked import Prompts


class CrossAttention(Processor):
    """Cross-attention to a text, which the prompts of adapters replace in part (3.3.2); each frame is a row of tokens.

    y = Σ_j w_j W2_j(act(norm_j(W1_j f W_Q))) + (1 - Σ_j w_j) CA(f, text), tokens (b f, s, d).

    Without a text there is no CA(f, text), and its share is dropped: real bases run without their text encoder. Under
    guidance w_j is multiplied by the mask of j, so that what no subject claims is left to the base. In mask streams
    their own adapter acts alone.
    """

    def __call__(self, port: AttentionPort, x: Tensor, text: Tensor | None = None) -> Tensor:
        clip_terms, mask_parts = self.prompts(port, x)
        if text is not None:
            clip_terms.append(self._text_share(port, x, text))
        return torch.cat([total(clip_terms), *mask_parts])

    def prompts(self, port: AttentionPort, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """What the adapters put in the place of the text, for programs that attend to the text themselves.

        Args:
            port: the base's attention module.
            x: (b, s, d) its input.

        Returns:
            Terms of a sum for the rows of clips, one for each group; and the rows of each group's mask streams.
        """
        clips, gates, matrix = self.context.clip_rows(len(x)), self._gates(x), port.query_matrix(x)
        tokens = port.query(x) if matrix is None else x
        clip_tokens = tokens[:clips]
        streams = [group for group in self.groups if group.config.mask] if self.context.streams else []
        return (
            [
                self._prompt(group, matrix, self._input(group, port, clip_tokens), gates[group.columns])
                for group in self.groups
            ],
            [
                self._mask_prompt(group, matrix, group.mask_rows(self._input(group, port, tokens), clips))
                for group in streams
            ],
        )

    def _input(self, group: Group, port: AttentionPort, tokens: Tensor) -> Tensor:
        """What the prompts of a group get in the place of these tokens, where bases differ."""
        return tokens

    def _prompt(self, group: Group, matrix: Tensor | None, x: Tensor, gates: Tensor) -> Tensor:
        prompts = group.prompts
        hidden = self._activated(group, prompts, fan_out(x, _first_maps(prompts, matrix, x)))
        return fan_in(hidden, prompts.second, gates)

    def _mask_prompt(self, group: Group, matrix: Tensor | None, xs: Tensor) -> Tensor:
        prompts = group.prompts
        hidden = self._activated(group, prompts, each(xs, _first_maps(prompts, matrix, xs)))
        return each(hidden, prompts.second).flatten(0, 1)

    def _text_share(self, port: AttentionPort, x: Tensor, text: Tensor) -> Tensor:
        """What is left to the base's own attention of the clips to their text."""
        clips = self.context.clip_rows(len(x))
        attended = port.attend_text(x[:clips], text[:clips])
        return base_share(self._gates(x), attended) * attended

    def _activated(self, group: Group, prompts: Prompts, hidden: Tensor) -> Tensor:
        return prompt_activation(hidden, prompts, group.config.ca_act, group.degrees(self.context))

    def _gates(self, x: Tensor) -> Tensor:
        """`prompt_gates` of an input: (n,), or one for each token of the clips in the base's layout."""
        return prompt_gates(self.context, self.context.clip_rows(len(x)), x.shape[1])


def prompt_query(group: Group, port: AttentionPort, query: Tensor) -> Tensor:
    """The base's query as the prompts of a group get it: normed, without its bias where their config says so."""
    if not group.config.ca_query_bias:
        # Asked of the layer, which may be quantised, offloaded or carry a LoRA.
        query = query - port.query(torch.zeros_like(query[:, :1]))
    return port.norm_query(query)


def _first_maps(prompts: Prompts, matrix: Tensor | None, x: Tensor) -> Tensor:
    """The adapters' first matrices, for the base's query; or for its input x, where the query's matrix is given."""
    # W1 W_Q is a far smaller matrix than W_Q
    return prompts.first if matrix is None else prompts.first.to(x) @ matrix.to(x)
