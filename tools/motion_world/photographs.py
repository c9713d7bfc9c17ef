"""The photographs that clips are made of, at several sizes, and how a place of the clip becomes a colour."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from tools.procedural.backdrops import paint_backdrops

Picture = np.ndarray
"""uint8 (H, W, 3), red first."""
ROOT = Path(__file__).parents[2]
SHORT_SIDES = (112, 160, 224)
SHARES = (0.45, 0.35, 0.2)
"""How many views are of a picture of each of these short sides, in pixels."""
WIDEST = 1.5
"""Picture pixels for a pixel of the frame, at most."""
HELD_OUT = (
    "sklearn-flower",
    "sklearn-china",
    "skimage-rocket",
    "lomiri-picosdeeuropa",
    "animal-kitten",
    "place-pontdu-gard",
    "world-polar-bear",
    "place-machu-picchu",
)
"""The photographs that the tables of the built-in MiraMo are about."""


class Photographs:
    """Pictures at each of `SHORT_SIDES`, to draw views from.

    Args:
        pictures: of any size.
        names: what they are called, for messages and tests.
    """

    def __init__(self, pictures: Sequence[Picture], names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.levels = [[_scaled(picture, short) for picture in pictures] for short in SHORT_SIDES]

    def __len__(self) -> int:
        return len(self.names)


def training_photographs(folder: Path, painted: int = 40, seed: int = 0) -> Photographs:
    """Read the pictures of a folder but for those that are held out, and paint some more.

    Args:
        folder: of .jpg files, see `tools.training_photographs`.
        painted: how many painted backdrops are added.
        seed: of these.
    """
    kept_apart = {path.stem for path in (ROOT / "benchmarks" / "pictures").glob("*.jpg")} | set(HELD_OUT)
    paths = [path for path in sorted(folder.glob("*.jpg")) if path.stem not in kept_apart]
    names = [path.stem for path in paths] + [f"painted-{index}" for index in range(painted)]
    backdrops = rearrange(paint_backdrops(painted, SHORT_SIDES[0], seed), "n c h w -> n h w c").numpy()
    return Photographs([*(_read(path) for path in paths), *backdrops], names)


def held_out_photographs(names: Sequence[str] = HELD_OUT) -> Photographs:
    """Read those of the held-out photographs that are called so."""
    return Photographs([_read(ROOT / "benchmarks" / "pictures" / f"{name}.jpg") for name in names], names)


@dataclass(frozen=True)
class View:
    """A part of a picture, in varied colours, as one layer of a clip shows it.

    Attributes:
        colours: float32 (1, 3, H, W) in [-1, 1].
        scale: picture pixels for a pixel of the frame.
        centre: the place (x, y) of the picture that the frame's centre shows in frame 1, off the picture's centre.
        flip: -1 where left and right are swapped, else 1.
    """

    colours: Tensor
    scale: float
    centre: tuple[float, float]
    flip: float

    def at(self, places: Tensor) -> Tensor:
        """The colours (F, 3, H, W) of places (F, H, W, 2) of frame 1: bilinear, mirrored beyond the picture."""
        frames, height, width, _ = places.shape
        half = self.colours.new_tensor([self.colours.shape[-1] / 2, self.colours.shape[-2] / 2])
        slope = self.scale * self.colours.new_tensor([self.flip, 1.0]) / half
        sampling = (places * slope + self.colours.new_tensor(self.centre) / half).view(1, frames * height, width, 2)
        sampled = F.grid_sample(self.colours, sampling, padding_mode="reflection", align_corners=False)
        return rearrange(sampled, "1 c (f h) w -> f c h w", f=frames)


def draw_view(
    photographs: Photographs,
    rng: np.random.Generator,
    size: tuple[int, int],
    travel: tuple[float, float] = (0.0, 0.0),
    number: int | None = None,
) -> View:
    """Draw a view of one of the pictures.

    Args:
        size: (height, width) of the frame.
        travel: how far (x, y) the camera comes, in pixels: the view begins half of that before the picture's middle.
        number: of the picture; None draws one.
    """
    level = photographs.levels[rng.choice(len(SHORT_SIDES), p=SHARES)]
    picture = level[rng.integers(len(level)) if number is None else number]
    sides = (picture.shape[1], picture.shape[0])
    frame = (size[1], size[0])
    scale = min(rng.uniform(1.0, WIDEST), *(side / wanted / 1.05 for side, wanted in zip(sides, frame, strict=True)))
    flip = float(rng.choice((-1.0, 1.0)))
    spare = [max(0.0, (side - wanted * scale) / 2) for side, wanted in zip(sides, frame, strict=True)]
    middle = [room * rng.uniform(-0.85, 0.85) for room in spare]
    start = (middle[0] - flip * scale * travel[0] / 2, middle[1] - scale * travel[1] / 2)
    return View(_varied(picture, rng), scale, start, flip)


def _varied(picture: Picture, rng: np.random.Generator) -> Tensor:
    """A picture under another light: float32 (1, 3, H, W) in [-1, 1]."""
    gain, gamma = 1 + 0.12 * rng.normal(size=3), math.exp(0.2 * rng.normal())
    levels = np.linspace(0, 1, 256)[:, None] ** gamma * gain
    table = (2 * levels.clip(0, 1) - 1).astype(np.float32)[None]
    return rearrange(torch.from_numpy(cv2.LUT(picture, table)), "h w c -> 1 c h w")


def _read(path: Path) -> Picture:
    return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


def _scaled(picture: Picture, short: int) -> Picture:
    factor = short / min(picture.shape[:2])
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=how)
