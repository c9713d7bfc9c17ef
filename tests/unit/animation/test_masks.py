"""What users give as masks: every mistake is one sentence, before anything is sampled."""

import warnings
from typing import Any, Literal

import pytest
import torch

from miva_core.adapters.config import MIVAConfig
from miva_core.animation.masks import check_masks, fit_masks, match_size
from miva_core.errors import MIVAError, MIVAWarning

CONFIGS = {"jump": MIVAConfig(mask=True), "pan": MIVAConfig(), "sway": MIVAConfig(mask=True)}
PICTURE = (12, 16)


def half() -> torch.Tensor:
    mask = torch.zeros(PICTURE)
    mask[:, 8:] = 1
    return mask


def fit(
    masks: Any, names: str = "jump pan", size: tuple[int, int] = (6, 8), how: Literal["crop", "pad"] = "crop"
) -> dict[str, torch.Tensor]:
    """Masks of a picture, as a run checks them and brings them to its size."""
    checked = check_masks(masks, {name: CONFIGS[name] for name in names.split()})
    return fit_masks({name: match_size(name, mask, PICTURE) for name, mask in checked.items()}, size, how)


def test_masks_are_cropped_and_scaled_like_the_picture() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = fit({"jump": half()}, size=(6, 6))["jump"]
    assert fitted.shape == (6, 6)
    assert fitted.dtype == torch.float32
    torch.testing.assert_close(fitted[:, 0], torch.zeros(6))  # the crop keeps columns 2 to 14
    torch.testing.assert_close(fitted[:, -1], torch.ones(6))
    assert fitted.mean().item() == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    "mask",
    [
        half()[None],
        half()[None, None],
        half()[None, ..., None],
        half()[..., None],
        half() > 0.5,
        half().long(),
        half().byte()[None],
        half().double(),
        half().half(),
        half() * 1.3 - 0.1,
    ],
    ids=lambda mask: f"{mask.dtype} {tuple(mask.shape)} {mask.max()}",
)
def test_other_forms_of_the_same_mask(mask: torch.Tensor) -> None:
    torch.testing.assert_close(fit({"jump": mask})["jump"], fit({"jump": half()})["jump"])


def test_no_masks_for_plain_adapters() -> None:
    assert fit({}, "pan") == {}


def test_another_size_is_told() -> None:
    large = half().repeat_interleave(3, 0).repeat_interleave(3, 1)
    with pytest.warns(MIVAWarning, match="jump was scaled from 48×36"):
        fitted = fit({"jump": large})["jump"]
    torch.testing.assert_close(fitted, fit({"jump": half()})["jump"], rtol=0, atol=0.05)


def test_an_empty_mask_is_the_whole_frame() -> None:
    with pytest.warns(MIVAWarning, match="jump is empty"):
        fitted = fit({"jump": torch.zeros(PICTURE)})["jump"]
    assert torch.equal(fitted, torch.ones(6, 8))


def test_a_dark_mask_is_the_whole_frame() -> None:
    with pytest.warns(MIVAWarning, match="nowhere brighter than half"):
        assert torch.equal(fit({"jump": half() * 0.4})["jump"], torch.ones(6, 8))


def test_a_subject_that_is_cropped_away_is_told() -> None:
    mask = torch.zeros(PICTURE)
    mask[:, 0] = 1
    with pytest.warns(MIVAWarning, match="jump shows nothing .* 4×6"):
        fitted = fit({"jump": mask}, "jump", (6, 4))["jump"]
    assert torch.equal(fitted, torch.ones(6, 4))


def test_the_order_is_that_of_the_adapters() -> None:
    """Noise is drawn in it, and the last one lies on top."""
    assert list(fit({"sway": half(), "jump": half()}, "jump pan sway")) == ["jump", "sway"]


def test_padding_keeps_all_of_the_mask() -> None:
    mask = torch.zeros(PICTURE)
    mask[:, 0] = 1
    fitted = fit({"jump": mask}, "jump", (16, 16), "pad")["jump"]
    torch.testing.assert_close(fitted[:, 0], torch.ones(16))
    torch.testing.assert_close(fitted[:, 1:], torch.zeros(16, 15))


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"pan": half()}, "A mask is given for pan, but this adapter has no mask stream"),
        (
            {"jump": half()},
            r"No mask is given for sway: .* --mask sway=mask.png, or in Python Motion\(sway, mask=mask\).",
        ),
        ({}, "No mask is given for jump, sway: "),
        ({"jump": "a.png"}, r"The mask of jump is a str, expected a tensor \(H, W\) in \[0, 1\]."),
        ({"jump": half().repeat(4, 1, 1)}, "The mask of jump is a batch of 4, but there is one picture"),
        ({"jump": half()[..., None].repeat(1, 1, 3)}, r"The mask of jump has the shape \(12, 16, 3\), but masks"),
        ({"jump": half().repeat(2, 3, 1, 1)}, r"The mask of jump has the shape \(2, 3, 12, 16\), but masks"),
        ({"jump": half().long() * 7}, "The mask of jump has values from 0 to 7: scale them to 0 … 1."),
        ({"jump": half() * 1j}, "The mask of jump is a tensor of torch.complex64, expected a tensor"),
        ({"jump": torch.zeros(0, 4)}, r"The mask of jump is empty, its shape is \(0, 4\)"),
        ({"jump": torch.full(PICTURE, torch.nan)}, "The mask of jump holds NaN or infinite values: make another one."),
        ({"jump": half() * 255}, "The mask of jump has values from 0 to 255: scale them to 0 … 1."),
    ],
)
def test_mistakes(masks: Any, message: str) -> None:
    if not message.startswith("No mask"):
        masks = masks | {"sway": half()}
    with pytest.raises(MIVAError, match=message) as raised:
        fit(masks, "jump pan sway")
    assert "\n" not in str(raised.value)
