import math

import pytest
import torch
from diffusers import DDIMScheduler

from miva_core.diffusion.noise_share import noise_share


def test_where_noise_preserves_variance_it_is_the_share_of_timesteps() -> None:
    assert [noise_share(t, 1000, is_flow=False) for t in (999, 500, 0)] == pytest.approx([0.001, 0.5, 1.0])
    assert noise_share(25, 100, is_flow=False) == 0.75


def test_in_flow_matching_equal_noise_has_equal_shares() -> None:
    """At every timestep of DynamiCrafter's schedule, as diffusers makes it, for its fraction of noise."""
    schedule = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", rescale_betas_zero_snr=True
    )
    alpha = schedule.alphas_cumprod.double().sqrt()
    sigma = (1 - alpha**2).sqrt()
    for t in (20, 137, 500, 501, 800, 999):
        fraction = (sigma[t] / (alpha[t] + sigma[t])).item()
        assert noise_share(fraction * 30, 30, is_flow=True) == pytest.approx(1 - t / 1000, abs=2e-4)


def test_half_of_the_noise_is_gone_where_edg_switches() -> None:
    """At σ = 0.640, which is 0.738 of a schedule with shift 5."""
    assert noise_share(640, 1000, is_flow=True) == pytest.approx(0.5, abs=1e-3)
    left = 1 - 0.738
    shifted = 5 * left / (1 + 4 * left)
    assert noise_share(1000 * shifted, 1000, is_flow=True) == pytest.approx(0.5, abs=1e-3)


def test_it_grows_from_noise_to_clean() -> None:
    levels = torch.linspace(1, 0, 500).tolist()
    shares = [noise_share(level, 1, is_flow=True) for level in levels]
    assert shares == sorted(shares)
    assert math.isclose(shares[0], 0.001) and shares[-1] == 1
