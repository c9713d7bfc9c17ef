"""The parameters of an adapter and how they start. What is computed with them stands in `attention`."""

from __future__ import annotations

import torch
from torch import nn

from .config import MIVAConfig

WORD_QUERIES = 16
"""Tokens that are made of a text: one for each frame of the usual clip, and between them for others."""
WORD_WIDTH = 64
WORD_HEADS = 4


def zeros(*shape: int) -> nn.Parameter:
    """What changes nothing at first."""
    # float32 whatever the default dtype: updates of 1e-5 vanish in half precision
    return nn.Parameter(torch.zeros(*shape, dtype=torch.float32))


def _normal(*shape: int, std: float) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape, dtype=torch.float32) * std)


class Delta(nn.Module):
    """A learned change of a (dim, dim) matrix: up @ down, or up alone at full rank (`rank` None).

    It starts as zero, with `down` drawn as in LoRA from a normal distribution of standard deviation 1 / rank, so that
    `up` has a gradient at once.

    Shapes: down (rank, dim) or None, up (dim, rank) or (dim, dim).
    """

    def __init__(self, dim: int, rank: int | None) -> None:
        super().__init__()
        self.down = None if rank is None else _normal(rank, dim, std=1 / rank)
        self.up = zeros(dim, dim if rank is None else rank)


class CrossFrame(nn.Module):
    """Cross-frame attention at one self-attention site (3.3.1): W_Q = base + q and W_O = 0 + out.

    One pair serves both references. At full rank q holds the difference to the base's matrix, so that no base weight is
    needed to build it.

    Shapes: q_bias and bias (dim,) or None; bias belongs to W_O.
    """

    def __init__(self, dim: int, config: MIVAConfig) -> None:
        super().__init__()
        self.q = Delta(dim, config.cfa_rank)
        self.q_bias = zeros(dim) if config.cfa_q_bias else None
        self.out = Delta(dim, config.cfa_rank)
        self.bias = zeros(dim) if config.cfa_out_bias else None


class Gate(nn.Module):
    """φ, from the time embedding to the two weights of cross-frame attention. It starts as nn.Linear does.

    Shapes: weight (2, time_dim), bias (2,) or None.
    """

    def __init__(self, time_dim: int, config: MIVAConfig) -> None:
        super().__init__()
        linear = nn.Linear(time_dim, 2, bias=config.gate_bias, dtype=torch.float32)
        self.weight, self.bias = linear.weight, linear.bias


class Prompt(nn.Module):
    """The implicit prompt in place of text cross-attention (3.3.2): a perceptron on the base's query.

    `first` starts as nn.Linear does, `second` and `degree` at zero.

    Shapes: first (ca_rank, dim), second (dim, ca_rank), norm_weight and norm_bias (ca_rank,) or None, degree
    (2, 2, ca_rank) or None: gain and shift, each by two terms of the degree, see `prompt.at_degree`.
    """

    def __init__(self, dim: int, config: MIVAConfig) -> None:
        super().__init__()
        self.first = nn.Linear(dim, config.ca_rank, bias=False, dtype=torch.float32).weight
        self.norm_weight = nn.Parameter(torch.ones(config.ca_rank, dtype=torch.float32)) if config.ca_norm else None
        self.norm_bias = zeros(config.ca_rank) if config.ca_norm else None
        self.second = zeros(dim, config.ca_rank)
        self.degree = zeros(2, 2, config.ca_rank) if config.degree else None


class Words(nn.Module):
    """What an adapter hears of a text: one token for each frame, by attention of learned queries (EDG, stage 1).

    There is one for all sites. Keys and values have no bias, so that a text of zeros says nothing.

    Shapes: queries (`WORD_QUERIES`, `WORD_WIDTH`), key and value (`WORD_WIDTH`, text_dim).
    """

    def __init__(self, text_dim: int) -> None:
        super().__init__()
        self.queries = _normal(WORD_QUERIES, WORD_WIDTH, std=1.0)
        self.key = nn.Linear(text_dim, WORD_WIDTH, bias=False, dtype=torch.float32).weight
        self.value = nn.Linear(text_dim, WORD_WIDTH, bias=False, dtype=torch.float32).weight


class Temporal(nn.Module):
    """LoRA on the four matrices of one temporal self-attention (3.3), and what words add to its input.

    Shapes: words (dim, `WORD_WIDTH`), at zero at first, or None.
    """

    def __init__(self, dim: int, config: MIVAConfig) -> None:
        super().__init__()
        self.q = Delta(dim, config.ta_rank)
        self.k = Delta(dim, config.ta_rank)
        self.v = Delta(dim, config.ta_rank)
        self.out = Delta(dim, config.ta_rank)
        self.words = zeros(dim, WORD_WIDTH) if config.words else None
