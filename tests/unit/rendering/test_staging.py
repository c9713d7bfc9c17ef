"""Where layers come from when the ground bends."""

import numpy as np
import pytest
import torch

from miva_core.rendering.scene import Scene
from miva_core.rendering.view import View

GRID, FRAMES = 32, 16


def waving(speed: float, height: float = 6.0) -> torch.Tensor:
    """A flow (F, 2, h, w) whose rows wave to both sides while the camera goes to the right."""
    rows = torch.sin(torch.arange(GRID) / GRID * 2 * torch.pi)[None, :, None]
    flow = torch.zeros(FRAMES, 2, GRID, GRID)
    time = torch.arange(FRAMES)[:, None, None]
    flow[:, 0] = speed * time + height * rows * (time / (FRAMES - 1)).sqrt()
    return flow


@pytest.mark.parametrize("speed", [0, 0.1], ids=["camera at rest", "camera moves"])
@pytest.mark.parametrize("size", [(96, 144), (48, 80)], ids=["full", "shrunk"])
def test_a_ground_that_bends_is_never_seen_beyond_the_picture(speed: float, size: tuple[int, int]) -> None:
    """A picture that grows brighter to the right: beyond its edge it is mirrored, and would grow darker."""
    picture = (torch.arange(144) / 144)[None, :, None].expand(96, -1, 3)
    scene = Scene.of(picture, waving(speed), {}, View(size, (0, 0, 96, 144)), np.arange(FRAMES))
    assert scene.bends_ground
    for i in (5, 15):
        pixels = scene.frame(i).pixels[..., 0]
        bend = scene.layers.staging.ground(i).bend
        assert bend is not None and bend.largest > 2 * size[1] / GRID
        assert pixels.diff(dim=1).min() > -1e-3


def test_a_mirror_goes_on_beyond_a_bent_edge() -> None:
    picture = (torch.arange(144) / 144)[None, :, None].expand(96, -1, 3)
    scene = Scene.of(picture, waving(0), {}, View((96, 144), (0, 0, 96, 144)), np.arange(FRAMES), "mirror")
    assert scene.frame(15).pixels[..., 0].diff(dim=1).min() < -5e-3
