"""Does a picture move like the clip whose motion it was given?

    python -m benchmarks.motion_transfer [--pictures 40] [--photographs FOLDER] [--out benchmarks/results]

Writes motion_transfer.md and a sheet. Clips are filmed over one held-out picture and taken over to the next one, whose
own clip, filmed with the same camera, is the ideal; or their subject is drawn, and all of it recoloured. PSNR is that
of all frames but the first, speed that of Farneback's flow to the ideal's, of large clips at a quarter of their size.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from benchmarks.full_size.pictures import ROOM, held_out
from benchmarks.full_size.sheets import PHOTOGRAPHS
from benchmarks.tiny_quality import (
    camera_ideal,
    camera_speed,
    held_out_pictures,
    subject_scores,
    write_jpeg,
)
from miva_core import load_base
from miva_core.clips.camera import UNIT_MOVES, CameraMove, film, move_transforms
from miva_core.errors import MIVAError, MIVAWarning
from miva_core.measure.metrics import psnr
from miva_core.media.contact_sheet import contact_sheet, shrink_to_width
from miva_core.motion_transfer.transfer import transfer
from tools.procedural.scenes import SceneChoice, draw_scenes

MOVES = tuple(name for name in UNIT_MOVES if name != "still")
FRAMES, LARGE, SPEED = 16, (320, 512), 0.9
EVERY = 4
"""Of so many pictures one is moved at larger sizes, too, where what is found hardly differs between pictures."""
NOISES = (0.0, 0.02, 0.05, 0.1, 0.2)
HEADER = "| clip | dB: median (worst) | a still picture, dB | speed: median (least to most) |\n|---|---|---|---|"


def recoloured(frames: Tensor) -> Tensor:
    """Other colours, with as much contrast in each channel."""
    return 0.1 + 0.8 * frames[..., [2, 0, 1]]


def row(name: str, found: Sequence[tuple[float, float, float]]) -> str:
    """A line of the table from PSNR, that of a still picture and speed of each clip."""
    near, still, speed = zip(*found, strict=True)
    return (
        f"| {name} | {statistics.median(near):.1f} ({min(near):.1f}) | {statistics.median(still):.1f} | "
        f"{statistics.median(speed):.2f} ({min(speed):.2f} to {max(speed):.2f}) |"
    )


def scored(clips: Tensor, ideals: Tensor, speed: Callable[[Tensor], float]) -> list[tuple[float, float, float]]:
    """What clips (N, F, H, W, 3) give when they are taken over to the first frames of the ideals, as for `row`."""
    found = []
    for clip, ideal in zip(clips, ideals, strict=True):
        frames, _ = transfer(clip, ideal[0])
        still = psnr(ideal[:1].expand_as(ideal[1:]), ideal[1:])
        found.append((psnr(frames[1:], ideal[1:]), still, speed(frames) / speed(ideal)))
    return found


def quarter(clip: Tensor) -> Tensor:
    """A clip (F, H, W, 3) at a quarter of its size: Farneback's flow loses what moves far in a frame."""
    planes = rearrange(clip, "f h w c -> f c h w")
    return rearrange(F.interpolate(planes, scale_factor=0.25, mode="bilinear", antialias=True), "f c h w -> f h w c")


def small_cameras(pictures: Tensor) -> list[str]:
    base = load_base("tiny")
    lines = []
    for move in MOVES:
        clips = camera_ideal(pictures, move, base).frames
        found = scored(clips, clips.roll(-1, 0), camera_speed(move))
        lines.append(row(f"{move}, to another picture", found))
    return lines


def subjects(pictures: Tensor, side: int) -> list[str]:
    """Drawn subjects that move over pictures (N, 3, S, S), which are filmed as squares of a side in pixels."""
    lines = []
    for motion in ("jump", "sway", "rise"):
        clips, masks = drawn(pictures, motion, side)
        for masked in (True, False):
            found = []
            for clip, mask in zip(clips, masks, strict=True):
                wanted = recoloured(clip)
                frames, _ = transfer(clip, wanted[0], mask=mask[0] if masked else None)
                still = psnr(wanted[:1].expand_as(wanted[1:]), wanted[1:])
                found.append((psnr(frames[1:], wanted[1:]), still, subject_scores(frames, wanted, mask)[0]))
            lines.append(row(f"{motion}, {side}×{side}, recoloured, {'with' if masked else 'without'} a mask", found))
    return lines


def drawn(pictures: Tensor, motion: str, side: int) -> tuple[Tensor, Tensor]:
    """Clips (N, F, S, S, 3) of a subject's motion over a ground at rest, and its masks (N, F, S, S)."""
    speed = SPEED * side / 64
    choice = SceneChoice(
        moves=("still",), motions=(motion,), sprites=(0.0, 1.0), subject_speed=(speed, speed), speed=(SPEED, SPEED)
    )
    generator = torch.Generator().manual_seed(4321)
    scenes = draw_scenes(len(pictures), generator, choice, len(pictures), pictures.shape[-1], side, FRAMES)
    clip, masks = replace(scenes, picture=torch.arange(len(pictures))).render(pictures, side, side)
    return rearrange(clip, "b f c h w -> b f h w c"), masks


def filmed(large: Tensor, move: CameraMove) -> Tensor:
    """Clips (N, F, H, W, 3) over pictures (N, ROOM, ROOM, 3)."""
    across = LARGE[1] / 64
    scaled = CameraMove((move.pan[0] * across, move.pan[1] * across), move.zoom, move.roll)
    transforms = move_transforms(scaled, SPEED, FRAMES).expand(len(large), -1, -1, -1)
    return rearrange(film(rearrange(large, "n h w c -> n c h w"), transforms, *LARGE), "n f c h w -> n f h w c")


def large_cameras(pictures: Tensor) -> list[str]:
    lines = []
    for move in MOVES:
        clips = filmed(pictures, UNIT_MOVES[move])
        found = scored(clips, clips.roll(-1, 0), lambda clip: camera_speed(move)(quarter(clip)))  # noqa: B023
        lines.append(row(f"{move}, 512×320, to another picture", found))
    return lines


def noise_section(picture: Tensor) -> list[str]:
    clip, lines = filmed(picture[None], UNIT_MOVES["pan_left"])[0], []
    generator = torch.Generator().manual_seed(0)
    for noise in NOISES:
        seen = (clip + noise * torch.randn(clip.shape, generator=generator)).clamp(0, 1)
        found = scored(seen[None], clip[None], lambda frames: camera_speed("pan_left")(quarter(frames)))
        lines.append(row(f"pan_left, noise of {noise:g}", found))
    return lines


def time_section(pictures: Tensor) -> list[str]:
    clip = filmed(pictures[:1], UNIT_MOVES["pan_left"])[0]
    picture = filmed(pictures[1:2], UNIT_MOVES["still"])[0, 0]
    mask = torch.zeros(LARGE)
    mask[100:220, 180:300] = 1
    lines = ["| 16 frames of 512×320, one core | s |", "|---|---|"]
    for name, given in (("a camera", None), ("a subject with a mask", mask)):
        spent = []
        for _ in range(3):
            start = time.process_time()
            transfer(clip, picture, mask=given)
            spent.append(time.process_time() - start)
        lines.append(f"| {name} | {min(spent):.2f} |")
    return lines


def cuts_section(pictures: Tensor) -> list[str]:
    """Whether a cut in the middle of a clip is found, and none where there is none."""
    clips = filmed(pictures, CameraMove((0.7, 0.3), 0.01, 0.01))
    found = 0
    for clip, other in zip(clips, clips.roll(-1, 0), strict=True):
        frames, _ = transfer(torch.cat([clip[:5], other[:5]]), clip[0])
        found += len(frames) == 5
    unfound = sum(len(transfer(clip, clip[0])[0]) < FRAMES for clip in clips)
    refused = 0
    for clip, other in zip(clips, clips.roll(-1, 0), strict=True):
        try:
            transfer(torch.stack([clip[0], other[0]]), clip[0])
        except MIVAError:
            refused += 1
    return [
        f"Of {len(clips)} clips that cut half-way {found} end there; of as many without one {unfound} end early; "
        f"of as many pairs of pictures that are no clip {refused} are refused."
    ]


def sheet(pictures: Tensor, out: Path) -> None:
    move = CameraMove((0.4, 0.15), -0.008, 0.006)
    clip, picture = filmed(pictures[:1], move)[0], filmed(pictures[1:2], UNIT_MOVES["still"])[0, 0]
    frames, invented = transfer(clip, picture)
    rows = [
        ("a clip", clip),
        ("another picture", frames),
        ("what it does not show", invented[..., None].expand_as(frames)),
    ]
    small = [(name, torch.stack([shrink_to_width(frame, 240) for frame in row])) for name, row in rows]
    write_jpeg(contact_sheet(small, every=3), out / "motion_transfer.jpg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--photographs", type=Path, default=PHOTOGRAPHS)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    warnings.simplefilter("ignore", MIVAWarning)
    small = held_out_pictures(args.pictures)
    held = held_out(args.photographs, max(2, args.pictures // EVERY))
    large = torch.stack([torch.from_numpy(one.large) for one in held])
    kinds = [one.kind for one in held]
    counted = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    lines = [
        "# The motion of a clip for another picture",
        "",
        f"`python -m benchmarks.motion_transfer`: {len(small)} pictures at 64×64, and {len(held)} ({counted}) of "
        f"{ROOM}×{ROOM} for clips of 512×320. {FRAMES} frames, cameras and subjects at {SPEED} of a unit move. PSNR "
        "counts whole frames, what came into view among them.",
        "",
        HEADER,
    ]
    sections: list[Callable[[], list[str]]] = [
        lambda: small_cameras(small),
        lambda: subjects(small, 64),
        lambda: subjects(held_out_pictures(len(large), 448), 256),
        lambda: large_cameras(large),
        lambda: [*noise_section(large[0]), ""],
        lambda: [*cuts_section(large), ""],
        lambda: time_section(large),
    ]
    for section in sections:
        lines += section()
        print("\n".join(lines), flush=True)
    (args.out / "motion_transfer.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sheet(large, args.out)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    main()
