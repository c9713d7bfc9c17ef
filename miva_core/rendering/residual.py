"""What similarities leave over of a flow: kept where something bends, dropped where it is the base's noise."""

from dataclasses import dataclass

import cv2
import numpy as np

_NOISE_SHARE = 0.35
"""Share of a flow that similarities leave over of a camera or a stiff subject, at most: it was 1 to 33 %."""
_NOISE = 1.0
"""Pixels of the grid that they leave over, at most: as much leaks from subjects into a ground at rest."""
_STIFF_SHARE, _TYPICAL = 0.4, 6.0
"""A part of the ground stands out where its rest is more than this share of what the camera moves on average, and so
many times the rest of a typical pixel: what is left over of two cameras at once is large everywhere."""
_PART = 0.01
"""Share of the frame, at least, that stands out."""
_LASTING = 0.2
"""Share of a flow's frames, at least, in which it does."""
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
    rest = _rest(flow, stiff, weight)
    return _kept(rest, _overall(rest, flow, weight))


def ground_residual(flow: np.ndarray, stiff: np.ndarray, fitted: np.ndarray, weight: np.ndarray) -> Residual | None:
    """Find what of the ground bends: all of it, or a part that a moving camera passes.

    Args:
        flow: as in `kept_residual`.
        stiff: (F, h, w, 2), of the camera, steadied.
        fitted: likewise as it was fitted frame by frame: a part moves beside a ground that wavers.
        weight: (F, h, w) in [0, 1], where the ground is.

    Returns:
        As `kept_residual`; or of a part that stands out, the rest there and none elsewhere.
    """
    rest, beside = _rest(flow, stiff, weight), _rest(flow, fitted, weight)
    everywhere, part = _overall(rest, flow, weight), _standing_out(beside, fitted, weight)
    return _kept(beside, part) if part.max() > everywhere else _kept(rest, everywhere)


def _kept(rest: np.ndarray, share: np.ndarray) -> Residual | None:
    """So much of a rest as a share, a number or (h, w), says."""
    return Residual((rest * share[..., None]).astype(np.float32)) if share.any() else None


def _rest(flow: np.ndarray, stiff: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """What is left over, (F, h, w, 2), without its noise."""
    rest = np.stack([_spread(values, known) for values, known in zip(flow - stiff, weight, strict=True)])
    rest[0] = 0
    return rest


def _overall(rest: np.ndarray, flow: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """How much of a rest is kept everywhere, in [0, 1]."""
    counted = weight[..., None]
    share = np.sqrt((counted * rest**2).sum() / ((counted * flow**2).sum() + 1e-6))
    most = np.quantile(np.linalg.norm(rest, axis=-1)[weight > 0.5], 0.99) if (weight > 0.5).any() else 0.0
    return np.clip(share / _NOISE_SHARE - 1, 0, 1) * np.clip(most / _NOISE - 1, 0, 1)


def _standing_out(rest: np.ndarray, stiff: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """How much of a rest is kept in each place (h, w), in [0, 1]: near what stands out for long enough."""
    ratio = np.stack([_beside_typical(*frame) for frame in zip(rest, stiff, weight > 0.5, strict=True)])
    lasting = np.quantile(np.quantile(ratio, 1 - _PART, axis=(1, 2)), 1 - _LASTING)
    around = cv2.dilate((ratio.max(0) > 1).astype(np.float32), np.ones((4 * int(_REACH) + 1,) * 2))
    return np.clip(lasting - 1, 0, 1) * cv2.GaussianBlur(around, (0, 0), _REACH, borderType=cv2.BORDER_REFLECT)


def _beside_typical(rest: np.ndarray, stiff: np.ndarray, known: np.ndarray) -> np.ndarray:
    """By how much the rest (h, w, 2) of a frame exceeds what is no part: (h, w), 1 is as much; 0 where not known."""
    if not known.any():
        return np.zeros(known.shape)
    length = np.linalg.norm(rest, axis=-1) * known
    moved = np.sqrt((stiff[known] ** 2).sum(-1).mean())
    return length / max(_NOISE, _STIFF_SHARE * moved, _TYPICAL * np.median(length[known]))


def _spread(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """A field (h, w, 2) that is known where the weight (h, w) is, smoothed and continued, to nothing far away."""
    known = cv2.GaussianBlur(weight, (0, 0), _REACH, borderType=cv2.BORDER_REFLECT)
    summed = cv2.GaussianBlur(values * weight[..., None], (0, 0), _REACH, borderType=cv2.BORDER_REFLECT)
    return summed / np.maximum(known, _HARDLY)[..., None]
