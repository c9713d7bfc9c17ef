"""Cut a picture into the layers of its clip, as finely as frames can show them."""

from collections.abc import Iterable, Mapping

import cv2
import numpy as np

from .background import fill_hole, hole_around
from .compositing import Layers
from .ground import Ground, MovingGround, StillGround
from .matte import matte
from .mirror import mirrored
from .sampling import Region, sample
from .source import crop, fitted, seen_source
from .sprite import SEEN, corners_of, cut_sprite
from .staging import Staging
from .view import View


def cut_layers(
    picture: np.ndarray, masks: Mapping[str, np.ndarray], view: View, staging: Staging, times: np.ndarray
) -> Layers:
    """Cut a picture into ground and subjects.

    Args:
        picture: (H, W, 3) float32 in [0, 1].
        masks: (H, W) in [0, 1] of all subjects, from back to front; those that `staging` moves become layers.
        view: what the clip is framed on.
        staging: how layers move.
        times: of all frames.

    Returns:
        The layers.
    """
    places, closest = staging.reach(times)
    source = seen_source(view, (picture.shape[0], picture.shape[1]), places, closest)
    from_view, pixels = source.from_view(), source.taken(picture)
    taken = {name: source.taken(mask) for name, mask in masks.items()}
    mattes = {name: matte(pixels, mask) for name, mask in taken.items() if name in staging.subjects}
    # What is too thin to be seen at this size stays a part of the ground.
    mattes = {name: opacity for name, opacity in mattes.items() if opacity.max() > SEEN}
    resting = [name for name in mattes if staging.subjects[name].rests]
    hole = _holes((taken[name] for name in mattes if name not in resting), pixels.shape[:2])
    plate = fill_hole(pixels, hole | _holes((taken[name] for name in resting), pixels.shape[:2]))
    outside = max(0, *beyond(pixels.shape[:2], from_view, places)) if not staging.camera.rests else 0
    sprites = {}
    for name, opacity in mattes.items():
        farthest = staging.farthest(name, times, corners_of(opacity, from_view)) / closest + outside
        sprites[name] = cut_sprite(pixels, opacity, plate, from_view, farthest)
    if resting:
        plate = _with_resting(plate, pixels, hole, [mattes[name] for name in resting])
    if staging.camera.rests:
        ground: Ground = _still(plate, hole, from_view, staging, fitted(crop(picture, view.box), view.size))
    else:
        ground = _moving(pixels, plate, from_view, view, places)
    return Layers(ground, sprites, taken, hole, from_view, view.size)


def _with_resting(plate: np.ndarray, picture: np.ndarray, hole: np.ndarray, mattes: Iterable[np.ndarray]) -> np.ndarray:
    """The plate (H, W, 3) behind what moves: with subjects at rest, and the picture itself outside of the hole."""
    filled = plate
    for opacity in mattes:
        filled = filled + (picture - filled) * opacity[..., None]
    return np.where(hole[..., None], filled, picture)


def _holes(masks: Iterable[np.ndarray], size: tuple[int, ...]) -> np.ndarray:
    """Where the ground behind any of some subjects is filled: (H, W) bool."""
    hole = np.zeros(size, dtype=bool)
    for mask in masks:
        hole |= hole_around(mask)
    return hole


def _still(
    plate: np.ndarray, hole: np.ndarray, from_view: np.ndarray, staging: Staging, first: np.ndarray
) -> StillGround:
    """The ground of a camera at rest: the fitted picture wherever no subject was."""
    place, region = staging.ground(0), Region(0, 0, first.shape[1], first.shape[0])
    covered = sample(hole.astype(np.float32), from_view, place, region, cv2.BORDER_REPLICATE) > 0
    filled = sample(plate, from_view, place, region, cv2.BORDER_REPLICATE)
    return StillGround(first, np.where(covered[..., None], filled, first))


def _moving(
    picture: np.ndarray, plate: np.ndarray, from_view: np.ndarray, view: View, places: np.ndarray
) -> MovingGround:
    """The ground of a moving camera, continued where frames see beyond the picture."""
    height, width = picture.shape[:2]
    wanted = zip(beyond((height, width), from_view, places), (height, height, width, width), strict=True)
    # Half a picture of mirror image on each side bounds the memory; beyond, all of that is mirrored once more.
    top, bottom, left, right = (int(np.clip(np.ceil(rim - 1e-6), 0, side // 2)) for rim, side in wanted)
    shift = np.array([[1.0, 0, left], [0, 1.0, top], [0, 0, 1.0]])
    with_subjects = mirrored(picture, (top, bottom, left, right))
    without = with_subjects if plate is picture else mirrored(plate, (top, bottom, left, right))
    return MovingGround(with_subjects, without, shift @ from_view, view.size)


def beyond(size: tuple[int, ...], from_view: np.ndarray, places: np.ndarray) -> tuple[float, float, float, float]:
    """How many pixels frames see beyond the top, bottom, left and right of a picture (height, width)."""
    seen = from_view[:2, :2] @ places + from_view[:2, 2:]
    # A pixel goes on for half its width around its place.
    before, behind = -0.5 - seen.min(1), seen.max(1) - [size[1] - 0.5, size[0] - 0.5]
    return before[1], behind[1], before[0], behind[0]
