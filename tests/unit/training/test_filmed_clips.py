"""What is learnt from filmed clips: the flow of the formula where nothing could be measured."""

import torch

from miva_core import load_base
from miva_core.filming.shooting import Shooting
from miva_core.filming.still import Still
from miva_core.training.training_set import TrainingSet, film_clips


def test_a_plain_sky_is_learnt_to_drift() -> None:
    """Of one colour, so that nothing of it can be seen to move."""
    picture = torch.rand(96, 96, 3, generator=torch.Generator().manual_seed(0))
    picture[:60] = 0.7
    mask = torch.zeros(96, 96)
    mask[:60] = 1
    base = load_base("tiny")
    clips, source = film_clips([Still("a", picture, mask)], Shooting("drift-left", base.size, base.frames, 0.5), 0)
    ((encoded, *_),) = TrainingSet("drift", clips[:1], masked=True, source=source).encode(base, 1, 0)
    x, y, trust = encoded.flow[0, 1:, :, 8, 32].float().unbind(-1)
    torch.testing.assert_close(x, torch.full_like(x, 0.5), rtol=0, atol=1e-2)
    assert (y.abs() < 1e-2).all() and (trust == 1).all()
    assert source["film"] == "drift-left" and (clips[0].masks[0, :, 8, 32] == 255).all()
