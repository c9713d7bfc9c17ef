"""Whether the speed of a clip follows a curve over its frames."""

import torch
from einops import rearrange
from torch import Tensor

from benchmarks.full_size.tables import gates, header, row
from benchmarks.strength.scores import CAMERAS, Trial, shipped
from benchmarks.tiny_quality import camera_ideal, camera_speed, held_out_pictures
from miva_core import Curve, Motion, RunOptions, animate
from miva_core.rendering.timing import Timing

PULSE = Curve(((0.0, 0.0), (0.5, 1.0), (1.0, 0.0)), over="frames")
FOLLOWS, OF_CLIPS = 0.95, 0.95
SIDE = 256


def frames_section(trial: Trial) -> list[str]:
    """A strength of 0 → 1 → 0: the speed of each frame against the curve."""
    found = {move: _correlations(trial, move) for move in CAMERAS}
    lines = [
        "One motion whose strength goes 0 → 1 → 0 over the frames, on straight lines, in clips at full size as artists "
        f"get them ({SIDE}×{SIDE}, 16 frames, one seed). Correlation of the curve, at frames 2 to 16, with the speed "
        "measured between each frame and the one before it, along the move.",
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
    """(N, F - 1) speeds along the move, from frame to frame, of a clip for each picture."""
    base, speed = trial.base, camera_speed(move)
    usual = speed(camera_ideal(trial.pictures[:1], move, base).frames[0])
    options = RunOptions(edges="mirror", timing=Timing(fps=base.fps))
    courses = []
    for picture in rearrange(held_out_pictures(len(trial.pictures), SIDE).float() / 255, "n c h w -> n h w c"):
        clip = animate(base, picture, [motion], options).frames
        courses.append([speed(clip[k - 1 : k + 1]) / usual for k in range(1, base.frames)])
    return torch.tensor(courses)
