"""How strongly all adapters of an injection act at one time, as one table."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .strength import Level, Part, Strength


def strength_table(
    strengths: Sequence[Level | Strength],
    spans: Sequence[tuple[float, float]],
    done: float,
    noise: float,
    shares: Sequence[float],
) -> Tensor:
    """Evaluate strengths at one time.

    Args:
        strengths: of n adapters.
        spans: of the same, see `Injection.set_spans`; outside of its own an adapter has strength 0.
        done: share of the run's steps that is done.
        noise: share of the noise that is gone.
        shares: of the clip, at each of F frames.

    Returns:
        float64 (parts, n), or (parts, n, F) where some strength differs from frame to frame.
    """
    parts = list(map(Strength.of, strengths))
    over_frames = any(strength.over_frames for strength in parts)
    now = [
        strength if start <= done < end else Strength.of(0.0)
        for strength, (start, end) in zip(parts, spans, strict=True)
    ]
    by_frame = [[strength.at(done, noise, share) for strength in now] for share in (shares if over_frames else (0.0,))]
    table = torch.tensor(by_frame, dtype=torch.float64).reshape(-1, len(now), len(Part)).permute(2, 1, 0)
    return table if over_frames else table[..., 0]
