"""Painted pictures, drawn subjects and the clips made of them."""

import math
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from miva_core.clips.camera import UNIT_MOVES, apply_affine, invert_affine, move_transforms, pixel_grid
from miva_core.errors import MIVAError
from tools.procedural.backdrops import fractal_noise, paint_backdrops
from tools.procedural.scenes import WORDS, SceneChoice, Scenes, draw_scenes
from tools.procedural.sprites import ANGLES, SUBJECT_MOTIONS, SpriteLook, draw_sprites, sprite_poses

SIZE, FRAMES = 64, 6


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scenes(count: int = 8, seed: int = 0, size: int = SIZE, **choice: Any) -> Scenes:
    return draw_scenes(count, generator(seed), SceneChoice(**choice), 3, 2 * size, size, FRAMES)


def tensors(value: Any) -> list[Tensor]:
    """All tensors in scenes, in order."""
    if isinstance(value, Tensor):
        return [value]
    items = value if isinstance(value, list) else [getattr(value, field.name) for field in fields(value)]
    return [tensor for item in items for tensor in tensors(item)]


def same(one: Scenes, two: Scenes) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(two), strict=True))


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    return paint_backdrops(3, 2 * SIZE, seed=1)


# --- backdrops -------------------------------------------------------------------------------------------------------


def test_a_seed_paints_the_same_pictures() -> None:
    one, again, other = (paint_backdrops(2, 48, seed) for seed in (3, 3, 4))
    assert one.shape == (2, 3, 48, 48) and one.dtype == torch.uint8
    assert torch.equal(one, again) and (one != other).float().mean() > 0.5
    assert (one[0] != one[1]).float().mean() > 0.5


@pytest.mark.parametrize("exponent", [0.8, 1.5])
def test_fractal_noise_has_the_spectrum_it_is_named_for(exponent: float) -> None:
    """The slope of log power over log frequency is -2 x exponent."""
    noise = fractal_noise(16, 64, generator(), torch.full((16,), exponent))
    torch.testing.assert_close(noise.mean((1, 2)), torch.zeros(16), rtol=0, atol=1e-4)
    torch.testing.assert_close(noise.std((1, 2)), torch.ones(16))
    power = torch.fft.fft2(noise.double()).abs().square().mean(0)
    frequency = torch.fft.fftfreq(64).double()
    radius = torch.hypot(frequency[:, None], frequency[None])
    chosen = (radius > 0.02) & (radius < 0.5)
    x, y = radius[chosen].log(), power[chosen].log()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    assert slope.item() == pytest.approx(-2 * exponent, abs=0.1)


# --- motions of subjects ---------------------------------------------------------------------------------------------


def path(motion: str, speed: float = 0.9, radius: float = 10.0, frames: int = 17) -> tuple[Tensor, Tensor, Tensor]:
    """Place (F, 2) relative to frame 1, radius (F,) and turn (F,) of one subject, read off where its own axes go."""
    one = torch.ones(1)
    poses = sprite_poses([motion], torch.tensor([[5.0, -3.0]]), radius * one, 0.3 * one, speed * one, frames)
    local = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    centre, right, down = apply_affine(invert_affine(poses.double()), local.double())[0, :, 0].unbind(1)
    torch.testing.assert_close(centre[0], torch.tensor([5.0, -3.0]).double(), rtol=0, atol=1e-5)
    across, along = right - centre, down - centre
    torch.testing.assert_close((across * along).sum(-1), torch.zeros(frames).double(), rtol=0, atol=1e-4)  # no shear
    return centre - centre[0], across.norm(dim=-1), torch.atan2(across[:, 1], across[:, 0]) - 0.3


def assert_near(found: Tensor, expected: Tensor | float) -> None:
    expected = torch.as_tensor(expected).double().expand_as(found)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


FRAME = torch.arange(17).double()


@pytest.mark.parametrize(
    ("motion", "x", "y"),
    [("still", 0, 0), ("slide_left", -1, 0), ("slide_right", 1, 0), ("rise", 0, -1), ("sink", 0, 1)],
)
def test_slides_go_their_way_at_their_speed(motion: str, x: int, y: int) -> None:
    place, radius, turn = path(motion)
    assert_near(place, FRAME[:, None] * 0.9 * torch.tensor([x, y]))
    assert_near(radius, 10)
    assert_near(turn, 0)


def test_a_jump_is_a_throw_that_lands_where_it_began() -> None:
    place, radius, turn = path("jump")
    height = -place[:, 1]
    assert_near(place[:, 0], 0)
    assert_near(height[[0, 8, 16]], 0)
    assert (height[1:8] > 0).all() and height.argmax() in (4, 12)
    falling = height[:9].diff().diff()
    assert_near(falling, falling[0].item())  # gravity is constant
    assert falling[0] < 0
    # v = v0 + g t: the mean speed of the first frame is that at t = 1/2.
    assert (height[1] - falling[0] / 2).item() == pytest.approx(2 * 0.9, rel=1e-4)
    assert_near(height[8:], height[:9])
    assert_near(radius, 10)
    assert_near(turn, 0)


def test_a_sway_swings_evenly_to_both_sides_in_16_frames() -> None:
    place, radius, turn = path("sway")
    x = place[:, 0]
    assert_near(place[:, 1], 0)
    assert_near(x[[0, 8, 16]], 0)
    assert_near(x[8:], -x[:9])
    # A harmonic motion: acceleration is the same multiple of the offset everywhere.
    ratio = x.diff().diff()[:6] / x[1:7]
    assert_near(ratio, 2 * math.cos(math.pi / 8) - 2)
    assert x[1] > 0 and x.diff().abs().max().item() == pytest.approx(0.9, rel=0.05)
    assert_near(radius, 10)
    assert_near(turn, 0)


def test_a_spin_turns_on_the_spot_with_its_speed_at_the_rim() -> None:
    place, radius, turn = path("spin")
    assert_near(place, 0)
    assert_near(radius, 10)
    assert_near(turn, 0.9 * FRAME / 10)


@pytest.mark.parametrize(("motion", "sign"), [("grow", 1), ("shrink", -1)])
def test_growth_is_exponential_on_the_spot(motion: str, sign: int) -> None:
    place, radius, turn = path(motion)
    assert_near(place, 0)
    assert_near(turn, 0)
    assert_near(radius, 10 * torch.exp(sign * 0.5 * 0.9 * FRAME / 10))


def test_an_unknown_motion_is_refused_with_the_known_ones() -> None:
    one = torch.ones(1)
    with pytest.raises(MIVAError, match="'moonwalk' is no subject motion"):
        sprite_poses(["moonwalk"], torch.zeros(1, 2), one, one, one, 4)
    with pytest.raises(MIVAError, match="'moonwalk' is no subject motion"):
        scenes(motions=("jump", "moonwalk"))
    with pytest.raises(MIVAError, match="'dolly' is no camera motion"):
        scenes(moves=("dolly",))


# --- drawing ---------------------------------------------------------------------------------------------------------


def disc(radius: float, centre: tuple[float, float]) -> tuple[SpriteLook, Tensor]:
    look = SpriteLook(
        outline=torch.ones(1, ANGLES),
        colours=torch.tensor([[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]]),
        pattern=torch.zeros(1, 4),
        rim=torch.zeros(1),
    )
    one = torch.ones(1)
    return look, sprite_poses(["still"], torch.tensor([centre]), radius * one, 0 * one, one, 1)


def test_coverage_is_the_area_of_the_outline() -> None:
    _, coverage = draw_sprites(*disc(12.5, (3.2, -1.7)), 48, 56)
    assert coverage.sum().item() == pytest.approx(math.pi * 12.5**2, rel=0.005)
    distance = (pixel_grid(48, 56) - torch.tensor([3.2, -1.7])).norm(dim=-1)
    assert (coverage[0, 0][distance < 11.9] == 1).all() and not coverage[0, 0][distance > 13.1].any()


def test_a_lopsided_outline_points_where_its_angle_says() -> None:
    """A bulge at polar angle 90 degrees, y down, sticks out at the bottom."""
    look, poses = disc(10, (0.0, 0.0))
    look.outline[:, ANGLES // 4 - 8 : ANGLES // 4 + 8] = 1.6
    _, coverage = draw_sprites(look, poses, 48, 48)
    rows = coverage[0, 0].sum(1).nonzero().flatten() - 23.5
    assert rows.min() >= -10.5 and rows.max() > 15


# --- scenes ----------------------------------------------------------------------------------------------------------


def test_a_seed_draws_the_same_scenes_whatever_else_is_random() -> None:
    one = scenes(seed=5)
    torch.rand(7)
    assert same(one, scenes(seed=5)) and not same(one, scenes(seed=6))


def test_rendering_is_repeatable_and_leaves_the_scenes_alone(pictures: Tensor) -> None:
    drawn, untouched = scenes(), scenes()
    state = torch.get_rng_state()
    clip, mask = drawn.render(pictures, SIZE, SIZE)
    drawn.render(pictures, 32, 40)
    drawn.flow(32, 40)
    again, mask_again = drawn.render(pictures, SIZE, SIZE)
    assert clip.shape == (8, FRAMES, 3, SIZE, SIZE) and mask.shape == (8, FRAMES, SIZE, SIZE)
    assert clip.min() >= 0 and clip.max() <= 1 and mask.min() >= 0 and mask.max() <= 1
    assert torch.equal(clip, again) and torch.equal(mask, mask_again)
    assert same(drawn, untouched) and torch.equal(torch.get_rng_state(), state)


def test_a_smaller_frame_is_the_middle_of_a_larger_one(pictures: Tensor) -> None:
    drawn = scenes()
    (large, mask), (small, inner) = drawn.render(pictures, SIZE, SIZE), drawn.render(pictures, 32, 40)
    torch.testing.assert_close(small, large[..., 16:48, 12:52], rtol=0, atol=1e-4)
    torch.testing.assert_close(inner, mask[..., 16:48, 12:52], rtol=0, atol=1e-4)


def test_mirrored_scenes_show_the_mirrored_picture(pictures: Tensor) -> None:
    drawn = replace(scenes(sprites=(1.0,)), mirrored=torch.zeros(8, dtype=torch.bool))
    turned = replace(drawn, mirrored=torch.ones(8, dtype=torch.bool))
    assert torch.equal(turned.render(pictures, SIZE, SIZE)[0], drawn.render(pictures.flip(-1), SIZE, SIZE)[0])


def test_the_mask_is_where_the_subjects_change_the_picture(pictures: Tensor) -> None:
    drawn = scenes(count=12, sprites=(0.2, 0.4, 0.4))
    clip, mask = drawn.render(pictures, SIZE, SIZE)
    empty, no_mask = replace(drawn, present=torch.zeros_like(drawn.present)).render(pictures, SIZE, SIZE)
    changed = (clip - empty).abs().amax(2)
    assert not no_mask.any()
    assert not changed[mask == 0].any()
    assert 0.02 < (mask > 0.5).float().mean() < 0.5
    assert (changed[mask > 0.5] > 0.01).float().mean() > 0.97  # a few colours coincide
    assert (mask.amax((1, 2, 3)) > 0.5).tolist() == drawn.present.any(1).tolist()


def test_words_tell_what_the_scenes_show() -> None:
    drawn = scenes(count=60)
    seen = set()
    for b in range(60):
        camera, subject = (WORDS[k] for k in drawn.words[b].tolist())
        seen |= {camera, subject}
        assert camera.startswith("camera ")
        # The very move of that name, at a speed in range.
        move = UNIT_MOVES[camera.removeprefix("camera ")]
        unit = move_transforms(move, 1.0, 2)[0, 1] - torch.eye(2, 3)
        step = drawn.camera[b, 1] - torch.eye(2, 3)
        speed = (step * unit).sum() / unit.square().sum().clamp(min=1e-12)
        if camera != "camera still":
            assert 0.68 < speed < 1.12
        torch.testing.assert_close(step, speed * unit, rtol=0, atol=1e-3)
        assert (subject == "no subject") == (not drawn.present[b].any())
    assert {"no subject", "subject jump", "camera zoom_in"} <= seen and WORDS[0] == ""


def test_a_fixed_choice_is_kept() -> None:
    """The first sprite, seen from a still camera, does what its word says at a speed in range."""
    drawn = scenes(count=16, moves=("still",), motions=("rise",), sprites=(0.0, 1.0), subject_speed=(0.5, 0.6))
    assert {WORDS[k] for k in drawn.words.flatten().tolist()} == {"camera still", "subject rise"}
    assert drawn.present.all() and drawn.present.shape == (16, 1)
    centre = invert_affine(drawn.poses[0])[..., 2]
    step = centre.diff(dim=1)
    torch.testing.assert_close(step[..., 0], torch.zeros(16, FRAMES - 1), rtol=0, atol=1e-3)
    assert (step[..., 1] < -0.49).all() and (step[..., 1] > -0.61).all()


def test_a_still_subject_stays_in_its_place_of_the_scene() -> None:
    """It drifts and grows with the scene as the camera moves; its own coordinates stay those of the first frame."""
    drawn = scenes(moves=("pan_left", "zoom_in", "roll_cw"), motions=("still",), sprites=(0.0, 1.0))
    points = torch.randn(8, 1, 3, 3, 2) * 10
    shown = apply_affine(invert_affine(drawn.camera), points)
    local = apply_affine(drawn.poses[0], shown)
    torch.testing.assert_close(local, local[:, :1].expand_as(local), rtol=0, atol=1e-4)
    assert (shown - shown[:, :1])[:, 1:].abs().amax((1, 2, 3, 4)).min() > 1


# --- flow ------------------------------------------------------------------------------------------------------------

BIG = 160


def smooth_pictures() -> Tensor:
    """Pictures that bilinear sampling reproduces to about a grey level."""
    noise = fractal_noise(9, 2 * BIG, generator(), torch.full((9,), 2.4)).view(3, 3, 2 * BIG, 2 * BIG)
    return ((0.5 + 0.2 * noise).clamp(0, 1) * 255).round().to(torch.uint8)


def surfaces(drawn: Scenes) -> Tensor:
    """Which surface each pixel belongs to, (B, F, H, W): 0 the background, k the k-th sprite, -1 near an edge."""
    label = torch.zeros(len(drawn.picture), FRAMES, BIG, BIG)
    for k, (look, poses) in enumerate(zip(drawn.looks, drawn.poses, strict=True), start=1):
        _, coverage = draw_sprites(look, poses, BIG, BIG)
        label[(coverage > 0.5) & drawn.present[:, k - 1, None, None, None]] = k
    highest, lowest = (sign * F.max_pool2d(sign * label, 9, stride=1, padding=4) for sign in (1, -1))
    return torch.where(highest == lowest, label, torch.full_like(label, -1))


def look_up(values: Tensor, places: Tensor) -> Tensor:
    """Bilinear values (N, C, H, W) at centred places (N, H, W, 2), zero beyond the frame."""
    half = torch.tensor([values.shape[-1] / 2, values.shape[-2] / 2])
    return F.grid_sample(values, places / half, mode="bilinear", padding_mode="zeros", align_corners=False)


@pytest.mark.parametrize("motion", SUBJECT_MOTIONS)
def test_the_flow_leads_each_pixel_to_itself_in_the_next_frame(motion: str) -> None:
    drawn = scenes(count=3, size=BIG, motions=(motion,), sprites=(0.0, 0.5, 0.5), speed=(1.5, 2.0))
    for look in drawn.looks:
        look.pattern[:, :3] *= 0.4  # finer stripes would be lost between the pixels
    clip, _ = drawn.render(smooth_pictures(), BIG, BIG)
    field, label = drawn.flow(BIG, BIG), surfaces(drawn)
    here, there = clip[:, :-1].flatten(0, 1), clip[:, 1:].flatten(0, 1)
    places = pixel_grid(BIG, BIG) + field.flatten(0, 1)
    landed = look_up(label[:, 1:].flatten(0, 1)[:, None], places)[:, 0]
    start = label[:, :-1].flatten(0, 1)
    inside = (places.abs() < BIG / 2 - 2).all(-1)
    unmoved = (here - there).abs().amax(1)
    for surface in (0, 1):
        kept = (start == surface) & (landed == surface) & inside
        assert kept.sum() > 1000
        error = (look_up(there, places) - here).abs().amax(1)[kept]
        assert error.mean() < 0.01 and error.quantile(0.99) < 0.05
        if motion in ("slide_left", "spin"):
            assert unmoved[kept].mean() > 2 * error.mean()  # no flow would be no answer


@pytest.mark.parametrize("motion", SUBJECT_MOTIONS)
def test_the_flow_to_the_first_frame_leads_each_pixel_to_itself_where_it_is_trusted(motion: str) -> None:
    choice = {"motions": (motion,), "sprites": (0.0, 1.0), "speed": (1.5, 2.0), "subject_speed": (2.5, 3.0)}
    drawn = scenes(count=3, size=BIG, **choice)
    drawn.looks[0].pattern[:, :3] *= 0.4
    clip, _ = drawn.render(smooth_pictures(), BIG, BIG)
    flow, label = drawn.flow_to_first(BIG, BIG), surfaces(drawn)
    places = pixel_grid(BIG, BIG) + flow[:, :, :2].movedim(2, -1).flatten(0, 1)
    first = clip[:, :1].expand_as(clip).flatten(0, 1)
    came_from = look_up(label[:, :1].expand_as(label).flatten(0, 1)[:, None], places)[:, 0]
    inside = (places.abs() < BIG / 2 - 2).all(-1)
    here, trusted = label.flatten(0, 1), flow[:, :, 2].flatten(0, 1) > 0
    error = (look_up(first, places) - clip.flatten(0, 1)).abs().amax(1)
    for surface in (0, 1):
        kept = (here == surface) & (came_from == surface) & inside
        assert kept.sum() > 1000 and trusted[kept].all()
        assert error[kept].mean() < 0.01 and error[kept].quantile(0.99) < 0.05
    uncovered = (here == 0) & (came_from == 1)
    assert not trusted[uncovered].any()
    if motion == "slide_left":
        assert uncovered.sum() > 100


# --- several subjects ------------------------------------------------------------------------------------------------


def test_masks_of_sprites_show_what_is_seen_of_each(pictures: Tensor) -> None:
    """Painted alone, each covers what is its own mask and what later ones hide of it."""
    drawn = scenes(sprites=(0.0, 0.2, 0.8))
    masks = drawn.sprite_masks(SIZE, SIZE)
    assert masks.shape == (8, 2, FRAMES, SIZE, SIZE)
    _, joint = drawn.render(pictures, SIZE, SIZE)
    alone = []
    for k in range(2):
        only = replace(drawn, present=drawn.present & (torch.arange(2) == k))
        alone.append(only.render(pictures, SIZE, SIZE)[1])
    torch.testing.assert_close(masks[:, 1], alone[1])
    torch.testing.assert_close(masks[:, 0], alone[0] * (1 - alone[1]))
    hard = (joint == 0) | (joint == 1)
    torch.testing.assert_close(masks.sum(1)[hard], joint[hard], rtol=0, atol=1e-5)


def test_others_move_their_own_way() -> None:
    drawn = scenes(24, moves=("still",), motions=("rise",), others=("still", "slide_left"), sprites=(0.0, 0.0, 1.0))
    first, second = ([apply_affine(invert_affine(p[:, f]), torch.zeros(1, 2)) for f in (0, -1)] for p in drawn.poses)
    shift = [(end - start).squeeze() for start, end in (first, second)]
    assert (shift[0][..., 1] < -1).all()
    still = shift[1].norm(dim=-1) < 1e-3
    left = (shift[1][..., 0] < -1) & (shift[1][..., 1].abs() < 1e-3)
    assert (still | left).all() and still.any() and left.any()


def test_an_unknown_motion_of_others_is_refused() -> None:
    with pytest.raises(MIVAError, match="'fly' is no subject motion"):
        scenes(others=("fly",))
