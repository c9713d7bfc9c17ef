"""The measured flow of clips whose motion is known."""

import cv2
import numpy as np
import pytest
import torch
from films import SIZE, filmed, walking

from miva_core.clips.camera import CameraMove, apply_affine, move_transforms, pixel_grid
from miva_core.motion_transfer.clip_flow import ClipFlow, follow


def exact(move: CameraMove, clip: ClipFlow, frames: int) -> np.ndarray:
    """The flow (F, h, w, 2) of a camera, in pixels of the grid of a clip, whose frames are of SIZE."""
    scale = clip.size[1] / SIZE[1]
    transforms = move_transforms(move, 1.0, frames)[0]
    transforms[..., 2] *= scale
    grid = pixel_grid(*clip.size)
    return (apply_affine(transforms, grid) - grid).numpy()


@pytest.mark.parametrize(
    "move",
    [CameraMove(pan=(1.3, -0.6)), CameraMove(zoom=0.03), CameraMove(zoom=-0.03, roll=0.02)],
    ids=["pan", "zoom in", "zoom out and roll"],
)
def test_the_flow_of_a_camera_is_that_of_its_move(move: CameraMove) -> None:
    clip = follow(filmed(move))
    off = np.linalg.norm(clip.flow - exact(move, clip, 6), axis=-1)
    trusted = clip.trust > 0.5
    assert trusted[1:].mean() > 0.7
    assert np.quantile(off[trusted], 0.95) < 0.4 and np.median(off[trusted]) < 0.1


def test_a_camera_is_followed_to_where_nothing_of_the_first_frame_is_seen() -> None:
    """By frames between: 14 frames go farther than the frame is wide."""
    move = CameraMove(pan=(8.0, 0.0))
    clip = follow(filmed(move, frames=14))
    assert len(clip.flow) == 14
    followed = zip(clip.flow[1:], clip.trust[1:], strict=True)
    found = np.array([np.median(flow[..., 0][trust > 0.5]) for flow, trust in followed])
    np.testing.assert_allclose(found, exact(move, clip, 14)[1:, 0, 0, 0], rtol=0.02, atol=0.1)


def test_what_is_uncovered_is_not_trusted() -> None:
    frames, masks = walking(3)
    clip = follow(frames)
    small = torch.nn.functional.interpolate(masks[:, None], clip.size, mode="area")[:, 0].numpy()
    uncovered = (small[0] > 0.99) & (small[5] < 0.01)
    on_subject = cv2.erode(small[5], np.ones((9, 9))) > 0.99
    assert clip.trust[5][uncovered].mean() < 0.3 < 0.8 < clip.trust[5][on_subject].mean()
    step = np.median(clip.flow[5][on_subject], axis=0)
    np.testing.assert_allclose(step, [-15 * clip.size[1] / SIZE[1], 0], atol=0.3)


@pytest.mark.parametrize("darker", [1.0, 0.7])
def test_a_clip_ends_where_it_cuts_and_not_where_its_light_changes(darker: float) -> None:
    first, second = filmed("pan_left", frames=4), filmed("pan_left", seed=5, frames=4)
    light = torch.linspace(1, darker, 8)[:, None, None, None]
    assert len(follow(torch.cat([first, second]) * light).flow) == 4
    assert len(follow(filmed("pan_left", frames=8) * light).flow) == 8


def test_noise_is_not_followed() -> None:
    noise = torch.rand(5, *SIZE, 3, generator=torch.Generator().manual_seed(0))
    assert len(follow(noise).flow) == 1
