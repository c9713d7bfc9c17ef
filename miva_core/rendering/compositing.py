"""One frame: the ground, and the subjects over it from back to front."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from .ground import Ground
from .sampling import Placement, Region, sample
from .sprite import Sprite
from .staging import Staging

_FAR = 3.0
"""Pixels by which a subject has moved so that nothing of the picture as it was is left in its place."""


@dataclass(frozen=True, eq=False)
class Layers:
    """What frames are composed of.

    Attributes:
        ground: behind all subjects.
        sprites: subjects by name, from back to front: those that move, and those at rest that they move behind.
        masks: (h, w) in [0, 1] of all subjects in frame 1, also of those that are part of the ground.
        from_view: (3, 3) from places of the view to pixels of the masks.
        size: (height, width) of the clip.
    """

    ground: Ground
    sprites: Mapping[str, Sprite]
    masks: Mapping[str, np.ndarray]
    from_view: np.ndarray
    size: tuple[int, int]

    def composite(self, staging: Staging, time: float) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Render the frame at a time.

        Subjects that have hardly moved are shown as they are in the picture, with every hair.

        Returns:
            (H, W, 3) in [0, 1], and masks (H, W) of what is seen of each subject; float32.
        """
        place = staging.ground(time)
        moving = {name: sprite for name, sprite in self.sprites.items() if not staging.subjects[name].rests}
        apart = max((staging.apart(name, time, sprite.corners) for name, sprite in moving.items()), default=0.0)
        as_given = {name: self._as_given(name, place) for name in self.masks if apart < _FAR or name not in moving}
        if not apart:
            return self.ground.with_subjects(place).clip(0, 1), as_given
        frame, masks = self.ground.without_subjects(place), dict[str, np.ndarray]()
        resting = {name: sprite for name, sprite in self.sprites.items() if name not in moving}
        for name in self.masks:
            if name in moving:
                opacity = moving[name].drawn_on(frame, staging.subject(name, time), resting.values(), place)
            else:
                resting.pop(name, None)
                opacity = as_given[name]
            if name in self.sprites:
                masks = {behind: mask * (1 - opacity) for behind, mask in masks.items()}
            masks[name] = opacity
        if apart < _FAR:
            unmoved = math.exp(-(apart**2))
            frame += (self.ground.with_subjects(place) - frame) * unmoved
            masks = {name: mask + (as_given[name] - mask) * unmoved for name, mask in masks.items()}
        return frame.clip(0, 1), masks

    def _as_given(self, name: str, place: Placement) -> np.ndarray:
        """The mask (H, W) of a subject as a part of the ground."""
        region = Region(0, 0, self.size[1], self.size[0])
        return sample(self.masks[name], self.from_view, place, region, cv2.BORDER_REPLICATE).clip(0, 1)
