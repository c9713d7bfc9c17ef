"""Mask sequences by noise levels of any measure, and as large and long as their clips."""

import torch
from torch import Tensor

from miva_core.animation.mask_sequences import MaskSequences, MaskStream, enlarge

SHAPE = (1, 4, 3, 6, 8)


class Doubling:
    """Noise by halves: at level t latents are clean + 2^t noise, of which the network returns the noise."""

    def clean(self, output: Tensor, noisy: Tensor, t: Tensor) -> Tensor:
        return noisy - 2**t * output

    def move(self, clean: Tensor, noisy: Tensor, t: Tensor, to: Tensor) -> Tensor:
        return clean + 2 ** (to - t) * (noisy - clean)

    def centre(self, x1: Tensor) -> Tensor:
        return x1


def grey(latents: Tensor) -> Tensor:
    return latents[0].mean(0)


def streams(*names: str) -> dict[str, MaskStream]:
    return {
        name: MaskStream(torch.rand(48, 64), torch.randn(1, 4, 1, 6, 8), torch.randn(SHAPE), grey) for name in names
    }


def test_sequences_go_from_level_to_level_along_their_noise() -> None:
    given = streams("jump", "sway")
    sequences = MaskSequences(given, Doubling())
    # The first frame is clean, and the noise lies around it.
    clean = torch.randn(2, 4, 2, 6, 8)
    noise = (torch.cat([stream.start for stream in given.values()])[:, :, 1:] - clean) / 2**5
    output = torch.cat([torch.full((2, 4, 1, 6, 8), torch.nan), noise], dim=2)
    for level, to in ((5.0, 3.0), (3.0, 0.0)):
        latents = sequences.latents
        for row, stream in zip(latents, given.values(), strict=True):
            assert torch.equal(row[:, :1], stream.x1[0])
        x1 = latents[:, :, :1]
        torch.testing.assert_close(latents[:, :, 1:] - x1, clean + 2**level * noise)
        masks = sequences.advance(output, torch.tensor(level), torch.tensor(to))
        for k, name in enumerate(given):
            torch.testing.assert_close(masks[name][1:], (clean + x1)[k].mean(0), rtol=1e-4, atol=1e-5)


def test_masks_guide_on_the_grid_of_latents_from_the_given_first_frame_on() -> None:
    given = streams("jump")
    sequences = MaskSequences(given, Doubling())
    masks = sequences.advance(torch.randn(SHAPE), torch.tensor(1.0), None)
    (guide,) = sequences.on_latents({"jump": torch.rand(3, 12, 16)}).values()
    assert guide.shape == (1, 3, 6, 8)
    for y in range(6):
        for x in range(8):
            first = given["jump"].first[8 * y : 8 * y + 8, 8 * x : 8 * x + 8]
            torch.testing.assert_close(masks["jump"][0, y, x], first.mean())


def test_a_mask_of_a_latent_frame_is_that_of_all_its_frames() -> None:
    first, mask = torch.rand(6, 4), torch.rand(3, 3, 2)
    large = enlarge(mask, first, 9)
    assert large.shape == (9, 6, 4)
    assert torch.equal(large[0], first)
    assert torch.equal(large[1:5], large[1:2].expand(4, -1, -1))
    torch.testing.assert_close(large[1].mean(), mask[1].mean())
    torch.testing.assert_close(large[5].mean(), mask[2].mean())
