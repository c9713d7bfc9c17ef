import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler

from miva_core.diffusion.noise_process import NoiseProcess
from miva_core.training.draws import EARLY, draw_timesteps, stratified

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
