"""The layers of a flow: each formula of a motion is a choice of numbers, and layers lie over each other in order."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hand_set_layers import (
    COS_X_32,
    COS_Y_16,
    HEIGHT_SQUARED,
    JUMP,
    OFF_X,
    OFF_Y,
    ONE,
    PATH_X,
    PATH_Y,
    SIN_X_32,
    SIN_Y_16,
    SINE_8,
    SINE_16,
    SWELL_8,
    SWELL_16,
    Terms,
    layers,
    motion,
)
from torch import Tensor

from miva_core.bases.miramo.layered_flow import SHAKE
from miva_core.bases.miramo.motion_basis import FRAME_PLACES, REGION_PLACES, WAVES, LayerMotion
from miva_core.clips.camera import apply_affine, pixel_grid
from miva_core.motion_fields.displacements import displacement
from miva_core.motion_fields.region_frame import RegionFrame
from miva_core.motion_fields.shake import REACH
from miva_core.motion_fields.whole_frame import camera_map, depth_map

STAYING = REGION_PLACES + WAVES
SIZE = (32, 48)
TIMES = torch.tensor([0.0, 1.5, 4.0, 11.0])
TURN = math.radians(1.5)
RIPPLE = 0.6 * 8 / (2 * math.pi)
CAMERAS = {
    "pan_left": [[0, 0, -1.0], [0, 0, 0]],
    "pan_down": [[0, 0, 0], [0, 0, 1.0]],
    "zoom_in": [[-0.024, 0, 0], [0, -0.024, 0]],
    "roll_cw": [[0, -TURN, 0], [TURN, 0, 0]],
}
REGIONS: dict[str, tuple[list[list[float]] | None, Terms]] = {
    "drift_left": ([[0, 0, 1.0], [0, 0, 0]], {}),
    "drift_up": ([[0, 0, 0], [0, 0, 1.0]], {}),
    "sway": (None, {(SINE_16, 0, HEIGHT_SQUARED): -16 / (2 * math.pi)}),
    "flag": (
        None,
        {(SWELL_16, 1, SIN_X_32): 16 / math.pi, (SINE_16, 1, COS_X_32): 16 / (2 * math.pi)},
    ),
    "ripple": (
        None,
        {(SWELL_8, axis, SIN_Y_16): 2 * share * RIPPLE for axis, share in ((0, 0.4), (1, 1.0))}
        | {(SINE_8, axis, COS_Y_16): share * RIPPLE for axis, share in ((0, 0.4), (1, 1.0))},
    ),
    "breathe": (None, {(SWELL_16, 0, OFF_X): -16 / math.pi, (SWELL_16, 1, OFF_Y): -16 / math.pi}),
    "shake": (None, {(PATH_X, 0, ONE): REACH, (PATH_Y, 1, ONE): REACH}),
    "jump": (None, {(JUMP, 1, ONE): 4.0}),
    "rise": ([[0, 0, 0], [0, 0, 1.0]], {}),
}
"""Affine velocity and amplitudes of each motion at unit speed."""


def disc(height: int, width: int, edge: float = 3.0) -> Tensor:
    """A soft disc, a little off the middle."""
    places = pixel_grid(height, width) - torch.tensor([3.0, -2.0])
    return torch.sigmoid((9 - places.norm(dim=-1)) / edge)


def of_place(place: tuple[int, int]) -> tuple[float, float]:
    """x and y of a row and column, off the centre."""
    return place[1] - (SIZE[1] - 1) / 2, place[0] - (SIZE[0] - 1) / 2


@pytest.mark.parametrize("name", CAMERAS)
def test_a_camera_move_is_one_affine_velocity(name: str) -> None:
    flow = layers(camera=motion(FRAME_PLACES, CAMERAS[name])).flow(TIMES)
    grid = pixel_grid(*SIZE).double()
    expected = apply_affine(camera_map(name, 1.0, TIMES.double()), grid) - grid
    torch.testing.assert_close(flow[0], expected.movedim(-1, 1), atol=1e-5, rtol=0)


def test_a_shake_goes_before_the_camera() -> None:
    shake: Terms = {(PATH_X, 0, ONE): 0.7 * REACH, (PATH_Y, 1, ONE): 0.7 * REACH}
    maps = layers(camera=motion(FRAME_PLACES, CAMERAS["roll_cw"], shake)).camera_maps(TIMES)[0]
    place = torch.tensor([5.0, -7.0, 1.0]).double()
    for k, time in enumerate(TIMES.double()):
        shaken = camera_map("shake", 0.7, time, seed=SHAKE) @ place
        rolled = camera_map("roll_cw", 1.0, time) @ torch.cat([shaken, torch.ones(1)])
        torch.testing.assert_close(maps[k] @ place, rolled, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", REGIONS)
def test_each_formula_of_a_region_is_a_choice_of_numbers(name: str) -> None:
    mask = disc(*SIZE)
    head = layers(mask, staying=motion(STAYING, *REGIONS[name]))
    places = pixel_grid(*SIZE).double()
    found = head.staying_displacement(places[None, None], TIMES)[0]
    expected = displacement(name, 1.0, places, TIMES[:, None, None].double(), RegionFrame.of(mask.double()), seed=SHAKE)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_a_region_moves_as_far_as_its_mask_says() -> None:
    mask = disc(*SIZE)
    flow = layers(mask, staying=motion(STAYING, *REGIONS["sway"])).flow(TIMES)[0]
    places = pixel_grid(*SIZE)
    whole = displacement("sway", 1.0, places, TIMES[:, None, None], RegionFrame.of(mask))
    torch.testing.assert_close(flow.movedim(1, -1).float(), mask[..., None] * whole, atol=1e-3, rtol=0)


def test_a_subject_takes_its_mask_along() -> None:
    mask = torch.zeros(SIZE)
    mask[10:20, 12:22] = 1
    flow = layers(mask, carried=motion(REGION_PLACES, [[0, 0, -1.0], [0, 0, 0]])).flow(torch.tensor([0.0, 6.0]))[0]
    for row, column in np.ndindex(*SIZE):
        shown = column >= 6 and bool(mask[row, column - 6])
        assert flow[1, :, row, column].tolist() == pytest.approx([-6.0 if shown else 0.0, 0.0], abs=1e-6)


def test_layers_move_on_what_the_camera_has_moved() -> None:
    mask = disc(*SIZE)
    camera, staying = motion(FRAME_PLACES, CAMERAS["zoom_in"]), motion(STAYING, *REGIONS["breathe"])
    flow, region = layers(mask, camera=camera, staying=staying).flow(TIMES)[0], RegionFrame.of(mask.double())
    for place in ((14, 30), (9, 25), (20, 20)):
        for k, time in enumerate(TIMES.double()):
            p = torch.tensor(of_place(place)).double()
            behind = p * math.exp(-0.024 * time)
            share = torch.sigmoid((9 - (behind - torch.tensor([3.0, -2.0])).norm()) / 3.0)
            q = behind + share * displacement("breathe", 1.0, behind, time, region)
            torch.testing.assert_close(p + flow[k, :, place[0], place[1]], q, atol=0.02, rtol=0)


@pytest.mark.parametrize("name", ["truck_left", "dolly_in"])
def test_depth_moves_the_near_faster_and_before_the_far(name: str) -> None:
    near = torch.full(SIZE, 0.25)
    near[8:24, 16:32] = 1.0
    velocity = [[0, 0, -1.0], [0, 0, 0]] if name == "truck_left" else [[-0.024, 0, 0], [0, -0.024, 0]]
    head, time = layers(nearness=near, depth=velocity), torch.tensor([5.0])
    for nearness in (0.0, 0.6, 1.0):
        of_head = head.depth_maps(time, nearness)[0, 0]
        torch.testing.assert_close(of_head, depth_map(name, 1.0, time[0].double(), nearness), atol=1e-6, rtol=0)
    flow = head.flow(time)[0, 0]
    front, back = (depth_map(name, 1.0, time[0], nearness) for nearness in (1.0, 0.25))
    edges = torch.tensor([8.0, 8.0])
    for place in np.ndindex(*SIZE):
        p = torch.tensor([*of_place(place), 1.0])
        inside, under = ((edges - (way @ p).abs()).min() for way in (front, back))
        # Between pixels a map of nearness has no sharp edge, and what was hidden by the front is not known.
        if inside > 1 or (inside < -1 and under < -1):
            expected = (front if inside > 0 else back) @ p - p[:2]
            torch.testing.assert_close(flow[:, place[0], place[1]].float(), expected, atol=1e-3, rtol=0)


def test_displacements_of_numbers_that_are_added_are_added() -> None:
    mask, places = disc(*SIZE), pixel_grid(*SIZE)[None, None].double()
    parts = [motion(STAYING, None, REGIONS[name][1]) for name in ("sway", "ripple", "breathe")]
    each = [layers(mask, staying=part).staying_displacement(places, TIMES) for part in parts]
    joint = LayerMotion(parts[0].generators, sum((part.amplitudes for part in parts), torch.zeros(())))
    whole = layers(mask, staying=joint).staying_displacement(places, TIMES)
    torch.testing.assert_close(whole, sum(each, torch.zeros(())), atol=1e-9, rtol=0)


def test_times_may_be_asked_for_one_by_one() -> None:
    mask = disc(*SIZE)
    head = layers(
        mask,
        camera=motion(FRAME_PLACES, CAMERAS["zoom_in"]),
        staying=motion(STAYING, *REGIONS["ripple"]),
        residual=torch.randn(1, 6, 2, 4, 6).double(),
    )
    whole = head.flow()
    for frame in (0, 2, 5):
        torch.testing.assert_close(head.flow(torch.tensor([float(frame)]))[:, 0], whole[:, frame])


def test_what_differs_between_frames_changes_in_straight_lines() -> None:
    velocities = torch.zeros(1, 6, 2, 3).double()
    velocities[0, :, 0, 2] = torch.tensor([0.0, 0.0, 1.0, 3.0, 3.0, 3.0])
    still = motion(FRAME_PLACES)
    head = layers(camera=LayerMotion(velocities, still.amplitudes))
    maps = head.camera_maps(torch.tensor([1.5, 2.5, 9.0]))
    assert maps[0, :, 0, 2].tolist() == pytest.approx([1.5 * 0.5, 2.5 * 2.0, 9.0 * 3.0])


def test_masks_have_the_edges_of_a_larger_guide() -> None:
    guide = disc(2 * SIZE[0], 2 * SIZE[1])[None].double()
    head = layers(disc(*SIZE))
    torch.testing.assert_close(head.soft_mask(guide), guide, atol=1e-9, rtol=0)
    refined = replace(head, mask_logits=torch.full_like(head.mask_logits, 0.5))
    assert refined.soft_mask(guide).equal(guide)
    expected = torch.sigmoid(4 * (torch.logit(guide.clamp(1e-3, 1 - 1e-3)) + 0.5))
    torch.testing.assert_close(refined.hard_mask(guide), expected, atol=2e-3, rtol=0)


def test_a_guide_of_another_kind_is_no_mask() -> None:
    head = layers(nearness=disc(*SIZE))
    torch.testing.assert_close(head.nearness()[0], disc(*SIZE).double(), atol=1e-9, rtol=0)
    assert head.soft_mask().max() < 0.06
    assert head[0:1].nearness().equal(head.nearness())
