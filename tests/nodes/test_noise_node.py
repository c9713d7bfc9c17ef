"""DCTInit Noise as one of ComfyUI's NOISE objects: what it draws is what section 3.3 says, computed anew here."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from comfyui_miva.miva_core.errors import MIVAError
from comfyui_miva.nodes import MIVADCTInitNoise
from fake_comfyui import FlatVae, NativeModel
from node_runs import run
from torch import Tensor

from miva_core.bases.base import Base
from miva_core.media.pictures import fit_picture


def dct(x: Tensor) -> np.ndarray:
    """The orthonormal 2-D DCT-II over the last two axes, by the FFT of the signal and its mirror image."""
    values = x.double().numpy()
    for axis in (-2, -1):
        n = values.shape[axis]
        both = np.concatenate([values, np.flip(values, axis)], axis)
        turned = np.moveaxis(np.fft.fft(both, axis=axis), axis, -1)[..., :n]
        found = (turned * np.exp(-0.5j * np.pi * np.arange(n) / n)).real / 2 * math.sqrt(2 / n)
        found[..., 0] /= math.sqrt(2)
        values = np.moveaxis(found, -1, axis)
    return values


def plain(shape: tuple[int, ...], seed: int, shared: float = 0.05) -> Tensor:
    """Normal noise (B, C, F, h, w) with the share of the first frame's in all later ones."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return torch.cat([noise[:, :, :1], shared * noise[:, :, :1] + (1 - shared) * noise[:, :, 1:]], dim=2)


LATENT = (1, 4, 5, 8, 12)
"""Of a clip of 5 frames of 96×64 pixels."""


def native(picture: Tensor, vae: FlatVae | None = None, **settings: Any) -> Any:
    return run(MIVADCTInitNoise, model=NativeModel(), image=picture, vae=vae or FlatVae(), **settings)[0]


@pytest.fixture
def picture() -> Tensor:
    return torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(3))


def prior(picture: Tensor) -> Tensor:
    """The picture's latent (1, 4, 1, 8, 12) as a sampler sees it."""
    return FlatVae().encode(picture)[:, :, None] * 2


@pytest.mark.parametrize(("shape", "low_band"), [("rect", "own"), ("rect", "shared"), ("tri", "own")])
def test_the_low_band_is_that_of_the_noised_picture(picture: Tensor, shape: str, low_band: str) -> None:
    settings = {"strength": 0.6, "cutoff": 0.4, "shape": shape, "low_band": low_band}
    noise = native(picture, noise_seed=11, **settings)
    assert noise.seed == 11
    made = noise.generate_noise({"samples": torch.zeros(LATENT)})
    assert made.shape == LATENT and made.dtype == torch.float32
    drawn = plain(LATENT, 11)
    of_noise = drawn[:, :, 1:] if low_band == "own" else drawn[:, :, :1].expand_as(drawn[:, :, 1:])
    base = 0.6 * prior(picture) + math.sqrt(1 - 0.6**2) * of_noise
    low = np.zeros((8, 12), bool)
    for y in range(3):  # of 8 and 12 frequencies 0.4 are 3 and 4 whole ones
        for x in range(4):
            low[y, x] = shape == "rect" or y / 8 + x / 12 < 0.4
    expected = np.where(low, dct(base), dct(drawn[:, :, 1:]))
    np.testing.assert_allclose(dct(made[:, :, 1:]), expected, atol=1e-5)
    assert np.abs(dct(made[:, :, 1:]) - dct(drawn[:, :, 1:]))[..., low].mean() > 0.1
    assert torch.equal(made[:, :, 0], drawn[:, :, 0])


def test_it_is_drawn_anew_alike(picture: Tensor) -> None:
    latent = {"samples": torch.zeros(LATENT)}
    noise = native(picture, noise_seed=5)
    first = noise.generate_noise(latent)
    torch.rand(7)  # what others draw in between does not count
    assert torch.equal(noise.generate_noise(latent), first)
    assert torch.equal(native(picture, noise_seed=5).generate_noise(latent), first)
    assert not torch.equal(native(picture, noise_seed=6).generate_noise(latent), first)
    assert not latent["samples"].any()


def test_without_dct_it_is_noise_that_frames_share(picture: Tensor) -> None:
    noise = native(picture, noise_seed=5, dct=False, shared_noise=0.3)
    assert torch.equal(noise.generate_noise({"samples": torch.zeros(LATENT)}), plain(LATENT, 5, 0.3))


def test_frames_may_be_the_batch(picture: Tensor) -> None:
    """The latents of AnimateDiff are (F, C, h, w) in ComfyUI."""
    noise = native(picture, noise_seed=5)
    frames = noise.generate_noise({"samples": torch.zeros(5, 4, 8, 12, dtype=torch.float16)})
    assert frames.shape == (5, 4, 8, 12) and frames.dtype == torch.float16
    clip = noise.generate_noise({"samples": torch.zeros(LATENT)})
    assert torch.equal(frames, clip[0].transpose(0, 1).half())


def test_several_clips_have_noise_of_their_own(picture: Tensor) -> None:
    noise = native(picture, noise_seed=5).generate_noise({"samples": torch.zeros(2, *LATENT[1:])})
    assert noise.shape == (2, *LATENT[1:])
    assert not torch.equal(noise[0], noise[1])


def test_the_picture_is_fitted_to_the_size_of_the_latent(picture: Tensor) -> None:
    for fit in ("crop", "pad"):
        vae = FlatVae()
        native(picture, vae, fit=fit).generate_noise({"samples": torch.zeros(1, 4, 5, 8, 8)})
        assert torch.equal(vae.seen[0], fit_picture(picture[0], (64, 64), fit)[0])


def test_the_built_in_base_has_noise_around_its_first_frame(model: Any, engine: Base, picture: Tensor) -> None:
    """Its noise is centred on the first frame, so that there is no picture in it; the band is only weaker."""
    shape = tuple(engine.encode(picture[0, :, 16:80]).shape)
    latent = {"samples": torch.zeros(1, shape[1], 5, *shape[-2:])}
    noise = run(MIVADCTInitNoise, model=model, image=picture, noise_seed=2, strength=0.6, cutoff=0.5)[0]
    made = noise.generate_noise(latent)
    drawn = plain(tuple(latent["samples"].shape), 2)
    low = np.zeros(shape[-2:], bool)
    low[: shape[-2] // 2, : shape[-1] // 2] = True
    expected = dct(drawn[:, :, 1:]) * np.where(low, math.sqrt(1 - 0.6**2), 1)
    np.testing.assert_allclose(dct(made[:, :, 1:]), expected, atol=1e-5)


def test_a_base_that_is_not_centred_has_the_picture_in_it(model: Any, engine: Base, picture: Tensor) -> None:
    from dataclasses import replace

    straight = replace(model, base=replace(model.base, centred=False))
    latent = engine.encode(fit_picture(picture[0], (64, 64))[0])
    shape = (*latent.shape[:2], 3, *latent.shape[3:])
    noise = run(MIVADCTInitNoise, model=straight, image=picture, noise_seed=2, strength=1.0, cutoff=1.0)[0]
    made = noise.generate_noise({"samples": torch.zeros(shape)})
    assert (made[:, :, 1:] - latent).abs().max() < 1e-4


def test_a_model_of_comfyui_needs_its_vae(picture: Tensor) -> None:
    with pytest.raises(MIVAError) as raised:
        run(MIVADCTInitNoise, model=NativeModel(), image=picture)
    assert str(raised.value) == (
        "DCTInit Noise lacks the VAE of this model: connect the one that comes with it to `vae`."
    )
