"""Masked subjects: drawn ones over a still ground, whose masks and uncovered ground are known."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.full_size.camera_reading import own_places, speed_along, subject_way
from benchmarks.full_size.cameras import enlarged
from benchmarks.full_size.ideals import SUBJECT_FRAMES, Drawn, draw_subjects, exact_flow, filmed, unit_way
from benchmarks.full_size.measures import away_from, likeness
from benchmarks.full_size.pictures import SIDE, Held
from benchmarks.full_size.runs import denoised, shipped, staged
from benchmarks.full_size.tables import gates, header, row, seeded, span
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
    drawn_motion, masks = motion.removesuffix(SUFFIX), {motion: first.mask}
    way = subject_way([*staged(own_places(SIDE, SIDE), clip.flow, masks)], motion)
    speed = speed_along(way, unit_way(drawn_motion))
    drawn = filmed(draw_subjects(drawn_motion, count, speed), number, held)
    scene = staged(first.frames[0], clip.flow, masks)
    start, *frames = (scene.frame(k) for k in (0, *SUBJECT_FRAMES))
    old = [enlarged(clip.frames[k]) for k in SUBJECT_FRAMES]
    shown = [frame.pixels for frame in frames]
    ground = away_from(drawn.swept | covered([start, *frames]))
    return SubjectScore(
        likenesses(shown, drawn),
        likenesses(shown, drawn, drawn.swept),
        likenesses(old, drawn),
        likenesses(old, drawn, drawn.swept),
        speed,
        max(largest_difference(pixels[ground], start.pixels[ground]) for pixels in shown),
        largest_difference(start.pixels, first.frames[0]),
    )


def score_exact(drawn: Drawn, flow: Tensor, motion: str) -> list[float]:
    """What the whole frames score where the flow is exact: what is missed then is the renderer's alone."""
    scene = staged(drawn.frames[0], flow, {motion: drawn.mask})
    return likenesses([scene.frame(k).pixels for k in SUBJECT_FRAMES], drawn)


def likenesses(frames: Sequence[Tensor], drawn: Drawn, area: Tensor | None = None) -> list[float]:
    return [likeness(frame, ideal, area) for frame, ideal in zip(frames, drawn.frames[1:], strict=True)]


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
    "whole frame, exact flow",
    "enlarged clip: whole frame",
    "swept area",
    "speed",
    "clips whose ground is bit-equal to frame 1",
    "whose frame 1 is the picture",
)


@dataclass(frozen=True)
class MotionScores:
    """The scores of all clips of a motion, and of scenes of the exact flow."""

    clips: list[SubjectScore]
    exact: list[list[float]]

    @property
    def whole(self) -> list[float]:
        """The mean at each of `SUBJECT_FRAMES`."""
        return means([score.whole for score in self.clips])


def subject_row(motion: str, scores: MotionScores) -> str:
    clips = scores.clips
    return row(
        [
            motion,
            joined(scores.whole),
            joined([statistics.median(values) for values in zip(*(score.whole for score in clips), strict=True)]),
            joined(means([score.swept for score in clips])),
            joined(means(scores.exact)),
            joined(means([score.enlarged for score in clips])),
            joined(means([score.enlarged_swept for score in clips])),
            span([score.speed for score in clips]),
            f"{statistics.fmean(score.ground == 0 for score in clips):.1%}",
            f"{statistics.fmean(score.start == 0 for score in clips):.1%}",
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
    clips = [score for some in scores.values() for score in some.clips]
    met = {
        f"≥ {least} dB at frame {frame}": all(some.whole[n] >= least for some in scores.values())
        for n, (frame, least) in enumerate(LEAST.items())
    }
    met["ground bit-equal"] = all(score.ground == 0 for score in clips)
    met["frame 1 is the picture"] = all(score.start == 0 for score in clips)
    introduction = (
        f"{seeded(seeds)}; the drawn subject has the speed nearest to the run's, pixels of the base a frame.\n"
    )
    rows = [subject_row(motion, some) for motion, some in scores.items()]
    return [introduction, HEADER, *rows, "", gates(met)]


def motion_scores(base: Base, motion: str, pictures: Sequence[Held], seeds: int) -> MotionScores:
    adapter, scores = shipped(base, motion), MotionScores([], [])
    scenes = draw_subjects(motion.removesuffix(SUFFIX), len(pictures))
    for number, held in enumerate(pictures):
        first = filmed(scenes, number, held)
        scores.exact.append(score_exact(first, exact_flow(scenes, number), motion))
        for seed in range(seeds):
            clip = denoised(base, first.frames[0], Motion(adapter, mask=first.mask, name=motion), seed)
            scores.clips.append(score_subject(held, number, len(pictures), first, clip, motion))
    return scores
