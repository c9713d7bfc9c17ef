"""The released formulation of MIVA, to compare costs with: what the authors' code computes, with nothing shared.

Cross-frame attention has whole matrices of its own for q, k, v and out, gathers the keys and values of both reference
frames for every frame, and runs one softmax over all of them. The prompt starts from the base's whole query. The
temporal LoRA adds to each projection in turn. Clips come one at a time; the gate, which costs nothing, is left out.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from miva_core import describe

CA_RANK, TA_RANK = 64, 32


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    q, k, v = (tokens.unflatten(-1, (heads, -1)).transpose(1, 2) for tokens in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class CrossFrame:
    """Self-attention of the base, and beside it attention to the first and to the previous frame."""

    def __init__(self, attention: nn.Module, frames: int) -> None:
        self.base, self.frames = attention.processor, frames
        layers = attention.to_q, attention.to_k, attention.to_v, attention.to_out[0]
        self.q, self.k, self.v, self.out = (copy.deepcopy(layer) for layer in layers)

    def __call__(self, attn: nn.Module, x: Tensor, *others: Any, **named: Any) -> Tensor:
        q, k, v = self.q(x), self.k(x), self.v(x)
        if getattr(attn, "norm_q", None) is not None:
            q, k = attn.norm_q(q), attn.norm_k(k)
        # A U-Net's tokens are (frames, s, d) here, Wan's (1, frames s, d).
        q, k, v = (tokens.reshape(self.frames, -1, tokens.shape[-1]) for tokens in (q, k, v))
        first, previous = [0] * self.frames, [0, *range(self.frames - 1)]
        keys, values = (torch.cat((tokens[first], tokens[previous]), dim=1) for tokens in (k, v))
        return self.base(attn, x, *others, **named) + self.out(attend(q, keys, values, attn.heads).reshape(x.shape))


class Prompt:
    """A perceptron on the query in place of the text."""

    def __init__(self, attention: nn.Module, frames: int) -> None:
        width, place = attention.to_q.out_features, attention.to_q.weight
        self.first = nn.Linear(width, CA_RANK, bias=False).to(place)
        self.norm = nn.LayerNorm(CA_RANK).to(place)
        self.second = nn.Linear(CA_RANK, width, bias=False).to(place)

    def __call__(self, attn: nn.Module, x: Tensor, *others: Any, **named: Any) -> Tensor:
        q = attn.to_q(x)
        if getattr(attn, "norm_q", None) is not None:
            q = attn.norm_q(q)
        return self.second(F.gelu(self.norm(self.first(q))))


class Temporal:
    """Temporal self-attention, a LoRA on each of its projections."""

    def __init__(self, attention: nn.Module, frames: int) -> None:
        width, place = attention.to_q.out_features, attention.to_q.weight
        self.loras = [
            nn.Sequential(nn.Linear(width, TA_RANK, bias=False), nn.Linear(TA_RANK, width, bias=False)).to(place)
            for _ in range(4)
        ]

    def __call__(self, attn: nn.Module, x: Tensor, *others: Any, **named: Any) -> Tensor:
        layers = attn.to_q, attn.to_k, attn.to_v
        q, k, v = (layer(x) + lora(x) for layer, lora in zip(layers, self.loras[:3], strict=True))
        mixed = attend(q, k, v, attn.heads)
        return attn.to_out[0](mixed) + self.loras[3](mixed)


@contextmanager
def released(model: nn.Module, frames: int) -> Iterator[None]:
    """The released formulation inside a base, with matrices that start as the base's; taken out at the end."""
    kinds = {"sa": CrossFrame, "ca": Prompt, "ta": Temporal}
    attentions = [(model.get_submodule(site.path), kinds[site.kind]) for site in describe(model).sites]
    before = [attention.processor for attention, _ in attentions]
    for attention, kind in attentions:
        attention.set_processor(kind(attention, frames))
    try:
        yield
    finally:
        for (attention, _), processor in zip(attentions, before, strict=True):
            attention.set_processor(processor)
