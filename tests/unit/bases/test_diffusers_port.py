"""What attention modules of diffusers answer through their port."""

from collections.abc import Callable

import pytest
import torch

from miva_core.bases.describe import describe
from miva_core.bases.diffusers_port import DiffusersPort


@pytest.mark.parametrize("words", [1, 5])
@pytest.mark.parametrize("family", ["unet", "wan"])
@torch.no_grad()
def test_attention_to_a_text_is_the_modules_own(
    make_unet: Callable, make_wan: Callable, family: str, words: int
) -> None:
    model = (make_unet() if family == "unet" else make_wan()).double()
    site = next(site for site in describe(model).sites if site.kind == "ca")
    module = model.get_submodule(site.path)
    x, text = torch.randn(2, 7, site.dim).double(), torch.randn(2, words, module.to_k.in_features).double()
    found = DiffusersPort(module, None).attend_text(x, text)
    assert found.shape[1] == (1 if words == 1 else 7)
    torch.testing.assert_close(found.expand_as(x), module(x, text), rtol=1e-9, atol=1e-9)
