"""The motion of clips, against camera moves and subjects whose motion is known exactly."""

import math

import pytest
import torch
from torch import Tensor

from miva_core.clips.camera import UNIT_MOVES, CameraMove, affine_flow, film, move_transforms
from miva_core.errors import MIVAError
from miva_core.measure.clip_motion import EDGES, ClipMotion, measure_motion, medians

HEIGHT, WIDTH = 96, 144
NOISE = torch.rand(3, 64, 64, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def picture() -> Tensor:
    """Fine and coarse blobs (1, 3, H, W), with a margin for cameras to move in."""
    generator = torch.Generator().manual_seed(0)
    layers = [torch.rand(1, 3, side, side * 3 // 2, generator=generator) for side in (7, 16, 40)]
    return sum(torch.nn.functional.interpolate(one, (192, 288), mode="bicubic") for one in layers).clamp(0, 3) / 3


def shot(picture: Tensor, move: CameraMove, speed: float = 1.0, frames: int = 4) -> Tensor:
    clip = film(picture, move_transforms(move, speed, frames), HEIGHT, WIDTH)
    return clip[0].permute(0, 2, 3, 1)


@pytest.mark.parametrize("speed", [0.15, 0.6, 2.5])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pan_left", "to the right, as when a camera pans left"),
        ("pan_right", "to the left, as when a camera pans right"),
        ("pan_up", "down, as when a camera pans up"),
        ("pan_down", "up, as when a camera pans down"),
        ("zoom_in", "growing, as when a camera comes closer"),
        ("zoom_out", "shrinking, as when a camera draws back"),
        ("roll_cw", "turning counter-clockwise, as when a camera rolls clockwise"),
        ("roll_ccw", "turning clockwise, as when a camera rolls counter-clockwise"),
    ],
)
def test_camera_moves_have_their_speed_and_are_called_by_their_name(
    name: str, words: str, speed: float, picture: Tensor
) -> None:
    move = UNIT_MOVES[name]
    exact = affine_flow(move_transforms(move, speed, 4), HEIGHT, WIDTH)[0]
    found = measure_motion(shot(picture, move, speed))
    assert found.words == words and not found.cuts
    assert found.speed == pytest.approx(exact.norm(dim=-1).mean().item(), rel=0.08)
    assert found.share == found.speed / WIDTH
    assert (found.right, found.down) == pytest.approx((-speed * move.pan[0], -speed * move.pan[1]), abs=0.06 * speed)
    assert found.growth == pytest.approx(speed * move.zoom, rel=0.08, abs=0.001 * speed)
    assert len(found.speeds) == 3 and found.speeds == pytest.approx([found.speed] * 3, rel=0.2)


def test_moves_at_once_are_named_by_their_share(picture: Tensor) -> None:
    slanted = measure_motion(shot(picture, CameraMove(pan=(-1.0, 1.0)), 1.5))
    assert slanted.words == "up and to the right, as when a camera pans down and pans left"
    both = measure_motion(shot(picture, CameraMove(pan=(1.0, 0.0), zoom=0.02), 1.5))
    assert both.words == "to the left and growing, as when a camera pans right and comes closer"


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_a_clip_of_another_size_moves_by_the_same_share(picture: Tensor, factor: float) -> None:
    """Speeds are in pixels of the clip, buckets are of clips of all sizes."""
    clip = shot(picture, UNIT_MOVES["pan_left"], 2)
    planes = torch.nn.functional.interpolate(clip.permute(0, 3, 1, 2), scale_factor=factor, mode="bicubic")
    resized = measure_motion(planes.clamp(0, 1).permute(0, 2, 3, 1))
    assert resized.speed == pytest.approx(2 * factor, rel=0.05)
    assert resized.share == pytest.approx(measure_motion(clip).share, rel=0.05)


def hopping(picture: Tensor, frames: int = 9) -> tuple[Tensor, Tensor]:
    """A subject that moves up and down on a still ground, (F, H, W, 3), and its masks (F, H, W)."""
    ground = shot(picture, UNIT_MOVES["still"], frames=1)[0]
    clip, masks = ground.expand(frames, -1, -1, -1).clone(), torch.zeros(frames, HEIGHT, WIDTH)
    for k in range(frames):
        top = 40 + (0, 3, 6, 3, 0, -3, -6, -3, 0)[k]
        clip[k, top : top + 30, 50:90] = ground[5:35, 5:45].flip(1)
        masks[k, top : top + 30, 50:90] = 1
    return clip, masks


def test_with_a_mask_the_subject_alone_is_measured(picture: Tensor) -> None:
    clip, masks = hopping(picture)
    subject, whole = measure_motion(clip, masks), measure_motion(clip)
    assert subject.words == whole.words == "up and down"
    assert subject.speed == pytest.approx(3, rel=0.15) and whole.speed < 1
    assert subject.down == pytest.approx(0, abs=0.3)
    first = [measure_motion(clip[:2], kind(masks[:2])) for kind in (Tensor.float, Tensor.bool, Tensor.half)]
    assert first[0] == first[1] == first[2]
    small = torch.nn.functional.avg_pool2d(masks, 2)
    assert measure_motion(clip, small).speed == pytest.approx(subject.speed, rel=0.05)
    always = masks.amax(0, keepdim=True)
    assert whole.speed < measure_motion(clip, always).speed < subject.speed


def test_frames_in_which_the_subject_is_not_seen_count_for_nothing(picture: Tensor) -> None:
    clip, masks = hopping(picture)
    gone = masks.clone()
    gone[3:5] = 0
    found = measure_motion(clip, gone)
    assert [math.isnan(speed) for speed in found.speeds] == [False, False, True, True, *[False] * 4]
    assert found.speed == pytest.approx(3, rel=0.15) and not found.cuts


def test_the_speed_of_each_frame_follows_the_motion(picture: Tensor) -> None:
    way = torch.tensor([0.0, 0.5, 1.5, 3.5, 6.5, 8.5, 9.5])
    transforms = torch.eye(2, 3).repeat(1, 7, 1, 1)
    transforms[0, :, 0, 2] = way
    clip = film(picture, transforms, HEIGHT, WIDTH)[0].permute(0, 2, 3, 1)
    assert measure_motion(clip).speeds == pytest.approx(way.diff().tolist(), rel=0.08)


def test_a_cut_is_left_out(picture: Tensor) -> None:
    first, second = shot(picture, UNIT_MOVES["pan_left"], 2), shot(picture.flip(2, 3), UNIT_MOVES["pan_left"], 2)
    found = measure_motion(torch.cat([first, second]))
    assert found.cuts == (5,) and math.isnan(found.speeds[3])
    assert found.speed == pytest.approx(2, rel=0.05)
    assert found.dynamics == pytest.approx(
        (measure_motion(first).dynamics + measure_motion(second).dynamics) / 2, abs=1e-4
    )


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_what_does_not_change_stands_still(value: float, picture: Tensor) -> None:
    for clip in (torch.full((3, 64, 64, 3), value), shot(picture, UNIT_MOVES["still"], frames=3)):
        found = measure_motion(clip)
        assert (found.speed, found.fastest, found.bucket(), found.words) == (0, 0, 0, "nowhere")
        assert found.dynamics == pytest.approx(0, abs=1e-6) and found.speeds == (0, 0)


def moving(share: float) -> ClipMotion:
    return ClipMotion(0, share, 0, 0, 0, 0, 0, "", (), ())


def test_two_buckets_further_is_twice_as_fast() -> None:
    assert moving(0).bucket() == 0 and moving(1).bucket() == 19
    for bucket, edge in enumerate(EDGES):
        assert (moving(0.999 * edge).bucket(), moving(1.001 * edge).bucket()) == (bucket, bucket + 1)
        assert moving(1.001 * edge * 2).bucket() == min(19, bucket + 3)


def test_medians_are_taken_of_each_number() -> None:
    clips = [ClipMotion(k, 0, -k, 2 * k, 0.1 * k, 0, 0, "", (), ()) for k in (3, 1, 2)]
    assert medians(clips) == (2, -2, 4, 0.2)


@pytest.mark.parametrize(
    ("frames", "mask", "message"),
    [
        (NOISE[:1], None, "single frame"),
        (NOISE[0], None, "shape"),
        (NOISE[:, :20], None, "64×20: from 22 pixels"),
        (NOISE, torch.ones(2, 64, 64), "2 masks for a clip of 3 frames"),
        (NOISE, torch.ones(64, 64), "shape"),
        (NOISE, torch.ones(3, 64, 32), "mask is 32×64 and the clip 64×64"),
        (NOISE, torch.zeros(3, 64, 64), "nowhere brighter than half"),
        (NOISE, torch.eye(3)[:1, :, None].expand(3, 3, 3), "nothing|follows"),
        (NOISE, None, "No frame of the clip follows"),
    ],
)
def test_what_cannot_be_measured_is_told(frames: Tensor, mask: Tensor | None, message: str) -> None:
    with pytest.raises(MIVAError, match=message):
        measure_motion(frames, mask)
