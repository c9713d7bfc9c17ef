"""One frame: the ground, and the subjects over it from back to front."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from .ground import Ground
from .sampling import Region, sample
from .sprite import Sprite
from .staging import Staging

_FAR = 3.0
"""Pixels by which a subject has moved so that nothing of the picture as it was is left in its place."""


@dataclass(frozen=True, eq=False)
class Layers:
    """What frames are composed of.

    Attributes:
        ground: behind all subjects.
        sprites: subjects by name, from back to front.
        masks: (h, w) in [0, 1] of all subjects in frame 1, also of those that are part of the ground.
        from_view: (3, 3) from places of the view to pixels of the masks.
    """

    ground: Ground
    sprites: Mapping[str, Sprite]
    masks: Mapping[str, np.ndarray]
    from_view: np.ndarray

    def composite(self, staging: Staging, time: float) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Render the frame at a time.

        Subjects that have hardly moved are shown as they are in the picture, with every hair.

        Returns:
            (H, W, 3) in [0, 1], and masks (H, W) of what is seen of each subject; float32.
        """
        place = staging.ground(time)
        masks = {name: self._on_ground(name, staging, time) for name in self.masks}
        apart = max((staging.apart(name, time, sprite.corners) for name, sprite in self.sprites.items()), default=0.0)
        if not apart:
            return self.ground.with_subjects(place).clip(0, 1), masks
        frame = self.ground.without_subjects(place)
        for name, sprite in self.sprites.items():
            masks[name] = sprite.drawn_on(frame, staging.subject(name, time))
            for behind in list(masks)[: list(masks).index(name)]:
                masks[behind] = masks[behind] * (1 - masks[name])
        if apart < _FAR:
            frame += (self.ground.with_subjects(place) - frame) * math.exp(-(apart**2))
        return frame.clip(0, 1), masks

    def _on_ground(self, name: str, staging: Staging, time: float) -> np.ndarray:
        region = Region(0, 0, staging.size[1], staging.size[0])
        return sample(self.masks[name], self.from_view, staging.ground(time), region, cv2.BORDER_REPLICATE).clip(0, 1)
