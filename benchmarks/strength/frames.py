"""Whether the speed of a clip follows a curve over its frames."""

import numpy as np
import torch
from torch import Tensor

from benchmarks.full_size.camera_reading import own_places, progress, read_camera
from benchmarks.full_size.runs import staged
from benchmarks.full_size.tables import gates, header, row
from benchmarks.strength.scores import CAMERAS, Trial, shipped
from benchmarks.tiny_quality import camera_ideal
from miva_core import Curve, Motion, RunOptions, animate
from miva_core.animation.frame_strengths import asked_ways

PULSE = Curve(((0.0, 0.0), (0.5, 1.0), (1.0, 0.0)), over="frames")
FOLLOWS, OF_CLIPS = 0.95, 0.95
SIDE = 256


def frames_section(trial: Trial) -> list[str]:
    """A strength of 0 → 1 → 0: the speed of each frame against the curve."""
    found = {move: _correlations(trial, move) for move in CAMERAS}
    lines = [
        "One motion whose strength goes 0 → 1 → 0 over the frames, on straight lines, at full size as artists get it "
        f"({SIDE}×{SIDE}, {trial.base.frames} frames, {len(trial.pictures)} pictures, one seed). The camera is read "
        "off a picture of which each pixel says where it is. Correlation of the curve, at frames 2 to the last, with "
        "the way from the frame before. The renderer fits the course that was asked for to the flow that the base "
        "answers, so that this measures both together.",
        "",
        header("motion", "correlation, median", "worst clip", f"clips at {FOLLOWS} or more"),
    ]
    for move, values in found.items():
        share = (values >= FOLLOWS).float().mean()
        lines.append(row([move, f"{values.median():.3f}", f"{values.min():.3f}", f"{100 * share:.0f} %"]))
    share = (torch.cat(list(found.values())) >= FOLLOWS).float().mean().item()
    return [*lines, "", gates({f"{FOLLOWS} or more on 95 % of clips ({100 * share:.0f} %)": share >= OF_CLIPS})]


def _correlations(trial: Trial, move: str) -> Tensor:
    """(N,) of the clips of a move."""
    frames = trial.base.frames
    motion = Motion(shipped(move, trial.base), PULSE)
    courses = trial.kept(f"pulse_{move}", lambda: _courses(trial, move, motion))
    wanted = torch.tensor([PULSE.at(k / (frames - 1)) for k in range(1, frames)])
    return torch.stack([torch.corrcoef(torch.stack([course, wanted]))[0, 1] for course in courses])


def _courses(trial: Trial, move: str, motion: Motion) -> Tensor:
    """(N, F - 1) speeds of the camera, from frame to frame, of a clip for each picture."""
    base = trial.base
    asked, courses = asked_ways(base, [motion], base.frames), []
    for first in camera_ideal(trial.pictures, move, base).frames[:, 0]:
        flow = animate(base, first, [motion], RunOptions(render="latents")).flow
        camera = read_camera([frame.pixels for frame in staged(own_places(SIDE, SIDE), flow, asked=asked)])
        courses.append(np.diff(progress(camera, move, SIDE, SIDE)))
    return torch.tensor(np.stack(courses)).float()
