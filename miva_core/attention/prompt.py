"""The implicit prompt in place of text cross-attention (3.3.2): a perceptron of two layers on the base's query."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .context import Context
from .processor import of_tokens
from .stacked import Prompts
from .strength import Part


def prompt_activation(hidden: Tensor, prompts: Prompts, act: str) -> Tensor:
    """Between the two layers of every adapter's perceptron: act(norm_j(hidden_j)).

    Args:
        hidden: (n, b, s, r), output of the first layers.
        prompts: of n adapters.
        act: "gelu" or "softmax".

    Returns:
        (n, b, s, r)
    """
    scale, shift = prompts.norm_weight, prompts.norm_bias
    if scale is not None and shift is not None:
        normed = F.layer_norm(hidden, hidden.shape[-1:]).to(hidden)
        hidden = normed * scale[:, None, None].to(hidden) + shift[:, None, None].to(hidden)
    return F.gelu(hidden) if act == "gelu" else torch.softmax(hidden, dim=-1)


def prompt_gates(context: Context, rows: int, tokens: int) -> Tensor:
    """How much each adapter's prompt counts: its strength, and with guidance that times its mask.

    Args:
        context: of the injection.
        rows: b f, the clips' frames.
        tokens: s, of a frame.

    Returns:
        (n,), or (n, b f, s) with guidance, or where strengths differ from frame to frame.
    """
    guidance, strengths = context.guided(tokens), context.strengths_of(Part.PROMPT)
    if strengths.ndim == 2:
        strengths = of_tokens(strengths, rows, tokens)
    elif guidance is not None:
        strengths = strengths[:, None, None]
    return strengths if guidance is None else strengths * guidance.gate.flatten(1, 2)
