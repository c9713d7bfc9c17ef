"""Speed and damage of clips, kept on disk so that a benchmark goes on where it was stopped."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor

from benchmarks.tiny_quality import SCALE, SPEED, camera_ideal, camera_speed, run
from miva_core import MIVAAdapter, Motion
from miva_core.bases.base import Base
from miva_core.bases.tiny.spec import SHIPPED
from miva_core.clips.camera import UNIT_MOVES, film, move_transforms
from miva_core.measure.metrics import psnr
from miva_core.storage.files import replacing

CAMERAS = ("pan_left", "pan_right", "pan_up", "pan_down", "zoom_in", "zoom_out", "roll_cw", "roll_ccw")


def shipped(name: str, base: Base) -> MIVAAdapter:
    return MIVAAdapter.load(SHIPPED / f"{name}.safetensors", base.backbone)


@dataclass(frozen=True)
class Trial:
    """Where clips are made.

    Attributes:
        pictures: uint8 (N, 3, H, W), held out from all training.
        seeds: how many, from 0.
        work: folder that scores are kept in.
    """

    base: Base
    pictures: Tensor
    seeds: int
    work: Path

    def speeds(self, name: str, moves: Sequence[str], motions: Sequence[Motion], seeds: int = 1) -> Tensor:
        """How fast clips go along each of some camera moves.

        Args:
            name: of the trial, which its scores are kept under.

        Returns:
            (seeds, N, moves), 1 being the speed of the ideal clip of that move.
        """
        return self._scored(name, moves, motions, seeds)[..., :-1]

    def speed_and_psnr(self, name: str, move: str, motions: Sequence[Motion], seeds: int = 1) -> tuple[Tensor, Tensor]:
        """How fast clips go along a camera move, and how near they are to the ideal clip at the speed they reach.

        Returns:
            Speed (seeds, N), 1 being that of the ideal clip at its own speed; PSNR (seeds, N) in dB, the mean of frames
            2 to F.
        """
        scores = self._scored(name, (move,), motions, seeds)
        return scores[..., 0], scores[..., 1]

    def kept(self, name: str, measure: Callable[[], Tensor]) -> Tensor:
        """What was measured under a name, from disk or now."""
        path = self.work / f"{name}_{len(self.pictures)}.pt"
        if not path.exists():
            measured = measure()
            with replacing(path) as temporary:
                torch.save(measured, temporary)
        return torch.load(path, weights_only=True)

    def _scored(self, name: str, moves: Sequence[str], motions: Sequence[Motion], seeds: int) -> Tensor:
        """(seeds, N, moves + 1): speeds, and the PSNR along the first move."""
        return torch.stack(
            [
                self.kept(f"{name}_{seed}", lambda seed=seed: self._of_seed(moves, motions, seed))
                for seed in range(seeds)
            ]
        )

    def _of_seed(self, moves: Sequence[str], motions: Sequence[Motion], seed: int) -> Tensor:
        ideals = [camera_ideal(self.pictures, move, self.base).frames for move in moves]
        clips = run(self.base, ideals[0][:, 0], motions, seed, self.base.noise)
        scores = [self._score(k, clip, moves, [ideal[k] for ideal in ideals]) for k, clip in enumerate(clips)]
        return torch.tensor(scores)

    def _score(self, picture: int, clip: Tensor, moves: Sequence[str], ideals: Sequence[Tensor]) -> list[float]:
        measures = [camera_speed(move) for move in moves]
        speeds = [speed(clip) / speed(ideal) for speed, ideal in zip(measures, ideals, strict=True)]
        truth = self._filmed(picture, moves[0], SPEED * speeds[0])
        return [*speeds, sum(map(psnr, clip[1:], truth[1:])) / (len(clip) - 1)]

    def _filmed(self, picture: int, move: str, speed: float) -> Tensor:
        transforms = move_transforms(UNIT_MOVES[move], speed, self.base.frames)
        clip = film(self.pictures[picture][None].float() / 255, transforms, *self.base.size, scale=SCALE)
        return rearrange(clip, "1 f c h w -> f h w c")
