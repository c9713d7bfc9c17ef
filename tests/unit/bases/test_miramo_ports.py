"""What is summed for the adapters of a base of linear attention."""

from typing import Any

import pytest
import torch
from small_bases import small_flowing
from torch import Tensor

from miva_core import MIVAAdapter, MIVAConfig, describe, inject
from miva_core.bases.miramo import ports
from miva_core.bases.miramo.transformer import MiraMoTransformer

FRAMES = 5


@torch.no_grad()
@pytest.mark.parametrize("adapters", [1, 3])
def test_each_reference_is_summed_once_whoever_reads_it(monkeypatch: pytest.MonkeyPatch, adapters: int) -> None:
    """Each frame for the base's own attention, frame 1 for all later ones, and those before another one."""
    model, summed = small_flowing(), []

    def counted(key: Tensor, value: Tensor) -> Any:
        summed.append(len(key))
        return of(key, value)

    of = ports.relu_sums
    monkeypatch.setattr(ports, "relu_sums", counted)
    config = MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=1)
    with inject(model, **{f"a{k}": MIVAAdapter(describe(model), config) for k in range(adapters)}):
        model(torch.randn(1, 4, FRAMES, 2, 3), torch.tensor([900]), torch.zeros(1, 3, 12))
    blocks = len(model.transformer_blocks)
    assert sorted(summed) == sorted(blocks * [FRAMES, 1, FRAMES - 2])


@torch.no_grad()
def test_the_real_network_is_adapted_as_well() -> None:
    """It is run under a text of any length, of which all frames of a clip are one row, and has no caption to add to."""
    config = {"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 1, "num_cross_attention_heads": 2}
    config |= {"cross_attention_head_dim": 8, "cross_attention_dim": 16, "caption_channels": 12, "sample_size": 4}
    torch.manual_seed(0)
    model = MiraMoTransformer(in_channels=4, out_channels=4, patch_size=2, **config).eval().requires_grad_(False)
    backbone = describe(model)
    assert backbone.caption is None and backbone.text_dim == 12
    clips, text, t = torch.randn(2, 4, 3, 4, 4), torch.randn(2, 7, 12), torch.tensor([900.0, 300.0])
    plain = model(clips, t, text).sample
    adapter = MIVAAdapter(backbone, MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=1, mask=True))
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    with inject(model, jump=adapter) as miva:
        miva.set_masks({"jump": torch.rand(2, 3, 4, 4)})
        moved = model(clips, t, text).sample
        miva.set_masks(None)
        miva.set_weights(jump=0.0)
        torch.testing.assert_close(model(clips, t, text).sample, plain, rtol=1e-4, atol=1e-4)
    assert (moved - plain).abs().max() > 1e-2
    assert torch.equal(model(clips, t, text).sample, plain)
