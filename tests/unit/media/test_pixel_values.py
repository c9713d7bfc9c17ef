"""Pictures, clips and masks from others: a little out of range they are clamped, in another range refused."""

import re

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from miva_core import RunOptions, animate, load_base
from miva_core.bases.base import Base
from miva_core.clips.frames import clip_from_frames
from miva_core.clips.training_clip import ClipSpec
from miva_core.errors import MIVAError
from miva_core.media.pictures import fit_picture
from miva_core.media.pixel_values import clamp_unit, frame_batch, mask_batch, to_bytes


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base("tiny")


def overshooting(side: int) -> Tensor:
    """(side, side, 3) as a bicubic upscaler leaves it: sharp stripes of red on blue, below 0 and above 1."""
    stripes = torch.zeros(1, 3, 24, 24)
    stripes[:, 0, :, ::6], stripes[:, 2, ::5] = 1, 1
    scaled = functional.interpolate(stripes, (side, side), mode="bicubic")[0].permute(1, 2, 0)
    assert scaled.min() < -0.05 and scaled.max() > 1.05
    return scaled


def test_the_worst_that_bicubic_scaling_does_is_taken() -> None:
    """A pixel between four of the other kind, at the phase where the kernel overshoots most in both directions."""
    pattern = torch.ones(1, 1, 4, 4)
    pattern[..., [0, 3], :] = 0
    pattern[..., [0, 3]] = 0
    pattern[..., [0, 0, 3, 3], [0, 3, 0, 3]] = 1
    high = functional.interpolate(pattern, (5, 5), mode="bicubic").max().item()
    low = 1 - high
    assert high > 1.4
    assert clamp_unit(torch.tensor([low, high]), "It").tolist() == [0, 1]


@pytest.mark.parametrize("side", [64, 80])
def test_a_clip_is_that_of_the_clamped_picture_whether_it_is_resized_or_not(base: Base, side: int) -> None:
    picture = overshooting(side)
    quick = {"steps": 1, "frames": 2}
    assert torch.equal(
        animate(base, picture, [], RunOptions(**quick)).frames,
        animate(base, picture.clamp(0, 1), [], RunOptions(**quick)).frames,
    )


@pytest.mark.parametrize("size", [(64, 64), (48, 48), (96, 64)])
@pytest.mark.parametrize("how", ["crop", "pad"])
def test_a_picture_is_clamped_before_it_is_fitted(size: tuple[int, int], how: str) -> None:
    picture = overshooting(64)
    assert torch.equal(fit_picture(picture, size, how)[0], fit_picture(picture.clamp(0, 1), size, how)[0])


@pytest.mark.parametrize("side", [64, 80])
def test_no_byte_of_a_connected_clip_wraps_around(side: int) -> None:
    picture = overshooting(side)
    clip = clip_from_frames("clip", picture.expand(4, -1, -1, -1), 8, ClipSpec((64, 64), 4, 8))
    expected = fit_picture(picture.clamp(0, 1), (64, 64))[0]
    assert (clip.frames.float() / 255 - expected.permute(2, 0, 1)).abs().max() <= 0.5 / 255 + 1e-6


def test_bytes_are_rounded_and_never_wrap() -> None:
    values = torch.tensor([-3.0, -0.01, 0.0, 0.499 / 255, 0.501 / 255, 1.0, 1.01, 300.0])
    assert to_bytes(values).tolist() == [0, 0, 0, 0, 1, 255, 255, 255]
    assert to_bytes(values).dtype == torch.uint8


def test_what_is_in_range_is_not_copied() -> None:
    values = torch.rand(4)
    assert clamp_unit(values, "It") is values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.0, 255.0], "It has values from 0 to 255: scale them to 0 … 1."),
        ([-1.0, 1.0], "It has values from -1 to 1: scale them to 0 … 1."),
        ([0.5, float("nan")], "It holds NaN or infinite values: make another one."),
        ([float("-inf"), 0.5], "It holds NaN or infinite values: make another one."),
    ],
)
def test_another_range_is_refused_at_every_door(values: list[float], message: str) -> None:
    picture = torch.tensor(values).repeat_interleave(32 * 64 * 3).view(64, 64, 3)
    doors = {
        "It": lambda: clamp_unit(picture, "It"),
        "The picture": lambda: fit_picture(picture, (64, 64)),
        "clip": lambda: clip_from_frames("clip", picture.expand(4, -1, -1, -1), 8, ClipSpec((64, 64), 4, 8)),
        "The frame": lambda: frame_batch(picture, "The frame"),
        "The mask": lambda: mask_batch(picture[..., 0], "The mask"),
    }
    for owner, door in doors.items():
        with pytest.raises(MIVAError, match=f"^{re.escape(message.replace('It', owner))}$"):
            door()


@pytest.mark.parametrize(
    ("shape", "plain"),
    [
        ((9, 10), (1, 9, 10)),
        ((3, 9, 10), (3, 9, 10)),
        ((1, 1, 9, 10), (1, 9, 10)),
        ((3, 1, 9, 10), (3, 9, 10)),
        ((3, 9, 10, 1), (3, 9, 10)),
        ((9, 10, 1), (1, 9, 10)),
        ((1, 3, 9, 10), (3, 9, 10)),
        ((1, 3, 1, 9, 10), (3, 9, 10)),
        ((1, 3, 9, 10, 1), (3, 9, 10)),
        ((1, 1, 1, 9, 10), (1, 9, 10)),
    ],
)
def test_masks_lose_dimensions_of_one(shape: tuple[int, ...], plain: tuple[int, ...]) -> None:
    values = torch.rand(shape)
    masks = mask_batch(values, "The mask")
    assert masks.shape == plain and torch.equal(masks.flatten(), values.flatten())


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.float64])
def test_labels_are_masks(dtype: torch.dtype) -> None:
    labels = torch.eye(9, 10)
    masks = mask_batch(labels.to(dtype), "The mask")
    assert masks.dtype == torch.float32 and torch.equal(masks[0], labels)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_floats_of_8_bits_are_masks_and_pictures(dtype: torch.dtype) -> None:
    """As half precision is; halves and wholes are exact in it."""
    values = torch.eye(9, 10) / 2
    assert torch.equal(mask_batch(values.to(dtype), "The mask")[0], values)
    assert torch.equal(frame_batch(values[None, ..., None].to(dtype), "It")[0, ..., 0], values)


def test_tensors_that_are_not_dense_are_told() -> None:
    sparse = torch.eye(9, 10).to_sparse()
    with pytest.raises(MIVAError, match=r"^The mask .*torch\.sparse_coo"):
        mask_batch(sparse, "The mask")
    with pytest.raises(MIVAError, match=r"^It .*torch\.sparse_coo"):
        frame_batch(torch.zeros(9, 10, 3).to_sparse(), "It")


def test_the_clips_of_a_batch_are_counted_without_dimensions_of_one() -> None:
    with pytest.raises(MIVAError, match=r"of shape \(1, 1, 2"):
        frame_batch(torch.zeros(1, 1, 2, 3, 8, 8, 3), "It")


@pytest.mark.parametrize(
    ("shape", "plain"),
    [
        ((9, 10, 3), (1, 9, 10, 3)),
        ((1, 5, 9, 10, 3), (5, 9, 10, 3)),
        ((5, 1, 9, 10, 4), (5, 9, 10, 4)),
        ((1, 1, 9, 10, 1), (1, 9, 10, 1)),
        ((2, 9, 10, 2), (2, 9, 10, 2)),
    ],
)
def test_pictures_lose_dimensions_of_one(shape: tuple[int, ...], plain: tuple[int, ...]) -> None:
    values = torch.rand(shape)
    frames = frame_batch(values, "The picture")
    assert frames.shape == plain and torch.equal(frames.flatten(), values.flatten())
