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

FAR = 3.0
"""Pixels by which a subject has moved so that nothing of the picture as it was is left in its place."""


@dataclass(frozen=True, eq=False)
class Layers:
    """What frames are composed of.

    Attributes:
        ground: behind all subjects.
        sprites: subjects by name, from back to front: those that move, and those at rest that they move behind.
        masks: (h, w) in [0, 1] of all subjects in frame 1, also of those that are part of the ground.
        hole: (h, w) bool, where the ground is filled in behind subjects.
        from_view: (3, 3) from places of the view to pixels of the masks and the hole.
        size: (height, width) of the clip.
    """

    ground: Ground
    sprites: Mapping[str, Sprite]
    masks: Mapping[str, np.ndarray]
    hole: np.ndarray
    from_view: np.ndarray
    size: tuple[int, int]

    def composite(self, staging: Staging, time: float) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Render the frame at a time.

        Subjects that have hardly moved are shown as they are in the picture, with every hair.

        Returns:
            (H, W, 3) in [0, 1], and masks (H, W) of what is seen of each subject; float32.
        """
        place, moving = staging.ground(time), self._moving(staging)
        apart = self._apart(staging, time)
        as_given = {name: self._as_given(name, place) for name in self.masks if apart < FAR or name not in moving}
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
        if apart < FAR:
            unmoved = math.exp(-(apart**2))
            frame += (self.ground.with_subjects(place) - frame) * unmoved
            masks = {name: mask + (as_given[name] - mask) * unmoved for name, mask in masks.items()}
        return frame.clip(0, 1), masks

    def invented(self, staging: Staging, time: float, shown: Mapping[str, np.ndarray]) -> np.ndarray:
        """Find what of a frame is nowhere in the picture: what lies beyond its edge, or was behind a subject.

        Args:
            staging: as in `composite`.
            time: as in `composite`.
            shown: the masks that it gave.

        Returns:
            (H, W) float32 in [0, 1].
        """
        place, apart = staging.ground(time), self._apart(staging, time)
        picture = np.ones(self.hole.shape, np.float32)
        beyond = 1 - self._sampled(picture, place, cv2.BORDER_CONSTANT)
        if not apart:
            return beyond
        unmoved = math.exp(-(apart**2)) if apart < FAR else 0.0
        filled = self._sampled(self.hole.astype(np.float32), place, cv2.BORDER_CONSTANT) * (1 - unmoved)
        invented = np.maximum(beyond, filled)
        for name in self._moving(staging):
            inside = self._sampled(
                np.ones(self.hole.shape, np.float32), staging.subject(name, time), cv2.BORDER_CONSTANT
            )
            invented += shown[name] * (1 - inside - invented)
        return invented

    def _moving(self, staging: Staging) -> dict[str, Sprite]:
        return {name: sprite for name, sprite in self.sprites.items() if not staging.subjects[name].rests}

    def _apart(self, staging: Staging, time: float) -> float:
        """How far the subject that has moved most is from its place on the ground, in pixels of the clip."""
        moving = self._moving(staging).items()
        return max((staging.apart(name, time, sprite.corners) for name, sprite in moving), default=0.0)

    def _as_given(self, name: str, place: Placement) -> np.ndarray:
        """The mask (H, W) of a subject as a part of the ground."""
        return self._sampled(self.masks[name], place, cv2.BORDER_REPLICATE)

    def _sampled(self, plane: np.ndarray, place: Placement, border: int) -> np.ndarray:
        """A plane (h, w) in [0, 1] of the picture, as a frame shows it."""
        region = Region(0, 0, self.size[1], self.size[0])
        return sample(plane, self.from_view, place, region, border).clip(0, 1)


@dataclass(frozen=True, eq=False)
class StagedLayers:
    """Layers, with all that is needed to tell where they are in a frame.

    Attributes:
        layers: what is there.
        staging: where each of them is at any time.
        times: (N,) of the frames.
    """

    layers: Layers
    staging: Staging
    times: np.ndarray

    @property
    def rests(self) -> bool:
        """Whether the camera does."""
        return self.staging.camera.path.at_rest

    @property
    def moving(self) -> tuple[str, ...]:
        """The names of the subjects that move over the ground."""
        return tuple(name for name, motion in self.staging.subjects.items() if not motion.rests)

    def starts(self, i: int) -> bool:
        """Whether frame i is the first of the flow."""
        return bool(self.times[i] == 0)

    def camera(self, i: int) -> np.ndarray:
        """The matrix (3, 3) of the camera of frame i, see `SimilarityPath.matrix`."""
        return self.staging.camera.path.matrix(self.times[i], self.staging.size)

    def composite(self, i: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Render frame i, see `Layers.composite`."""
        return self.layers.composite(self.staging, self.times[i])

    def invented(self, i: int, shown: Mapping[str, np.ndarray]) -> np.ndarray:
        """Find what of frame i is nowhere in the picture, see `Layers.invented`."""
        return self.layers.invented(self.staging, self.times[i], shown)
