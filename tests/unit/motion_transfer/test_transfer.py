"""Pictures that move like clips, against the same picture filmed with the same camera, and shifted by hand."""

import warnings
from typing import Any

import pytest
import torch
from films import SIZE, disc, filmed, speckled, walking

from miva_core.clips.camera import CameraMove
from miva_core.errors import MIVAError, MIVAWarning
from miva_core.measure.metrics import psnr
from miva_core.motion_transfer.transfer import transfer

MOVE = CameraMove(pan=(1.2, 0.5), zoom=0.02, roll=0.01)


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_another_picture_moves_as_far_as_is_asked(strength: float) -> None:
    moved = CameraMove((MOVE.pan[0] * strength, MOVE.pan[1] * strength), MOVE.zoom * strength, MOVE.roll * strength)
    ideal = filmed(moved, seed=3)
    frames, invented = transfer(filmed(MOVE), ideal[0], strength)
    assert torch.equal(frames[0], ideal[0]) and not invented[0].any()
    known = (invented < 0.01)[..., None].expand_as(frames)
    assert known.float().mean() > 0.7
    assert ((frames - ideal)[known] ** 2).mean() < 2e-4


def test_at_no_strength_the_picture_rests() -> None:
    picture = speckled(3)[:64, :96]
    for clip in (filmed(MOVE, frames=3), walking(4, frames=3)[0]):
        frames, _ = transfer(clip, picture, 0.0)
        torch.testing.assert_close(frames, picture.expand_as(frames), atol=1e-4, rtol=0)


def test_what_comes_into_view_is_marked() -> None:
    """The camera goes two pixels to the left a frame: in frame i the left 2 i columns are new."""
    frames, invented = transfer(filmed(CameraMove(pan=(-2.0, 0.0))), speckled(3)[:64, :96])
    for i in range(1, len(frames)):
        assert (invented[i, :, : 2 * i - 1] > 0.9).all() and (invented[i, :, 2 * i + 2 :] < 0.1).float().mean() > 0.98


def test_a_masked_subject_moves_over_a_ground_that_rests() -> None:
    clip, masks = walking(4)
    recoloured = clip[..., [2, 0, 1]]
    frames, invented = transfer(clip, recoloured[0], mask=masks[0])
    still = psnr(recoloured[:1].expand_as(clip), recoloured)
    assert psnr(frames, recoloured) > still + 5
    away = torch.ones(SIZE, dtype=torch.bool)
    away[12:52, 10:] = False
    assert torch.equal(frames[:, away], recoloured[0][away].expand(len(frames), -1, -1))
    uncovered = (masks[0] > 0) & (masks[5] == 0) & (disc(32, 26, 11) > 0)
    assert invented[5][uncovered].mean() > 0.8 > 0.1 > invented[5][masks[5] > 0].mean()


def test_the_size_and_aspect_of_the_picture_are_its_own() -> None:
    clip = filmed(CameraMove(pan=(-2.0, 0.0)))
    picture = speckled(3, 150)[:, :90]
    with pytest.warns(MIVAWarning, match="1.5 times as wide as high, the picture 0.6 times"):
        frames, invented = transfer(clip, picture)
    assert frames.shape == (6, 150, 90, 3) and invented.shape == (6, 150, 90)
    # 10 of 96 pixels are 9.4 of 90.
    shifted = picture.roll(9, 1)
    assert (frames[5] - shifted)[:, 12:].abs().mean() < (frames[5] - picture)[:, 12:].abs().mean() / 3


def test_what_is_odd_about_a_clip_is_told() -> None:
    picture = speckled(3)[:64, :96]
    still = filmed("still")
    with pytest.warns(MIVAWarning, match="Nothing moves in the clip"):
        frames, invented = transfer(still, picture)
    assert torch.equal(frames, picture.expand_as(frames)) and not invented.any()
    with pytest.warns(MIVAWarning, match="ends after 6 of the clip's 12 frames: frame 7 does not follow"):
        frames, _ = transfer(torch.cat([filmed(MOVE), filmed(MOVE, seed=7)]), picture)
    assert len(frames) == 6
    flicker = filmed(MOVE).clone()
    flicker[2:, :, 30:55] = 1 - flicker[2:, :, 30:55]
    with pytest.warns(MIVAWarning, match="flow cannot be trusted"):
        transfer(flicker, picture)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_where_a_subject_is_lost_is_told(strength: float) -> None:
    """After four frames it is at once somewhere else."""
    (near, masks), (far, _) = walking(4, frames=4), walking(16, frames=4)
    with pytest.warns(MIVAWarning, match="From frame 5 of the clip on its subject is lost"):
        transfer(torch.cat([near, far[3:]]), near[0], strength, masks[0])


def test_an_ordinary_clip_is_taken_without_a_word() -> None:
    clip, masks = walking(4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transfer(filmed(MOVE), speckled(3)[:64, :96])
        transfer(clip, clip[0], 0.5, masks[0])


CLIP, PICTURE = filmed("pan_left", frames=3), speckled(3)[:64, :96]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"frames": CLIP[0]}, r"shape \(64, 96, 3\)"),
        ({"frames": CLIP[:1]}, "a single frame"),
        ({"frames": CLIP * torch.nan}, "The clip holds other values"),
        ({"frames": torch.stack([CLIP[0], filmed("still", seed=9)[0]])}, "second frame of the clip does not follow"),
        ({"picture": PICTURE[None]}, "picture to be moved has the shape"),
        ({"picture": PICTURE[:4]}, "sides from 16 pixels"),
        ({"strength": 3}, "strength 3: choose 0 to 2"),
        ({"strength": float("nan")}, "strength nan"),
        ({"mask": PICTURE}, "mask has the shape"),
        ({"mask": disc(20, 20, 8, (40, 40))}, "must have one aspect"),
        ({"mask": torch.zeros(SIZE)}, "white in 0.0%"),
        ({"mask": torch.ones(SIZE)}, "white in 100.0%"),
    ],
)
def test_wrong_inputs_are_refused_in_one_sentence(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(MIVAError, match=said):
        transfer(**({"frames": CLIP, "picture": PICTURE} | wrong))
