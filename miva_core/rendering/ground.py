"""The ground of a clip: the picture, and what is behind its subjects."""

from dataclasses import dataclass

import cv2
import numpy as np

from .sampling import Placement, Region, sample


@dataclass(frozen=True, eq=False)
class StillGround:
    """The ground of a camera at rest: the same in every frame, to the last bit.

    Attributes:
        picture: (H, W, 3) float32 at the clip's size, with its subjects.
        plate: likewise without them.
    """

    picture: np.ndarray
    plate: np.ndarray

    def without_subjects(self, placement: Placement) -> np.ndarray:
        """A frame (H, W, 3) of the ground alone, free to be drawn on."""
        return self.plate.copy()

    def with_subjects(self, placement: Placement) -> np.ndarray:
        """A frame (H, W, 3) of the picture as it is."""
        return self.picture


@dataclass(frozen=True, eq=False)
class MovingGround:
    """The ground that a moving camera sees.

    Attributes:
        picture: (h, w, 3) float32, with its subjects.
        plate: likewise without them.
        from_view: (3, 3) from places of the view to pixels of both.
        size: (height, width) of the clip.
    """

    picture: np.ndarray
    plate: np.ndarray
    from_view: np.ndarray
    size: tuple[int, int]

    def without_subjects(self, placement: Placement) -> np.ndarray:
        """A frame (H, W, 3) of the ground alone."""
        return self._seen(self.plate, placement)

    def with_subjects(self, placement: Placement) -> np.ndarray:
        """A frame (H, W, 3) of the picture as it is."""
        return self._seen(self.picture, placement)

    def _seen(self, layer: np.ndarray, placement: Placement) -> np.ndarray:
        region = Region(0, 0, self.size[1], self.size[0])
        return sample(layer, self.from_view, placement, region, cv2.BORDER_REFLECT_101)


Ground = StillGround | MovingGround
