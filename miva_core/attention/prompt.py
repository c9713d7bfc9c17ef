"""The implicit prompt in place of text cross-attention (3.3.2): a perceptron of two layers on the base's query."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .context import Context
from .processor import of_tokens
from .stacked import Prompts
from .strength import Part

_MEAN_SQUARE = 0.4
"""About the mean of u² over a training set, so that both terms say different things."""


def prompt_activation(hidden: Tensor, prompts: Prompts, act: str, degrees: Tensor) -> Tensor:
    """Between the two layers of every adapter's perceptron: act(norm_j(hidden_j)), at its degree where it has one.

    Args:
        hidden: (n, b, s, r), output of the first layers.
        prompts: of n adapters.
        act: "gelu" or "softmax".
        degrees: (n,), or (n, clips) with one for each clip of the batch, see `at_degree`.

    Returns:
        (n, b, s, r)
    """
    scale, shift = prompts.norm_weight, prompts.norm_bias
    if scale is not None and shift is not None:
        normed = F.layer_norm(hidden, hidden.shape[-1:]).to(hidden)
        hidden = normed * scale[:, None, None].to(hidden) + shift[:, None, None].to(hidden)
    hidden = F.gelu(hidden) if act == "gelu" else torch.softmax(hidden, dim=-1)
    return hidden if prompts.degree is None else at_degree(hidden, prompts.degree, degrees)


def at_degree(hidden: Tensor, maps: Tensor, degrees: Tensor) -> Tensor:
    """Let every adapter's perceptron hear its degree u: h (1 + g(u)) + b(u), with g and b linear in u and u² - 0.4.

    MiraMo adds an embedding of the degree to the time embedding; this changes the part that carries most of a motion.

    Args:
        hidden: (n, b, s, r), behind the activation.
        maps: (n, 2, 2, r), of each adapter g and b, of each the coefficients of both terms.
        degrees: u in [-1, 1], (n,), or (n, clips) with one for each clip; b are the rows of one clip after the other.

    Returns:
        (n, b, s, r)
    """
    u = degrees.reshape(len(degrees), 1, -1)
    terms = torch.stack([u, u.square() - _MEAN_SQUARE], dim=-1)
    gain, shift = (terms @ maps.to(terms)).to(hidden)[:, :, :, None, None].unbind(1)
    return (hidden.unflatten(1, (u.shape[-1], -1)) * (1 + gain) + shift).flatten(1, 2)


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
