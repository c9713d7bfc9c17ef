"""Clips of what moves in layers: frames, flow and masks against each other and against closed forms."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from miva_core.clips.camera import pixel_grid
from miva_core.clips.optical_flow import flow_of_steps, join_flow
from miva_core.errors import MIVAError, MIVAWarning
from miva_core.filming.flow_files import write_flow
from miva_core.filming.motion_clips import MotionClip, film_still, film_stills
from miva_core.filming.shooting import Shooting
from miva_core.filming.still import Still
from miva_core.media.flow_warp import warp
from miva_core.motion_fields.motions import MOTIONS

SIZE = (48, 64)
UNIT = 48 / 64
OF_A_PART = ("drift_up", "sway", "flag", "breathe", "slide_left", "jump")
OF_DEPTH = ("truck_left", "dolly_in")
CLOSED = ("ripple", "jump", "sway")


def picture(height: int = 150, width: int = 200) -> Tensor:
    """Smooth blobs, (H, W, 3)."""
    small = torch.rand(1, 3, height // 10, width // 10, generator=torch.Generator().manual_seed(3))
    return torch.nn.functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)[0].movedim(0, -1)


def disc(height: int = 150, width: int = 200) -> Tensor:
    """A mask around the middle."""
    return (pixel_grid(height, width).norm(dim=-1) < 45).float()


def filmed(motion: str, frames: int = 9, speed: float = 0.6, still: Still | None = None) -> MotionClip:
    chosen = still or Still("a", picture(), disc())
    return film_still(chosen, Shooting(motion, SIZE, frames, speed), torch.Generator().manual_seed(1))


def with_depth() -> Still:
    """A ramp with a near square before it."""
    nearness = torch.linspace(0, 0.6, 150)[:, None].expand(-1, 200).clone()
    nearness[60:110, 80:120] = 0.9
    return Still("a", picture(), nearness=nearness)


def unexplained(clip: MotionClip) -> Tensor:
    """By how much each frame differs from frame 1 moved by the flow, where that is trusted."""
    first = clip.frames[:1].expand_as(clip.frames)
    off = (warp(first, clip.flow[:, :2]) - clip.frames).abs().mean(1) * clip.flow[:, 2]
    return off.flatten(1).sum(1) / clip.flow[:, 2].flatten(1).sum(1)


@pytest.mark.parametrize("motion", [*OF_A_PART, "shake"])
def test_frames_are_frame_1_moved_by_the_flow(motion: str) -> None:
    clip = filmed(motion)
    assert unexplained(clip).max() < 0.01
    assert clip.flow[:, :2].abs().amax() > 0.8 * UNIT and clip.flow[:, 2].mean() > 0.5
    inside = clip.masks[0] > 0.5
    outside = torch.nn.functional.max_pool2d(inside[None].float(), 5, 1, 2)[0] == 0
    assert (clip.flow[:, :2].norm(dim=1) * clip.flow[:, 2])[outside].max() < 1e-4, "all else is at rest"
    assert (clip.frames - clip.frames[:1]).abs().mean(1)[inside].max() > 0.05


@pytest.mark.parametrize("motion", OF_DEPTH)
def test_what_is_near_moves_more_and_over_what_is_far(motion: str) -> None:
    clip = filmed(motion, still=with_depth())
    assert len(clip.masks) == 0 and unexplained(clip).max() < 0.03
    way = clip.flow[-1, :2].norm(dim=0)
    place = pixel_grid(*SIZE) / UNIT
    gone = 8 * 0.6 * UNIT * (place.norm(dim=-1) * 0.024 if "dolly" in motion else torch.ones(SIZE))
    # Of what is to be seen the nearness is between 0 and 0.9.
    assert ((way / gone)[clip.flow[-1, 2] > 0] > 0.2 * 0.85).all() and ((way / gone) < 1.1 * 1.2).all()
    assert way[-6:].mean() > 1.5 * way[:6].mean()
    uncovered = (clip.flow[-1, 2] == 0).float().mean()
    assert uncovered < 0.2 and ("truck" not in motion or uncovered > 0.005), "what comes into view"


@pytest.mark.parametrize(
    ("motion", "x", "y"), [("drift-left", 1, 0), ("drift-down", 0, -1), ("rise", 0, 1), ("slide-right", -1, 0)]
)
def test_what_goes_has_its_speed(motion: str, x: int, y: int) -> None:
    """Backward flow: it comes from the other side."""
    clip = filmed(motion, speed=0.5)
    middle = clip.flow[:, :2, 24, 32]
    torch.testing.assert_close(
        middle, 0.5 * UNIT * torch.arange(9.0)[:, None] * torch.tensor([x, y]), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("motion", CLOSED)
def test_loops_close(motion: str) -> None:
    period = MOTIONS[motion].period
    assert period is not None
    clip = filmed(motion, frames=int(period) + 1)
    off, on = (clip.frames[k] - clip.frames[0] for k in (int(period), int(period) // 2 - 1))
    step = (clip.frames[1] - clip.frames[0]).abs().mean()
    assert off.abs().mean() < 0.5 * step and on.abs().mean() > 0.5 * step
    assert clip.flow[int(period), :2].abs().max() < 1e-4


def test_a_cut_out_takes_its_mask_along() -> None:
    clip = filmed("rise", speed=0.5)
    weights = clip.masks[0].flatten(1)
    y = (pixel_grid(*SIZE)[..., 1].flatten() * weights).sum(1) / weights.sum(1)
    torch.testing.assert_close(y[0] - y, 0.5 * UNIT * torch.arange(9.0), rtol=0, atol=0.15)


def test_every_crop_shows_what_moves() -> None:
    """A small thing in a corner of a large still."""
    mask = torch.zeros(150, 200)
    mask[110:140, 150:190] = 1
    clips = [clip for _, clip in film_stills([Still("a", picture(), mask)], Shooting("breathe", SIZE, 2), 0)]
    assert len(clips) == 5 and all(clip.masks[0, 0].mean() > 0.01 for clip in clips)
    assert len({clip.masks[0, 0].mean().item() for clip in clips}) == 5


def test_a_shake_without_masks_is_one_of_the_camera() -> None:
    clip = filmed("shake", still=Still("a", picture()), speed=1.0)
    assert len(clip.masks) == 0 and unexplained(clip).max() < 0.02
    assert (clip.flow[:, :2].flatten(2).std(-1) < 1e-4).all(), "all of a frame goes the same way"
    again = film_still(Still("a", picture()), Shooting("shake", SIZE, 9), torch.Generator().manual_seed(2))
    assert not torch.allclose(again.flow, clip.flow)


def test_the_files_say_the_formula(tmp_path: Path) -> None:
    clip = filmed("breathe", speed=0.5)
    write_flow(clip, tmp_path, "a")
    said, maps = json.loads((tmp_path / "a_flow.json").read_text()), load_file(tmp_path / "a_maps.safetensors")
    assert (said["motion"], said["speed"], said["unit"], said["times"]) == ("breathe", 0.5, UNIT, list(range(9)))
    # At half of its period it is largest: everything comes from nearer to the centre by the share 16 s / (π R).
    grown = 16 * 0.5 / (torch.pi * said["region"]["radius"])
    places = pixel_grid(*SIZE) / UNIT - torch.tensor(said["region"]["centre"])
    exact = -(places * grown * UNIT)[maps["mask"] > 0.5]
    torch.testing.assert_close(clip.flow[8, :2].movedim(0, -1)[maps["mask"] > 0.5], exact, rtol=0, atol=1e-3)


def test_missing_maps_are_told() -> None:
    bare = [Still("a", picture()), Still("b", picture(), disc())]
    with pytest.raises(MIVAError, match=r"For sway each still needs a mask.* none of a: put still_mask\.png"):
        film_stills(bare, Shooting("sway", SIZE, 3), 0)
    with pytest.raises(MIVAError, match="For shake each still needs a mask"):
        film_stills(bare, Shooting("shake", SIZE, 3), 0)
    with pytest.warns(MIVAWarning, match="no depth map of the stills: their lower half is taken to be near"):
        _, clip = next(film_stills([bare[0]], Shooting("truck-left", SIZE, 5), 0))
    assert clip.flow[-1, 0, -1].mean() < 1.5 * clip.flow[-1, 0, 0].mean() < 0
    with pytest.warns(MIVAWarning, match=r"There is no depth map of b:"):
        film_stills([with_depth(), bare[1]], Shooting("dolly-in", SIZE, 3), 0)


def test_maps_that_are_of_no_use_are_refused() -> None:
    still = Still("a", picture())
    for mask, message in (
        (torch.zeros(150, 200), "The mask of a is empty"),
        (torch.ones(150, 200), "The mask of a is the whole picture"),
        (disc(100, 100), "is 100×100, of another aspect than the still, 200×150"),
    ):
        with pytest.raises(MIVAError, match=message):
            still.with_mask(mask)
    for depth, message in (
        (torch.full((150, 200), 0.4), "The depth map of a is flat"),
        (picture(), "is a picture in colours"),
        (disc(100, 100), "of another aspect"),
    ):
        with pytest.raises(MIVAError, match=message):
            still.with_depth(depth)
    upside_down = torch.linspace(1, 0, 75)[:, None].expand(-1, 100)
    with pytest.warns(MIVAWarning, match="^a: The depth map is darker below than above"):
        turned = still.with_depth(upside_down)
    assert turned.nearness is not None and turned.nearness.shape == (150, 200)
    assert still.with_mask(disc(75, 100)).mask is not None


@pytest.mark.parametrize(("motion", "stride"), [("drift-left", 1), ("breathe", 2), ("jump", 1), ("truck-left", 2)])
def test_steps_between_frames_follow_from_the_flow_to_the_first(motion: str, stride: int) -> None:
    clip = filmed(motion, still=with_depth() if motion[:5] in ("dolly", "truck") else None)
    steps = flow_of_steps(clip.flow, stride).float()
    assert (steps[:stride, :2] == 0).all() and steps.shape == clip.flow.shape and steps[:, 2].mean() > 0.5
    moved = warp(clip.frames[:-stride], steps[stride:, :2])
    off = (moved - clip.frames[stride:]).abs().mean(1) * steps[stride:, 2]
    assert off.mean() < 0.01
    joined = join_flow(steps[None, ::stride])[0]
    trusted = joined[:, 2] * clip.flow[::stride, 2]
    apart = (joined[:, :2] - clip.flow[::stride, :2]).norm(dim=1) * trusted
    assert apart.mean() < 0.02 and trusted.mean() > 0.4
