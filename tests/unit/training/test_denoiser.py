"""Every kind of base: what it is shown, and what it should have answered."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor

from miva_core.bases.model_predictor import ModelPredictor
from miva_core.diffusion.noise_process import NoiseProcess
from miva_core.diffusion.predictor import Answer
from miva_core.training.denoiser import Denoiser, NoisedClips, bell
from miva_core.training.draws import Draws
from miva_core.training.loss import clip_losses, rolled_out_losses

B, C, F, SIDE = 2, 3, 4, 2
KINDS = ("sample", "epsilon", "v_prediction", "flow")


def scheduler_of(kind: str) -> object:
    if kind == "flow":
        return FlowMatchEulerDiscreteScheduler(shift=5.0)
    return DDIMScheduler(beta_schedule="scaled_linear", prediction_type=kind, clip_sample=False)


def steps_of(kind: str) -> Tensor:
    return torch.tensor([120.5, 871.25] if kind == "flow" else [120, 871])


def levels(kind: str, t: float) -> tuple[float, float]:
    if kind == "flow":
        return 1 - t / 1000, t / 1000
    betas = torch.linspace(0.0001**0.5, 0.02**0.5, 1000, dtype=torch.float64) ** 2
    kept = (1 - betas).cumprod(0)[int(t)].item()
    return math.sqrt(kept), math.sqrt(1 - kept)


def denoiser_of(model: Any, kind: str, centred: bool = False) -> Denoiser:
    return Denoiser(ModelPredictor(model), NoiseProcess(scheduler_of(kind), centred))


@pytest.fixture
def clips() -> NoisedClips:
    return NoisedClips(torch.randn(B, C, F, SIDE, SIDE), torch.randn(B, C, F, SIDE, SIDE))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("centred", [False, True])
def test_the_model_sees_a_clean_frame_and_noised_ones(kind: str, centred: bool, clips: NoisedClips) -> None:
    seen = []

    def model(frames: Tensor, t: Tensor, encoder_hidden_states: None) -> SimpleNamespace:
        seen.append((frames, t))
        return SimpleNamespace(sample=frames)

    t = steps_of(kind)
    denoiser_of(model, kind, centred).answer(clips, t)
    frames, steps = seen[0]
    assert torch.equal(steps, t)
    for b in range(B):
        alpha, sigma = levels(kind, t[b].item())
        assert torch.equal(frames[b, :, 0], clips.latents[b, :, 0])
        for f in range(1, F):
            clean, centre = clips.latents[b, :, f], clips.latents[b, :, 0] * centred
            expected = centre + alpha * (clean - centre) + sigma * clips.noise[b, :, f]
            torch.testing.assert_close(frames[b, :, f], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("centred", [False, True])
def test_a_model_that_knows_the_clip_has_no_loss_and_restores_it(kind: str, centred: bool, clips: NoisedClips) -> None:
    latents, noise, t = clips.latents, clips.noise, steps_of(kind)
    motion = latents - latents[:, :, :1] * centred
    answer = torch.empty_like(latents)
    for b in range(B):
        alpha, sigma = levels(kind, t[b].item())
        truth = {
            "sample": motion[b],
            "epsilon": noise[b],
            "v_prediction": alpha * noise[b] - sigma * motion[b],
            "flow": noise[b] - motion[b],
        }
        answer[b] = truth[kind]
    denoiser = denoiser_of(lambda *_, **__: SimpleNamespace(sample=answer), kind, centred)
    assert clip_losses(denoiser, clips, t).max().item() < 1e-8
    torch.testing.assert_close(denoiser.restored(Answer(answer), clips, t), motion, rtol=1e-3, atol=1e-3)


def test_noise_is_scored_evenly_and_flow_by_the_bell(clips: NoisedClips) -> None:
    for kind in ("epsilon", "flow"):
        t = steps_of(kind)
        target = clips.noise - (clips.latents if kind == "flow" else 0)
        denoiser = denoiser_of(lambda *_, answer=target + 0.5, **__: SimpleNamespace(sample=answer), kind)
        losses = clip_losses(denoiser, clips, t)
        weights = bell(t, denoiser.process) if kind == "flow" else torch.ones(B)
        torch.testing.assert_close(losses, 0.25 * weights.float(), rtol=1e-5, atol=1e-6)


def test_the_bell_is_nothing_at_pure_noise_and_one_on_average() -> None:
    """Published with Wan's training: its peak is about 2.08, in the middle."""
    process = NoiseProcess(FlowMatchEulerDiscreteScheduler(shift=5.0))
    assert bell(torch.tensor(1000.0), process).item() == pytest.approx(0, abs=1e-6)
    assert bell(process.scheduler.timesteps, process).mean().item() == pytest.approx(1, abs=1e-5)
    assert bell(torch.tensor(500.0), process).item() == pytest.approx(2.08, abs=0.01)


@pytest.mark.parametrize("kind", ["epsilon", "flow"])
def test_a_rolled_out_clip_lies_on_the_line_that_the_model_drew(kind: str, clips: NoisedClips) -> None:
    """A model that answers 0 as the noise (or flow) leaves x / alpha (or x) as its guess of the clip."""
    latents, noise, t = clips.latents, clips.noise, steps_of(kind)
    noisier = torch.tensor([500.0, 950.0]) if kind == "flow" else torch.tensor([500, 950])
    seen = []

    def model(frames: Tensor, t: Tensor, encoder_hidden_states: None) -> SimpleNamespace:
        seen.append(frames)
        return SimpleNamespace(sample=torch.zeros_like(frames))

    everybody = torch.ones(B).bool()
    draws = Draws(t, noisier, everybody, everybody, torch.stack([everybody, everybody]))
    rolled_out_losses(denoiser_of(model, kind), clips, draws)
    for b in range(B):
        (alpha, _), (noisier_alpha, noisier_sigma) = (levels(kind, x[b].item()) for x in (t, noisier))
        start = noisier_alpha * latents[b, :, 1:] + noisier_sigma * noise[b, :, 1:]
        expected = start if kind == "flow" else alpha / noisier_alpha * start
        torch.testing.assert_close(seen[1][b, :, 1:], expected, rtol=1e-3, atol=1e-3)


def test_words_are_repeated_for_frames_only_where_the_model_wants_it(clips: NoisedClips) -> None:
    seen = []

    def model(frames: Tensor, t: Tensor, encoder_hidden_states: Tensor) -> SimpleNamespace:
        seen.append((frames.dtype, encoder_hidden_states))
        return SimpleNamespace(sample=frames)

    text = torch.randn(B, 1, 5)
    for per_frame in (True, False):
        predictor = ModelPredictor(model, None, per_frame, torch.bfloat16)
        denoiser = Denoiser(predictor, NoiseProcess(scheduler_of("epsilon")))
        answer = denoiser.answer(replace(clips, text=text), steps_of("epsilon"))
        assert answer.output.dtype == torch.float32
    assert [dtype for dtype, _ in seen] == [torch.bfloat16] * 2
    half = text.bfloat16()  # a text in float32 would meet weights of another kind
    assert torch.equal(seen[0][1], torch.cat([half[:1]] * F + [half[1:]] * F)) and torch.equal(seen[1][1], half)
