"""What a plot shows, by where its line is."""

import math
from itertools import pairwise

import torch
from torch import Tensor

from miva_core.media.line_plot import line_plot


def line_heights(plot: Tensor) -> dict[int, float]:
    """The mean row of the line's blue in each column where there is some."""
    blue = (plot[..., 2] - plot[..., 0]) > 0.3
    rows = torch.arange(len(plot))[:, None].expand_as(blue)
    return {x: rows[:, x][blue[:, x]].float().mean().item() for x in range(plot.shape[1]) if blue[:, x].any()}


def test_a_straight_line_is_straight_and_begins_at_the_lower_left() -> None:
    plot = line_plot(range(2, 7), [0, 1, 2, 3, 4], "speed")
    assert plot.shape == (320, 640, 3) and plot.amin() >= 0 and plot.amax() == 1
    heights = line_heights(plot)
    left, right = min(heights) + 4, max(heights) - 4
    slope = (heights[right] - heights[left]) / (right - left)
    assert slope < -0.3 and left < 100 and right > 600
    assert all(
        abs(height - heights[left] - slope * (x - left)) < 1.5 for x, height in heights.items() if left < x < right
    )


def test_values_that_are_missing_leave_a_gap() -> None:
    heights = line_heights(line_plot(range(5), [1, 1, math.nan, 1, 1], "speed"))
    columns = sorted(heights)
    gaps = [(a, b) for a, b in pairwise(columns) if b - a > 1]
    assert len(gaps) == 1 and gaps[0][1] - gaps[0][0] > 200


def test_values_below_zero_are_shown_lower() -> None:
    heights = line_heights(line_plot([0, 1], [-1, 3], "strength"))
    assert heights[min(heights)] > heights[max(heights)] + 150


def test_one_value_or_none_can_be_plotted() -> None:
    assert len(line_heights(line_plot([2], [0.0], "speed"))) < 10
    assert not line_heights(line_plot([2, 3], [math.nan, math.nan], "speed"))
