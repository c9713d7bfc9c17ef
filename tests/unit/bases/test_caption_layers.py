"""Which entries of a caption move which layer."""

import torch
from torch import Tensor

from miva_core.bases.miramo.caption_layers import SLOTS, CaptionLayers, guided_entries
from miva_core.bases.miramo.motion_basis import LayerMotion

DIM = 12


def heard(moved: LayerMotion | Tensor, caption: Tensor) -> Tensor:
    """Which entries of a caption a motion hears, by its gradient: (3, D)."""
    parts = [moved.generators, moved.amplitudes] if isinstance(moved, LayerMotion) else [moved]
    (gradient,) = torch.autograd.grad(sum(part.square().sum() for part in parts), caption, retain_graph=True)
    return gradient[0, 0] != 0


def test_what_a_guide_shows_hears_its_entries_and_nothing_else_does() -> None:
    torch.manual_seed(0)
    caption = torch.randn(1, 1, len(SLOTS), DIM, requires_grad=True)
    motions, entries = CaptionLayers(DIM)(caption), guided_entries(DIM)
    assert torch.equal(heard(motions.staying, caption), entries.staying)
    assert torch.equal(heard(motions.carried, caption), entries.carried)
    assert torch.equal(heard(motions.depth, caption), entries.depth)
    assert not (heard(motions.camera, caption) & (entries.depth | entries.staying | entries.carried)).any()
