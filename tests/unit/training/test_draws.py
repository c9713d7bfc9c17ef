import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler

from miva_core.diffusion.noise_process import NoiseProcess
from miva_core.training.draws import EARLY, Draws, draw_timesteps, stratified

TABLE = NoiseProcess(DDIMScheduler())
FLOW = NoiseProcess(FlowMatchEulerDiscreteScheduler(shift=5.0))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("count", [1, 7, 50])
def test_each_stratum_gets_one_draw_timesteps(count: int) -> None:
    for seed in range(20):
        drawn = stratified(count, generator(seed)).sort().values
        for k, u in enumerate(drawn.tolist()):
            assert k / count <= u <= (k + 1) / count


def test_any_place_in_the_batch_meets_early_and_late_steps_alike() -> None:
    drawn = torch.stack([stratified(8, generator(seed)) for seed in range(400)])
    torch.testing.assert_close(drawn.mean(0), torch.full((8,), 0.5), rtol=0, atol=0.06)


@pytest.mark.parametrize("process", [TABLE, FLOW])
def test_the_noisier_steps_are_noisier_and_the_power_prefers_noise(process: NoiseProcess) -> None:
    draws = draw_timesteps(4000, process, generator(), power=0.5, rolled_out=0.3, truth=0.8)
    assert (draws.noisier >= draws.t).all() and (draws.noisier > draws.t).float().mean() > 0.95
    if process is TABLE:  # the mean of u^p over uniform u is 1 / (1 + p)
        assert draws.t.float().mean().item() == pytest.approx(1000 / 1.5, rel=0.01)
    assert draws.rolled_out.float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert draws.truth.float().mean().item() == pytest.approx(0.8, abs=0.03)


BOUNDARY = 0.875


def experts(seed: int) -> list[Draws]:
    """Draws for the part of the timesteps below the boundary, and for that above it."""
    parts = (0.0, BOUNDARY), (BOUNDARY, 1.0)
    numbers = {"power": 1.0, "rolled_out": 0.5, "truth": 0.5}
    return [draw_timesteps(4000, FLOW, generator(seed), **numbers, levels=part) for part in parts]


def test_an_expert_meets_its_own_timesteps_and_all_of_them() -> None:
    low, high = experts(0)
    for steps in (low.t, low.noisier):
        assert steps.min() >= 0 and steps.max() <= 875.001
    for steps in (high.t, high.noisier):
        assert steps.min() >= 874.999 and steps.max() <= 1000
    assert low.t.min() < 5 and low.t.max() > 874 and high.t.min() < 875.1 and high.t.max() > 999
    assert (low.noisier >= low.t).all() and (high.noisier >= high.t).all()


def test_both_experts_together_meet_what_one_model_would() -> None:
    """Each in the density that the shifted schedule has there: 7 / 12 of a schedule shifted by 5 lies below 0.875."""
    whole = draw_timesteps(12_000, FLOW, generator(), power=1.0, rolled_out=0.0, truth=0.0).t
    below = (whole < 1000 * BOUNDARY).sum().item()
    assert below == pytest.approx(12_000 * 7 / 12, abs=1)
    for expert, part in zip(experts(1), (whole[whole < 875], whole[whole >= 875]), strict=True):
        quantiles = torch.linspace(0.01, 0.99, 30)
        torch.testing.assert_close(expert.t.quantile(quantiles), part.quantile(quantiles), rtol=5e-3, atol=1.0)


def test_half_of_the_early_clips_go_unguided_and_no_other() -> None:
    draws = draw_timesteps(4000, TABLE, generator(), power=1.0, rolled_out=0.0, truth=1.0)
    for steps, unguided in zip((draws.noisier, draws.t), draws.unguided, strict=True):
        early = steps >= 1000 * EARLY
        assert not unguided[~early].any()
        assert unguided[early].float().mean().item() == pytest.approx(0.5, abs=0.07)


def test_the_same_seed_draws_the_same() -> None:
    first, second, other = (
        draw_timesteps(5, TABLE, generator(seed), power=1.0, rolled_out=0.5, truth=0.5) for seed in (3, 3, 4)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first.t, other.t)
