"""How fast, how exactly and how seamlessly is a still picture filmed by formulas?

    python -m benchmarks.film [--out benchmarks/results]

Writes film.md. Each motion is filmed over a picture of 1024×680, by sixteen frames, on one core. Where its places come
from is compared with the formula, written once more in float64; and of a loop the step from the last frame to the first
with those between neighbours.
"""

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.tiny_quality import held_out_pictures
from miva_core.animation.clip import Clip
from miva_core.filming.film import FilmOptions, film
from miva_core.filming.filmed_motion import FilmedMotion
from miva_core.rendering.layered_frames import LayeredFrames
from miva_core.rendering.sampling import Region
from miva_core.rendering.scene import Scene
from miva_core.rendering.timing import Timing

SIZE, UNIT, SPEED = (680, 1024), 680 / 64, 0.5
WAVES = {"drift-left": None, "ripple": 8.0, "sway": 16.0, "flag": 16.0, "breathe": 16.0}
CARRIED = ("rise", "slide-right", "jump")
WHOLE = ("pan-left", "zoom-in", "roll-cw", "shake", "truck-left", "truck-right", "dolly-in", "dolly-out")

Formula = Callable[[np.ndarray, np.ndarray, float, dict[str, float]], tuple[np.ndarray, np.ndarray]]
"""Places x and y in field units, a time, and where the region is, to displacements in field units at `SPEED`."""


def wave(length: float, period: float, along: np.ndarray, t: float) -> np.ndarray:
    k, w = 2 * math.pi / length, 2 * math.pi / period
    return period / (2 * math.pi) * (np.sin(k * along - w * t) - np.sin(k * along))


FORMULAS: dict[str, Formula] = {
    "drift-left": lambda x, y, t, r: (SPEED * t + 0 * x, 0 * y),
    "ripple": lambda x, y, t, r: (-0.24 * SPEED * wave(16, 8, y, t), -0.6 * SPEED * wave(16, 8, y, t)),
    "flag": lambda x, y, t, r: (0 * x, -SPEED * wave(32, 16, x, t)),
    "sway": lambda x, y, t, r: (
        -SPEED
        * 16
        / (2 * math.pi)
        * math.sin(2 * math.pi * t / 16)
        * ((r["foot"] - y) / (r["foot"] - r["top"])).clip(0, 1.3) ** 2,
        0 * y,
    ),
    "breathe": lambda x, y, t, r: tuple(
        -SPEED * 16 / (math.pi * r["radius"]) * (1 - math.cos(2 * math.pi * t / 16)) / 2 * (p - r[c])
        for p, c in ((x, "x"), (y, "y"))
    ),  # type: ignore[return-value]
    "rise": lambda x, y, t, r: (0 * x, SPEED * t + 0 * y),
    "slide-right": lambda x, y, t, r: (-SPEED * t + 0 * x, 0 * y),
    "jump": lambda x, y, t, r: (0 * x, SPEED * 16 * (t % 8) / 8 * (1 - (t % 8) / 8) + 0 * y),
}


def region_of(mask: Tensor) -> dict[str, float]:
    """Where a box of a mask (H, W) is, in field units."""
    rows, columns = (mask.amax(axis).nonzero()[:, 0].double() for axis in (1, 0))
    top, foot = (rows.min() - (SIZE[0] - 1) / 2 - 0.5) / UNIT, (rows.max() - (SIZE[0] - 1) / 2 + 0.5) / UNIT
    x, y = (columns.mean() - (SIZE[1] - 1) / 2) / UNIT, (rows.mean() - (SIZE[0] - 1) / 2) / UNIT
    return {
        "top": float(top),
        "foot": float(foot),
        "x": float(x),
        "y": float(y),
        "radius": math.sqrt(float(mask.sum()) / math.pi) / UNIT,
    }


def error(name: str, clip: Clip, mask: Tensor) -> float:
    """The largest distance in pixels between where a clip's places come from and the formula."""
    layers = _layers(clip)
    staging, y = layers.staging, (np.arange(SIZE[0]) - (SIZE[0] - 1) / 2)[::7, None] / UNIT
    x = ((np.arange(SIZE[1]) - (SIZE[1] - 1) / 2)[::7])[None] / UNIT
    x, y = np.broadcast_arrays(x, y)
    places = np.stack([x * UNIT, y * UNIT], -1).astype(np.float32)
    motion, worst = [*staging.motion.staying, *staging.motion.carried][0], 0.0
    for t in range(16):
        found = staging.displaced(motion.displace, places, float(t))
        expected = FORMULAS[name](x, y, float(t), region_of(mask))
        worst = max(worst, float(np.hypot(*(found[..., k] - expected[k] * UNIT for k in (0, 1))).max()))
    return worst


def depth_error(name: str, clip: Clip, nearness: Tensor) -> float:
    """The same of a move in depth: how far a place is from where the nearness that it has would lead."""
    staging, worst = _layers(clip).staging, 0.0
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float64)
    x, y = (x - (SIZE[1] - 1) / 2) / UNIT, (y - (SIZE[0] - 1) / 2) / UNIT
    window = staging.window
    for i in range(1, 16):
        found = staging.places(i).of(Region(0, 0, SIZE[1], SIZE[0])).astype(np.float64)
        shown = np.interp(found[..., 1] + (SIZE[0] - 1) / 2, np.arange(SIZE[0]), nearness[:, 0].double().numpy())
        way = SPEED * i * (0.2 + shown)
        if name.startswith("truck"):
            expected = np.stack([x + (-way if name.endswith("left") else way), y], -1)
        else:
            expected = np.stack([x, y], -1) * np.exp(0.024 * (-way if name.endswith("in") else way))[..., None]
        expected = expected * UNIT * window.zoom + np.array([window.x * SIZE[1], window.y * SIZE[0]])
        worst = max(worst, float(np.hypot(*np.moveaxis(found - expected, -1, 0)).max()))
    return worst


def _layers(clip: Clip) -> LayeredFrames:
    scene = clip.source
    assert isinstance(scene, Scene) and isinstance(scene.layers, LayeredFrames)
    return scene.layers


def filmed(picture: Tensor, name: str, mask: Tensor | None, nearness: Tensor | None, timing: Timing) -> Clip:
    return film(picture, [FilmedMotion(name, SPEED, mask)], nearness, FilmOptions(SIZE, timing))


def seconds(picture: Tensor, name: str, mask: Tensor | None, nearness: Tensor | None) -> tuple[float, Clip]:
    """CPU seconds of a clip of sixteen frames, the faster of two."""
    taken = []
    for _ in range(2):
        start = time.process_time()
        clip = filmed(picture, name, mask, nearness, Timing(8.0, 2.0))
        for _ in clip:
            pass
        taken.append(time.process_time() - start)
    return min(taken), clip


def seam(picture: Tensor, name: str, mask: Tensor) -> float:
    """The step from a loop's last frame to its first beside the largest between neighbours."""
    frames = [frame.pixels for frame in filmed(picture, name, mask, None, Timing(8.0, 4.0, "linear", True))]
    steps = [float((a - b).square().mean().sqrt()) for a, b in zip(frames, [*frames[1:], frames[0]], strict=True)]
    return steps[-1] / max(steps[:-1])


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), metavar="FOLDER")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    small = held_out_pictures(1, 256)[:1].float() / 255
    picture = F.interpolate(small, SIZE, mode="bicubic")[0].permute(1, 2, 0).clamp(0, 1)
    mask, nearness = torch.zeros(SIZE), torch.linspace(0.1, 0.9, SIZE[0])[:, None].repeat(1, SIZE[1])
    mask[120:480, 300:700] = 1
    front = torch.maximum(nearness * (1 - mask), 0.85 * mask)
    lines = []
    for name in (*WAVES, *CARRIED):
        taken, clip = seconds(picture, name, mask, None)
        off = error(name, clip, mask)
        lines.append(f"| {name} | {taken:.2f} | {off:.1e} | {seam(picture, name, mask):.2f} |")
        print(lines[-1])
    for name in WHOLE:
        deep = name.startswith(("truck", "dolly"))
        taken, _ = seconds(picture, name, None, front if deep else None)
        smooth = filmed(picture, name, None, nearness, Timing(8.0, 2.0)) if deep else None
        shown = f"{depth_error(name, smooth, nearness):.1e}" if smooth else "a matrix"
        lines.append(f"| {name} | {taken:.2f} | {shown} | |")
        print(lines[-1])
    text = (
        "# A still picture, filmed by formulas\n\n"
        f"{__doc__.split('Writes film.md. ')[1].strip()}\n\n"
        "Speed 0.5. Moves in depth: time with a subject of hard edges; error over a smooth ramp, from where the\n"
        "nearness of the place that is shown would lead. Pixels are then sampled to 1/32 of one, as OpenCV does.\n\n"
        "| motion | CPU s | largest error, pixels | seam of the loop |\n|---|---|---|---|\n" + "\n".join(lines) + "\n"
    )
    (options.out / "film.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
