"""Masked subjects: drawn ones over a still ground, whose masks and uncovered ground are known."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.full_size.camera_reading import own_places, speed_along, subject_way
from benchmarks.full_size.cameras import enlarged
from benchmarks.full_size.ideals import SUBJECT_FRAMES, Drawn, draw_subjects, filmed, unit_way
from benchmarks.full_size.measures import away_from, likeness
from benchmarks.full_size.pictures import SIDE, Held
from benchmarks.full_size.runs import denoised, shipped, staged
from benchmarks.full_size.tables import gates, header, row, span
from miva_core import Clip, Motion
from miva_core.bases.base import Base
from miva_core.rendering.frame import SceneFrame

MASKED, SUFFIX = ("jump_masked", "sway_masked"), "_masked"
LEAST = {4: 31, 11: 29, 15: 31}
"""dB of the whole frame that the mean over all clips must reach."""


@dataclass(frozen=True)
class SubjectScore:
    """What one clip of a masked subject scores; lists are of `SUBJECT_FRAMES`.

    Attributes:
        whole: PSNR of the frame, dB.
        swept: PSNR where the subject is at some time.
        enlarged: PSNR of the base's own clip, enlarged.
        enlarged_swept: the same where the subject is at some time.
        speed: of the subject, in pixels of the base's frame a frame; that of the drawn clip it is compared with.
        ground: the most that the ground, away from the subject, differs from frame 1 in these frames.
        start: the most that frame 1 differs from the picture.
    """

    whole: list[float]
    swept: list[float]
    enlarged: list[float]
    enlarged_swept: list[float]
    speed: float
    ground: float
    start: float


def score_subject(held: Held, number: int, count: int, first: Drawn, clip: Clip, motion: str) -> SubjectScore:
    """Score the scene of one run against the drawn clip of the speed that comes nearest."""
    drawn_motion = motion.removesuffix(SUFFIX)
    masks = {motion: first.mask}
    way = subject_way([*staged(own_places(SIDE, SIDE), clip, masks)], motion)
    speed = speed_along(way, unit_way(drawn_motion))
    drawn = filmed(draw_subjects(drawn_motion, count, speed), number, held)
    scene = staged(first.frames[0], clip, masks)
    start, *frames = (scene.frame(k) for k in (0, *SUBJECT_FRAMES))
    ideals, old = drawn.frames[1:], [enlarged(clip.frames[k]) for k in SUBJECT_FRAMES]
    shown = [frame.pixels for frame in frames]
    ground = away_from(drawn.swept | covered([start, *frames]))
    return SubjectScore(
        [likeness(*pair) for pair in zip(shown, ideals, strict=True)],
        [likeness(*pair, drawn.swept) for pair in zip(shown, ideals, strict=True)],
        [likeness(*pair) for pair in zip(old, ideals, strict=True)],
        [likeness(*pair, drawn.swept) for pair in zip(old, ideals, strict=True)],
        speed,
        max(largest_difference(pixels[ground], start.pixels[ground]) for pixels in shown),
        largest_difference(start.pixels, first.frames[0]),
    )


def covered(frames: Sequence[SceneFrame]) -> Tensor:
    """(H, W) bool: where a subject is seen in one of the frames."""
    return torch.stack([mask > 0.02 for frame in frames for mask in frame.masks.values()]).any(0)


def largest_difference(frame: Tensor, other: Tensor) -> float:
    return float((frame - other).abs().max()) if frame.numel() else 0.0


HEADER = header(
    "motion",
    f"whole frame, frames {' / '.join(map(str, SUBJECT_FRAMES))}, dB: mean",
    "median",
    "swept area: mean",
    "enlarged clip: whole frame",
    "swept area",
    "speed",
    "clips whose ground is bit-equal to frame 1",
    "whose frame 1 is the picture",
)


def subject_row(motion: str, scores: Sequence[SubjectScore]) -> str:
    wholes = [score.whole for score in scores]
    return row(
        [
            motion,
            joined(means(wholes)),
            joined([statistics.median(values) for values in zip(*wholes, strict=True)]),
            joined(means([score.swept for score in scores])),
            joined(means([score.enlarged for score in scores])),
            joined(means([score.enlarged_swept for score in scores])),
            span([score.speed for score in scores]),
            f"{statistics.fmean(score.ground == 0 for score in scores):.0%}",
            f"{statistics.fmean(score.start == 0 for score in scores):.0%}",
        ]
    )


def means(lists: Sequence[Sequence[float]]) -> list[float]:
    return [statistics.fmean(values) for values in zip(*lists, strict=True)]


def joined(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.1f}" for value in values)


def subjects_section(base: Base, pictures: Sequence[Held], seeds: int) -> list[str]:
    scores = {}
    for motion in MASKED:
        scores[motion] = motion_scores(base, motion, pictures, seeds)
        print(subject_row(motion, scores[motion]), flush=True)
    reached = [means([score.whole for score in some]) for some in scores.values()]
    everything = [score for some in scores.values() for score in some]
    met = {
        f"≥ {least} dB at frame {frame}": all(values[n] >= least for values in reached)
        for n, (frame, least) in enumerate(LEAST.items())
    }
    met["ground bit-equal"] = all(score.ground == 0 for score in everything)
    met["frame 1 is the picture"] = all(score.start == 0 for score in everything)
    return [HEADER, *(subject_row(motion, some) for motion, some in scores.items()), "", gates(met)]


def motion_scores(base: Base, motion: str, pictures: Sequence[Held], seeds: int) -> list[SubjectScore]:
    adapter, scores = shipped(base, motion), []
    scenes = draw_subjects(motion.removesuffix(SUFFIX), len(pictures))
    for number, held in enumerate(pictures):
        first = filmed(scenes, number, held)
        for seed in range(seeds):
            clip = denoised(base, first.frames[0], Motion(adapter, mask=first.mask, name=motion), seed)
            scores.append(score_subject(held, number, len(pictures), first, clip, motion))
    return scores
