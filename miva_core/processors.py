"""The attention processors that take the place of diffusers' own while adapters are injected.

They are plain objects, so that a base neither owns nor saves an adapter's parameters. Each reads only its own
attributes, named alike on all of them, and one shared `Context`: torch.compile then makes one graph for all blocks of a
kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .attention import (
    attend,
    collect,
    cross_frame_output,
    cross_frame_queries,
    each,
    fan_out,
    joint_cross_frame,
    prompt_output,
    reference_weights,
    separate_cross_frame,
)
from .config import MIVAConfig
from .errors import MIVAError


@dataclass(eq=False)
class Context:
    """What changes from call to call, shared by all processors of one injection.

    Args:
        weights: (n,), one weight for each adapter; written in place.
        temb: (b, d_t), the time embedding of the running forward pass, before SiLU.
        frames: number of frames of the running forward pass; 0 before the first.
    """

    weights: Tensor
    temb: Tensor | None = None
    frames: int = 0

    def counted_frames(self) -> int:
        """`frames`, once the model has told them.

        Raises:
            MIVAError: it has not, since hooks were bypassed; frames would be taken for clips.
        """
        if not self.frames:
            raise MIVAError("Call the model itself, not its forward: only so do adapters learn the number of frames.")
        return self.frames


@dataclass(eq=False)
class Group:
    """Adapters of equal config at one site. Equal shapes let each step be one product for all of them.

    Args:
        modules: the adapters' modules for this site.
        config: their common config.
        start: where their weights start in `Context.weights`.
    """

    modules: list[nn.ModuleDict]
    config: MIVAConfig
    start: int

    def weights(self, context: Context) -> Tensor:
        """(len(modules),)"""
        return context.weights[self.start : self.start + len(self.modules)]

    def parts(self, name: str) -> list[nn.Module]:
        """One part of every adapter, such as "cfa"."""
        return [module[name] for module in self.modules]


class Processor:
    """What all of them hold; see the module's text."""

    def __init__(self, context: Context, groups: list[Group]) -> None:
        self.context = context
        self.groups = groups


class SelfAttention(Processor):
    """y_i = SA(f^i) + Σ_j w_j W_O^j(λ2^j A(f^i, f^1) + λ3^j A(f^i, f^prev(i))) (Eq. 2), tokens (b f, s, d).

    The references use the keys and values that SA has just made.
    """

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        refuse_mask(attention_mask)
        q, k, v = attn.to_q(hidden_states), attn.to_k(hidden_states), attn.to_v(hidden_states)
        y = project_out(attn, attend(q, k, v, attn.heads))
        for group in self.groups:
            y = y + self._cross_frame(group, attn, hidden_states, q, k, v)
        return y

    def _cross_frame(self, group: Group, attn: nn.Module, x: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        branches = group.parts("cfa")
        queries = cross_frame_queries(x, q, branches)
        mixed = mix_references(self.context, group, queries, k, v, attn.heads)
        return cross_frame_output(mixed, branches, group.weights(self.context))


class CrossAttention(Processor):
    """y = Σ_j w_j W2_j(act(norm_j(W1_j f W_Q))) + (1 - Σ_j w_j) CA(f, text) (3.3.2), tokens (b f, s, d).

    Without a text there is no CA(f, text), and its share is dropped: real bases run without their text encoder.
    """

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        refuse_mask(attention_mask)
        y = sum(self._prompt(group, attn, hidden_states) for group in self.groups)
        if encoder_hidden_states is None:
            return y
        q, k, v = attn.to_q(hidden_states), attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states)
        return y + base_share(self.context, q) * project_out(attn, attend(q, k, v, attn.heads))

    def _prompt(self, group: Group, attn: nn.Module, x: Tensor) -> Tensor:
        prompts = group.parts("ca")
        first = [prompt.first for prompt in prompts]
        if is_plain(attn.to_q, x):
            # W1 W_Q is a far smaller matrix than W_Q
            hidden = fan_out(x, [matrix @ attn.to_q.weight.to(matrix) for matrix in first])
        else:
            hidden = fan_out(attn.to_q(x), first)
        return prompt_output(hidden, prompts, group.config.ca_act, group.weights(self.context))


class TemporalAttention(Processor):
    """y = Σ_j w_j tSA_j(f) + (1 - Σ_j w_j) tSA(f), tokens (b h w, f, d).

    The outputs of several adapters are summed, not their LoRA matrices (B.2.1).
    """

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        refuse_mask(attention_mask)
        qkv = attn.to_q(hidden_states), attn.to_k(hidden_states), attn.to_v(hidden_states)
        mixed = attend(*qkv, attn.heads)
        mixed = base_share(self.context, mixed) * mixed
        extra = 0
        for group in self.groups:
            weights, lora = group.weights(self.context), group.parts("ta")
            attended = self._attend(group, attn, hidden_states, qkv)
            mixed = mixed + torch.einsum("n,nbfd->bfd", weights.to(attended), attended)
            scale = group.config.ta_alpha / group.config.ta_rank
            extra = extra + collect(attended, [site.out for site in lora], scale * weights)
        # all shares sum to 1, so one projection of their mean counts its bias exactly once
        return project_out(attn, mixed) + extra

    def _attend(self, group: Group, attn: nn.Module, x: Tensor, qkv: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Every adapter's own temporal attention before its output map: (n, b h w, f, d)."""
        lora = group.parts("ta")
        deltas = [getattr(site, name) for name in ("q", "k", "v") for site in lora]
        down = fan_out(x, [delta.down for delta in deltas]) * (group.config.ta_alpha / group.config.ta_rank)
        changes = each(down, [delta.up for delta in deltas]).chunk(3)
        q, k, v = ((base + change).flatten(0, 1) for base, change in zip(qkv, changes, strict=True))
        return attend(q, k, v, attn.heads).unflatten(0, (len(lora), -1))


def mix_references(context: Context, group: Group, queries: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """λ2^j A(q_i, f^1) + λ3^j A(q_i, f^prev(i)) of all adapters of a group, in the form their config asks for.

    queries (n, b f, s, d), k and v (b f, s, d) give (n, b f, s, d).
    """
    frames = context.counted_frames()
    lambdas = reference_weights(context.temb, group.parts("gate"), group.config.gate_temperature)
    lambdas = lambdas.repeat_interleave(frames, dim=1)
    cross_frame = separate_cross_frame if group.config.cfa_softmax == "separate" else joint_cross_frame
    return cross_frame(queries, k, v, lambdas, heads, frames)


def project_out(attn: nn.Module, hidden_states: Tensor) -> Tensor:
    projection, dropout = attn.to_out
    return dropout(projection(hidden_states))


def is_plain(linear: nn.Module, x: Tensor) -> bool:
    """Whether `linear(x)` is x times its weight: it may also be quantised, offloaded or carry a LoRA of its own."""
    return type(linear) is nn.Linear and linear.bias is None and linear.weight.device == x.device


def base_share(context: Context, like: Tensor) -> Tensor:
    # arithmetic on a tensor, never a branch: a new weight must not trigger a new compilation
    return (1 - context.weights.sum()).to(like)


def refuse_mask(attention_mask: Tensor | None) -> None:
    if attention_mask is not None:
        raise MIVAError("The model was called with an attention mask, which adapters do not support; leave it out.")
