"""Training clips, what a base needs of them, and what is checked of every clip wherever it comes from."""

import warnings
from dataclasses import dataclass, replace

from torch import Tensor

from ..errors import MIVAError, MIVAWarning

_PACE_SLACK = 1.5


@dataclass(frozen=True)
class TrainingClip:
    """A clip at the size of a base.

    Attributes:
        name: of its file.
        frames: (N, 3, H, W) uint8.
        masks: (K, N, H, W) uint8, of K subjects: none, the moving one, or that one and its partner.
        stride: a training window takes every `stride`-th frame, which comes nearest to the base's rate.
        pace: its speed relative to the usual one of its motion, where that is known.
        words: what is said of it to an adapter that hears words; empty where nothing is.
        flow: (N, 3, H, W) backward flow to its first frame, x and y in pixels and trust, where that is known exactly;
            None where it is to be measured.
        nearness: (H, W) uint8, how near each place of the first frame is, 255 being the nearest; None where that is
            unknown.
    """

    name: str
    frames: Tensor
    masks: Tensor
    stride: int = 1
    pace: float = 1.0
    words: str = ""
    flow: Tensor | None = None
    nearness: Tensor | None = None


@dataclass(frozen=True)
class ClipSpec:
    """What a base needs of training clips.

    Attributes:
        size: (height, width) in pixels.
        frames: number of frames in a training window.
        fps: frames per second.
    """

    size: tuple[int, int]
    frames: int
    fps: float


def choose_stride(name: str, frames: int, fps: float, spec: ClipSpec) -> int:
    """Choose every how many of a clip's frames to take, to come nearest to the base's rate with enough frames left.

    A `MIVAWarning` says where the motion becomes more than 1.5 times as fast or slow by it.

    Args:
        name: of the clip, for messages.
        frames: number of frames.
        fps: frames per second.
        spec: what the base needs.

    Raises:
        MIVAError: the clip is too short.
    """
    if frames < spec.frames:
        raise MIVAError(f"{name} has {frames} frames, but {spec.frames} are needed")
    stride = min(max(1, round(fps / spec.fps)), (frames - 1) // (spec.frames - 1))
    pace = spec.fps * stride / fps
    if not 1 / _PACE_SLACK <= pace <= _PACE_SLACK:
        change = f"{pace:.1f} times as fast" if pace > 1 else f"{1 / pace:.1f} times as slow"
        text = (
            f"{name} has {frames} frames at {fps:g} a second: at the base's {spec.fps:g} its motion is learnt {change}."
        )
        warnings.warn(text, MIVAWarning, stacklevel=3)
    return stride


def warn_late_subject(name: str, masks: Tensor) -> None:
    """Warn of a clip whose subject is not there from the first frame on.

    Args:
        name: of the clip or its masks.
        masks: (N, H, W) uint8, with something white in at least one frame.
    """
    visible = (masks > 127).flatten(1).any(1)
    if not visible[0]:
        first = int(visible.int().argmax()) + 1
        text = (
            f"The subject of {name} is seen from frame {first} on only: a masked motion learns little from frames "
            "without it; cut them off."
        )
        warnings.warn(text, MIVAWarning, stacklevel=3)


def drop_partial_masks(clips: list[TrainingClip]) -> list[TrainingClip]:
    """Drop all masks if some clips have none, with a warning that names these."""
    without = [clip.name for clip in clips if not len(clip.masks)]
    warn_unused_masks(len(clips), without)
    return [replace(clip, masks=clip.masks[:0]) for clip in clips] if without else clips


def warn_unused_masks(clips: int, without: list[str]) -> None:
    """Warn of masks that are not used since some clips have none.

    Args:
        clips: number of all clips.
        without: names of those without masks.
    """
    if 0 < len(without) < clips:
        text = (
            f"{clips - len(without)} of {clips} clips have masks, which are not used, since these have none: "
            f"{', '.join(without)}."
        )
        warnings.warn(text, MIVAWarning, stacklevel=3)
