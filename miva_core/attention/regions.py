"""Soft masks as a bias of attention (Eq. 3), and the same bias as a few numbers appended to queries and keys."""

from functools import lru_cache

import torch
from torch import Tensor

EPSILON = 1e-4
"""Agreement of opposite regions; the paper leaves it open, the released code has this value."""

_LEVELS = 1024


def agreement_bias(query_mask: Tensor, key_mask: Tensor) -> Tensor:
    """log(S_p S_q + (1 - S_p)(1 - S_q) + ε) (Eq. 3), to be added to the logits of attention.

    About 0 within a region and log ε, -9.2, between regions.

    Args:
        query_mask: (..., s) soft mask at the queries, in [0, 1].
        key_mask: (..., t) soft mask at the keys, in [0, 1].

    Returns:
        (..., s, t)
    """
    p, q = query_mask[..., :, None], key_mask[..., None, :]
    return torch.log(p * q + (1 - p) * (1 - q) + EPSILON)


class RegionCodes:
    """Codes U, V with U(S_p) · V(S_q) + c(S_p) = `agreement_bias`.

    c does not change attention, since it is the same for all keys of a query.

    The bias depends on two numbers only, so a table of it over the levels of a mask has singular values that fall
    geometrically. In float32 the largest error is 2.3e-4 at rank 16 and 1.8e-5 at 24.

    Args:
        rank: length of a code.
    """

    def __init__(self, rank: int = 16) -> None:
        self.rank = rank
        self._query, self._key = _tables(rank)

    def query(self, mask: Tensor) -> Tensor:
        """U(S): (...) in [0, 1] gives (..., rank), float32."""
        return _look_up(self._query.to(mask.device), mask)

    def key(self, mask: Tensor) -> Tensor:
        """V(S): (...) in [0, 1] gives (..., rank), float32."""
        return _look_up(self._key.to(mask.device), mask)


def _look_up(table: Tensor, mask: Tensor) -> Tensor:
    """The row of a level, interpolated between its neighbours."""
    place = (_stretch(mask.float().clamp(0, 1)) + 1) / 2 * (_LEVELS - 1)
    low = place.floor().clamp(0, _LEVELS - 2)
    rest = (place - low)[..., None]
    row = low.long()
    return torch.lerp(table[row], table[row + 1], rest)


def _stretch(mask: Tensor) -> Tensor:
    """[0, 1] to [-1, 1], with most room near both ends, where the logarithm bends."""
    reach = torch.log(torch.tensor((1 + EPSILON) / EPSILON, dtype=torch.float64)).to(mask)
    return torch.log((mask + EPSILON) / (1 - mask + EPSILON)) / reach


def _leading(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """The leading singular vectors and values: (n, rank), (rank,), (n, rank).

    By subspace iteration, far faster than the whole decomposition: the values fall so steeply, and the
    vectors are so smooth, that two rounds from as many cosines find them.
    """
    place, wave = torch.arange(len(matrix), dtype=torch.float64), torch.arange(rank + 8, dtype=torch.float64)
    basis = torch.cos(torch.pi / len(matrix) * (place[:, None] + 0.5) * wave)
    for _ in range(2):
        basis = torch.linalg.qr(matrix @ (matrix.T @ basis)).Q
    left, strength, right = torch.linalg.svd(basis.T @ matrix, full_matrices=False)
    return basis @ left[:, :rank], strength[:rank], right[:rank].T


@lru_cache
def _tables(rank: int) -> tuple[Tensor, Tensor]:
    """U and V at evenly spread levels, (levels, rank) float32.

    The best approximation by squares is worst at the ends, which almost all pixels of a mask are at. So these levels
    weigh more, and the shift of each row goes to the middle of what is left, in three rounds.
    """
    place = torch.linspace(-1, 1, _LEVELS, dtype=torch.float64)
    odds = torch.exp(place * torch.log(torch.tensor((1 + EPSILON) / EPSILON, dtype=torch.float64)))
    level = (odds * (1 + EPSILON) - EPSILON) / (1 + odds)
    bias, weight = agreement_bias(level, level), 1 + 2 * place.abs() ** 16
    shift = bias.mean(dim=1, keepdim=True)
    for _ in range(3):
        left, strength, right = _leading((bias - shift) * weight[:, None] * weight, rank)
        query, key = (side * strength.sqrt() / weight[:, None] for side in (left, right))
        rest = bias - shift - query @ key.T
        shift = shift + (rest.amax(dim=1, keepdim=True) + rest.amin(dim=1, keepdim=True)) / 2
    return query.float(), key.float()
