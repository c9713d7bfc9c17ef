"""Soft masks in attention (Eq. 3): as a bias of its logits, as codes of that bias, or as a factor of similarities."""

import math
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


def agreement_codes(mask: Tensor) -> Tensor:
    """Codes C with C(S_p) · C(S_q) = S_p S_q + (1 - S_p)(1 - S_q) + ε, exactly: Eq. 3 without its logarithm.

    That is the factor by which the bias of Eq. 3 changes the similarities of softmax attention. Linear attention can
    multiply its own by nothing but products of low rank; this is one, which is approximated nowhere.

    Args:
        mask: (...) soft mask in [0, 1].

    Returns:
        (..., 2), see `share_codes`.
    """
    return share_codes(torch.stack([mask, 1 - mask], dim=-1))


def share_codes(shares: Tensor) -> Tensor:
    """Codes C with C(p) · C(q) = Σ_l p_l q_l + ε: the agreement of two places that regions share.

    Of places within one region each that is 1(l_p = l_q) + ε (Eq. S6). Codes are positive, so that nothing cancels in
    sums of them, and the mean of codes is the code of mean shares.

    Args:
        shares: (..., l), that of each region in a place; they sum to 1.

    Returns:
        (..., l)
    """
    # (p + s) · (q + s) = p · q + 2 s + l s²
    return shares + EPSILON / (1 + math.sqrt(1 + shares.shape[-1] * EPSILON))


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
