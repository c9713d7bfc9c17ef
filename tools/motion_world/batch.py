"""What a batch of clips is, and the words of its captions."""

from dataclasses import dataclass

from torch import Tensor

from miva_core.motion_fields.motions import MOTIONS

WORDS = ("", *MOTIONS)
"""What a caption's slot can say: nothing, or a motion. A word's number is its place here."""
WORD_IDS = {word: number for number, word in enumerate(WORDS)}
SLOTS = {"camera": 0, "depth": 0, "region": 1, "carried": 1, "shake": 2}
"""The caption's slot of each kind of motion."""


@dataclass(frozen=True)
class WorldBatch:
    """B clips of one size. Frame index 0 is frame 1 of the clip, at time 0; lengths are pixels, x first.

    Attributes:
        frames: (B, F, 3, H, W) in [-1, 1].
        flow: (B, F, 2, H, W), backward from frame 1: a pixel p shows what frame 1 has at p + flow(p).
        trusted: (B, F, H, W), 1 or 0, which is where frame 1 hides what is shown.
        moving: (B, F, H, W) in [0, 1], where a region or a subject moves, or something stands before the ground.
        region: (B, H, W) in [0, 1], the true mask of slot 2's motion in frame 1, or 0.
        nearness: (B, H, W) in [0, 1], how near each place of frame 1 truly is, where slot 1 says a depth move, or 0.
        guide: (B, H, W) in [0, 1], the mask or nearness that the model is shown, rough at times, or 0.
        guide_kind: (B,) int64, places in `guide.KINDS`.
        words: (B, 3) int64, places in `WORDS`: camera or depth move, region motion or subject, shake.
        speeds: (B, 3), 0 where there is no word.
        shake: (B, F, 2), the path of a shake at unit speed; given to clips that have none, too.
        times: (F,), in frames of the whole clip.
        kinds: of what each clip is about, as `MotionField.kind` has them, or "still".
    """

    frames: Tensor
    flow: Tensor
    trusted: Tensor
    moving: Tensor
    region: Tensor
    nearness: Tensor
    guide: Tensor
    guide_kind: Tensor
    words: Tensor
    speeds: Tensor
    shake: Tensor
    times: Tensor
    kinds: tuple[str, ...]
