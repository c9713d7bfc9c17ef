"""One clip of a motion of layers over a still: its frames by the renderer, its flow by the formula."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..checks import printable
from ..errors import MIVAError
from ..media.pictures import scale_picture
from ..motion_fields.region_frame import RegionFrame
from ..rendering.layered_motion import LayeredMotion
from ..rendering.scene import Scene
from ..rendering.timing import ClipTimes
from ..rendering.view import View
from .exact_flow import carried_flow, depth_flow, staying_flow
from .filmed_motion import FilmedMotion
from .picture_motion import picture_motion
from .shooting import SAMPLES, Shooting
from .still import Still


class LayeredShot(NamedTuple):
    """A clip of layers; see `MotionClip`."""

    frames: Tensor
    masks: Tensor
    flow: Tensor
    formula: Mapping[str, Any]
    maps: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class _Set:
    """A still as it lies before the camera.

    Attributes:
        still: with `SAMPLES` pixels to a frame pixel.
        view: what the clip shows of it, at `SAMPLES` times its size.
        centre: (2,) where the view's centre is, x and y in frame pixels off that of the still.
    """

    still: Still
    view: View
    centre: Tensor


def film_layers(still: Still, shooting: Shooting, scale: float, aim: Tensor, seed: int) -> LayeredShot:
    """Film a part of a still, of which something moves by itself or as near as it is.

    Args:
        still: with the map that the motion needs.
        shooting: how it is filmed.
        scale: picture pixels per frame pixel.
        aim: (2,) where on the picture the first frame's centre is, x and y in frame pixels off the picture's own.
        seed: of a shake.
    """
    placed = _placed(still, shooting.size, scale, aim)
    if placed.still.mask is not None:
        return _part_shot(placed, placed.still.mask, shooting, seed)
    if placed.still.nearness is None:
        raise MIVAError(f"{printable(still.name)} has neither a mask nor a depth map: give it one.")
    return _depth_shot(placed, placed.still.nearness, shooting)


def _placed(still: Still, size: tuple[int, int], scale: float, aim: Tensor) -> _Set:
    """Scale a still, and frame the part of it that a clip is to show; its corner lies on a sample."""
    height, width = (
        max(SAMPLES * side, round(whole / scale * SAMPLES))
        for whole, side in zip(still.picture.shape[:2], size, strict=True)
    )
    scaled = Still(
        still.name,
        scale_picture(still.picture, (height, width)),
        None if still.mask is None else scale_picture(still.mask[..., None], (height, width))[..., 0],
        None if still.nearness is None else scale_picture(still.nearness[..., None], (height, width))[..., 0],
    )
    box_height, box_width = (SAMPLES * side for side in size)
    left, top = (
        min(max(0, round(whole / 2 + SAMPLES * off - side / 2)), whole - side)
        for whole, off, side in ((width, aim[0].item(), box_width), (height, aim[1].item(), box_height))
    )
    centre = torch.tensor([left + box_width / 2 - width / 2, top + box_height / 2 - height / 2]) / SAMPLES
    return _Set(scaled, View((box_height, box_width), (top, left, box_height, box_width)), centre)


def _depth_shot(placed: _Set, nearness: Tensor, shooting: Shooting) -> LayeredShot:
    asked = FilmedMotion(shooting.motion, shooting.speed)
    motion = picture_motion({asked.name: asked}, placed.view, nearness, 0)
    frames, masks = _rendered(placed, motion, shooting)
    extent = (nearness.shape[0] / (SAMPLES * shooting.unit), nearness.shape[1] / (SAMPLES * shooting.unit))
    flow = depth_flow(shooting, nearness, extent, placed.centre)
    return LayeredShot(frames, masks, flow, _formula(shooting), {"nearness": _shown(nearness, placed.view)})


def _part_shot(placed: _Set, mask: Tensor, shooting: Shooting, seed: int) -> LayeredShot:
    asked = FilmedMotion(shooting.motion, shooting.speed, mask)
    motion = picture_motion({asked.name: asked}, placed.view, None, seed)
    frames, masks = _rendered(placed, motion, shooting)
    region = RegionFrame.of(_boxed(mask, placed.view), SAMPLES * shooting.unit)
    shown = _shown(mask, placed.view)
    if motion.carried:
        flow = carried_flow(shooting, shown, region)
    else:
        flow = staying_flow(shooting, shown, region, motion.staying[0].behind, seed)
    numbers = {name: getattr(region, name).tolist() for name in ("centre", "radius", "foot", "top")}
    return LayeredShot(frames, masks, flow, {**_formula(shooting), "region": numbers, "seed": seed}, {"mask": shown})


def _rendered(placed: _Set, motion: LayeredMotion, shooting: Shooting) -> tuple[Tensor, Tensor]:
    """The frames (F, 3, H, W) of a motion, and the masks (K, F, H, W) of what moves by itself."""
    times = shooting.times().numpy()
    scene = Scene.layered(placed.still.picture, motion, placed.view, ClipTimes(times, times), "mirror")
    shown = list(scene)
    frames = torch.stack([rearrange(frame.pixels, "h w c -> c h w") for frame in shown])
    masks = torch.zeros(0, len(shown), *placed.view.size)
    if shown[0].masks:
        masks = torch.stack([torch.stack([frame.masks[name] for frame in shown]) for name in shown[0].masks])
    return F.avg_pool2d(frames, SAMPLES), F.avg_pool2d(masks, SAMPLES)


def _shown(plane: Tensor, view: View) -> Tensor:
    """What the first frame shows of a map (h, w) of a still: (H, W)."""
    return F.avg_pool2d(_boxed(plane, view)[None], SAMPLES)[0]


def _boxed(plane: Tensor, view: View) -> Tensor:
    top, left, height, width = view.box
    return plane[top : top + height, left : left + width]


def _formula(shooting: Shooting) -> dict[str, Any]:
    return {
        "width": shooting.size[1],
        "height": shooting.size[0],
        "motion": shooting.field.name,
        "speed": shooting.speed,
        "unit": shooting.unit,
        "times": shooting.times().tolist(),
    }
