"""Masks of runs, read off the LATENTs of samplers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from comfyui_miva.miva_core.errors import MIVAError
from comfyui_miva.nodes.comfy_bridge.native.mask_record import MASKS, MaskRecord, SubjectMasks, masks_of
from torch import Tensor

from miva_core.animation.mask_sequences import enlarge


def subject(seed: int, frames: int = 3) -> SubjectMasks:
    generator = torch.Generator().manual_seed(seed)
    return SubjectMasks(torch.rand(16, 24, generator=generator), torch.rand(frames, 2, 3, generator=generator))


def clip(seed: int) -> Tensor:
    return torch.randn(1, 16, 3, 2, 3, generator=torch.Generator().manual_seed(seed))


def latent(record: MaskRecord, samples: Tensor) -> dict[str, Any]:
    return {MASKS: record, "samples": samples}


def test_masks_are_of_the_clips_size_and_length_and_show_all_subjects() -> None:
    record, subjects = MaskRecord(), [subject(1), subject(2)]
    record.fill(clip(0), subjects, frames=9)
    masks = masks_of(latent(record, clip(0)))
    assert masks.shape == (9, 16, 24) and masks.dtype == torch.float32
    assert torch.equal(masks[0], torch.maximum(subjects[0].first, subjects[1].first))
    for place, frames in ((1, slice(1, 5)), (2, slice(5, 9))):
        # the four frames of a latent frame have its mask
        assert (masks[frames] == masks[frames.start]).all()
        middle = torch.stack([one.masks[place] for one in subjects])
        assert middle.amax() >= masks[frames].amax() and middle.amin() <= masks[frames].amin()


def test_every_run_of_one_apply_has_its_own_masks() -> None:
    record = MaskRecord()
    for seed in range(3):
        record.fill(clip(seed), [subject(seed)], frames=3)
    for seed in range(3):
        expected = enlarge(subject(seed).masks, subject(seed).first, 3)
        assert torch.equal(masks_of(latent(record, clip(seed))), expected)


def test_latents_in_half_precision_are_still_known() -> None:
    """ComfyUI may be told to keep what nodes give in float16."""
    record = MaskRecord()
    record.fill(clip(0), [subject(1)], frames=3)
    assert masks_of(latent(record, clip(0).half())).any()


def test_two_applys_in_a_row_have_records_of_all_masks() -> None:
    first, second = MaskRecord(), MaskRecord()
    MaskRecord((first, second)).fill(clip(0), [subject(1), subject(2)], frames=3)
    assert torch.equal(masks_of(latent(first, clip(0))), masks_of(latent(second, clip(0))))


def test_old_runs_are_forgotten() -> None:
    record = MaskRecord()
    for seed in range(40):
        record.fill(clip(seed), [subject(seed)], frames=3)
    assert masks_of(latent(record, clip(39))).any()
    with pytest.raises(MIVAError, match="changed behind it"):
        masks_of(latent(record, clip(0)))


def moved(samples: Tensor) -> Tensor:
    return samples.roll(1, -1)


def nudged(samples: Tensor) -> Tensor:
    return samples * 1.01


def cut(samples: Tensor) -> Tensor:
    return samples[:, :, :2]


def reshaped(samples: Tensor) -> Tensor:
    return samples.view(1, 16, 3, 3, 2)


@pytest.mark.parametrize("change", [moved, nudged, cut, reshaped])
def test_changed_latents_have_no_masks(change: Callable[[Tensor], Tensor]) -> None:
    record = MaskRecord()
    record.fill(clip(0), [subject(1)], frames=3)
    with pytest.raises(MIVAError, match="not those that a sampler has made masks for"):
        masks_of(latent(record, change(clip(0))))


def test_what_was_not_sampled_has_no_masks() -> None:
    with pytest.raises(MIVAError, match="was not sampled yet"):
        masks_of(latent(MaskRecord(), torch.zeros(1, 16, 3, 2, 3)))
    with pytest.raises(MIVAError, match="comes from no masked motion"):
        masks_of({"samples": clip(0)})


def test_the_empty_latent_of_a_clip_that_was_sampled_has_no_masks() -> None:
    record = MaskRecord()
    record.fill(clip(0), [subject(1)], frames=3)
    with pytest.raises(MIVAError, match="was not sampled yet"):
        masks_of(latent(record, torch.zeros_like(clip(0))))
