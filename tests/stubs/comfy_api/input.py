"""What this pack uses of `comfy_api.input`: curves that artists draw, where the version of ComfyUI has them."""

import math
from typing import Any


class CurveInput:
    """A curve through points, of straight lines, or of half waves in place of ComfyUI's smooth ones."""

    def __init__(self, points: list[tuple[float, float]], smooth: bool) -> None:
        self.points, self._smooth = points, smooth

    @staticmethod
    def from_raw(data: Any) -> "CurveInput":
        if isinstance(data, CurveInput):
            return data
        points = sorted((float(x), float(y)) for x, y in data["points"])
        return CurveInput(points, data["interpolation"] == "monotone_cubic")

    def interp(self, x: float) -> float:
        if x <= self.points[0][0]:
            return self.points[0][1]
        for (start, low), (end, high) in zip(self.points, self.points[1:], strict=False):
            if x <= end:
                done = (x - start) / (end - start)
                return low + (high - low) * ((1 - math.cos(math.pi * done)) / 2 if self._smooth else done)
        return self.points[-1][1]
