"""Filmed stills: the motion, its speed and easing, and the exact flow, against measured and slow ones."""

import math
from pathlib import Path

import pytest
import torch
from einops import rearrange
from flow_files import read_flow
from torch import Tensor

from miva_core.clips.camera import CAMERA_MOTIONS, affine_flow
from miva_core.clips.stills import read_stills
from miva_core.errors import MIVAError
from miva_core.filming.flow_files import write_flow
from miva_core.filming.motion_clips import film_still, film_stills
from miva_core.filming.shooting import Shooting
from miva_core.filming.still import Still
from miva_core.measure.metrics import clip_flow, expansion
from miva_core.media.video import write_png

SIZE = (48, 80)


def still(height: int = 200, width: int = 300) -> Tensor:
    """Smooth blobs, which flow can follow."""
    generator = torch.Generator().manual_seed(3)
    small = torch.rand(1, 3, height // 8, width // 8, generator=generator)
    large = torch.nn.functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)
    return rearrange(large, "1 c h w -> h w c")


def filmed(motion: str, **changes: object) -> tuple[Tensor, Tensor]:
    """Frames (F, H, W, 3) and their exact flow."""
    shooting = Shooting(motion, SIZE, 6, **changes)
    clip = film_still(Still("a", still()), shooting, torch.Generator().manual_seed(1))
    return rearrange(clip.frames, "f c h w -> f h w c"), between_neighbours(shooting)


def between_neighbours(shooting: Shooting) -> Tensor:
    """The exact forward flow (F-1, H, W, 2) of a camera."""
    return affine_flow(shooting.transforms()[None], *shooting.size)[0]


@pytest.mark.parametrize("motion", CAMERA_MOTIONS)
def test_what_is_seen_moves_as_the_flow_says(motion: str) -> None:
    frames, exact = filmed(motion)
    measured = clip_flow(frames)
    inside = (slice(None), slice(8, -8), slice(8, -8))
    torch.testing.assert_close(measured[inside].mean((0, 1, 2)), exact[inside].mean((0, 1, 2)), atol=0.12, rtol=0.1)
    assert (measured[inside] * exact[inside]).sum() > 0.8 * exact[inside].square().sum()


@pytest.mark.parametrize(
    ("motion", "direction"),
    [("pan-left", (1, 0)), ("pan-right", (-1, 0)), ("pan-up", (0, 1)), ("pan-down", (0, -1))],
)
def test_a_pan_of_unit_speed_covers_a_64th_of_the_width(motion: str, direction: tuple[int, int]) -> None:
    """Content moves against the camera."""
    for speed in (0.5, 1.0, 2.0):
        _, exact = filmed(motion, speed=speed)
        expected = torch.tensor(direction) * speed * SIZE[1] / 64
        torch.testing.assert_close(exact, expected.expand_as(exact), atol=1e-4, rtol=0)


def test_zooms_and_rolls_have_their_speed_and_side() -> None:
    assert expansion(filmed("zoom-in")[1]) == pytest.approx(math.exp(0.024) - 1, rel=1e-3)
    assert expansion(filmed("zoom-out")[1]) == pytest.approx(math.exp(-0.024) - 1, rel=1e-3)
    for motion, sign in (("roll-cw", -1), ("roll-ccw", 1)):
        _, exact = filmed(motion)
        # A camera that turns clockwise sees the top of the scene go left.
        top = exact[:, 0].mean((0, 1))[0].item()
        assert top == pytest.approx(sign * math.sin(math.radians(1.5)) * (SIZE[0] - 1) / 2, rel=1e-2)


@pytest.mark.parametrize("easing", ["ease-in", "ease-out", "ease-in-out"])
def test_easing_changes_the_pace_and_not_the_way(easing: str) -> None:
    speeds = filmed("pan-left", easing=easing)[1][:, 0, 0, 0]
    even = filmed("pan-left")[1][:, 0, 0, 0]
    assert speeds.sum().item() == pytest.approx(even.sum().item(), rel=1e-4)
    rising, falling = (speeds.diff() > 0).tolist(), (speeds.diff() < 0).tolist()
    expected = {
        "ease-in": ([1] * 4, [0] * 4),
        "ease-out": ([0] * 4, [1] * 4),
        "ease-in-out": ([1, 1, 0, 0], [0, 0, 1, 1]),
    }
    assert (rising, falling) == expected[easing]


def test_the_whole_way_lies_on_the_picture() -> None:
    """On a picture that is white at its rim nothing of the rim is seen, wherever the crop begins."""
    picture = torch.zeros(150, 260, 3)
    picture[[0, -1]] = 1
    picture[:, [0, -1]] = 1
    marked = torch.zeros(20)
    for seed in range(20):
        clip = film_still(Still("a", picture), Shooting("pan-right", SIZE, 16), torch.Generator().manual_seed(seed))
        # Reflected, the rim would be seen twice as a line inside; at the very edge half a pixel may be.
        marked[seed] = clip.frames[:, :, 2:-2, 2:-2].max()
    assert marked.max() < 0.1


def test_crops_differ_and_the_same_seed_films_the_same() -> None:
    shooting = Shooting("zoom-in", SIZE, 4)
    first, again = (list(film_stills([Still("a", still())], shooting, seed=0)) for _ in range(2))
    assert [name for name, _ in first] == [f"a_{k}" for k in range(1, 6)]
    assert all(torch.equal(a.frames, b.frames) for (_, a), (_, b) in zip(first, again, strict=True))
    starts = torch.stack([clip.frames[0] for _, clip in first])
    assert torch.pdist(starts.flatten(1)).min() > 1


def test_clips_of_a_still_are_spread_over_the_speeds() -> None:
    shooting = Shooting("pan-left", SIZE, 4, speed=0.8, paces=(0.5, 1.5))
    clips = [clip for _, clip in film_stills([Still("a", still()), Still("b", still())], shooting, seed=0)]
    for k, clip in enumerate(clips):
        assert 0.5 + 0.2 * (k % 5) <= clip.pace < 0.7 + 0.2 * (k % 5)
        assert -clip.flow[1, 0].mean().item() == pytest.approx(0.8 * clip.pace * SIZE[1] / 64, rel=1e-4)
    assert shooting.needed_side == shooting.at(1.5).needed_side > shooting.at(1.0).needed_side
    with pytest.raises(MIVAError, match=r"The speed is 8.0, expected a number above 0 and up to 6\.66667"):
        Shooting("pan-left", SIZE, 4, speed=8.0, paces=(0.5, 1.5))


def test_kept_flow_is_the_exact_one(tmp_path: Path) -> None:
    shooting = Shooting("roll-cw", SIZE, 5, speed=2.0)
    write_flow(film_still(Still("a", still()), shooting, torch.Generator().manual_seed(0)), tmp_path, "a")
    torch.testing.assert_close(read_flow(tmp_path / "a_flow.json"), between_neighbours(shooting), atol=1e-4, rtol=0)
    assert [path.name for path in tmp_path.iterdir()] == ["a_flow.json"]


def test_what_cannot_be_filmed_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(MIVAError, match=r"small \(20×20\)"):
        stills = [Still("good", still()), Still("small", torch.rand(20, 20, 3))]
        list(film_stills(stills, Shooting("pan-left", SIZE, 16), 0))
    with pytest.raises(MIVAError, match="'pan' is no motion; nearest are pan-up"):
        Shooting("pan", SIZE, 16)
    with pytest.raises(MIVAError, match="no easing"):
        Shooting("pan-left", SIZE, 16, easing="slow")
    for speed in (0.0, 11.0, math.nan):
        with pytest.raises(MIVAError, match="speed"):
            Shooting("pan-left", SIZE, 16, speed=speed)
    with pytest.raises(MIVAError, match="no folder"):
        read_stills(tmp_path / "none")
    with pytest.raises(MIVAError, match="no stills"):
        read_stills(tmp_path)
    write_png(torch.rand(9, 9, 3), tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xffbroken")
    (tmp_path / "c.png").write_bytes(b"")
    with pytest.raises(MIVAError, match=r"b\.jpg is not .*c\.png is empty"):
        read_stills(tmp_path)
