"""Pictures and clips that subjects are looked for in."""

import pytest
import torch

from miva_core.errors import MIVAError
from miva_core.subject_mask.images import check_images, to_planes


def test_what_is_transparent_becomes_grey() -> None:
    colour, alpha = torch.tensor([1.0, 0.0, 0.4]), torch.linspace(0, 1, 16)
    rgba = torch.cat([colour.expand(1, 8, 16, 3), alpha[None, None, :, None].expand(1, 8, 16, 1)], dim=-1)
    frames = check_images(rgba)
    for x in range(16):
        expected = [a * alpha[x].item() + 0.5 * (1 - alpha[x].item()) for a in (1.0, 0.0, 0.4)]
        assert frames[0, 3, x].tolist() == pytest.approx(expected, abs=1e-6)


def test_grey_pictures_get_three_channels() -> None:
    assert check_images(torch.rand(1, 9, 12, 1)).shape == (1, 9, 12, 3)
    assert check_images(torch.rand(2, 9, 12, 1).double()).dtype == torch.float32


def test_bytes_are_rounded() -> None:
    picture = torch.tensor([0.0, 0.499 / 255, 0.501 / 255, 1.0])[:, None, None].expand(4, 5, 3)
    assert to_planes(picture)[0, :, 0].tolist() == [0, 0, 1, 255]
    assert to_planes(picture).shape == (3, 4, 5)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            torch.rand(2, 64, 64, 5),
            "The image has the shape (2, 64, 64, 5): (frames, height, width, channels) is needed, with 1 to 4 "
            "channels.",
        ),
        (
            torch.zeros(1, 64, 64, 3, dtype=torch.uint8),
            "The image is a tensor of torch.uint8: give floats in [0, 1] of shape (frames, height, width, channels).",
        ),
        (
            torch.full((1, 16, 16, 3), 255.0),
            "The image has values from 255 to 255: scale them to 0 … 1.",
        ),
        (
            None,
            "The image is a NoneType: give floats in [0, 1] of shape (frames, height, width, channels).",
        ),
        (
            torch.rand(0, 64, 64, 3),
            "The image is empty, its shape is (0, 64, 64, 3): connect a picture.",
        ),
        (
            torch.rand(1, 4, 64, 3),
            "The image is 64×4: each side must have at least 8 pixels.",
        ),
        (
            torch.full((1, 16, 16, 3), torch.nan),
            "The image holds NaN or infinite values: make another one.",
        ),
    ],
)
def test_bad_images_are_told(images: object, message: str) -> None:
    with pytest.raises(MIVAError) as caught:
        check_images(images)
    assert str(caught.value) == message
