"""Which of the two built-in bases is better at what, by the same measures of the clips that people get?

    python -m benchmarks.both_bases [PART ...] [--photographs FOLDER] [--pictures 40] [--out benchmarks/results]

Parts: cameras, depth, subjects, sway, steps, times; all by default. Each writes its section of both_bases.md. Pictures
are those of `benchmarks.full_size`: held-out photographs at their full size, then painted ones.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from benchmarks.full_size.camera_reading import own_places, progress, read_camera, speed_along, speed_of, subject_way
from benchmarks.full_size.cameras import EARLY, LATE, MOVES
from benchmarks.full_size.ideals import SUBJECT_FRAMES, Drawn, draw_subjects, filmed, ideal_frame, unit_way
from benchmarks.full_size.measures import likeness
from benchmarks.full_size.pictures import SIDE, Held, held_out, painted
from benchmarks.full_size.runs import shipped
from benchmarks.full_size.sheets import PHOTOGRAPHS
from benchmarks.full_size.tables import header, row, span, write_section
from benchmarks.full_size.times import ellipse
from benchmarks.mask_quality import background_speed
from benchmarks.mask_stopping import iou
from miva_core import Clip, Motion, RunOptions, Said, Timing, animate, load_base
from miva_core.bases.base import Base
from miva_core.bases.tiny.spec import SHIPPED
from miva_core.filming.exact_flow import depth_flow
from miva_core.filming.film import FilmOptions, film
from miva_core.filming.filmed_motion import FilmedMotion
from miva_core.filming.shooting import Shooting
from miva_core.media.guessed_nearness import lower_half_near
from miva_core.motion_fields.displacements import displacement
from miva_core.motion_fields.motions import UNITS
from miva_core.motion_fields.region_frame import RegionFrame
from miva_core.rendering.layered_frames import LayeredFrames
from miva_core.rendering.scene import Scene

PARTS = ("cameras", "depth", "subjects", "sway", "steps", "times")
SPEED = 0.9
"""What files were trained at and words are asked for, and what subjects are drawn with."""
DEPTH = ("dolly_in", "dolly_out", "truck_left")
JUMP, SWAY = "jump", "sway"
SWAYED = {"the last": 15, "frame 4, where it is farthest": 4}
"""Frames, counted from 0, whose masks are compared: a sway is back at frame 16."""
LEAST_OVERLAP = 0.9
TIMING = Timing(fps=8)
"""The sixteen frames of the bases themselves."""
LARGE = (680, 1024)
STEPS = 50


@dataclass(frozen=True)
class Contender:
    """A built-in base, and what says a motion to it: from its name, and whether there is a mask."""

    base: Base
    said: Callable[[str, Tensor | None], Motion | Said]

    def clip(self, picture: Tensor, motion: str, mask: Tensor | None = None, **options: object) -> Clip:
        """A picture by one motion, at the picture's own size."""
        chosen = RunOptions(timing=TIMING, **options)  # type: ignore[arg-type]
        return animate(self.base, picture, [self.said(motion, mask)], chosen)


def contenders() -> list[Contender]:
    """The U-Net, which is told by files, and the transformer, by words."""
    tiny, miramo = load_base("tiny"), load_base("miramo")

    def file(motion: str, mask: Tensor | None) -> Motion:
        return Motion(shipped(tiny, motion if mask is None else f"{motion}_masked"), mask=mask, name=motion)

    def word(motion: str, mask: Tensor | None) -> Said:
        return Said(motion.replace("_", " "), SPEED, mask=mask, name=motion)

    return [Contender(tiny, file), Contender(miramo, word)]


def over(clip: Clip, picture: Tensor) -> Scene:
    """The motion of a clip that is cut to the inside, over another picture of that size."""
    scene = clip.source
    assert isinstance(scene, Scene)
    if isinstance(scene.layers, LayeredFrames):
        staging = scene.layers.staging
        return Scene.layered(picture, staging.motion, scene.view, staging.times)
    moved, masks = scene.layers.staging, {name: torch.from_numpy(mask) for name, mask in scene.masks.items()}
    return Scene.moved(picture, (moved.camera, dict(moved.subjects)), masks, scene.view, scene.times)


# --- cameras ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CameraScore:
    """A clip of a camera: its speed in unit moves, dB to the ideal of that speed, CPU seconds."""

    speed: float
    early: float
    late: float
    seconds: float


def camera_score(one: Contender, held: Held, move: str) -> CameraScore:
    start = time.process_time()
    clip = one.clip(held.middle(), move)
    early, late = (clip.source.frame(k).pixels for k in (EARLY, LATE))
    seconds = time.process_time() - start
    camera = read_camera([frame.pixels for frame in over(clip, own_places(SIDE, SIDE))])
    speed = speed_of(progress(camera, move, SIDE, SIDE))
    ideals = (ideal_frame(held, move, speed, k, camera.zoom, camera.centre) for k in (EARLY, LATE))
    return CameraScore(speed, *map(likeness, (early, late), ideals), seconds)


def cameras_section(bases: Sequence[Contender], pictures: Sequence[Held]) -> list[str]:
    lines = [
        f"Asked for at {SPEED}; PSNR to the ideal of the speed that was got, which stands beside it in unit moves. "
        "CPU seconds are of the network and two frames.\n",
        header("motion", "base", "right way", "speed: median (from, to)", "frame 8, dB", "frame 15, dB", "CPU s"),
    ]
    for move in MOVES:
        for one in bases:
            scores = [camera_score(one, held, move) for held in pictures]
            columns = [[getattr(score, name) for score in scores] for name in ("early", "late", "seconds")]
            speeds = [score.speed for score in scores]
            right = f"{statistics.fmean(speed > 0.1 for speed in speeds):.0%}"
            early, late, seconds = map(statistics.median, columns)
            cells = [move, one.base.name, right, span(speeds), f"{early:.1f}", f"{late:.1f}", f"{seconds:.2f}"]
            lines.append(row(cells))
            print(lines[-1], flush=True)
    return lines


# --- depth -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DepthScore:
    """A clip in depth: its flow's error relative to the exact one, and speed, both at 64×64; dB to the filmed clip."""

    relative: float
    speed: float
    early: float
    late: float


def depth_score(one: Contender, held: Held, motion: str, guided: bool) -> DepthScore:
    picture, near = held.middle(), lower_half_near(SIDE, SIDE)
    clip = one.clip(picture, motion, nearness=near if guided else None, edges="mirror")
    ideal = film(picture, [FilmedMotion(motion, SPEED)], near, FilmOptions(timing=TIMING, edges="mirror"))
    levels = [likeness(clip.source.frame(k).pixels, ideal.source.frame(k).pixels) for k in (EARLY, LATE)]
    assert clip.flow is not None
    frames, _, *size = clip.flow.shape
    shooting = Shooting(motion, (size[0], size[1]), frames, SPEED)
    true = depth_flow(shooting, lower_half_near(*size), (float(size[0]), float(size[1])), torch.zeros(2))[1:, :2]
    error = (clip.flow[1:] - true).norm(dim=1).mean() / true.norm(dim=1).mean()
    speed = (clip.flow[1:] * true).sum() / true.square().sum()
    return DepthScore(float(error), float(speed), *levels)


def depth_section(bases: Sequence[Contender], pictures: Sequence[Held]) -> list[str]:
    lines = [
        f"Asked for at {SPEED}. The truth is that the lower half is near, as the U-Net's files learnt it: the "
        "transformer guesses by itself without a map, and is given that one with it. PSNR to what `miva film` makes.\n",
        header("motion", "base", "relative error", "speed: median (from, to)", "frame 8, dB", "frame 15, dB"),
    ]
    for motion in DEPTH:
        knowing = [one for one in bases if one.base.guided or (SHIPPED / f"{motion}.safetensors").exists()]
        for one, guided in [*((one, False) for one in knowing), *((one, True) for one in knowing if one.base.guided)]:
            scores = [depth_score(one, held, motion, guided) for held in pictures]
            names = ("relative", "early", "late")
            relative, early, late = (statistics.median(getattr(score, name) for score in scores) for name in names)
            name = f"{one.base.name}, with the map" if guided else one.base.name
            speeds = span([score.speed for score in scores])
            lines.append(row([motion, name, f"{relative:.2f}", speeds, f"{early:.1f}", f"{late:.1f}"]))
            print(lines[-1], flush=True)
    return lines


# --- subjects --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SubjectScore:
    """A clip of a drawn subject.

    Attributes:
        levels: PSNR of the whole frame at `SUBJECT_FRAMES`, dB.
        speed: along a jump of unit speed.
        background: flow away from the subject, pixels of the bases' frame a frame.
        overlap: of its mask with the ideal one on the last frame.
    """

    levels: list[float]
    speed: float
    background: float
    overlap: float


def ideal_masks(first: Tensor) -> Tensor:
    """(F, S, S): where a jumping subject is, whose first mask is given, on the bases' frame."""
    way = SPEED * unit_way(JUMP)
    moved = [cv2.warpAffine(first.numpy(), np.float32([[1, 0, p.real], [0, 1, p.imag]]), (SIDE, SIDE)) for p in way]
    return torch.from_numpy(np.stack(moved))


def small(frames: Sequence[Tensor], side: int = 64) -> Tensor:
    """Frames (H, W, 3) as (F, side, side, 3)."""
    planes = rearrange(torch.stack([*frames]), "f h w c -> f c h w")
    return rearrange(F.interpolate(planes, (side, side), mode="area"), "f c h w -> f h w c")


def subject_score(one: Contender, drawn: Drawn, masked: bool) -> SubjectScore:
    clip = one.clip(drawn.frames[0], JUMP, drawn.mask if masked else None)
    frames, ideals = [*clip], ideal_masks(drawn.mask)
    levels = [likeness(frames[k].pixels, ideal) for k, ideal in zip(SUBJECT_FRAMES, drawn.frames[1:], strict=True)]
    coarse = F.interpolate(ideals[None], (64, 64), mode="area")
    ground = background_speed(small([frame.pixels for frame in frames]), coarse)
    if not masked:
        return SubjectScore(levels, 0.0, ground, 0.0)
    way = subject_way([*over(clip, own_places(SIDE, SIDE))], JUMP)
    return SubjectScore(levels, speed_along(way, unit_way(JUMP)), ground, iou(frames[-1].masks[JUMP], ideals[-1]))


def subjects_section(bases: Sequence[Contender], pictures: Sequence[Held]) -> list[str]:
    scenes = draw_subjects(JUMP, len(pictures), SPEED)
    drawn = [filmed(scenes, number, held) for number, held in enumerate(pictures)]
    plain = statistics.fmean(subject_score(bases[0], one, False).background for one in drawn)
    frames = " / ".join(map(str, SUBJECT_FRAMES))
    lines = [
        f"A drawn subject with its mask jumps at {SPEED}. Without a mask the file `{JUMP}` of the U-Net moves the "
        f"ground by {plain:.4f} pixels of 64 a frame by optical flow, the transformer moves nothing at all.\n",
        header("base", f"frames {frames}, dB", "speed", "ground's flow", "of the plain one", "mask IoU, last"),
    ]
    for one in bases:
        scores = [subject_score(one, some, True) for some in drawn]
        levels = [statistics.fmean(values) for values in zip(*(score.levels for score in scores), strict=True)]
        ground, overlap = (statistics.fmean(getattr(score, n) for score in scores) for n in ("background", "overlap"))
        shown = " / ".join(f"{level:.1f}" for level in levels)
        speeds = span([score.speed for score in scores])
        lines.append(row([one.base.name, shown, speeds, f"{ground:.4f}", f"{ground / plain:.2f}", f"{overlap:.3f}"]))
        print(lines[-1], flush=True)
    return lines


def swayed(mask: Tensor, time: float) -> Tensor:
    """A mask (S, S) of frame 1, carried by the formula of a sway."""
    side, unit = len(mask), len(mask) / UNITS
    middle = (side - 1) / 2
    y, x = torch.meshgrid(*2 * [(torch.arange(side) - middle) / unit], indexing="ij")
    places = torch.stack([x, y], -1)
    seen = places + displacement(SWAY, SPEED, places, time, RegionFrame.of(mask, unit))
    at = (seen * unit + middle).float().numpy()
    return torch.from_numpy(cv2.remap(mask.float().numpy(), at[..., 0], at[..., 1], cv2.INTER_LINEAR))


def sway_section(bases: Sequence[Contender], pictures: Sequence[Held]) -> list[str]:
    """The mask of a subject that sways by words; the U-Net's files sway another way."""
    scenes = draw_subjects(SWAY, len(pictures), SPEED)
    drawn = [filmed(scenes, number, held) for number, held in enumerate(pictures)]
    lines = [
        f"A drawn subject with its mask sways at {SPEED}, by words: the overlap (IoU) of the clip's mask with that of "
        "frame 1 carried by the formula, over the pictures; beside it that of a mask that stays as it was.\n",
        header("base", "frame", "mask IoU: mean (least)", "a mask that stays: mean (least)", "limit"),
    ]
    for one in bases:
        if not one.base.guided:
            continue
        masks = [one.clip(some.frames[0], SWAY, some.mask).masks[SWAY] for some in drawn]
        for name, frame in SWAYED.items():
            ideals = [swayed(some.mask, frame) for some in drawn]
            got, stays = (
                [iou(mask, ideal) for mask, ideal in zip(found, ideals, strict=True)]
                for found in ([mask[frame] for mask in masks], [some.mask for some in drawn])
            )
            kept = "kept" if min(got) >= LEAST_OVERLAP else "missed"
            cells = [f"{statistics.fmean(values):.3f} ({min(values):.3f})" for values in (got, stays)]
            lines.append(row([one.base.name, name, *cells, f"{kept} (≥ {LEAST_OVERLAP})"]))
            print(lines[-1], flush=True)
    return lines


def steps_section(bases: Sequence[Contender], pictures: Sequence[Held]) -> list[str]:
    """8 of 50 mask steps beside all 50, of the U-Net."""
    scenes, unet, overlaps = draw_subjects(JUMP, len(pictures), SPEED), bases[0], []
    for number, held in enumerate(pictures):
        drawn = filmed(scenes, number, held)
        options = {"steps": STEPS, "scheduler": unet.base.scheduler}
        few = unet.clip(drawn.frames[0], JUMP, drawn.mask, **options).masks[JUMP]
        with patch("miva_core.animation.run.mask_steps", range):
            every = unet.clip(drawn.frames[0], JUMP, drawn.mask, **options).masks[JUMP]
        overlaps.append(iou(few[1:], every[1:]))
        print(overlaps[-1], flush=True)
    return [
        f"Runs of {STEPS} steps of the U-Net down to little noise, masks as people get them, at full size: those made "
        f"at 8 steps overlap those made at all by {statistics.fmean(overlaps):.3f} ({min(overlaps):.3f} at the least, "
        f"of {len(overlaps)} pictures). The transformer makes one step, and takes masks as they are given."
    ]


# --- times -----------------------------------------------------------------------------------------------------------


def times_section(bases: Sequence[Contender]) -> list[str]:
    whole = rearrange(painted(1)[0].middle(), "h w c -> 1 c h w")
    picture = rearrange(F.interpolate(whole, LARGE, mode="bicubic"), "1 c h w -> h w c").clamp(0, 1)
    lines = [
        "CPU seconds of a clip of 16 frames of 1024×680 on one thread, all frames rendered; the faster of two.\n",
        header("motion", *(one.base.name for one in bases)),
    ]
    for motion, mask in (("pan_left", None), ("zoom_in", None), (JUMP, ellipse(*LARGE))):
        lines.append(row([motion, *(f"{seconds(one, picture, motion, mask):.2f}" for one in bases)]))
        print(lines[-1], flush=True)
    return lines


def seconds(one: Contender, picture: Tensor, motion: str, mask: Tensor | None) -> float:
    taken = []
    for _ in range(2):
        start = time.process_time()
        for _frame in one.clip(picture, motion, mask):
            pass
        taken.append(time.process_time() - start)
    return min(taken)


def introduction(pictures: Sequence[Held]) -> str:
    return (
        "# Both built-in bases\n\n"
        f"`python -m benchmarks.both_bases`: the same {len(pictures)} held-out pictures of {SIDE}×{SIDE} moved by the "
        "U-Net `tiny`, by its files, and by the transformer `miramo`, by its words, as people get them: at full size, "
        "one seed. Each measure is that of [full_size.md](full_size.md).\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--photographs", type=Path, default=PHOTOGRAPHS)
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    bases, pictures = contenders(), held_out(args.photographs, args.pictures)
    sections: dict[str, Callable[[], list[str]]] = {
        "cameras": lambda: cameras_section(bases, pictures),
        "depth": lambda: depth_section(bases, pictures),
        "subjects": lambda: subjects_section(bases, pictures),
        "sway": lambda: sway_section(bases, pictures),
        "steps": lambda: steps_section(bases, pictures),
        "times": lambda: times_section(bases),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    for part in args.parts or PARTS:
        write_section(args.out / "both_bases.md", introduction(pictures), part, sections[part](), PARTS)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    main()
