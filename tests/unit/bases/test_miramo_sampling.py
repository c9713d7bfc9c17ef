"""Motion residuals of MiraMo: what is noised, learnt and sampled, against loops written from its formulas."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from diffusers.training_utils import compute_density_for_timestep_sampling
from small_bases import HalfCodec
from small_miramo import moving_miramo
from torch import Tensor

from miva_core.bases.miramo.predictor import MiraMoPredictor
from miva_core.bases.miramo.sampling import flow_dpm, residual_process, sample_clip
from miva_core.bases.miramo.transformer import MiraMoTransformer
from miva_core.diffusion.classifier_free import ClassifierFree
from miva_core.diffusion.init_noise import dct_init, low_pass_box
from miva_core.diffusion.noise_process import NoiseProcess
from miva_core.diffusion.predictor import Answer
from miva_core.training.denoiser import Denoiser, NoisedClips
from miva_core.training.draws import draw_timesteps
from miva_core.training.loss import clip_losses

# diffusers' schedulers and numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

FRAMES, STEPS, SCALE = 4, 4, 3.0
DEGREE = torch.tensor([15.0])
CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture
def model() -> MiraMoTransformer:
    torch.manual_seed(0)
    return moving_miramo()


@pytest.fixture
def texts() -> tuple[Tensor, Tensor]:
    """A text and an empty one, of five words."""
    text, empty = torch.randn(2, 1, 5, 12, generator=torch.Generator().manual_seed(1))
    return text, empty


@pytest.fixture
def picture() -> Tensor:
    """The latent (1, 4, 1, 8, 8) of a picture of 16 x 16."""
    pixels = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1
    return HalfCodec(1).encode(pixels)[:, :, None]


def test_residuals_are_frames_whose_noise_is_centred_on_the_first() -> None:
    """z^1 + r_t = (1 - t) z + t (z^1 + eps), and eps - r = (z^1 + eps) - z."""
    process, (z, noise) = NoiseProcess(flow_dpm(), centred=True), torch.randn(2, 3, 4, FRAMES, 8, 8).double()
    z1, t = z[:, :, :1], torch.tensor([0.0, 371.0, 1000.0])
    share = (t / 1000).double().view(3, 1, 1, 1, 1)
    shown = process.noised(process.relative(z), noise, t) + process.centre(z1)
    torch.testing.assert_close(shown, (1 - share) * z + share * (z1 + noise), rtol=0, atol=1e-12)
    target = process.target(process.relative(z), noise, t)
    torch.testing.assert_close(target, z1 + noise - z, rtol=0, atol=1e-12)
    restored = process.clean(target, process.noised(process.relative(z), noise, t), t)
    torch.testing.assert_close(restored, z - z1, rtol=0, atol=1e-12)


def test_steps_are_those_of_the_solver() -> None:
    """Steps of a training are shifted as those of a run, whatever the scheduler calls it."""
    process = NoiseProcess(flow_dpm())
    t = process.steps_at(torch.tensor([0.25, 0.5, 0.975]))
    torch.testing.assert_close(t, torch.tensor([500.0, 750.0, 991.525]), rtol=1e-5, atol=0)
    assert process.share_at(t[1].item()) == pytest.approx(0.5)


def test_training_draws_steps_as_diffusers_does() -> None:
    torch.manual_seed(0)
    theirs = compute_density_for_timestep_sampling("logit_normal", 400_000, logit_mean=0.0, logit_std=1.0)
    theirs = 1000 * 3 * theirs / (1 + 2 * theirs)
    draws = draw_timesteps(40_000, residual_process(), torch.Generator(), power=1.0, rolled_out=0.0, truth=0.0)
    quantiles = torch.linspace(0.02, 0.98, 33)
    torch.testing.assert_close(draws.t.quantile(quantiles), theirs.quantile(quantiles), rtol=0, atol=3)


def test_training_asks_for_the_velocity_of_later_frames(model: MiraMoTransformer, texts: tuple[Tensor, Tensor]) -> None:
    model.requires_grad_(True)
    z, noise = torch.randn(2, 2, 4, FRAMES, 8, 8)
    process, t = residual_process(), torch.tensor([400.0, 900.0])
    predictor = MiraMoPredictor(model, texts[0], degree=DEGREE)
    losses = clip_losses(Denoiser(predictor, process), NoisedClips(z, noise), t)
    for i, share in enumerate((0.4, 0.9)):
        first, residuals = z[i, :, :1], z[i, :, 1:] - z[i, :, :1]
        shown = torch.cat([first, first + (1 - share) * residuals + share * noise[i, :, 1:]], dim=1)
        velocity = model(shown[None], t[i : i + 1], texts[0], degree=DEGREE).sample[0, :, 1:]
        error = (velocity - (noise[i, :, 1:] - residuals)).square().mean()
        torch.testing.assert_close(losses[i], error, rtol=1e-4, atol=0)
    losses.sum().backward()
    assert model.transformer_blocks[0].attn3d.to_q.weight.grad.abs().sum() > 0


# --- sampling --------------------------------------------------------------------------------------------------------


def slow_clip(model: MiraMoTransformer, x1: Tensor, noise: Tensor, texts: tuple[Tensor, Tensor], solver: str) -> Tensor:
    """Solves for the residuals alone: CFG, then Euler or DPM-Solver++ (2M, midpoint), by their formulas."""
    if solver == "dpm":
        shares = 1 - torch.linspace(1, 1 / 1000, STEPS + 1).double().flip(0)[:-1]
    else:
        shares = torch.linspace(1, 3 / 1000 / (1 + 2 / 1000), STEPS).double()
    levels = [*(3 * shares / (1 + 2 * shares)).tolist(), 0.0]
    r, before, last_h = noise, None, 0.0
    for i, sigma in enumerate(levels[:-1]):
        t = torch.tensor([float(int(1000 * sigma)) if solver == "dpm" else 1000 * sigma])
        shown = torch.cat([x1, x1 + r], dim=2)
        said, empty = (model(shown, t, text, degree=DEGREE).sample[:, :, 1:] for text in texts)
        velocity, following = empty + SCALE * (said - empty), levels[i + 1]
        clean = r - sigma * velocity
        if solver == "euler" or following == 0:
            r = r + (following - sigma) * velocity
            continue
        h = torch.tensor((1 - following) / following).log() - torch.tensor((1 - sigma) / sigma).log()
        slope = 0.0 if before is None else (clean - before) * h / last_h / 2
        r = following / sigma * r - (1 - following) * torch.expm1(-h) * (clean + slope)
        before, last_h = clean, h
    return torch.cat([x1, x1 + r], dim=2)


@pytest.mark.parametrize("solver", ["euler", "dpm"])
def test_a_clip_is_that_of_the_formulas(
    model: MiraMoTransformer, texts: tuple[Tensor, Tensor], picture: Tensor, solver: str
) -> None:
    said = MiraMoPredictor(model, texts[0], degree=DEGREE)
    guided = ClassifierFree(replace(said, text=texts[1]), said, SCALE)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0) if solver == "euler" else flow_dpm()
    clip = sample_clip(
        guided, picture, FRAMES, torch.Generator().manual_seed(5), scheduler=scheduler, steps=STEPS, picture=0.2
    )
    noise = torch.randn(1, 4, FRAMES, 8, 8, generator=torch.Generator().manual_seed(5))
    noise = dct_init(picture, noise, strength=0.2, sigma=0.8)[:, :, 1:]
    torch.testing.assert_close(clip, slow_clip(model, picture, noise, texts, solver), rtol=0, atol=2e-4)
    assert torch.equal(clip[:, :, :1], picture)


SOLVERS: dict[str, Callable] = {
    "flow-dpm": flow_dpm,
    "euler": lambda: FlowMatchEulerDiscreteScheduler(shift=3.0),
    "unipc": lambda: UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
}


@pytest.mark.parametrize("solver", SOLVERS)
def test_any_solver_finds_the_clip_of_an_oracle(picture: Tensor, solver: str) -> None:
    """Of the straight way from noise to a clip, whose velocity is that of one who knows it."""
    clip = torch.cat([picture, torch.randn(1, 4, FRAMES - 1, 8, 8)], dim=2)

    class Oracle:
        def predict(self, clips: Tensor, t: Tensor, step: int, /) -> Answer:
            sigma = schedule_sigmas[step]
            return Answer((clips - clip) / sigma)

    scheduler = SOLVERS[solver]()
    scheduler.set_timesteps(STEPS)
    schedule_sigmas = scheduler.sigmas
    found = sample_clip(Oracle(), picture, FRAMES, torch.Generator(), scheduler=SOLVERS[solver](), steps=STEPS)
    torch.testing.assert_close(found, clip, **CLOSE)
    assert torch.equal(found[:, :, :1], picture)


def test_guidance_extrapolates_all_that_is_answered() -> None:
    class Fixed:
        def __init__(self, value: float, flow: bool) -> None:
            self.value, self.flow = value, flow

        def predict(self, clips: Tensor, t: Tensor, step: int, /) -> Answer:
            return Answer(self.value * clips, torch.full((1, 2, 2, 4, 4), self.value) if self.flow else None)

    clips = torch.ones(1, 3, 2, 2, 2)
    answer = ClassifierFree(Fixed(1.0, True), Fixed(3.0, True), 2.5).predict(clips, torch.tensor(5), 0)
    assert answer.flow is not None and (answer.output == 6).all() and (answer.flow == 6).all()
    assert ClassifierFree(Fixed(1.0, False), Fixed(3.0, False), 2.5).predict(clips, torch.tensor(5), 0).flow is None


def test_both_branches_are_shown_the_picture_and_the_degree(model: MiraMoTransformer, picture: Tensor) -> None:
    seen = []
    model.register_forward_pre_hook(lambda module, args, told: seen.append((args[0], told)), with_kwargs=True)
    text, mask = torch.randn(1, 5, 12), torch.tensor([[1, 1, 1, 0, 0]])
    said = MiraMoPredictor(model, text, degree=DEGREE, text_mask=mask)
    sample_clip(
        ClassifierFree(replace(said, text=torch.zeros(1, 5, 12)), said, 2.0),
        picture.expand(2, -1, -1, -1, -1),
        FRAMES,
        torch.Generator(),
        steps=2,
    )
    assert len(seen) == 4
    for clips, told in seen:
        assert torch.equal(clips[:, :, :1], picture.expand(2, -1, -1, -1, -1))
        assert told["degree"].tolist() == [15.0, 15.0] and told["encoder_attention_mask"].shape == (2, 5)


def test_the_low_band_of_a_flow_has_less_noise(picture: Tensor) -> None:
    """eps + P((sigma - 1) eps + alpha x1), with P the band, made of the transform's basis one by one."""
    noise, alpha = torch.randn(1, 4, 3, 8, 8), 0.3
    made = dct_init(picture, noise, strength=alpha, cutoff=0.4, sigma=1 - alpha)
    k, i = torch.arange(8.0)[:, None], torch.arange(8.0)[None]
    waves = torch.cos(torch.pi * (2 * i + 1) * k / 16)
    waves = waves / waves.norm(dim=1, keepdim=True)
    expected = noise.clone()
    for y, x in low_pass_box(8, 8, 0.4).nonzero().tolist():
        basis = waves[y][:, None] * waves[x]
        change = alpha * picture - alpha * noise
        expected += (change * basis).sum((-2, -1), keepdim=True) * basis
    torch.testing.assert_close(made[:, :, 1:], expected[:, :, 1:], **CLOSE)
    assert torch.equal(made[:, :, :1], noise[:, :, :1])
