from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn

from miva_core.bases.model_predictor import ModelPredictor
from miva_core.clips.optical_flow import FLOW_WEIGHT
from miva_core.diffusion.noise_process import NoiseProcess
from miva_core.training.denoiser import Denoiser, NoisedClips
from miva_core.training.draws import Draws
from miva_core.training.loss import clip_losses, place_weights, rolled_out_losses

CLIPS, CHANNELS, FRAMES, SIDE = 3, 2, 4, 5


class Stub(nn.Module):
    """A denoiser that depends on all it is given, and keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.7).double())
        self.first_frame_extra = 0.0

    def forward(self, frames: Tensor, t: Tensor, encoder_hidden_states: Tensor) -> SimpleNamespace:
        text = encoder_hidden_states
        self.arguments = frames, t, text
        # As a video U-Net does, the text of frame f of clip b is row b F + f.
        spoken = text.mean((1, 2)).view(frames.shape[0], 1, frames.shape[2], 1, 1)
        sample = self.gain * frames + spoken - t.view(-1, 1, 1, 1, 1) / 1000
        sample = torch.cat([sample[:, :, :1] + self.first_frame_extra, sample[:, :, 1:]], dim=2)
        self.sample = sample
        if sample.requires_grad:
            sample.retain_grad()
        return SimpleNamespace(sample=sample)


ALPHAS = torch.linspace(0.999, 0.0, 1000).double()


def centred(model: nn.Module) -> Denoiser:
    """As the built-in base is noised: around the first frame, and the model answers the motion."""
    scheduler = DDIMScheduler(prediction_type="sample", clip_sample=False)
    scheduler.alphas_cumprod = ALPHAS
    return Denoiser(ModelPredictor(model), NoiseProcess(scheduler, centred=True))


def losses_of(model: Any, batch: dict[str, Tensor], **more: Tensor) -> Tensor:
    parts = {name: part for name, part in batch.items() if name != "t"}
    return clip_losses(centred(model), NoisedClips(**parts, **more), batch["t"])


def rolled_out_of(model: Any, batch: dict[str, Tensor], noisier: Tensor, rolled_out: Tensor) -> Tensor:
    parts = {name: part for name, part in batch.items() if name != "t"}
    nobody = torch.zeros(CLIPS).bool()
    draws = Draws(batch["t"], noisier, rolled_out, nobody, torch.stack([nobody, nobody]))
    return rolled_out_losses(centred(model), NoisedClips(**parts), draws)


@pytest.fixture
def batch() -> dict[str, Tensor]:
    shape = (CLIPS, CHANNELS, FRAMES, SIDE, SIDE)
    return {
        "text": torch.randn(CLIPS, 2, 6).double(),
        "latents": torch.randn(shape).double(),
        "noise": torch.randn(shape).double(),
        "t": torch.tensor([0, 417, 999]),
    }


def test_places_count_more_where_the_subject_is_or_was() -> None:
    masks = torch.rand(2, 3, 6, 4)
    weights = place_weights(masks, 6.0)
    for b, f, y, x in product(range(2), range(3), range(6), range(4)):
        covered = max(masks[b, f, y, x].item(), masks[b, 0, y, x].item())
        assert weights[b, f, y, x].item() == pytest.approx(1 + 6 * covered)


def test_places_weigh_their_errors(batch: dict[str, Tensor]) -> None:
    """A weight that is zero but for one place leaves that place's share of the error."""
    plain = losses_of(Stub(), batch)
    shares = []
    for f, y, x in product(range(1, FRAMES), range(SIDE), range(SIDE)):
        weights = torch.zeros(CLIPS, FRAMES, SIDE, SIDE)
        weights[:, f, y, x] = 1
        shares.append(losses_of(Stub(), batch, weights=weights))
    torch.testing.assert_close(sum(shares), plain)
    assert not torch.allclose(shares[0], shares[1])
    ones = torch.ones(CLIPS, FRAMES, SIDE, SIDE)
    torch.testing.assert_close(losses_of(Stub(), batch, weights=3 * ones), 3 * plain)


class Flowing(Stub):
    """Also answers a flow of one pixel to the right everywhere, two pixels a latent place."""

    def forward(self, frames: Tensor, t: Tensor, encoder_hidden_states: Tensor) -> SimpleNamespace:
        flow = torch.zeros(*frames[:, 0].shape[:2], 2, 2 * SIDE, 2 * SIDE).double()
        flow[:, :, 0] = 1
        return SimpleNamespace(sample=super().forward(frames, t, encoder_hidden_states).sample, flow=flow)


def test_where_the_flow_is_known_its_error_is_added(batch: dict[str, Tensor]) -> None:
    """Clip 1 is known to move by 1 and 2 pixels, off by 0 and 2; a quarter of clip 2 by 4 and 0; of clip 3 nothing."""
    flow = torch.zeros(CLIPS, FRAMES, 3, 2 * SIDE, 2 * SIDE).double()
    flow[0, :, 0], flow[0, :, 1], flow[0, :, 2] = 1, 2, 1
    flow[1, :, 0] = 4
    flow[1, :, 2, :SIDE, :SIDE] = 1
    model = Flowing()
    weights = 2 * torch.ones(CLIPS, FRAMES, SIDE, SIDE)
    added = losses_of(model, batch, weights=weights, flow=flow) - losses_of(model, batch, weights=weights)
    torch.testing.assert_close(added, FLOW_WEIGHT * torch.tensor([2.0, 0.75, 0.0]).double())


def test_only_the_chosen_clips_are_rolled_out(batch: dict[str, Tensor]) -> None:
    chosen = torch.tensor([False, True, False])
    losses = rolled_out_of(Stub(), batch, torch.tensor([500, 800, 999]), chosen)
    plain = losses_of(Stub(), batch)
    torch.testing.assert_close(losses[[0, 2]], plain[[0, 2]])
    assert not torch.allclose(losses[1], plain[1])


def test_the_loss_is_the_error_of_the_velocity_frame_by_frame(batch: dict[str, Tensor]) -> None:
    """x_t = a y + s e and v = a e - s y give y = a x_t - s v: the error of y over s is the error of v."""
    losses = losses_of(Stub(), batch)
    assert losses.shape == (CLIPS,)
    for b in (1, 2):
        t = int(batch["t"][b])
        alpha, sigma = ALPHAS[t] ** 0.5, (1 - ALPHAS[t]) ** 0.5
        errors = []
        for f in range(1, FRAMES):
            picture, clean, eps = batch["latents"][b, :, 0], batch["latents"][b, :, f], batch["noise"][b, :, f]
            noised = alpha * (clean - picture) + sigma * eps
            said = 0.7 * (picture + noised) + batch["text"][b].mean() - t / 1000
            velocity = (alpha * noised - said) / sigma
            errors.append(((velocity - (alpha * eps - sigma * (clean - picture))) ** 2).mean())
        # The model's answer is compared in float32.
        torch.testing.assert_close(losses[b], sum(errors) / len(errors), rtol=1e-5, atol=1e-6)


def test_almost_clean_steps_weigh_no_more_than_ten(batch: dict[str, Tensor]) -> None:
    batch["t"][:] = 0  # sigma^2 is 0.001 there
    wrong = torch.full_like(batch["latents"], 0.5)
    motion = batch["latents"] - batch["latents"][:, :, :1]
    losses = losses_of(lambda *_, **__: SimpleNamespace(sample=motion + wrong), batch)
    torch.testing.assert_close(losses, torch.full_like(losses, 10 * 0.25))


def test_the_model_is_given_the_clean_first_frame_and_the_text_of_its_clip(batch: dict[str, Tensor]) -> None:
    model = Stub()
    losses_of(model, batch)
    frames, t, text = model.arguments
    assert torch.equal(frames[:, :, 0], batch["latents"][:, :, 0]) and torch.equal(t, batch["t"])
    for b in range(CLIPS):
        for f in range(FRAMES):
            assert torch.equal(text[b * FRAMES + f], batch["text"][b])


def test_the_first_frame_does_not_count(batch: dict[str, Tensor]) -> None:
    model = Stub()
    losses = losses_of(model, batch)
    losses.sum().backward()
    assert not model.sample.grad[:, :, 0].any() and model.sample.grad[:, :, 1:].all()
    model.first_frame_extra = 1e3
    assert torch.equal(losses_of(model, batch), losses)
    batch["noise"][:, :, 0] += 1e3
    assert torch.equal(losses_of(model, batch), losses)


def test_a_model_that_knows_the_motion_has_no_loss(batch: dict[str, Tensor]) -> None:
    motion = batch["latents"] - batch["latents"][:, :, :1]
    losses = losses_of(lambda *_, **__: SimpleNamespace(sample=motion), batch)
    assert losses.max().item() < 1e-12


class Biased(nn.Module):
    """Answers the true motion and a little more, and keeps what it is given."""

    def __init__(self, motion: Tensor, extra: float) -> None:
        super().__init__()
        self.motion, self.extra, self.calls = motion, extra, []

    def forward(self, frames: Tensor, t: Tensor, encoder_hidden_states: Tensor) -> SimpleNamespace:
        self.calls.append((frames, t))
        return SimpleNamespace(sample=self.motion + self.extra)


def test_a_rolled_out_clip_is_what_a_ddim_step_of_the_model_leaves(batch: dict[str, Tensor]) -> None:
    first, t = batch["latents"][:, :, :1], batch["t"]
    motion = batch["latents"] - first
    model = Biased(motion, 0.3)
    noisier = torch.tensor([300, 800, 999])
    losses = rolled_out_of(model, batch, noisier, torch.ones(CLIPS).bool())
    (_, first_t), (seen, seen_t) = model.calls
    assert torch.equal(seen_t, t) and torch.equal(first_t, noisier)
    for b in (1, 2):
        step = int(noisier[b] - t[b])
        scheduler = DDIMScheduler(prediction_type="sample", clip_sample=False, num_train_timesteps=max(1, step))
        scheduler.alphas_cumprod, scheduler.num_inference_steps = ALPHAS, 1
        start = scheduler.add_noise(motion[b], batch["noise"][b], noisier[b])
        left = scheduler.step(motion[b] + 0.3, int(noisier[b]), start).prev_sample if step else start
        torch.testing.assert_close(seen[b, :, 1:], (first[b] + left)[:, 1:], rtol=1e-5, atol=1e-5)
        assert torch.equal(seen[b, :, 0], first[b, :, 0])
    torch.testing.assert_close(losses[1:], torch.full_like(losses[1:], 0.09))  # weight 1


def test_without_a_share_nothing_is_rolled_out(batch: dict[str, Tensor]) -> None:
    losses = rolled_out_of(Stub(), batch, batch["t"], torch.zeros(CLIPS).bool())
    assert torch.equal(losses, losses_of(Stub(), batch))
