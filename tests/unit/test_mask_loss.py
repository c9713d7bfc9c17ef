"""Training of masked adapters: what guides, what is noised, and what counts."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from miva_core.errors import MIVAError
from miva_core.loss import clip_losses
from miva_core.mask_loss import UNGUIDED, ground_truth_share, masked_losses

CLIPS, CHANNELS, FRAMES, SIDE, STEPS = 3, 2, 3, 2, 100


class Recorder:
    """Stands for an injection."""

    masked = ("jump",)

    def __init__(self) -> None:
        self.streams, self.guides, self.weights = False, [], {"jump": 1.0}

    def set_mask_streams(self, present: bool) -> None:
        self.streams = present

    def set_masks(self, masks: dict[str, Tensor]) -> None:
        self.guides.append(masks["jump"])


class Model(nn.Module):
    """Answers a share of what it sees, and keeps that."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Any] = []

    def forward(self, clips: Tensor, t: Tensor, text: Tensor) -> SimpleNamespace:
        self.calls.append((clips, t, text))
        return SimpleNamespace(sample=0.3 * clips)


@pytest.fixture
def batch() -> dict[str, Tensor]:
    return {
        "text": torch.randn(CLIPS, 2, 4),
        "latents": torch.randn(2 * CLIPS, CHANNELS, FRAMES, SIDE, SIDE),
        "noise": torch.randn(2 * CLIPS, CHANNELS, FRAMES, SIDE, SIDE),
        "t": torch.tensor([5, 40, 80]),
        "alphas_cumprod": torch.linspace(0.99, 0.01, STEPS),
        "masks": torch.rand(1, CLIPS, FRAMES, SIDE, SIDE),
        "weights": 1 + torch.rand(CLIPS, FRAMES, SIDE, SIDE),
    }


def read_out(latents: Tensor) -> Tensor:
    return latents.mean(1)


def run(batch: dict[str, Tensor], truth: float, rolled_out: float) -> tuple[Tensor, Recorder, Model]:
    miva, model = Recorder(), Model()
    losses = masked_losses(miva, model, **batch, read_out=read_out, truth=truth, rolled_out=rolled_out)
    return losses, miva, model


def test_the_share_of_true_masks_falls_as_half_a_cosine() -> None:
    for step in (0, 1, 250, 500, 999, 1000):
        assert ground_truth_share(step, 1000) == pytest.approx(math.cos(math.pi * step / 2000) ** 2)


def test_both_streams_count_at_the_same_step(batch: dict[str, Tensor]) -> None:
    losses, miva, model = run(batch, truth=1.0, rolled_out=0.0)
    assert miva.streams
    expected = clip_losses(
        Model(),
        batch["text"].repeat(2, 1, 1),
        batch["latents"],
        batch["noise"],
        batch["t"].repeat(2),
        batch["alphas_cumprod"],
        batch["weights"].repeat(2, 1, 1, 1),
    )
    torch.testing.assert_close(losses, expected)
    assert len(model.calls) == 2
    for clips, t, _ in model.calls:
        assert torch.equal(clips[:, :, 0], batch["latents"][:, :, 0])
        assert torch.equal(t[:CLIPS], t[CLIPS:])
    assert (model.calls[0][1] >= model.calls[1][1]).all()


def test_the_first_frames_of_clip_and_mask_do_not_count(batch: dict[str, Tensor]) -> None:
    losses, *_ = run(batch, truth=1.0, rolled_out=0.0)
    batch["weights"][:, 0] = 100.0
    torch.testing.assert_close(run(batch, truth=1.0, rolled_out=0.0)[0], losses)


def test_true_masks_guide_below_the_unguided_steps(batch: dict[str, Tensor]) -> None:
    batch["t"][:] = torch.tensor([5, 40, 80])
    _, miva, _ = run(batch, truth=1.0, rolled_out=0.0)
    assert torch.equal(miva.guides[1], batch["masks"][0])
    later = miva.guides[0]
    for found, given in zip(later, batch["masks"][0], strict=True):
        assert torch.equal(found, given) or (found == 1).all()


def test_predicted_masks_guide_and_their_first_frame_is_the_given_one(batch: dict[str, Tensor]) -> None:
    _, miva, model = run(batch, truth=0.0, rolled_out=0.0)
    assert (miva.guides[0] == 1).all()  # what predicts them has not seen the true ones
    seen = model.calls[0][0][CLIPS:]
    predicted = batch["latents"][CLIPS:, :, :1] + 0.3 * seen
    torch.testing.assert_close(miva.guides[1][:, 1:], predicted.mean(1)[:, 1:])
    assert torch.equal(miva.guides[1][:, 0], batch["masks"][0, :, 0])
    assert not miva.guides[1].requires_grad


def test_half_of_the_clips_start_unguided(batch: dict[str, Tensor]) -> None:
    """A mask of ones guides nothing; so it is before the first prediction of a run."""
    batch["t"][:] = STEPS - 1
    assert batch["t"][0] > UNGUIDED * STEPS
    guides = torch.cat([run(batch, truth=1.0, rolled_out=0.0)[1].guides[1] for _ in range(100)])
    ones = (guides == 1).flatten(1).all(1)
    assert 0.4 < ones.float().mean() < 0.6
    assert torch.equal(guides[~ones], batch["masks"][0].repeat(100, 1, 1, 1)[~ones])


def test_a_clip_and_its_mask_are_rolled_out_together(batch: dict[str, Tensor]) -> None:
    torch.manual_seed(1)
    _, _, plain = run(batch, truth=1.0, rolled_out=0.0)
    changed = set()
    for seed in range(20):
        torch.manual_seed(seed)
        _, _, model = run(batch, truth=1.0, rolled_out=0.5)
        different = [not torch.equal(a, b) for a, b in zip(model.calls[1][0], plain.calls[1][0], strict=True)]
        assert different[:CLIPS] == different[CLIPS:]
        changed.add(tuple(different))
    assert len(changed) > 1


def test_plain_adapters_are_refused(batch: dict[str, Tensor]) -> None:
    miva = Recorder()
    miva.weights = {"jump": 1.0, "pan": 1.0}
    with pytest.raises(MIVAError, match="inject no adapter without a mask stream"):
        masked_losses(miva, Model(), **batch, read_out=read_out, truth=1.0, rolled_out=0.0)
