"""On a base whose captions have slots an adapter has learnt one: it counts as if it had been said."""

from dataclasses import replace

import pytest
import torch
from calls import CLIPS, FRAMES, SMALL, fresh_adapter, latents, words
from torch import Tensor

from miva_core import Base, Curve, MIVAAdapter, inject
from miva_core.attention.strength import Strength

EXACT = {"rtol": 1e-9, "atol": 1e-9}
MASKED = replace(SMALL, mask=True)
WEIGHTS = {"one": 0.7, "two": -0.4}


def learnt(base: Base, masked: bool = False) -> dict[str, MIVAAdapter]:
    """Two adapters that have learnt a caption and nothing else."""
    torch.manual_seed(3)
    adapters = {name: fresh_adapter(base, MASKED if masked else SMALL) for name in WEIGHTS}
    for adapter in adapters.values():
        if adapter.caption is not None:
            torch.nn.init.normal_(adapter.caption)
    return adapters


def emptied(adapters: dict[str, MIVAAdapter]) -> list[Tensor]:
    """Their captions, which they lose."""
    captions = [adapter.caption.detach().clone() for adapter in adapters.values()]
    for adapter in adapters.values():
        torch.nn.init.zeros_(adapter.caption)
    return captions


def answered(base: Base, text: Tensor, rows: int = CLIPS) -> Tensor:
    return base.model(latents(base, rows), torch.full((rows,), 500), encoder_hidden_states=text).sample


def test_bases_without_such_captions_learn_none(base: Base) -> None:
    assert [adapter.caption is None for adapter in learnt(base).values()] == 2 * [base.backbone.caption is None]


@torch.no_grad()
@pytest.mark.parametrize("masked", [False, True])
def test_captions_add_up_by_their_weights(precise: Base, masked: bool) -> None:
    """In mask sequences each counts by itself."""
    if not precise.backbone.caption:
        return
    adapters, text, rows = learnt(precise, masked), words(precise, CLIPS), CLIPS * (3 if masked else 1)
    said = text.repeat(rows // CLIPS, 1, 1)
    with inject(precise.model, **adapters) as miva:
        miva.set_weights(**WEIGHTS)
        miva.set_mask_streams(masked)
        heard = answered(precise, said, rows)
        one, two = emptied(adapters)
        parts = [text + 0.7 * one - 0.4 * two, text + one, text + two][: rows // CLIPS]
        torch.testing.assert_close(answered(precise, torch.cat(parts), rows), heard, **EXACT)
        assert not torch.allclose(answered(precise, said, rows), heard, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_a_curve_over_frames_gives_each_its_own(precise: Base) -> None:
    """The part that it belongs to is the prompt."""
    if not precise.backbone.caption:
        return
    adapters, text = learnt(precise), words(precise, CLIPS)
    with inject(precise.model, **adapters) as miva:
        miva.set_frames([k / (FRAMES - 1) for k in range(FRAMES)])
        miva.set_weights(
            one=Strength(prompt=Curve(((0.0, 0.0), (1.0, 1.5)), over="frames"), temporal=0.3), two=Strength(prompt=0.5)
        )
        heard = answered(precise, text)
        one, two = emptied(adapters)
        shares = [1.5 * k / (FRAMES - 1) for k in range(FRAMES)]
        by_frame = torch.stack([text + share * one + 0.5 * two for share in shares], 1)
        torch.testing.assert_close(answered(precise, by_frame), heard, **EXACT)


@torch.no_grad()
def test_frozen_they_stay_as_they_were(base: Base) -> None:
    if not base.backbone.caption:
        return
    adapters, text = learnt(base), words(base, CLIPS)
    with inject(base.model, **adapters) as miva:
        heard = answered(base, text)
        miva.freeze()
        emptied(adapters)
        assert torch.equal(answered(base, text), heard)
        miva.freeze()
        assert not torch.allclose(answered(base, text), heard, rtol=1e-3, atol=1e-3)
