"""What processors compute and refuse; every base is held against the slow formulas in tests/conformance."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from miva_core.attention.cross_frame import joint_cross_frame
from miva_core.attention.softmax_attention import attend
from miva_core.bases.inject import inject
from miva_core.errors import MIVAError

FRAMES, TOKENS = 4, 6
EXACT = {"rtol": 1e-9, "atol": 1e-9}


def test_joint_softmax_is_a_mixture_of_the_separate_ones(unet: nn.Module) -> None:
    """joint = p λ2 A(first) + (1 - p) λ3 A(prev), p the mass that a query gives to the first frame's keys."""
    heads, dim = 2, 16
    q = torch.randn(1, FRAMES, TOKENS, dim).double()
    k, v = torch.randn(2, FRAMES, TOKENS, dim).double()
    lambdas = torch.softmax(torch.randn(1, FRAMES, 2).double(), -1)
    joint = joint_cross_frame(q, k, v, lambdas, partial(attend, heads=heads), FRAMES)
    for frame in range(FRAMES):
        prev = max(frame - 1, 0)
        mixture = []
        for h in range(heads):
            c = slice(8 * h, 8 * h + 8)
            logits = {j: q[0, frame, :, c] @ k[j, :, c].T / math.sqrt(8) for j in (0, prev)}
            to_first, to_prev = (torch.exp(logits[j]).sum(-1) for j in (0, prev))
            p = (to_first / (to_first + to_prev))[:, None]
            a_first, a_prev = (torch.softmax(logits[j], -1) @ v[j, :, c] for j in (0, prev))
            mixture.append(p * lambdas[0, frame, 0] * a_first + (1 - p) * lambdas[0, frame, 1] * a_prev)
        torch.testing.assert_close(joint[0, frame], torch.cat(mixture, -1), **EXACT)


def test_attention_masks_are_refused(unet: nn.Module, make_adapter: Callable) -> None:
    with inject(unet, pan=make_adapter(unet)), pytest.raises(MIVAError, match="mask"):
        latents = torch.randn(1, 4, 2, 8, 8).double()
        unet(latents, 1, None, attention_mask=torch.ones(1, 64).double())
