"""Camera moves: distance from the ideal through the same window, speed, steadiness and edges."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import torch
from torch import Tensor

from benchmarks.full_size.camera_reading import own_places, progress, read_camera, speed_of, tremor_of
from benchmarks.full_size.ideals import FRAMES, ideal_frame
from benchmarks.full_size.measures import likeness, sharpness, structure
from benchmarks.full_size.pictures import SIDE, Held
from benchmarks.full_size.runs import denoised, shipped, staged
from benchmarks.full_size.tables import gates, header, row, seeded, span
from miva_core import Clip, Motion
from miva_core.bases.base import Base
from miva_core.clips.camera import UNIT_MOVES

MOVES = tuple(name for name in UNIT_MOVES if name != "still")
EVERY = 4
"""Of so many pictures one is animated at other aspects, where speeds hardly differ between pictures."""
ASPECTS = {"3:2": (340, 510), "16:9": (288, 512), "2:3": (510, 340)}
"""(height, width) of clips of other aspects."""
EARLY, LATE = FRAMES // 2, FRAMES - 1


@dataclass(frozen=True)
class Nearness:
    """How near two frames of a clip come to the ideal.

    Attributes:
        early: PSNR at frame 8, dB.
        late: PSNR at frame 15, dB.
        structure: MS-SSIM at frame 15.
        sharp: sharpness at frame 8, to that of the ideal.
    """

    early: float
    late: float
    structure: float
    sharp: float

    @classmethod
    def of(cls, shown: tuple[Tensor, Tensor], ideal: tuple[Tensor, Tensor]) -> "Nearness":
        return cls(
            likeness(shown[0], ideal[0]),
            likeness(shown[1], ideal[1]),
            structure(shown[1], ideal[1]),
            sharpness(shown[0]) / sharpness(ideal[0]),
        )


@dataclass(frozen=True)
class CameraScore:
    """What one clip of a camera move scores.

    Attributes:
        near: of the clip at full size.
        speed: in unit moves.
        tremor: see `tremor_of`.
        zoom: share of the picture's sides that the window shows.
        beyond: see `Camera`; below 0 inside.
        marked: see `Camera`; 0 where there is no window, since the border is then part of frame 1.
        start: PSNR of frame 1 to the part of the picture that it should be, dB.
    """

    near: Nearness
    speed: float
    tremor: float
    zoom: float
    beyond: float
    marked: float
    start: float


def score_camera(held: Held, move: str, clip: Clip) -> CameraScore:
    picture = held.middle()
    scene = staged(picture, clip.flow)
    camera = read_camera([frame.pixels for frame in staged(own_places(SIDE, SIDE), clip.flow)])
    speed = speed_of(progress(camera, move, SIDE, SIDE))
    first, *seen = (ideal_frame(held, move, speed, k, camera.zoom, camera.centre) for k in (0, EARLY, LATE))
    return CameraScore(
        Nearness.of((scene.frame(EARLY).pixels, scene.frame(LATE).pixels), (seen[0], seen[1])),
        speed,
        tremor_of(camera),
        camera.zoom,
        camera.beyond,
        0.0 if scene.window.whole else camera.marked,
        likeness(scene.frame(0).pixels, picture if scene.window.whole else first),
    )


def score_enlarged(held: Held, move: str, speed: float, clip: Clip) -> Nearness:
    """How near the base's own clip comes, enlarged, which shows the whole picture."""
    shown = enlarged(clip.frames[EARLY]), enlarged(clip.frames[LATE])
    return Nearness.of(shown, (ideal_frame(held, move, speed, EARLY), ideal_frame(held, move, speed, LATE)))


def enlarged(frame: Tensor) -> Tensor:
    """A frame of the base's own clip at the size of the ideal."""
    return torch.from_numpy(cv2.resize(frame.numpy(), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)).clamp(0, 1)


HEADER = header(
    "motion",
    "frame 8, dB: median (worst)",
    "frame 15",
    "MS-SSIM 15: median (worst)",
    "sharpness / ideal",
    "direction",
    "speed, unit moves",
    "tremor, px: most",
    "window",
    "corners beyond the picture, px: most",
    "frame 1, dB: least",
    "enlarged clip: frames 8 / 15, dB, MS-SSIM, sharpness",
)


@dataclass(frozen=True)
class MoveScores:
    """The scores of all clips of a move, and of the base's own clips of the first seed."""

    clips: list[CameraScore]
    enlarged: list[Nearness]

    @property
    def near(self) -> list[Nearness]:
        return [score.near for score in self.clips]

    @property
    def speeds(self) -> list[float]:
        return [score.speed for score in self.clips]


def median_of(nearness: Sequence[Nearness]) -> Nearness:
    """The median of each number."""
    return Nearness(*(statistics.median(getattr(one, f.name) for one in nearness) for f in fields(Nearness)))


def camera_row(move: str, scores: MoveScores) -> str:
    median, old, clips = median_of(scores.near), median_of(scores.enlarged), scores.clips
    return row(
        [
            move,
            f"{median.early:.1f} ({min(near.early for near in scores.near):.1f})",
            f"{median.late:.1f} ({min(near.late for near in scores.near):.1f})",
            f"{median.structure:.4f} ({min(near.structure for near in scores.near):.4f})",
            f"{median.sharp:.2f}",
            f"{statistics.fmean(speed > 0 for speed in scores.speeds):.0%}",
            span(scores.speeds),
            f"{max(score.tremor for score in clips):.3f}",
            f"{statistics.median(score.zoom for score in clips):.2f}",
            f"{max(score.beyond for score in clips):.2f}",
            f"{min(score.start for score in clips):.1f}",
            f"{old.early:.1f} / {old.late:.1f}, {old.structure:.2f}, {old.sharp:.3f}",
        ]
    )


def cameras_section(base: Base, pictures: Sequence[Held], seeds: int) -> list[str]:
    scores = {}
    for move in MOVES:
        scores[move] = move_scores(base, move, pictures, seeds)
        print(camera_row(move, scores[move]), flush=True)
    introduction = f"{seeded(seeds)}; of the base's own clip, enlarged, the first.\n"
    rows = [camera_row(move, some) for move, some in scores.items()]
    return [introduction, HEADER, *rows, "", camera_gates([*scores.values()])]


def move_scores(base: Base, move: str, pictures: Sequence[Held], seeds: int) -> MoveScores:
    motion, scores = Motion(shipped(base, move)), MoveScores([], [])
    for held in pictures:
        for seed in range(seeds):
            clip = denoised(base, held.middle(), motion, seed)
            scores.clips.append(score_camera(held, move, clip))
            if seed == 0:
                scores.enlarged.append(score_enlarged(held, move, scores.clips[-1].speed, clip))
    return scores


def camera_gates(moves: Sequence[MoveScores]) -> str:
    """Which gates all moves meet."""
    medians = [median_of(scores.near) for scores in moves]
    clips = [score for scores in moves for score in scores.clips]
    return gates(
        {
            "median ≥ 35 dB at frame 8": all(median.early >= 35 for median in medians),
            "≥ 30 dB at frame 15": all(median.late >= 30 for median in medians),
            "MS-SSIM ≥ 0.985 at frame 15": all(median.structure >= 0.985 for median in medians),
            "sharpness 0.9 to 1.2": all(0.9 <= median.sharp <= 1.2 for median in medians),
            "direction on 100 %": all(score.speed > 0 for score in clips),
            "speed 0.85 to 1.15": all(0.85 <= statistics.median(scores.speeds) <= 1.15 for scores in moves),
            "tremor ≤ 0.05 px": all(score.tremor <= 0.05 for score in clips),
            "no corner beyond the picture": all(score.beyond <= 0.01 for score in clips),
            "a window never shows the marked border": all(score.marked == 0 for score in clips),
        }
    )


def aspects_section(base: Base, pictures: Sequence[Held]) -> list[str]:
    rows, medians = [], []
    for move in MOVES:
        motion = Motion(shipped(base, move))
        speeds = {
            name: [aspect_speed(base, held, motion, move, size) for held in pictures[::EVERY]]
            for name, size in ASPECTS.items()
        }
        medians += [statistics.median(values) for values in speeds.values()]
        rows.append(row([move, *map(span, speeds.values())]))
        print(rows[-1], flush=True)
    met = all(0.85 <= median <= 1.15 for median in medians)
    introduction = f"Speed in unit moves of the clip's own width and height; every {EVERY}th picture, one seed.\n"
    return [introduction, header("motion", *ASPECTS), *rows, "", gates({"speed 0.85 to 1.15": met})]


def aspect_speed(base: Base, held: Held, motion: Motion, move: str, size: tuple[int, int]) -> float:
    """The speed of a clip of another aspect, in unit moves of its own width and height."""
    clip = denoised(base, held.middle(*size), motion, 0)
    camera = read_camera([frame.pixels for frame in staged(own_places(*size), clip.flow)])
    return speed_of(progress(camera, move, *size))
