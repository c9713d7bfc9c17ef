"""Optical flow of training clips: measured between neighbouring frames, and joined to flow from the first frame.

A base that predicts flow (`WarpingUNet`) learns a motion in a quarter of the steps when it is trained on flow as well.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..media.flow_warp import inside, warp, warp_extrapolated
from ..media.pixel_values import to_bytes

FLOW_WEIGHT = 0.2
"""Weight of the flow's error in pixels, relative to the squared error of the latents."""
_ENLARGEMENT = 2
"""Frames are enlarged before the search, whose smallest patches are large for small frames."""
_ITERATIONS = 8
_FOUND = 0.1
"""Pixels up to which a place is the one that was looked for."""
_WHOLE = 0.9
"""Trust of all pixels around a place."""
_LARGEST_DIFFERENCE = 0.06
"""Mean difference of colours in [0, 1] up to which a flow is trusted."""


def measure_flow(frames: Tensor, stride: int = 1) -> Tensor:
    """Measure the backward flow of each frame to an earlier one, by dense inverse search (DIS).

    Args:
        frames: (N, 3, H, W) in [0, 1].
        stride: how many frames earlier.

    Returns:
        (N, 3, H, W) float16: x and y in pixels, and trust, which is 0 where the flow does not explain what is seen and
        1 elsewhere, also where it leads out of the frame. The first `stride` frames have a trusted flow of 0.
    """
    import cv2

    grey = [_enlarged_grey(frame) for frame in frames]
    height, width = frames.shape[-2:]
    flows: list[np.ndarray] = [np.zeros((height, width, 2), np.float32)] * stride
    for earlier, later in zip(grey, grey[stride:], strict=False):
        found = search_flow(later, earlier)
        flows.append(cv2.resize(found, (width, height), interpolation=cv2.INTER_AREA) / _ENLARGEMENT)
    flow = torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2)
    references = torch.cat([frames[:stride], frames[:-stride]])
    explained = (warp(references, flow) - frames).abs().mean(1) < _LARGEST_DIFFERENCE
    return torch.cat([flow, (explained | ~inside(flow))[:, None]], dim=1).half()


def flow_of_steps(to_first: Tensor, stride: int = 1) -> Tensor:
    """Find the backward flow of each frame to an earlier one from the flow of all to the first.

    What both show has one place p' in the earlier frame, with q'(p') = q(p), which is found by fixed-point iteration.

    Args:
        to_first: (N, 3, H, W) flow to the first frame in pixels, and trust.
        stride: how many frames earlier.

    Returns:
        (N, 3, H, W) float16, as from `measure_flow`; not trusted where either flow is not, or no such place is found.
    """
    later, earlier = to_first[stride:], to_first[:-stride]
    step = torch.zeros_like(later[:, :2])
    for _ in range(_ITERATIONS):
        missing = later[:, :2] - step - warp_extrapolated(earlier[:, :2], step)
        step = step + missing
    missing = later[:, :2] - step - warp_extrapolated(earlier[:, :2], step)
    trust = later[:, 2:] * warp(earlier[:, 2:], step).gt(_WHOLE) * missing.norm(dim=1, keepdim=True).lt(_FOUND)
    still = torch.cat([torch.zeros_like(to_first[:stride, :2]), torch.ones_like(to_first[:stride, 2:])], 1)
    return torch.cat([still, torch.cat([step, trust], 1)]).half()


def search_flow(later: np.ndarray, earlier: np.ndarray, finest: int = 0) -> np.ndarray:
    """Search for the backward flow between two grey pictures by dense inverse search (Kroeger et al., ECCV 2016).

    Args:
        later: (H, W) uint8.
        earlier: (H, W) uint8.
        finest: how often pictures are halved before the finest search; what it finds is enlarged.

    Returns:
        (H, W, 2) float32 in pixels, x first: what `later` shows at p, `earlier` shows at p + flow.
    """
    import cv2

    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(finest)
    # OpenCV's types leave out None, which asks for a search from scratch.
    return search.calc(later, earlier, None)  # type: ignore[call-overload]


def mirrored(flow: Tensor) -> Tensor:
    """Mirror the flow and trust (..., 3, H, W) of a clip left to right; an empty tensor is returned as it is."""
    if not flow.numel():
        return flow
    x, y, trust = flow.flip(-1).unbind(-3)
    return torch.stack([-x, y, trust], dim=-3)


def join_flow(steps: Tensor) -> Tensor:
    """Join the flow between neighbouring frames to flow from each frame to the first one.

    What comes into view is assumed to have moved beyond the edge as its neighbours inside did.

    Args:
        steps: (B, F, 3, H, W) from each frame to the one before, as `measure_flow` gives it; that of the first frame is
            not used.

    Returns:
        (B, F, 3, H, W) float32: flow to the first frame, trusted where every step is.
    """
    joined = [torch.zeros_like(steps[:, 0], dtype=torch.float32)]
    joined[0][:, 2] = 1
    for step in steps[:, 1:].float().unbind(1):
        back, trust = step[:, :2], step[:, 2:]
        before = joined[-1]
        flow, trusted = warp_extrapolated(before[:, :2], back) + back, warp(before[:, 2:], back) > 0.5
        joined.append(torch.cat([flow, trust * trusted], dim=1))
    return torch.stack(joined, dim=1)


def flow_errors(predicted: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Mean absolute error of predicted flow over frames 2..F, where the target is trusted.

    Args:
        predicted: (B, F, 2, H, W) in pixels.
        target: (B, F, 3, H, W), flow in pixels and trust.
        weights: (B, F, h, w) weights of the positions of the latents' grid, see `place_weights`.

    Returns:
        (B,)
    """
    errors = (predicted - target[:, :, :2]).abs().mean(2) * target[:, :, 2]
    enlarged = F.interpolate(weights, predicted.shape[-2:], mode="nearest")
    return (errors * enlarged)[:, 1:].mean(dim=(1, 2, 3))


def _enlarged_grey(frame: Tensor) -> np.ndarray:
    import cv2

    large = F.interpolate(frame[None], scale_factor=_ENLARGEMENT, mode="bicubic")[0]
    return cv2.cvtColor(to_bytes(large).permute(1, 2, 0).contiguous().numpy(), cv2.COLOR_RGB2GRAY)
