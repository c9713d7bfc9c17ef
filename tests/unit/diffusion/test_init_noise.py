import math

import pytest
import torch

from miva_core.diffusion.init_noise import (
    SD15_STRENGTH,
    NoiseInit,
    adain,
    dct2,
    dct_init,
    dct_matrix,
    idct2,
    low_pass_box,
    shared_noise,
)
from miva_core.errors import MIVAError

H, W = 9, 13


def gauss(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def cosine(n: int, frequency: int, position: int) -> float:
    """One entry of the orthonormal DCT-II by its definition."""
    scale = math.sqrt((1 if frequency == 0 else 2) / n)
    return scale * math.cos(math.pi * (2 * position + 1) * frequency / (2 * n))


def projector(h: int, w: int, cutoff: float, shape: str) -> torch.Tensor:
    """Sum of the outer products of the low 2-D cosine waves: an (hw, hw) matrix that knows nothing of transforms."""
    total = torch.zeros(h * w, h * w, dtype=torch.float64)
    for ky in range(int(cutoff * h)):
        for kx in range(int(cutoff * w)):
            if shape == "tri" and ky / h + kx / w >= cutoff:
                continue
            wave = torch.tensor(
                [cosine(h, ky, y) * cosine(w, kx, x) for y in range(h) for x in range(w)], dtype=torch.float64
            )
            total += torch.outer(wave, wave)
    return total


def test_the_dct_is_the_orthonormal_dct_2_of_its_definition():
    expected = torch.tensor([[cosine(W, k, x) for x in range(W)] for k in range(W)], dtype=torch.float64)
    torch.testing.assert_close(dct_matrix(W, torch.float64), expected)
    torch.testing.assert_close(dct_matrix(W, torch.float64) @ expected.T, torch.eye(W, dtype=torch.float64))


def test_the_2d_dct_keeps_energy_and_comes_back():
    x = gauss(2, 3, H, W)
    torch.testing.assert_close(dct2(x).square().sum(), x.square().sum())
    torch.testing.assert_close(idct2(dct2(x)), x)


@pytest.mark.parametrize("shape", ["rect", "tri"])
@pytest.mark.parametrize("cutoff", [0.0, 0.23, 0.5, 1.0])
def test_dct_init_is_the_closed_form(shape: str, cutoff: float):
    """eps' = eps + P (alpha x + (sigma - 1) eps), P the projector onto the low waves."""
    alpha = 0.6
    x1, noise = gauss(2, 3, 1, H, W), gauss(2, 3, 4, H, W, seed=1)
    made = dct_init(x1, noise, strength=alpha, cutoff=cutoff, shape=shape)
    shift = (alpha * x1 + (0.8 - 1) * noise).flatten(-2) @ projector(H, W, cutoff, shape)
    expected = noise + shift.unflatten(-1, (H, W))
    torch.testing.assert_close(made[:, :, 1:], expected[:, :, 1:])
    assert torch.equal(made[:, :, 0], noise[:, :, 0])


@pytest.mark.parametrize("low_band", ["own", "shared"])
def test_dct_init_is_algorithm_1_with_its_3d_dct(low_band: str):
    """The paper filters in (time, y, x) by a box that is constant along the temporal frequency."""
    frames, alpha = 5, SD15_STRENGTH
    x1, noise = gauss(1, 2, 1, H, W), gauss(1, 2, frames, H, W, seed=1)
    rest = noise[:, :, 1:]
    base = alpha * x1 + math.sqrt(1 - alpha**2) * (rest if low_band == "own" else noise[:, :, :1].expand_as(rest))

    def matrix(n: int) -> torch.Tensor:
        return torch.tensor([[cosine(n, k, x) for x in range(n)] for k in range(n)], dtype=torch.float64)

    time, rows, columns = matrix(frames - 1), matrix(H), matrix(W)
    box = torch.zeros(frames - 1, H, W, dtype=torch.float64)
    box[:, : int(0.23 * H), : int(0.23 * W)] = 1
    spectrum = box * torch.einsum("ft,ky,lx,bctyx->bcfkl", time, rows, columns, base)
    spectrum += (1 - box) * torch.einsum("ft,ky,lx,bctyx->bcfkl", time, rows, columns, rest)
    expected = torch.einsum("ft,ky,lx,bcfkl->bctyx", time, rows, columns, spectrum)

    made = dct_init(x1, noise, strength=alpha, low_band=low_band)
    torch.testing.assert_close(made[:, :, 1:], expected)


def test_strength_0_leaves_the_noise_and_strength_1_the_picture():
    x1, noise = gauss(1, 2, 1, H, W), gauss(1, 2, 3, H, W, seed=1)
    assert torch.equal(dct_init(x1, noise, strength=0), noise)
    made = dct_init(x1, noise, strength=1, cutoff=1.0)
    torch.testing.assert_close(made[:, :, 1:], x1.expand(-1, -1, 2, -1, -1))


def test_the_default_strength_is_that_of_stable_diffusion_at_t_975():
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    assert (1 - betas).cumprod(0)[975].sqrt().item() == pytest.approx(SD15_STRENGTH, abs=5e-5)


def test_the_box_counts_the_low_frequencies_of_the_released_settings():
    rect, tri = low_pass_box(40, 64, 0.23, "rect"), low_pass_box(40, 64, 0.23, "tri")
    assert rect.sum() == 9 * 14 and rect[:9, :14].all()
    assert tri[0, 0] and (tri & ~rect).sum() == 0 and 0 < tri.sum() < rect.sum()
    assert {tuple(p) for p in tri.nonzero().tolist()} == {
        (y, x) for y in range(9) for x in range(14) if y / 40 + x / 64 < 0.23
    }


def test_shared_noise_mixes_frame_1_into_the_rest_and_has_the_stated_moments():
    ratio, noise = 0.3, gauss(1, 4, 3, 64, 64)
    mixed = shared_noise(noise, ratio)
    assert torch.equal(mixed[:, :, 0], noise[:, :, 0])
    for i in (1, 2):
        torch.testing.assert_close(mixed[:, :, i], 0.3 * noise[:, :, 0] + 0.7 * noise[:, :, i])
    assert mixed[:, :, 1].var().item() == pytest.approx(0.3**2 + 0.7**2, abs=0.02)
    assert (mixed[:, :, 1] * mixed[:, :, 2]).mean().item() == pytest.approx(0.3**2, abs=0.02)
    assert torch.equal(shared_noise(noise, 0), noise)


def test_adain_gives_every_frame_the_statistics_of_frame_1():
    latents = gauss(2, 3, 4, 16, 16) * torch.linspace(0.5, 3, 4).view(1, 1, 4, 1, 1) + gauss(2, 3, 4, 1, 1, seed=1)
    made = adain(latents.float())
    assert torch.equal(made[:, :, 0], latents[:, :, 0].float())
    for i in range(1, 4):
        torch.testing.assert_close(made[:, :, i].mean((-2, -1)), made[:, :, 0].mean((-2, -1)), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(made[:, :, i].std((-2, -1)), made[:, :, 0].std((-2, -1)))
        together = torch.stack([made[0, 0, i].flatten(), latents[0, 0, i].flatten().float()])
        assert torch.corrcoef(together)[0, 1] > 0.99999


def test_adain_survives_flat_frames_and_keeps_the_dtype():
    flat = torch.zeros(1, 4, 3, 8, 8, dtype=torch.float16)
    made = adain(flat)
    assert made.dtype == torch.float16 and torch.equal(made, flat)


def test_start_latents_are_the_picture_and_then_the_same_noise_for_the_same_seed():
    x1 = gauss(1, 4, 1, 16, 24).half()
    made = NoiseInit().start_latents(x1, 5, torch.Generator().manual_seed(7))
    again = NoiseInit().start_latents(x1, 5, torch.Generator().manual_seed(7))
    other = NoiseInit().start_latents(x1, 5, torch.Generator().manual_seed(8))
    assert made.shape == (1, 4, 5, 16, 24) and made.dtype == torch.float16
    assert torch.equal(made[:, :, :1], x1) and torch.equal(made, again)
    assert (made[:, :, 1:] != other[:, :, 1:]).float().mean() > 0.99


def test_start_latents_apply_the_steps_in_order_and_each_can_be_switched_off():
    x1 = gauss(1, 4, 1, 16, 24).float()
    noise = torch.randn(1, 4, 5, 16, 24, generator=torch.Generator().manual_seed(7))

    def start(**options: object) -> torch.Tensor:
        return NoiseInit(**options).start_latents(x1, 5, torch.Generator().manual_seed(7))[:, :, 1:]

    mixed = shared_noise(noise, 0.05)
    assert torch.equal(start(shared_ratio=0, dct=False), noise[:, :, 1:])
    assert torch.equal(start(dct=False), mixed[:, :, 1:])
    assert torch.equal(start(), dct_init(x1, mixed, strength=SD15_STRENGTH)[:, :, 1:])
    shared = dct_init(x1, mixed, strength=0.5, cutoff=0.4, shape="tri", low_band="shared")
    assert torch.equal(start(strength=0.5, cutoff=0.4, shape="tri", low_band="shared"), shared[:, :, 1:])


@pytest.mark.parametrize("init", [NoiseInit(), NoiseInit(0.3, cutoff=0.5, low_band="shared"), NoiseInit(dct=False)])
def test_noise_drawn_elsewhere_gets_the_structure_of_start_latents(init: NoiseInit):
    x1 = gauss(2, 3, 1, H, W).float()
    drawn = torch.randn(2, 3, 5, H, W, generator=torch.Generator().manual_seed(7))
    made = init.structure(x1.half(), drawn.double())
    start = init.start_latents(x1.half(), 5, torch.Generator().manual_seed(7))
    assert made.dtype == torch.float64
    assert torch.equal(made[:, :, :1].float(), drawn[:, :, :1])
    assert torch.equal(made[:, :, 1:].half(), start[:, :, 1:])


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"shared_ratio": -0.1}, "shared_ratio"),
        ({"strength": 1.5}, "strength"),
        ({"strength": float("nan")}, "strength"),
        ({"cutoff": "wide"}, "cutoff"),
        ({"dct": "yes"}, "dct"),
        ({"shape": "disc"}, "shape"),
        ({"low_band": "none"}, "low_band"),
    ],
)
def test_options_out_of_range_are_refused_by_name(options: dict, name: str):
    with pytest.raises(MIVAError, match=rf"^{name} is .* must be"):
        NoiseInit(**options)


def test_wrong_shapes_are_refused():
    x1, noise, generator = torch.zeros(1, 4, 1, 8, 8), torch.zeros(1, 4, 3, 8, 9), torch.Generator()
    with pytest.raises(MIVAError, match="must agree"):
        dct_init(x1, noise, strength=0.5)
    with pytest.raises(MIVAError, match=r"\(B, C, 1, h, w\)"):
        NoiseInit().start_latents(noise, 4, generator)
    with pytest.raises(MIVAError, match="at least 1 frame"):
        NoiseInit().start_latents(x1, 0, generator)
    with pytest.raises(MIVAError, match=r"\(B, C, F, h, w\)"):
        shared_noise(torch.zeros(4, 8, 8))
    with pytest.raises(MIVAError, match="two pixels"):
        adain(torch.zeros(1, 4, 3, 1, 1))
