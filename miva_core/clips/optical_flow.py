"""Where the pixels of a clip come from: measured between neighbouring frames, joined to the first one.

A base that predicts flow (`WarpingUNet`) learns a motion in a quarter of the steps when it is also told the flow.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..media.flow_warp import continued, inside, warp
from ..media.pixel_values import to_bytes

FLOW_WEIGHT = 0.2
"""What a pixel of wrong flow costs beside the squared errors of the latents."""
_ENLARGED = 2
"""Frames are measured at this size, since the smallest patches of the method are large for small frames."""
_TRUSTED = 0.06
"""How far colours in [0, 1] may be off, on average, where a flow is believed."""


def measure_flow(frames: Tensor, stride: int = 1) -> Tensor:
    """Backward flow of each frame to an earlier one, by dense inverse search.

    Args:
        frames: (N, 3, H, W) in [0, 1].
        stride: how many frames earlier.

    Returns:
        (N, 3, H, W) float16: x and y in pixels, and 0 where the flow does not explain what is seen, otherwise 1, also
        where it leads out of the frame. Of the first frames, for which there is no earlier one, it is 0 and trusted.
    """
    import cv2

    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    grey = [_enlarged_grey(frame) for frame in frames]
    height, width = frames.shape[-2:]
    flows = [np.zeros((height, width, 2), np.float32)] * stride
    for before, now in zip(grey, grey[stride:], strict=False):
        found = search.calc(now, before, None)
        flows.append(cv2.resize(found, (width, height), interpolation=cv2.INTER_AREA) / _ENLARGED)
    flow = torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2)
    before = torch.cat([frames[:stride], frames[:-stride]])
    explained = (warp(before, flow) - frames).abs().mean(1) < _TRUSTED
    return torch.cat([flow, (explained | ~inside(flow))[:, None]], dim=1).half()


def mirrored(flow: Tensor) -> Tensor:
    """The flow and trust (..., 3, H, W) of a clip that is seen in a mirror; what is empty stays so."""
    if not flow.numel():
        return flow
    x, y, trust = flow.flip(-1).unbind(-3)
    return torch.stack([-x, y, trust], dim=-3)


def join_flow(steps: Tensor) -> Tensor:
    """Flow to the first frame of a window, from that to the frame before.

    What has come into view is taken to have moved on beyond the edge as its neighbours did within.

    Args:
        steps: (B, F, 3, H, W) as `measure_flow` gives them; those of the first frame are not used.

    Returns:
        (B, F, 3, H, W) float32: trusted where every step of the way is.
    """
    joined = [torch.zeros_like(steps[:, 0], dtype=torch.float32)]
    joined[0][:, 2] = 1
    for step in steps[:, 1:].float().unbind(1):
        way, trust = step[:, :2], step[:, 2:]
        before = joined[-1]
        flow, trusted = continued(before[:, :2], way) + way, warp(before[:, 2:], way) > 0.5
        joined.append(torch.cat([flow, trust * trusted], dim=1))
    return torch.stack(joined, dim=1)


def flow_errors(predicted: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Mean distance, along x and y, of predicted flows of frames 2..F from those that are trusted.

    Args:
        predicted: (B, F, 2, H, W) pixels.
        target: (B, F, 3, H, W), flow and trust.
        weights: (B, F, h, w) of the places of the latents' grid, see `place_weights`.

    Returns:
        (B,)
    """
    off = (predicted - target[:, :, :2]).abs().mean(2) * target[:, :, 2]
    counted = F.interpolate(weights, predicted.shape[-2:], mode="nearest")
    return (off * counted)[:, 1:].mean(dim=(1, 2, 3))


def _enlarged_grey(frame: Tensor) -> np.ndarray:
    import cv2

    large = F.interpolate(frame[None], scale_factor=_ENLARGED, mode="bicubic")[0]
    return cv2.cvtColor(to_bytes(large).permute(1, 2, 0).contiguous().numpy(), cv2.COLOR_RGB2GRAY)
