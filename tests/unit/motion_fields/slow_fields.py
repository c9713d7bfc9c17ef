"""The motions' formulas as they are written, for one place at a time, in Python's floats."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Region:
    """Of one region, in field units."""

    x: float
    y: float
    radius: float
    foot: float
    top: float


def sway(s: float, x: float, y: float, t: float, region: Region) -> tuple[float, float]:
    h = min(max((region.foot - y) / (region.foot - region.top), 0.0), 1.3)
    return -s * 16 / (2 * math.pi) * math.sin(2 * math.pi * t / 16) * h**2, 0.0


def flag(s: float, x: float, y: float, t: float, region: Region) -> tuple[float, float]:
    amplitude, k, w = 16 * s / (2 * math.pi), 2 * math.pi / 32, 2 * math.pi / 16
    return 0.0, -amplitude * (math.sin(k * x - w * t) - math.sin(k * x))


def ripple(s: float, x: float, y: float, t: float, region: Region) -> tuple[float, float]:
    k, w = 2 * math.pi / 16, 2 * math.pi / 8
    up = -0.6 * s * 8 / (2 * math.pi) * (math.sin(k * y - w * t) - math.sin(k * y))
    return 0.4 * up, up


def breathe(s: float, x: float, y: float, t: float, region: Region) -> tuple[float, float]:
    a = 16 * s / (math.pi * region.radius)
    grown = a * (1 - math.cos(2 * math.pi * t / 16)) / 2
    return -(x - region.x) * grown, -(y - region.y) * grown


def jump(s: float, x: float, y: float, t: float, region: Region) -> tuple[float, float]:
    f = (t % 8) / 8
    return 0.0, 16 * s * f * (1 - f)


DIRECTIONS = {
    "drift_left": (-1, 0),
    "drift_right": (1, 0),
    "drift_up": (0, -1),
    "drift_down": (0, 1),
    "rise": (0, -1),
    "slide_left": (-1, 0),
    "slide_right": (1, 0),
}
WRITTEN = {"sway": sway, "flag": flag, "ripple": ripple, "breathe": breathe, "jump": jump}


def displaced(name: str, s: float, x: float, y: float, t: float, region: Region) -> tuple[float, float]:
    """The displacement by a motion of speed s at one place and time."""
    if name in DIRECTIONS:
        dx, dy = DIRECTIONS[name]
        return -dx * s * t, -dy * s * t
    return WRITTEN[name](s, x, y, t, region)


def truck(s: float, x: float, y: float, t: float, n: float, way: int) -> tuple[float, float]:
    return x + way * s * t * (0.2 + n), y


def dolly(s: float, x: float, y: float, t: float, n: float, way: int) -> tuple[float, float]:
    scale = math.exp(-way * 0.024 * s * t * (0.2 + n))
    return x * scale, y * scale


PARALLAX = {
    "truck_left": (truck, -1),
    "truck_right": (truck, 1),
    "dolly_in": (dolly, 1),
    "dolly_out": (dolly, -1),
}
