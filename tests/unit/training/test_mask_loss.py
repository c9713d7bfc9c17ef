"""Training of masked adapters: what guides, what is noised, and what counts."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn

from miva_core.bases.model_predictor import ModelPredictor
from miva_core.clips.optical_flow import FLOW_WEIGHT
from miva_core.diffusion.noise_process import NoiseProcess
from miva_core.errors import MIVAError
from miva_core.training.denoiser import Denoiser, NoisedClips
from miva_core.training.draws import Draws
from miva_core.training.loss import clip_losses
from miva_core.training.mask_loss import flow_within, ground_truth_share, masked_losses

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

    def forward(self, clips: Tensor, t: Tensor, encoder_hidden_states: Tensor) -> SimpleNamespace:
        self.calls.append((clips, t, encoder_hidden_states))
        return SimpleNamespace(sample=0.3 * clips)


@pytest.fixture
def batch() -> dict[str, Tensor]:
    return {
        "text": torch.randn(CLIPS, 2, 4),
        "latents": torch.randn(2 * CLIPS, CHANNELS, FRAMES, SIDE, SIDE),
        "noise": torch.randn(2 * CLIPS, CHANNELS, FRAMES, SIDE, SIDE),
        "t": torch.tensor([5, 40, 80]),
        "noisier": torch.tensor([50, 40, 99]),
        "masks": torch.rand(1, CLIPS, FRAMES, SIDE, SIDE),
        "weights": 1 + torch.rand(CLIPS, FRAMES, SIDE, SIDE),
    }


def read_out(latents: Tensor) -> Tensor:
    return latents.mean(1)


def denoise(model: nn.Module) -> Denoiser:
    scheduler = DDIMScheduler(num_train_timesteps=STEPS, prediction_type="sample", clip_sample=False)
    scheduler.alphas_cumprod = torch.linspace(0.99, 0.01, STEPS)
    return Denoiser(ModelPredictor(model), NoiseProcess(scheduler, centred=True))


NONE, ALL = torch.zeros(CLIPS).bool(), torch.ones(CLIPS).bool()


def noised(batch: dict[str, Tensor], flow: Tensor | None = None) -> NoisedClips:
    """Clips, and their mask sequences after them, which count at the same places."""
    text, weights = batch["text"].repeat(2, 1, 1), batch["weights"].repeat(2, 1, 1, 1)
    return NoisedClips(batch["latents"], batch["noise"], text, weights, flow)


def run(
    batch: dict[str, Tensor],
    truth: Tensor = ALL,
    rolled_out: Tensor = NONE,
    unguided: tuple[Tensor, Tensor] = (NONE, NONE),
    injection: Recorder | None = None,
    model: nn.Module | None = None,
    flow: Tensor | None = None,
) -> tuple[Tensor, Recorder, Model]:
    injection, model = injection or Recorder(), model or Model()
    draws = Draws(batch["t"], batch["noisier"], rolled_out, truth, torch.stack(unguided))
    losses = masked_losses(injection, denoise(model), noised(batch, flow), batch["masks"], draws, read_out)
    return losses, injection, model


def test_the_share_of_true_masks_falls_as_half_a_cosine() -> None:
    for step in (0, 1, 250, 500, 999, 1000):
        assert ground_truth_share(step, 1000) == pytest.approx(math.cos(math.pi * step / 2000) ** 2)


def test_both_streams_count_at_the_same_step(batch: dict[str, Tensor]) -> None:
    losses, injection, model = run(batch)
    assert injection.streams
    expected = clip_losses(denoise(Model()), noised(batch), batch["t"].repeat(2))
    torch.testing.assert_close(losses, expected)
    assert len(model.calls) == 2
    for clips, t, _ in model.calls:
        assert torch.equal(clips[:, :, 0], batch["latents"][:, :, 0])
        assert torch.equal(t[:CLIPS], t[CLIPS:])
    for (_, t, _), key in zip(model.calls, ("noisier", "t"), strict=True):
        assert torch.equal(t[:CLIPS], batch[key])


def test_masks_flow_as_their_subjects_do_and_are_not_asked_about_the_rest(batch: dict[str, Tensor]) -> None:
    """A model that answers no flow is off by 1 pixel where that is known: everywhere in clips, on subjects in masks."""

    class Still(Model):
        def forward(self, clips: Tensor, t: Tensor, encoder_hidden_states: Tensor) -> SimpleNamespace:
            output = super().forward(clips, t, encoder_hidden_states)
            return SimpleNamespace(sample=output.sample, flow=torch.zeros(2 * CLIPS, FRAMES, 2, 2 * SIDE, 2 * SIDE))

    batch["weights"] = torch.ones(CLIPS, FRAMES, SIDE, SIDE)
    flow = torch.ones(CLIPS, FRAMES, 3, 2 * SIDE, 2 * SIDE)
    both = torch.cat([flow, flow_within(flow, batch["masks"][0])])
    without, with_flow = (run(batch, model=Still(), flow=flow)[0] for flow in (None, both))
    subject = (batch["masks"][0, :, 1:] > 0.5).float().mean((1, 2, 3))
    torch.testing.assert_close(with_flow - without, FLOW_WEIGHT * torch.cat([torch.ones(CLIPS), subject]))


def test_the_first_frames_of_clip_and_mask_do_not_count(batch: dict[str, Tensor]) -> None:
    losses, *_ = run(batch)
    batch["weights"][:, 0] = 100.0
    torch.testing.assert_close(run(batch)[0], losses)


def test_true_masks_guide_both_times(batch: dict[str, Tensor]) -> None:
    _, injection, _ = run(batch)
    for guide in injection.guides:
        assert torch.equal(guide, batch["masks"][0])


def test_predicted_masks_guide_and_their_first_frame_is_the_given_one(batch: dict[str, Tensor]) -> None:
    _, injection, model = run(batch, truth=NONE)
    assert (injection.guides[0] == 1).all()  # what predicts them has not seen the true ones
    seen = model.calls[0][0][CLIPS:]
    predicted = batch["latents"][CLIPS:, :, :1] + 0.3 * seen
    torch.testing.assert_close(injection.guides[1][:, 1:], predicted.mean(1)[:, 1:])
    assert torch.equal(injection.guides[1][:, 0], batch["masks"][0, :, 0])
    assert not injection.guides[1].requires_grad


def test_a_clip_without_guidance_is_guided_by_ones(batch: dict[str, Tensor]) -> None:
    """A mask of ones guides nothing; so it is before the first prediction of a run."""
    first, second = torch.tensor([True, False, False]), torch.tensor([False, False, True])
    _, injection, _ = run(batch, unguided=(first, second))
    for guide, without in zip(injection.guides, (first, second), strict=True):
        assert (guide[without] == 1).all() and torch.equal(guide[~without], batch["masks"][0][~without])


def test_a_clip_and_its_mask_are_rolled_out_together(batch: dict[str, Tensor]) -> None:
    chosen = torch.tensor([True, False, True])
    _, _, plain = run(batch)
    _, _, model = run(batch, rolled_out=chosen)
    assert torch.equal(model.calls[0][0], plain.calls[0][0])
    different = [not torch.equal(a, b) for a, b in zip(model.calls[1][0], plain.calls[1][0], strict=True)]
    assert different == chosen.tolist() * 2


def test_plain_adapters_are_refused(batch: dict[str, Tensor]) -> None:
    injection = Recorder()
    injection.weights = {"jump": 1.0, "pan": 1.0}
    with pytest.raises(MIVAError, match="adapter without a mask stream"):
        run(batch, injection=injection)
