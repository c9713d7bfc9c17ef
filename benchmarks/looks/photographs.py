"""Photographs at full size, and what is marked on them by hand: masks of what moves, and how near things are."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from benchmarks.looks.outlines import NEARNESS, OUTLINES, SKIES, Outline
from miva_core.media.pictures import read_mask, read_picture, scale_picture

WORKFLOWS = Path(__file__).parents[2] / "workflows" / "pictures"
LONG_SIDE, ASPECT = 1024, 0.68
"""Pixels of a photograph's longer side, and height to width of what is cut out of those that are taller."""
CUT_AT = 1 / 6
"""Share of a tall photograph above what is cut out."""
GRABBED, BAND = 640, 61
"""Pixels along the longer side of what GrabCut sees, and around an outline between what is sure."""
SOFT = 1.5
"""Pixels over which the edge of what is only drawn fades."""


class Photographs:
    """Those of some folders, by name; each is read once.

    Args:
        folders: where `NAME.jpg` are; those of the example workflows are known besides.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = [*folders, WORKFLOWS]
        self.whole: dict[str, Tensor] = {}

    def picture(self, name: str) -> Tensor:
        """(H, W, 3) in [0, 1], no taller than `ASPECT` allows and no longer than `LONG_SIDE`."""
        return _landscape(self._whole(name))

    def mask(self, name: str, part: str) -> Tensor:
        """(H, W) in [0, 1] of `picture`: what is called so in `OUTLINES`, or drawn beside the picture in a file."""
        return _landscape(self._mask(name, part))

    def nearness(self, name: str) -> Tensor | None:
        """(H, W) in [0, 1] of `picture`: a ground that rises, and what stands on it; None where nobody drew it."""
        file = WORKFLOWS / f"{name}_depth.png"
        if file.exists():
            return _landscape(read_mask(file))
        if name not in NEARNESS:
            return None
        part, near, (far, front, horizon) = NEARNESS[name]
        height, width = self._whole(name).shape[:2]
        y = (torch.arange(height) + 0.5) / height
        ground = (far + (front - far) * ((y - horizon) / (1 - horizon)).clamp(0, 1))[:, None].expand(-1, width)
        mask = self._mask(name, part)
        return _landscape(torch.maximum(ground * (1 - mask), near * mask))

    def _mask(self, name: str, part: str) -> Tensor:
        file = WORKFLOWS / f"{name}_{part}.png"
        if file.exists():
            return read_mask(file)
        picture = self._whole(name)
        if part == "sky" and name in SKIES:
            return _thresholded(picture, *SKIES[name])
        outline = OUTLINES[name, part]
        return _refined(picture, outline) if outline.refined else _drawn(picture, outline.corners)

    def _whole(self, name: str) -> Tensor:
        if name not in self.whole:
            files = [file for folder in self.folders if (file := folder / f"{name}.jpg").exists()]
            if not files:
                raise SystemExit(f"{name}.jpg is in none of {', '.join(map(str, self.folders))}; see PHOTOGRAPHS.md.")
            picture = read_picture(files[0])
            share = min(1.0, LONG_SIDE / max(picture.shape[:2]))
            self.whole[name] = scale_picture(
                picture, (round(picture.shape[0] * share), round(picture.shape[1] * share))
            )
        return self.whole[name]


def _landscape(plane: Tensor) -> Tensor:
    height, width = plane.shape[:2]
    if height <= width:
        return plane
    top = round(height * CUT_AT)
    return plane[top : top + round(width * ASPECT)]


def _filled(size: tuple[int, int], *polygons: Sequence[tuple[float, float]]) -> np.ndarray:
    """(H, W) uint8: 1 inside polygons whose corners are shares (x, y) of the sides; where two overlap, 0."""
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(
        mask, [np.array([[x * size[1], y * size[0]] for x, y in polygon], np.int32) for polygon in polygons], 1
    )
    return mask


def _drawn(picture: Tensor, corners: Sequence[Sequence[tuple[float, float]]]) -> Tensor:
    filled = _filled((picture.shape[0], picture.shape[1]), *corners)
    return torch.from_numpy(cv2.GaussianBlur(filled.astype(np.float32), (0, 0), SOFT))


def _refined(picture: Tensor, outline: Outline) -> Tensor:
    """A mask whose edge GrabCut looks for around an outline."""
    height, width = picture.shape[:2]
    share = min(1.0, GRABBED / max(height, width))
    size = (round(height * share), round(width * share))
    bgr = (picture.numpy()[..., ::-1] * 255).astype(np.uint8)
    small = np.ascontiguousarray(cv2.resize(bgr, size[::-1], interpolation=cv2.INTER_AREA))
    likely, around = _filled(size, *outline.corners), np.ones((round(BAND * share),) * 2, np.uint8)
    labels = np.where(likely > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[cv2.dilate(likely, around) == 0] = cv2.GC_BGD
    sure = _filled(size, outline.sure) if outline.sure else cv2.erode(likely, around, borderValue=1)
    labels[sure > 0] = cv2.GC_FGD
    cv2.setRNGSeed(0)
    cv2.grabCut(small, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_MASK)
    inside = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    opened = cv2.morphologyEx(inside, cv2.MORPH_OPEN, np.ones((3, 3))).astype(np.float32)
    return torch.from_numpy(cv2.resize(opened, (width, height), interpolation=cv2.INTER_CUBIC)).clamp(0, 1)


def _thresholded(picture: Tensor, blue: float, over_red: float, white: float, down_to: float) -> Tensor:
    """The largest piece of sky above a share of the height.

    It is as blue as that, no greener, and bluer than red by so much or white.
    """
    red, green, light = picture.numpy().transpose(2, 0, 1)
    sky = ((light > blue) & (light > green - 0.01) & ((light > red + over_red) | (red > white))).astype(np.uint8)
    sky[int(down_to * len(sky)) :] = 0
    sky = cv2.morphologyEx(sky, cv2.MORPH_OPEN, np.ones((5, 5)))
    _, pieces, sizes, _ = cv2.connectedComponentsWithStats(sky)
    largest = (pieces == 1 + sizes[1:, 4].argmax()).astype(np.uint8)
    closed = cv2.morphologyEx(largest, cv2.MORPH_CLOSE, np.ones((3, 3))).astype(np.float32)
    return torch.from_numpy(cv2.GaussianBlur(closed, (0, 0), 0.8))
