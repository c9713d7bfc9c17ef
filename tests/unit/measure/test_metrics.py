import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from miva_core.errors import MIVAError
from miva_core.measure.metrics import clip_flow, expansion, flow, median_flow, psnr, rotation

SIZE = 96


def texture(position: Tensor, seed: int = 0) -> Tensor:
    """A smooth picture known at any real position: (..., 2) x, y in pixels to (..., 3) colours in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    waves = torch.randn(24, 2, generator=generator) * 0.25
    phases = torch.rand(24, 3, generator=generator) * 2 * math.pi
    heights = torch.sin((position @ waves.T)[..., None] + phases).mean(dim=-2)
    return (0.5 + heights).clamp(0, 1)


def grid(h: int = SIZE, w: int = SIZE) -> Tensor:
    y, x = torch.meshgrid(torch.arange(h).float(), torch.arange(w).float(), indexing="ij")
    return torch.stack([x, y], dim=-1)


def panned(shift: tuple[float, float], frames: int = 3) -> Tensor:
    """A clip whose content moves by `shift` (x, y) pixels a frame."""
    return torch.stack([texture(grid(SIZE, SIZE + 16) - i * torch.tensor(shift)) for i in range(frames)])


def zoomed(rate: float, frames: int = 3) -> Tensor:
    """A clip whose content grows by `rate` a frame about the centre."""
    centre = (SIZE - 1) / 2
    return torch.stack([texture((grid() - centre) / (1 + rate) ** i + centre) for i in range(frames)])


@pytest.mark.parametrize("shift", [(1.5, 0.0), (-1.5, 0.0), (0.0, 0.7), (2.3, -1.2)])
def test_the_median_flow_of_a_pan_is_its_shift(shift: tuple[float, float]):
    field = clip_flow(panned(shift))
    assert field.shape == (2, SIZE, SIZE + 16, 2)
    torch.testing.assert_close(median_flow(field), torch.tensor(shift), atol=0.15, rtol=0.1)
    assert field.norm(dim=-1).mean().item() == pytest.approx(math.hypot(*shift), rel=0.2)
    assert abs(expansion(field)) < 0.006


@pytest.mark.parametrize("rate", [0.02, -0.02])
def test_the_expansion_of_a_zoom_is_its_rate_and_its_median_flow_is_none(rate: float):
    field = clip_flow(zoomed(rate))
    assert expansion(field) == pytest.approx(rate, rel=0.2)
    assert median_flow(field).abs().max() < 0.15


def test_the_fit_is_exact_on_exact_fields():
    """v + e (p - centre) with a pan that changes from frame to frame, seen whole and through an off-centre mask."""
    pans = torch.tensor([[1.0, -2.0], [3.0, 0.5]])
    field = pans[:, None, None] + 0.03 * (grid() - (SIZE - 1) / 2)
    corner = torch.zeros(SIZE, SIZE)
    corner[:30, :40] = 1
    assert expansion(field) == pytest.approx(0.03, rel=1e-4)
    assert expansion(field, corner) == pytest.approx(0.03, rel=1e-4)
    assert expansion(field, torch.stack([corner, corner.T])) == pytest.approx(0.03, rel=1e-4)


def turned(rate: float, frames: int = 3) -> Tensor:
    """A clip whose content turns clockwise by `rate` radians a frame about the centre."""
    centre, clips = (SIZE - 1) / 2, []
    for i in range(frames):
        c, s = math.cos(rate * i), math.sin(rate * i)
        clips.append(texture((grid() - centre) @ torch.tensor([[c, -s], [s, c]]) + centre))
    return torch.stack(clips)


@pytest.mark.parametrize("rate", [0.02, -0.02])
def test_the_rotation_of_a_turn_is_its_rate_and_there_is_no_expansion(rate: float):
    field = clip_flow(turned(rate))
    assert rotation(field) == pytest.approx(rate, rel=0.2)
    assert abs(expansion(field)) < 0.003 and median_flow(field).abs().max() < 0.15
    assert abs(rotation(clip_flow(zoomed(rate)))) < 0.003


def test_a_rotation_is_no_expansion():
    offset = grid() - (SIZE - 1) / 2
    assert abs(expansion(0.1 * torch.stack([-offset[..., 1], offset[..., 0]], dim=-1))) < 1e-6


def test_a_mask_restricts_the_flow_to_its_region():
    """The left half moves right, the right half moves down."""
    clip = panned((2.0, 0.0), 2)
    clip[:, :, 56:] = panned((0.0, 2.0), 2)[:, :, 56:]
    field = clip_flow(clip)
    left = torch.zeros(SIZE, SIZE + 16)
    left[8:-8, 8:40] = 1
    torch.testing.assert_close(median_flow(field, left), torch.tensor([2.0, 0.0]), atol=0.3, rtol=0)
    torch.testing.assert_close(median_flow(field, left.flip(-1)), torch.tensor([0.0, 2.0]), atol=0.3, rtol=0)


def test_a_still_clip_does_not_move():
    field = clip_flow(texture(grid()).expand(3, -1, -1, -1))
    assert field.norm(dim=-1).mean().item() < 0.01 and abs(expansion(field)) < 1e-3


def test_psnr_is_its_closed_form():
    a = torch.full((2, 4, 5, 3), 0.5)
    b = a.clone()
    assert psnr(a, b) == math.inf
    b[:, :2] += 0.1
    assert psnr(a, b) == pytest.approx(10 * math.log10(2 / 0.01), abs=1e-4)
    assert psnr(a[:, :2], b[:, :2]) == pytest.approx(20, abs=1e-4)


def test_wrong_inputs_are_refused():
    frame = torch.rand(16, 16, 3)
    field = torch.rand(2, 16, 16, 2)
    with pytest.raises(MIVAError, match="one size"):
        flow(frame, torch.rand(16, 17, 3))
    with pytest.raises(MIVAError, match=r"\(H, W, 3\)"):
        flow(frame, functional.pad(frame, (0, 1)))
    with pytest.raises(MIVAError, match="two frames"):
        clip_flow(frame[None])
    with pytest.raises(MIVAError, match="The mask is"):
        median_flow(field, torch.ones(8, 8))
    with pytest.raises(MIVAError, match="no pixel"):
        median_flow(field, torch.zeros(16, 16))
    with pytest.raises(MIVAError, match="single pixels"):
        expansion(field, torch.eye(16) * torch.eye(16)[3])
    with pytest.raises(MIVAError, match="equal shapes"):
        psnr(frame, frame[:8])
