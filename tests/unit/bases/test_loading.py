import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from miva_core import describe, load_base
from miva_core.bases.animatediff.per_frame_norm import PerFrameGroupNorm
from miva_core.bases.base import Base
from miva_core.bases.tiny.loading import load_tiny
from miva_core.bases.tiny.spec import WEIGHTS
from miva_core.errors import MIVAError


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base("tiny")


def test_the_built_in_base_is_frozen_and_ready(base: Base) -> None:
    for module in (base.model, base.codec):
        assert not module.training
        assert all(not p.requires_grad and p.dtype == torch.float32 for p in module.parameters())
    assert base.name == "tiny" and base.backbone == describe(base.model)
    assert any(isinstance(module, PerFrameGroupNorm) for module in base.model.modules())


def test_its_settings_fit_its_parts(base: Base) -> None:
    """What the settings promise has to suit the model: clip length, caption width, latent channels and sides."""
    assert base.frames <= base.model.config.motion_max_seq_length
    assert base.text.shape[0] == 1 and base.text.shape[2] == base.model.config.cross_attention_dim
    assert all(side % base.multiple == 0 for side in base.size)
    assert base.codec.config.latent_channels == base.model.config.in_channels
    # The smallest size that is allowed is one that the model can halve as often as it wants to.
    latent = base.encode(torch.rand(base.multiple, base.multiple, 3))
    assert base.model(latent, 1, base.text).sample.shape == latent.shape


def test_pictures_become_latents_and_latents_frames(base: Base) -> None:
    picture = torch.rand(32, 48, 3)
    latents = base.encode(picture)
    assert latents.shape == (1, base.model.config.in_channels, 1, 4, 6)
    # Grey is the middle of the codec's range.
    torch.testing.assert_close(
        base.encode(torch.full((8, 8, 3), 0.5))[:, :, 0], base.codec.encode(torch.zeros(1, 3, 8, 8))
    )
    frames = base.decode(torch.cat([latents, -9 * latents], dim=2))
    assert frames.shape == (2, 32, 48, 3) and frames.min() == 0 and frames.max() == 1
    direct = (base.codec.decode(latents[:, :, 0]) / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(frames[0], direct[0].permute(1, 2, 0), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["big", ["tiny"], None])
def test_an_unknown_base_is_refused_with_the_known_ones(name: Any) -> None:
    with pytest.raises(MIVAError, match="known are miramo, tiny, animatediff, wan"):
        load_base(name)


@pytest.mark.parametrize("part", ["settings.json", "words.safetensors", "unet", "codec", "scheduler"])
def test_a_missing_part_is_named(tmp_path: Path, part: str) -> None:
    for other in WEIGHTS.iterdir():
        if other.name != part:
            (tmp_path / other.name).symlink_to(other)
    with pytest.raises(MIVAError, match=rf"lacks .*{part}: install"):
        load_tiny(tmp_path)


def test_settings_reach_the_base(tmp_path: Path) -> None:
    shutil.copytree(WEIGHTS, tmp_path / "tiny")
    file = tmp_path / "tiny" / "settings.json"
    settings = json.loads(file.read_text())
    file.write_text(json.dumps(settings | {"fps": 5, "frames": 7, "noise": {"dct": False, "shared_ratio": 0.25}}))
    base = load_tiny(tmp_path / "tiny")
    assert (base.fps, base.frames) == (5, 7)
    assert not base.noise.dct and base.noise.shared_ratio == 0.25
