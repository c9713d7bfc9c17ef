"""What similarities leave over of a flow: kept where something bends, dropped where it is the base's noise."""

from dataclasses import dataclass

import cv2
import numpy as np

_NOISE_SHARE = 0.35
"""Share of a flow that similarities leave over of a camera or a stiff subject, at most: it was 1 to 33 %."""
_NOISE = 1.0
"""Pixels of the grid that they leave over, at most: as much leaks from subjects into a ground at rest."""
_REACH = 3.0
"""Pixels of the grid over which a rest is smoothed, and continued to where it is not known."""
_HARDLY = 0.05
"""Share of known pixels in reach, below which a rest fades out."""


@dataclass(frozen=True, eq=False)
class Residual:
    """A smooth flow on top of similarities.

    Attributes:
        flow: (F, h, w, 2) float32, in pixels of the grid; none in the first frame.
    """

    flow: np.ndarray

    def at(self, time: float) -> np.ndarray:
        """The flow (h, w, 2) at a time from 0 to F - 1, linear between frames."""
        i = min(int(time), len(self.flow) - 2)
        share = np.float32(time - i)
        return (1 - share) * self.flow[i] + share * self.flow[i + 1]


def kept_residual(flow: np.ndarray, stiff: np.ndarray, weight: np.ndarray) -> Residual | None:
    """Find what a layer does beside its stiff motion, where that is more than noise.

    Args:
        flow: (F, h, w, 2), see `flow_fit`.
        stiff: (F, h, w, 2), of the similarities that were fitted to it.
        weight: (F, h, w) in [0, 1], where the layer is.

    Returns:
        The rest, fading in between one and two times the noise; None below.
    """
    rest = np.stack([_spread(values, known) for values, known in zip(flow - stiff, weight, strict=True)])
    rest[0] = 0
    counted = weight[..., None]
    share = np.sqrt((counted * rest**2).sum() / ((counted * flow**2).sum() + 1e-6))
    most = np.quantile(np.linalg.norm(rest, axis=-1)[weight > 0.5], 0.99) if (weight > 0.5).any() else 0.0
    kept = np.clip(share / _NOISE_SHARE - 1, 0, 1) * np.clip(most / _NOISE - 1, 0, 1)
    return Residual((rest * kept).astype(np.float32)) if kept > 0 else None


def _spread(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """A field (h, w, 2) that is known where the weight (h, w) is, smoothed and continued, to nothing far away."""
    known = cv2.GaussianBlur(weight, (0, 0), _REACH, borderType=cv2.BORDER_REFLECT)
    summed = cv2.GaussianBlur(values * weight[..., None], (0, 0), _REACH, borderType=cv2.BORDER_REFLECT)
    return summed / np.maximum(known, _HARDLY)[..., None]
