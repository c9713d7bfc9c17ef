"""What an injection is told of masks."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from miva_core.adapters.config import MIVAConfig
from miva_core.bases.inject import inject
from miva_core.errors import MIVAError

FRAMES, HEIGHT, WIDTH = 4, 4, 6
PLAIN = MIVAConfig(cfa_rank=3, ca_rank=4, ta_rank=2)
CONFIGS = {"separate": replace(PLAIN, mask=True), "joint": replace(PLAIN, mask=True, cfa_softmax="joint")}


@torch.no_grad()
def test_masks_of_another_grid_are_told(make_unet: Callable, make_adapter: Callable) -> None:
    unet = make_unet().double()
    with inject(unet, jump=make_adapter(unet, CONFIGS["separate"])) as miva:
        miva.set_masks({"jump": torch.ones(1, FRAMES, 16, 16)})
        latents = torch.randn(2, 4, FRAMES, HEIGHT, WIDTH).double()
        with pytest.raises(MIVAError, match=r"\(1, 4, 16, 16\), .* \(2, 4, 4, 6\)"):
            unet(latents, torch.tensor(500), None)
        miva.set_masks({"jump": torch.ones(2, FRAMES, WIDTH, HEIGHT)})  # as many places, but turned
        with pytest.raises(MIVAError, match="set masks of their size"):
            unet(latents, torch.tensor(500), None)
        miva.set_masks(None)
        miva.set_mask_streams(True)
        with pytest.raises(MIVAError, match=r"3 rows, .* followed by 1 mask"):
            unet(torch.cat([latents, latents[:1]]), torch.tensor(500), None)


def test_the_last_adapter_given_is_on_top_whatever_their_configs(
    make_unet: Callable, make_adapter: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adapters of equal config are computed side by side, but lie in the order they were given in."""
    monkeypatch.setattr("miva_core.attention.guidance._FEW_TOKENS", 0)
    unet = make_unet()
    kinds = {"bottom": "separate", "middle": "joint", "top": "separate"}
    ones = torch.ones(1, FRAMES, HEIGHT, WIDTH)
    with inject(unet, **{name: make_adapter(unet, CONFIGS[kind]) for name, kind in kinds.items()}) as miva:
        assert miva.masked == ("bottom", "top", "middle")
        labels = []
        for empty in ({}, {"top"}, {"top", "middle"}):
            miva.set_masks({name: ones * 0 if name in empty else ones for name in kinds})
            labels.append(miva.context.guidance.at(HEIGHT * WIDTH).self_attention.key[0, 0].argmax().item())
    assert labels == [3, 2, 1]


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({}, r"Masks were given for \[\], but the adapters with masks are \['jump'\]."),
        ({"jump": torch.ones(1, 2, 3, 4), "pan": torch.ones(1, 2, 3, 4)}, r"Masks were given for \['jump', 'pan'\]"),
        ({"jump": torch.ones(2, 3, 4)}, r"Masks must all be \(b, F, h, w\) of one size, but they are \[\(2, 3, 4\)\]."),
    ],
)
def test_wrong_masks(make_unet: Callable, make_adapter: Callable, masks: dict[str, Tensor], message: str) -> None:
    unet = make_unet()
    adapters = {"jump": make_adapter(unet, CONFIGS["separate"]), "pan": make_adapter(unet, PLAIN)}
    with inject(unet, **adapters) as miva, pytest.raises(MIVAError, match=message):
        miva.set_masks(masks)
