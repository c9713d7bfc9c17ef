import math

import pytest
import torch
from torch import Tensor

from miva_core.media.flow_warp import inside, warp, warp_extrapolated


def mirrored(place: float, side: int) -> float:
    """A place beyond the edge of `side` pixels, whose outer edges are -0.5 and side - 0.5, as often as it takes."""
    while not -0.5 <= place <= side - 0.5:
        place = -1 - place if place < 0 else 2 * side - 1 - place
    return min(max(place, 0), side - 1)


def slow_warp(picture: Tensor, flow: Tensor) -> Tensor:
    """(C, H, W) along (2, H, W), pixel by pixel: the four neighbours of the place."""
    height, width = picture.shape[1:]
    made = torch.zeros_like(picture)
    for y in range(height):
        for x in range(width):
            at_x, at_y = mirrored(x + flow[0, y, x].item(), width), mirrored(y + flow[1, y, x].item(), height)
            left, top = math.floor(at_x), math.floor(at_y)
            for row, share_y in ((top, 1 - at_y + top), (min(top + 1, height - 1), at_y - top)):
                for column, share_x in ((left, 1 - at_x + left), (min(left + 1, width - 1), at_x - left)):
                    made[:, y, x] += share_x * share_y * picture[:, row, column]
    return made


def test_each_pixel_is_fetched_from_where_the_flow_points() -> None:
    pictures, flow = torch.rand(2, 3, 5, 7).double(), 3 * torch.randn(2, 2, 5, 7).double()
    expected = torch.stack([slow_warp(picture, way) for picture, way in zip(pictures, flow, strict=True)])
    torch.testing.assert_close(warp(pictures, flow), expected)


@pytest.mark.parametrize(("x", "y", "seen"), [(0, 0, 12), (1, 0, 9), (0, -1, 8), (-2, 1, 4), (0.5, 0, 12), (5, 0, 0)])
def test_what_lies_beyond_the_edge_is_told(x: float, y: float, seen: int) -> None:
    flow = torch.tensor([x, y])[None, :, None, None].expand(1, 2, 3, 4)
    assert inside(flow).sum().item() == seen


def test_a_field_that_grows_evenly_goes_on_beyond_the_edge() -> None:
    """An affine one is fetched exactly wherever a flow leads, within less than a frame."""
    y, x = torch.meshgrid(torch.arange(5.0).double(), torch.arange(7.0).double(), indexing="ij")
    flow = 8 * torch.rand(2, 2, 5, 7).double() - 4
    field = torch.stack([2 * x - 3 * y + 1, 0.5 * y - x]).expand(2, -1, -1, -1)
    to_x, to_y = x + flow[:, 0], y + flow[:, 1]
    assert ((to_x < 0) | (to_x > 6)).any() and ((to_y < 0) | (to_y > 4)).any()
    torch.testing.assert_close(
        warp_extrapolated(field, flow), torch.stack([2 * to_x - 3 * to_y + 1, 0.5 * to_y - to_x], dim=1)
    )


def test_within_the_frame_any_field_is_fetched_as_it_is() -> None:
    field, flow = torch.rand(1, 1, 5, 7).double(), torch.zeros(1, 2, 5, 7).double()
    flow[0, 0, :, 2], flow[0, 1, 3] = 1.25, -0.5
    torch.testing.assert_close(warp_extrapolated(field, flow)[0], slow_warp(field[0], flow[0]))
