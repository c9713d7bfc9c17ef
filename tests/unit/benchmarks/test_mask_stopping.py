import pytest
import torch

from benchmarks.mask_stopping import iou, stopped_masks
from miva_core import MIVAAdapter, Motion, RunOptions, animate, load_base
from miva_core.bases.tiny.spec import SHIPPED


def test_stopping_early_runs_fewer_masks() -> None:
    """At once when anything agrees well enough, never when nothing does."""
    base, mask, rows = load_base("tiny"), torch.zeros(64, 64), []
    mask[16:40, 8:32] = 1
    jump = Motion(MIVAAdapter.load(SHIPPED / "jump_masked.safetensors", base.backbone), mask=mask)
    base.model.register_forward_pre_hook(lambda module, args: rows.append(len(args[0])))
    for stop, expected in ((1.1, [2] * 8 + [1] * 2), (0.0, [2] * 2 + [1] * 8)):
        rows.clear()
        with stopped_masks(stop):
            clip = animate(base, torch.rand(64, 64, 3), [jump], RunOptions(steps=10, frames=2, render="latents"))
        assert rows == expected
        assert clip.masks["motion"].shape == (2, 64, 64)


def test_iou() -> None:
    a, b = torch.tensor([1.0, 1.0, 0.2, 0.0]), torch.tensor([0.6, 0.0, 0.9, 0.0])
    assert iou(a, b) == pytest.approx(1 / 3)
    assert iou(a * 0, b * 0) == 1.0
    assert iou(a, a) == 1.0
