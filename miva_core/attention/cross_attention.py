"""Text cross-attention, in whose place adapters put an implicit prompt (3.3.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..adapters.layers import Prompt
from .context import Group
from .linear_maps import each, fan_in, fan_out
from .port import AttentionPort
from .processor import Processor, base_share, total
from .prompt import prompt_activation, prompt_gates


class CrossAttention(Processor):
    """y = Σ_j w_j W2_j(act(norm_j(W1_j f W_Q))) + (1 - Σ_j w_j) CA(f, text) (3.3.2), tokens (b f, s, d).

    Without a text there is no CA(f, text), and its share is dropped: real bases run without their text encoder. Under
    guidance w_j is multiplied by the mask of j, so that what no subject claims is left to the base. In mask streams
    their own adapter acts alone.
    """

    def __call__(self, port: AttentionPort, x: Tensor, text: Tensor | None = None) -> Tensor:
        clips = self.context.clip_rows(len(x))
        of_clips = x[:clips]
        gates = prompt_gates(self.context, x.shape[1])
        y = total([self._prompt(group, port, of_clips, gates[group.adapters]) for group in self.groups])
        if text is not None:
            of_text = port.attend(port.query(of_clips), port.key(text[:clips]), port.value(text[:clips]))
            of_text = port.output(of_text)
            y = y + base_share(gates, of_text) * of_text
        if not self.context.streams:
            return y
        masked = [group for group in self.groups if group.config.mask]
        return torch.cat([y, *(self._mask_prompt(group, port, group.mask_rows(x, clips)) for group in masked)])

    def _prompt(self, group: Group, port: AttentionPort, x: Tensor, gates: Tensor) -> Tensor:
        prompts = group.parts("ca")
        x, first = _first_maps(port, x, prompts)
        hidden = prompt_activation(fan_out(x, first), prompts, group.config.ca_act)
        return fan_in(hidden, [prompt.second for prompt in prompts], gates)

    def _mask_prompt(self, group: Group, port: AttentionPort, xs: Tensor) -> Tensor:
        prompts = group.parts("ca")
        xs, first = _first_maps(port, xs, prompts)
        hidden = prompt_activation(each(xs, first), prompts, group.config.ca_act)
        return each(hidden, [prompt.second for prompt in prompts]).flatten(0, 1)


def _first_maps(port: AttentionPort, x: Tensor, prompts: list[Prompt]) -> tuple[Tensor, list[Tensor]]:
    """What the adapters' first matrices are to be applied to, and those matrices."""
    first: list[Tensor] = [prompt.first for prompt in prompts]
    matrix = port.query_matrix(x)
    if matrix is None:
        return port.query(x), first
    # W1 W_Q is a far smaller matrix than W_Q
    return x, [one @ matrix.to(one) for one in first]
