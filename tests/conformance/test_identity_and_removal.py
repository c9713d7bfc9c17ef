"""A new adapter changes nothing but the text; and what was injected is taken out without a trace."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from calls import SMALL, denoise, fresh_adapter, latents, random_adapter, words
from torch import nn
from traces import traces

from miva_core import Base, MIVAConfig, inject
from miva_core.errors import MIVAError

EXACT = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture
def untouched(base: Base) -> Callable[[], None]:
    """untouched(): asserts that the model is, to the bit, what it was before the test."""
    clips, text = latents(base), words(base)
    before, output = traces(base.model), denoise(base, clips, text)
    state = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}

    def check() -> None:
        assert traces(base.model) == before
        assert list(base.model.state_dict()) == list(state)
        assert all(torch.equal(tensor, state[name]) for name, tensor in base.model.state_dict().items())
        assert torch.equal(denoise(base, clips, text), output)

    return check


# --- a new adapter ---------------------------------------------------------------------------------------------------

CONFIGS = {
    "default": MIVAConfig.default(),
    "paper": MIVAConfig.paper(),
    "official AnimateDiff": MIVAConfig.official_animatediff(),
    "official Wan": MIVAConfig.official_wan(),
}


@torch.no_grad()
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_new_adapter_only_drops_the_text(precise: Base, config: MIVAConfig) -> None:
    clips, text = latents(precise), words(precise)
    with inject(precise.model, pan=fresh_adapter(precise, config)):
        output = denoise(precise, clips, text)
    assert not torch.allclose(output, denoise(precise, clips, text))
    for site in precise.backbone.sites:
        if site.kind == "ca":
            last = precise.model.get_submodule(site.path).to_out[0]
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
    torch.testing.assert_close(output, denoise(precise, clips, text), **EXACT)


@torch.no_grad()
def test_new_adapters_of_weight_0_are_the_base(precise: Base) -> None:
    expected = denoise(precise, latents(precise), words(precise))
    with inject(precise.model, pan=fresh_adapter(precise, SMALL), jump=fresh_adapter(precise, SMALL)) as miva:
        miva.set_weights(pan=0.0, jump=0.0)
        torch.testing.assert_close(denoise(precise, latents(precise), words(precise)), expected, **EXACT)


# --- removal ---------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_removal_is_exact(base: Base, untouched: Callable[[], None]) -> None:
    keys = list(base.model.state_dict())
    plain = denoise(base, latents(base), words(base))
    with inject(base.model, pan=random_adapter(base), jump=random_adapter(base)) as miva:
        miva.set_weights(pan=0.3, jump=0.7)
        assert not torch.equal(denoise(base, latents(base), words(base)), plain)
        assert list(base.model.state_dict()) == keys
    untouched()
    miva.remove()
    untouched()


@torch.no_grad()
def test_removal_after_an_exception(base: Base, untouched: Callable[[], None]) -> None:
    with pytest.raises(KeyError), inject(base.model, pan=random_adapter(base)):
        denoise(base, latents(base), words(base))
        raise KeyError
    untouched()


def test_nothing_stays_when_injection_fails_midway(
    base: Base, untouched: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError

    adapter = random_adapter(base)
    with monkeypatch.context() as patch:
        patch.setattr(base.model.get_submodule(base.backbone.time_path), "register_forward_hook", fail)
        with pytest.raises(RuntimeError):
            inject(base.model, pan=adapter)
    untouched()


def test_a_second_injection_is_refused(base: Base, untouched: Callable[[], None]) -> None:
    adapter = random_adapter(base)
    with inject(base.model, pan=adapter), pytest.raises(MIVAError, match="already has adapters"):
        inject(base.model, jump=adapter)
    untouched()


@torch.no_grad()
def test_nothing_of_masks_stays(base: Base, untouched: Callable[[], None]) -> None:
    masked, clips = replace(SMALL, mask=True), latents(base)
    with inject(base.model, jump=random_adapter(base, masked)) as miva:
        miva.set_mask_streams(True)
        miva.set_masks({"jump": torch.rand(1, *clips.shape[2:])})
        denoise(base, clips, words(base))
    untouched()
    with inject(base.model, jump=random_adapter(base, masked)):
        denoise(base, clips[:1], words(base))  # one row is no batch of a clip and its mask


# --- what a layer computes counts ------------------------------------------------------------------------------------


class Wrapped(nn.Module):
    """As with LoRA, quantisation or offload: what a layer computes counts, not its parameter."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer, self.weight, self.bias = layer, torch.full_like(layer.weight, torch.nan), None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


@torch.no_grad()
@pytest.mark.parametrize("config", [SMALL, replace(MIVAConfig.official_wan(), cfa_rank=3)], ids=["default", "official"])
def test_wrapped_projections_are_called_not_read(precise: Base, config: MIVAConfig) -> None:
    clips, text = latents(precise), words(precise)
    adapter = random_adapter(precise, config)
    with inject(precise.model, pan=adapter):
        expected = denoise(precise, clips, text)
    for site in precise.backbone.sites:
        attention = precise.model.get_submodule(site.path)
        for name in ("to_q", "to_k", "to_v"):
            setattr(attention, name, Wrapped(getattr(attention, name)))
        attention.to_out[0] = Wrapped(attention.to_out[0])
    with inject(precise.model, pan=adapter):
        torch.testing.assert_close(denoise(precise, clips, text), expected, **EXACT)
