"""Random clips of photographs that move, with captions, guides and exact flow.

world = World(training_photographs(folder))
batch = world.batch(seed, 12, (64, 64), torch.tensor([0.0, 3.0, 6.0, 9.0]))
batch = world.batch(seed, 8, (64, 64), times, Ask("sway", speed=0.5, guided=True))
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from miva_core.motion_fields.shake import shake_path
from tools.motion_world.batch import SLOTS, WORD_IDS, WorldBatch
from tools.motion_world.drawing import Ask, Drawn, Mix, draw_clip
from tools.motion_world.photographs import Photographs
from tools.motion_world.scene import Rendered, render


@dataclass(frozen=True)
class World:
    """Where clips come from: what they show, and what happens how often."""

    photographs: Photographs
    mix: Mix = field(default_factory=Mix)

    def batch(self, seed: int, count: int, size: tuple[int, int], times: Tensor, ask: Ask | None = None) -> WorldBatch:
        """Draw clips; the same seed and sizes give the same ones.

        Args:
            seed: of all draws.
            count: how many clips.
            size: (height, width) in pixels.
            times: (F,) in frames, the first of them 0.
            ask: what all of them are about; None for the whole world.
        """
        return self.clips(seed, size, times, [ask] * count)

    def clips(self, seed: int, size: tuple[int, int], times: Tensor, asks: Sequence[Ask | None]) -> WorldBatch:
        """Draw a clip for each of `asks`, see `batch`."""
        rng = np.random.default_rng(seed)
        times = times.float()
        drawn = [draw_clip(self.photographs, self.mix, rng, size, ask) for ask in asks]
        return _joined(drawn, [render(clip.scene, times) for clip in drawn], times)


def _joined(drawn: Sequence[Drawn], rendered: Sequence[Rendered], times: Tensor) -> WorldBatch:
    captions = [_caption(clip) for clip in drawn]
    return WorldBatch(
        frames=torch.stack([clip.frames for clip in rendered]),
        flow=torch.stack([clip.flow for clip in rendered]),
        trusted=torch.stack([clip.trusted for clip in rendered]),
        moving=torch.stack([clip.moving for clip in rendered]),
        region=torch.stack([clip.scene.region() for clip in drawn]),
        nearness=torch.stack([clip.scene.nearness() for clip in drawn]),
        guide=torch.stack([clip.guide for clip in drawn]),
        guide_kind=torch.tensor([clip.guide_kind for clip in drawn]),
        words=torch.tensor([words for words, _ in captions]),
        speeds=torch.tensor([speeds for _, speeds in captions]),
        shake=torch.stack([shake_path(times, clip.scene.seed) for clip in drawn]),
        times=times,
        kinds=tuple(clip.kind for clip in drawn),
    )


def _caption(clip: Drawn) -> tuple[list[int], list[float]]:
    """The numbers and the speeds of a clip's words, a slot each."""
    words, speeds = [0, 0, 0], [0.0, 0.0, 0.0]
    for said in clip.scene.said:
        slot = SLOTS[said.kind]
        words[slot], speeds[slot] = WORD_IDS[said.name], said.speed
    return words, speeds
