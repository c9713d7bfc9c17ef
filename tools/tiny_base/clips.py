"""The clips that the built-in base learns from: drawn, varied in colour, encoded and kept for a while."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from miva_core.bases.tiny.linear_patches import PATCH
from miva_core.bases.tiny.patch_codec import PatchCodec
from miva_core.clips.camera import UNIT_MOVES
from miva_core.training.loss import place_weights
from tools.procedural.backdrops import paint_backdrops
from tools.procedural.scenes import SceneChoice, draw_scenes

SIZE, FRAMES, PICTURE = 64, 16, 112
ROUND = 50
"""Clips that are drawn at a time when a pool is filled."""
SUBJECT_WEIGHT = 6.0
"""How much more a place counts where a subject is."""
CHOICE = SceneChoice(
    # Nothing is learnt as slowly as zooming out.
    moves=("still", "still", "zoom_out", *UNIT_MOVES),
    motions=("still", "slide_left", "slide_right", "rise", "jump", "sway"),
    sprites=(0.25, 0.75),
    speed=(0.5, 1.2),
    subject_speed=(0.5, 1.2),
)
"""What the base sees. Cameras and subjects move at once or by themselves."""


def load_pictures(folder: Path, seed: int = 0, crops: int = 8, painted: int = 600) -> Tensor:
    """Photograph crops at several scales and painted backdrops: uint8 (T, 3, PICTURE, PICTURE)."""
    rng = np.random.default_rng(seed)
    tiles = []
    for path in sorted(folder.glob("*.jpg")):
        photo = cv2.imread(str(path))[..., ::-1]
        for _ in range(crops):
            short = rng.uniform(PICTURE, min(220, min(photo.shape[:2])) + 1)
            factor = short / min(photo.shape[:2])
            scaled = cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            y = rng.integers(0, scaled.shape[0] - PICTURE + 1)
            x = rng.integers(0, scaled.shape[1] - PICTURE + 1)
            tiles.append(torch.from_numpy(scaled[y : y + PICTURE, x : x + PICTURE].copy()).permute(2, 0, 1))
    return torch.cat([torch.stack(tiles), paint_backdrops(painted, PICTURE, seed)])


class Drawn(NamedTuple):
    """B drawn clips.

    Attributes:
        frames: (B, F, 3, H, W) in [-1, 1], the colours of each clip varied.
        masks: (B, F, H, W) of the subjects.
        flow: (B, F, 3, H, W), flow to the first frame and where it is known.
        words: (B, W), captions.
        speeds: (B, W), how fast what each word says is.
    """

    frames: Tensor
    masks: Tensor
    flow: Tensor
    words: Tensor
    speeds: Tensor


class Encoded(NamedTuple):
    """B encoded clips.

    Attributes:
        latents: (B, C, F, h, w).
        weights: (B, F, h, w), how much each place counts.
        flow: (B, F, 3, H, W), see `Drawn`.
        words: (B, W), see `Drawn`.
        speeds: (B, W), see `Drawn`.
    """

    latents: Tensor
    weights: Tensor
    flow: Tensor
    words: Tensor
    speeds: Tensor

    def first(self, frames: int) -> "Encoded":
        """The first frames of each clip."""
        return self._replace(
            latents=self.latents[:, :, :frames], weights=self.weights[:, :frames], flow=self.flow[:, :frames]
        )


def sample_clips(pictures: Tensor, count: int, generator: torch.Generator, choice: SceneChoice = CHOICE) -> Drawn:
    """Draw clips of one kind over pictures uint8 (T, 3, PICTURE, PICTURE)."""
    scenes = draw_scenes(count, generator, choice, len(pictures), PICTURE, SIZE, FRAMES).to(pictures.device)
    frames, masks = scenes.render(pictures, SIZE, SIZE)
    gain = 1 + 0.15 * torch.randn(count, 1, 3, 1, 1, generator=generator).to(frames.device)
    gamma = torch.exp(0.2 * torch.randn(count, 1, 1, 1, 1, generator=generator)).to(frames.device)
    frames = (frames.clamp(1e-4, 1) ** gamma * gain).clamp(0, 1) * 2 - 1
    return Drawn(frames, masks, scenes.flow_to_first(SIZE, SIZE), scenes.words, scenes.speeds)


@torch.no_grad()
def encode_clips(codec: PatchCodec, frames: Tensor) -> Tensor:
    """Frames (B, F, 3, H, W) in [-1, 1] to latents (B, C, F, h, w)."""
    latents = codec.encode(rearrange(frames, "b f c h w -> (b f) c h w"))
    return rearrange(latents, "(b f) c h w -> b c f h w", b=len(frames))


class ClipPool:
    """Encoded clips that are drawn many times and replaced one batch after another, since drawing them is slow."""

    def __init__(
        self,
        codec: PatchCodec,
        pictures: Tensor,
        size: int,
        generator: torch.Generator,
        choice: SceneChoice = CHOICE,
    ) -> None:
        self.codec, self.pictures, self.generator, self.choice = codec, pictures, generator, choice
        made = [self.encode(ROUND) for _ in range(size // ROUND)]
        self.parts = [torch.cat(part) for part in zip(*made, strict=True)]
        self.oldest = 0

    def encode(self, count: int) -> Encoded:
        drawn = sample_clips(self.pictures, count, self.generator, self.choice)
        weights = place_weights(F.avg_pool2d(drawn.masks, PATCH), SUBJECT_WEIGHT)
        latents = encode_clips(self.codec, drawn.frames)
        return Encoded(latents, weights, drawn.flow.half(), drawn.words, drawn.speeds)

    def renew(self, count: int) -> None:
        """Replace the `count` oldest clips."""
        size = len(self.parts[0])
        rows = (torch.arange(count) + self.oldest) % size
        for part, new in zip(self.parts, self.encode(count), strict=True):
            part[rows] = new
        self.oldest = (self.oldest + count) % size

    def draw(self, count: int) -> Encoded:
        """Some of the clips, at random."""
        rows = torch.randint(len(self.parts[0]), (count,), generator=self.generator)
        return Encoded(*(part[rows] for part in self.parts))
