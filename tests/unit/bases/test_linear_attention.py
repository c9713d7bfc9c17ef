"""Linear attention against its explicit matrix of weights, built by loops in float64."""

import math

import pytest
import torch
from diffusers.models.attention_processor import Attention, SanaLinearAttnProcessor2_0
from torch import Tensor

from miva_core.bases.miramo.linear_attention import cosine_attention, relu_attention, relu_sums, rotations

TIMES = torch.tensor([0.0, 1.0, 2.5, 7.0, 63.0, 64.0, 99.25], dtype=torch.float64)


def tokens(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    q, k, v = torch.randn(3, *shape, generator=generator, dtype=torch.float64)
    return q, k, v


def turned(vector: Tensor, time: float) -> Tensor:
    """Each pair of channels by its own angle."""
    result, dim = vector.clone(), len(vector)
    for pair in range(dim // 2):
        angle = time / 10_000 ** (2 * pair / dim)
        x, y = vector[2 * pair], vector[2 * pair + 1]
        result[2 * pair] = x * math.cos(angle) - y * math.sin(angle)
        result[2 * pair + 1] = x * math.sin(angle) + y * math.cos(angle)
    return result


def slow_weights(q: Tensor, k: Tensor, times: Tensor | None) -> Tensor:
    """(n, n) of one head."""
    moments = torch.zeros(len(q)) if times is None else times
    q, k = (torch.stack([turned(x / x.norm(), t.item()) for x, t in zip(xs, moments, strict=True)]) for xs in (q, k))
    weights = 1 + q @ k.T
    return weights / weights.sum(1, keepdim=True)


@pytest.mark.parametrize("dim", [4, 8], ids=["fewer channels than tokens", "more channels than tokens"])
@pytest.mark.parametrize("times", [None, TIMES], ids=["without places", "at times"])
@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_cosine_attention_is_its_matrix_of_weights(
    times: Tensor | None, dtype: torch.dtype, error: float, dim: int
) -> None:
    q, k, v = tokens(2, len(TIMES), dim)
    rotary = None if times is None else rotations(times.to(dtype), dim)
    attended = cosine_attention(q.to(dtype), k.to(dtype), v.to(dtype), rotary)
    weights = torch.stack([slow_weights(q[i], k[i], times) for i in range(2)])
    assert attended.dtype == dtype
    torch.testing.assert_close(attended.double(), weights @ v, rtol=0, atol=error)


def test_halves_are_summed_in_full() -> None:
    """Sums of thousands of tokens in bfloat16 would be off by far more than its last digit."""
    q, k, v = (part.bfloat16() for part in tokens(4096, 8))
    expected = cosine_attention(q.double(), k.double(), v.double())
    with torch.autocast("cpu", torch.bfloat16):
        attended = cosine_attention(q, k, v)
    assert attended.dtype == torch.bfloat16
    torch.testing.assert_close(attended.double(), expected, rtol=2**-8, atol=1e-6)


def test_only_the_distance_of_times_counts() -> None:
    q, k, v = tokens(7, 8)
    late = cosine_attention(q, k, v, rotations(TIMES + 3.5, 8))
    torch.testing.assert_close(late, cosine_attention(q, k, v, rotations(TIMES, 8)), rtol=0, atol=1e-12)
    assert not torch.allclose(late, cosine_attention(q, k, v, rotations(2 * TIMES, 8)), atol=1e-3)


def test_a_query_opposite_to_all_keys_has_an_answer() -> None:
    query = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    attended = cosine_attention(query, -query[:1].expand(5, 2), torch.ones(5, 2))
    assert attended.isfinite().all()
    query.requires_grad_(True)
    cosine_attention(query, query.detach(), torch.ones(2, 2)).square().sum().backward()
    assert query.grad is not None and query.grad.isfinite().all()


def test_values_that_are_alike_stay_as_they_are() -> None:
    q, k, v = tokens(7, 8)
    same = v[:1].expand(7, 8)
    torch.testing.assert_close(cosine_attention(q, k, same, rotations(TIMES, 8)), same, rtol=0, atol=1e-12)


def test_relu_attention_is_that_of_sana() -> None:
    generator = torch.Generator().manual_seed(0)
    module = Attention(16, heads=2, dim_head=8, processor=SanaLinearAttnProcessor2_0()).requires_grad_(False)
    x = torch.randn(3, 10, 16, generator=generator)
    q, k, v = (layer(x).unflatten(-1, (2, -1)).transpose(1, 2) for layer in (module.to_q, module.to_k, module.to_v))
    attended = relu_attention(q, relu_sums(k, v)).transpose(1, 2).flatten(2)
    assert torch.equal(module.to_out[0](attended), module(x))


def test_sums_of_parts_are_the_sums_of_all() -> None:
    q, k, v = tokens(10, 8)
    weights = q.relu() @ k.relu().T
    expected = weights @ v / weights.sum(1, keepdim=True)
    parts = relu_sums(k[:4], v[:4]) + relu_sums(k[4:], v[4:])
    torch.testing.assert_close(relu_attention(q, parts), expected, rtol=0, atol=1e-12)
