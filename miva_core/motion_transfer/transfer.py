"""The motion of a clip, taken over to a picture at that picture's own size."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from ..errors import MIVAWarning
from ..rendering.frame import SceneFrame
from ..rendering.scene import Scene
from ..rendering.view import View
from .amount import with_strength
from .checks import check_inputs, clip_notes
from .clip_flow import follow
from .clip_motions import read_motions
from .unexplained import at_strength, lost_from, unexplained

SUBJECT, INVENTED = "subject", "invented"


def transfer(
    frames: Tensor, picture: Tensor, strength: float = 1.0, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Let a picture move as a clip does.

    The flow of the clip into its first frame is measured, and moves the picture: no model is asked. Shifts keep their
    share of the frame's width and height. Warnings (`MIVAWarning`) say where the flow cannot be trusted.

    Args:
        frames: (F, h, w, 3) in [0, 1], of the clip; at least two.
        picture: (H, W, 3) in [0, 1], of any size and aspect.
        strength: 0 to 2; 1 moves as far as the clip, 0 not at all.
        mask: (H', W') in [0, 1], of any size: where the subject is in the picture, and in the clip's first frame. It
            becomes a layer of its own, which moves over a filled ground.

    Returns:
        The clip (F, H, W, 3) in [0, 1], whose first frame is the picture, and (F, H, W) in [0, 1] what of it had to be
        invented: it came into view, or the clip's flow cannot be trusted there. F is less than that of the clip where
        the clip cuts.

    Raises:
        MIVAError: an input has another form, or the clip's second frame does not follow its first.
    """
    moved = MovedPicture.of(frames, picture, strength, mask)
    pixels, invented = torch.empty(len(moved), *moved.size, 3), torch.empty(len(moved), *moved.size)
    for i, frame in enumerate(moved):
        pixels[i], invented[i] = frame.pixels, frame.masks[INVENTED]
    return pixels, invented


@dataclass(frozen=True, eq=False)
class MovedPicture:
    """A picture that moves as a clip does; any frame is rendered when it is asked for.

    Attributes:
        scene: the picture with its motions.
        untrusted: (F, h, w) in [0, 1] where the flow that moves it is not that of the clip.
    """

    scene: Scene
    untrusted: np.ndarray

    @classmethod
    def of(
        cls,
        frames: Tensor,
        picture: Tensor,
        strength: float = 1.0,
        mask: Tensor | None = None,
        on_frame: Callable[[int], object] = lambda _: None,
    ) -> "MovedPicture":
        """Measure a clip and prepare a picture.

        Args:
            frames: as for `transfer`.
            picture: as for `transfer`.
            strength: as for `transfer`.
            mask: as for `transfer`.
            on_frame: called after each frame with the number of those that were measured.

        Raises:
            MIVAError: as from `transfer`.
        """
        check_inputs(frames, picture, strength, mask)
        clip = follow(frames, on_frame)
        size = (picture.shape[0], picture.shape[1])
        masks = {} if mask is None else {SUBJECT: _resized(mask.float().cpu().numpy(), size)}
        motions = read_motions(clip, masks)
        found = unexplained(clip, motions, masks)
        untrusted, lost = at_strength(found, motions[0], strength), lost_from(found, motions, masks)
        for note in clip_notes(clip, len(frames), motions, untrusted, lost, (frames.shape[1], frames.shape[2]), size):
            warnings.warn(note, MIVAWarning, stacklevel=3)
        scene = Scene.moved(
            picture.float().cpu(),
            with_strength(motions, strength, clip.size),
            {name: torch.from_numpy(plane) for name, plane in masks.items()},
            View(size, (0, 0, *size)),
            np.arange(len(clip.flow)),
            "mirror",
        )
        return cls(scene, untrusted)

    def __len__(self) -> int:
        return len(self.scene)

    def __iter__(self) -> Iterator[SceneFrame]:
        return (self.frame(i) for i in range(len(self)))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames, which are the picture's."""
        return self.scene.size

    def frame(self, i: int) -> SceneFrame:
        """Render a frame, from 0, with one mask, "invented"."""
        frame = self.scene.frame(i)
        invented = np.maximum(self.scene.invented(i, frame.masks).numpy(), _resized(self.untrusted[i], self.size))
        return SceneFrame(frame.pixels, {INVENTED: torch.from_numpy(invented)})


def _resized(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A plane (h, w) in [0, 1] at another (height, width)."""
    if plane.shape == size:
        return plane
    how = cv2.INTER_AREA if plane.shape[1] > size[1] else cv2.INTER_LINEAR
    return cv2.resize(plane, size[::-1], interpolation=how)
