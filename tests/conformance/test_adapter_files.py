"""What is saved comes back, fits its base and no other, and makes the same clip."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from calls import SMALL, random_adapter, run
from every_base import BASES

from miva_core import Base, MIVAAdapter, MIVAConfig, read_info
from miva_core.errors import MIVAError

RECORD = {"motion": "pan left", "frames": 5, "size": (16, 12), "fps": 8.0, "subject": "a boat", "author": "somebody"}
CONFIGS = {
    "default": SMALL,
    "masked": replace(SMALL, mask=True),
    "with a degree": replace(SMALL, degree=True),
    "paper": replace(MIVAConfig.paper(), cfa_rank=3),
    "official AnimateDiff": MIVAConfig.official_animatediff(),
    "official Wan": MIVAConfig.official_wan(),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_file_brings_back_every_parameter(base: Base, tmp_path: Path, config: MIVAConfig) -> None:
    path, adapter = tmp_path / "a.safetensors", random_adapter(base, config)
    adapter.save(path, adapter.info(**RECORD))
    assert read_info(path) == adapter.info(**RECORD)
    loaded = MIVAAdapter.load(path, base.backbone)
    assert loaded.config == config
    assert list(loaded.state_dict()) == list(adapter.state_dict())
    assert all(torch.equal(p, q) for p, q in zip(loaded.parameters(), adapter.parameters(), strict=True))


def test_in_half_precision_it_brings_them_back_rounded(base: Base, tmp_path: Path) -> None:
    path, adapter = tmp_path / "half.safetensors", random_adapter(base)
    adapter.save(path, adapter.info(**RECORD), dtype=torch.float16)
    for found, parameter in zip(MIVAAdapter.load(path, base.backbone).parameters(), adapter.parameters(), strict=True):
        assert torch.equal(found, parameter.half().float())
        torch.testing.assert_close(found, parameter, rtol=2**-11, atol=2**-25)


def test_the_same_clip_comes_from_the_file(base: Base, picture: torch.Tensor, tmp_path: Path) -> None:
    path, adapter = tmp_path / "a.safetensors", random_adapter(base)
    adapter.save(path, adapter.info(**RECORD))
    clips = [run(base, picture, {"a": (one, 1.0)}) for one in (adapter, MIVAAdapter.load(path, base.backbone))]
    assert torch.equal(clips[0].frames, clips[1].frames)


def test_other_bases_refuse_it_in_one_sentence(base: Base, tmp_path: Path) -> None:
    path, adapter = tmp_path / "a.safetensors", random_adapter(base)
    adapter.save(path, adapter.info(**RECORD))
    for other in (make() for name, make in BASES.items() if name != base.name):
        for check in (lambda b: MIVAAdapter.load(path, b), lambda b: read_info(path).check(b)):
            with pytest.raises(MIVAError, match="another base") as raised:
                check(other.backbone)
            message = str(raised.value)
            assert "\n" not in message and message.endswith(".") and ". " not in message
            assert base.backbone.fingerprint in message and other.backbone.fingerprint in message
