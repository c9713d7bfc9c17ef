"""Camera moves: distance from the ideal through the same window, speed, steadiness and edges."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import torch
from torch import Tensor

from benchmarks.full_size.camera_reading import own_places, progress, read_camera, speed_of, tremor_of
from benchmarks.full_size.ideals import FRAMES, ideal_frame
from benchmarks.full_size.measures import likeness, sharpness, structure
from benchmarks.full_size.pictures import SIDE, Held
from benchmarks.full_size.runs import denoised, shipped, staged
from benchmarks.full_size.tables import gates, header, row, span
from miva_core import Clip, Motion
from miva_core.bases.base import Base
from miva_core.clips.camera import UNIT_MOVES

MOVES = tuple(name for name in UNIT_MOVES if name != "still")
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
        enlarged: of the base's own clip, enlarged.
        speed: in unit moves.
        tremor: see `tremor_of`.
        zoom: share of the picture's sides that the window shows.
        beyond: see `Camera`; below 0 inside.
        marked: see `Camera`; 0 where there is no window, since the border is then part of frame 1.
        start: PSNR of frame 1 to the part of the picture that it should be, dB.
    """

    near: Nearness
    enlarged: Nearness
    speed: float
    tremor: float
    zoom: float
    beyond: float
    marked: float
    start: float


def score_camera(held: Held, move: str, clip: Clip) -> CameraScore:
    picture = held.middle()
    scene = staged(picture, clip)
    camera = read_camera([frame.pixels for frame in staged(own_places(SIDE, SIDE), clip)])
    speed = speed_of(progress(camera, move, SIDE, SIDE))
    first, *seen = (ideal_frame(held, move, speed, k, camera.zoom, camera.centre) for k in (0, EARLY, LATE))
    whole = (ideal_frame(held, move, speed, EARLY), ideal_frame(held, move, speed, LATE))
    return CameraScore(
        Nearness.of((scene.frame(EARLY).pixels, scene.frame(LATE).pixels), (seen[0], seen[1])),
        Nearness.of((enlarged(clip.frames[EARLY]), enlarged(clip.frames[LATE])), whole),
        speed,
        tremor_of(camera),
        camera.zoom,
        camera.beyond,
        0.0 if scene.window.whole else camera.marked,
        likeness(scene.frame(0).pixels, picture if scene.window.whole else first),
    )


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


def camera_row(move: str, scores: Sequence[CameraScore]) -> str:
    early, late, structures, sharp = nearness(scores)
    old = [
        statistics.median(getattr(score.enlarged, name) for score in scores)
        for name in ("early", "late", "structure", "sharp")
    ]
    return row(
        [
            move,
            f"{statistics.median(early):.1f} ({min(early):.1f})",
            f"{statistics.median(late):.1f} ({min(late):.1f})",
            f"{statistics.median(structures):.4f} ({min(structures):.4f})",
            f"{statistics.median(sharp):.2f}",
            f"{statistics.fmean(score.speed > 0 for score in scores):.0%}",
            span([score.speed for score in scores]),
            f"{max(score.tremor for score in scores):.3f}",
            f"{statistics.median(score.zoom for score in scores):.2f}",
            f"{max(score.beyond for score in scores):.2f}",
            f"{min(score.start for score in scores):.1f}",
            f"{old[0]:.1f} / {old[1]:.1f}, {old[2]:.2f}, {old[3]:.3f}",
        ]
    )


def nearness(scores: Sequence[CameraScore]) -> tuple[list[float], list[float], list[float], list[float]]:
    near = [score.near for score in scores]
    return (
        [n.early for n in near],
        [n.late for n in near],
        [n.structure for n in near],
        [n.sharp for n in near],
    )


def cameras_section(base: Base, pictures: Sequence[Held], seeds: int) -> list[str]:
    scores: dict[str, list[CameraScore]] = {}
    for move in MOVES:
        motion = Motion(shipped(base, move))
        scores[move] = [
            score_camera(held, move, denoised(base, held.middle(), motion, seed))
            for held in pictures
            for seed in range(seeds)
        ]
        print(camera_row(move, scores[move]), flush=True)
    return [HEADER, *(camera_row(move, some) for move, some in scores.items()), "", camera_gates([*scores.values()])]


def camera_gates(moves: Sequence[Sequence[CameraScore]]) -> str:
    """Which gates all moves meet."""
    medians = [[statistics.median(values) for values in nearness(scores)] for scores in moves]
    clips = [score for scores in moves for score in scores]
    speeds = [statistics.median(score.speed for score in scores) for scores in moves]
    return gates(
        {
            "median ≥ 35 dB at frame 8": all(early >= 35 for early, *_ in medians),
            "≥ 30 dB at frame 15": all(late >= 30 for _, late, *_ in medians),
            "MS-SSIM ≥ 0.985 at frame 15": all(likeness >= 0.985 for _, _, likeness, _ in medians),
            "sharpness 0.9 to 1.2": all(0.9 <= sharp <= 1.2 for *_, sharp in medians),
            "direction on 100 %": all(score.speed > 0 for score in clips),
            "speed 0.85 to 1.15": all(0.85 <= speed <= 1.15 for speed in speeds),
            "tremor ≤ 0.05 px": all(score.tremor <= 0.05 for score in clips),
            "no corner beyond the picture": all(score.beyond <= 0.01 for score in clips),
            "a window never shows the marked border": all(score.marked == 0 for score in clips),
        }
    )


def aspects_section(base: Base, pictures: Sequence[Held]) -> list[str]:
    rows, medians = [], []
    for move in MOVES:
        motion = Motion(shipped(base, move))
        speeds = {name: [aspect_speed(base, held, motion, move, size) for held in pictures] for name, size in ASPECTS.items()}
        medians += [statistics.median(values) for values in speeds.values()]
        rows.append(row([move, *map(span, speeds.values())]))
        print(rows[-1], flush=True)
    met = all(0.85 <= median <= 1.15 for median in medians)
    return [header("motion", *ASPECTS), *rows, "", gates({"speed 0.85 to 1.15": met})]


def aspect_speed(base: Base, held: Held, motion: Motion, move: str, size: tuple[int, int]) -> float:
    """The speed of a clip of another aspect, in unit moves of its own width and height."""
    clip = denoised(base, held.middle(*size), motion, 0)
    camera = read_camera([frame.pixels for frame in staged(own_places(*size), clip)])
    return speed_of(progress(camera, move, *size))
