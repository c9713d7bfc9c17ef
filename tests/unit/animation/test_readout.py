"""Masks read off latents, against an exact linear law and against the full decoder."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from miva_core import load_base
from miva_core.animation.readout import DecoderReadout, LinearReadout, fit_readout
from miva_core.bases.base import Base


@pytest.fixture(scope="module")
def tiny() -> Base:
    return load_base("tiny")


def moving_disc(base: Base) -> tuple[Tensor, Tensor]:
    """A mask sequence (F, H, W) and its latents (1, C, F, h, w)."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    masks = torch.stack([(((y - 30 + 2 * f) ** 2 + (x - 20 - 3 * f) ** 2) < 150).float() for f in range(6)])
    return masks, torch.cat([base.encode(mask[..., None].expand(-1, -1, 3)) for mask in masks], dim=2)


def test_a_linear_law_is_found() -> None:
    weight, black = torch.tensor([0.3, -0.2, 0.1, 0.4]).double(), torch.randn(4).double()
    white = black + 2 * torch.randn(4).double()
    mask = torch.rand(20, 30).double()
    latent = torch.randn(4, 20, 30).double() * 3
    # make w · z equal to the mask, up to a constant, by a change along w
    latent += weight[:, None, None] * (mask - 0.2 - torch.einsum("c,chw->hw", weight, latent)) / weight.square().sum()
    readout = LinearReadout.fit(latent, mask, black, white)
    assert (readout(latent[None, :, None])[0] - mask).abs().mean() < 0.05


def test_the_fit_is_least_squares_with_a_prior() -> None:
    """The prior as further rows of an ordinary least-squares problem, of which 1 % of the places' weight is asked."""
    black, white, latent, mask = (
        torch.randn(4).double(),
        torch.randn(4).double(),
        torch.randn(4, 5, 6),
        torch.rand(5, 6),
    )
    latent, mask = latent.double(), mask.double()
    line = (white - black) / (white - black).square().sum()
    rows = torch.cat([latent.flatten(1).T - black, torch.ones(30, 1).double()], dim=1)
    strength = torch.tensor([(white - black).square().mean().item()] * 4 + [1.0]).double()
    prior = torch.diag((0.01 * 30 * strength).sqrt())
    target = torch.cat([mask.flatten(), prior @ torch.cat([line, torch.zeros(1).double()])])
    solution = torch.linalg.lstsq(torch.cat([rows, prior]), target[:, None]).solution[:, 0]
    readout = LinearReadout.fit(latent, mask, black, white)
    torch.testing.assert_close(readout.weight, solution[:4])
    torch.testing.assert_close(readout.bias, solution[4] - solution[:4] @ black)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_a_flat_mask_leaves_the_line_from_black_to_white(level: float) -> None:
    black, white = torch.randn(2, 4).unbind()
    latent = torch.lerp(black, white, level)[:, None, None].expand(4, 5, 6)
    readout = LinearReadout.fit(latent, torch.full((5, 6), level), black, white)
    for share in (0.0, 0.3, 1.0):
        z = torch.lerp(black, white, share)[None, :, None, None, None]
        assert readout(z).item() == pytest.approx(share, abs=1e-4)


def test_linear_and_decoder_agree_on_the_tiny_base(tiny: Base) -> None:
    masks, latents = moving_disc(tiny)
    linear, decoded = fit_readout(tiny.encode, latents[:, :, :1], masks[0])(latents), DecoderReadout(tiny)(latents)
    assert linear.shape == (6, 8, 8)
    assert decoded.shape == masks.shape
    small = torch.nn.functional.avg_pool2d(decoded[None], 8)[0]
    truth = torch.nn.functional.avg_pool2d(masks[None], 8)[0]
    assert (linear - small).abs().mean() < 0.02
    assert (linear - truth).abs().mean() < 0.02
    both, either = torch.minimum(decoded, masks).round(), torch.maximum(decoded, masks).round()
    assert (both.sum((1, 2)) / either.sum((1, 2))).min() > 0.97


def test_several_frames_of_one_latent_are_averaged(tiny: Base) -> None:
    """As on Wan, where one latent frame holds four."""

    class FourFrames:
        def decode(self, latents: Tensor) -> Tensor:
            levels = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]) * 2 - 1
            return levels[:, None, None, None].expand(9, 3, 16, 16)

    base = replace(tiny, codec=FourFrames(), stride=4)
    read = DecoderReadout(base)(torch.zeros(1, 32, 3, 2, 2))
    torch.testing.assert_close(read[:, 0, 0], torch.tensor([0.1, 0.35, 0.75]))
