from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from diffusers import UNetMotionModel

from miva_core.adapters.adapter import MIVAAdapter
from miva_core.adapters.backbone import Backbone, Site
from miva_core.adapters.config import MIVAConfig
from miva_core.adapters.info import count_parameters
from miva_core.bases.describe import describe
from miva_core.bases.wan.sites import wan_backbone


@pytest.fixture(scope="module")
def real() -> Backbone:
    """Stable Diffusion 1.5 with the AnimateDiff v3 motion module, without its weights."""
    with torch.device("meta"):
        return describe(UNetMotionModel(cross_attention_dim=768, use_motion_mid_block=False))


def test_real_sites(real: Backbone) -> None:
    assert (real.family, real.time_id, real.time_dim) == ("animatediff", "time_embedding", 1280)
    assert Counter(site.kind for site in real.sites) == {"sa": 16, "ca": 16, "ta": 40}
    widths = Counter(site.dim for site in real.sites if site.kind == "sa")
    assert widths == {320: 5, 640: 5, 1280: 6}
    assert {site.heads for site in real.sites} == {8}
    for id, kind in (
        ("mid_block.attentions.0.transformer_blocks.0.attn2", "ca"),
        ("up_blocks.0.motion_modules.2.transformer_blocks.0.attn2", "ta"),
    ):
        assert Site(id, "anywhere", kind, 1280, 8) in real.sites
    assert all(site.path == site.id for site in real.sites) and real.time_path == real.time_id


@pytest.mark.parametrize(
    ("config", "component", "count"),
    [
        # full W_Q and W_O, 2 Σd², plus a bias Σd
        (MIVAConfig(cfa_rank=None), "cfa", 24_780_800),
        (MIVAConfig.official_animatediff(), "cfa", 24_793_280),
        (replace(MIVAConfig.official_animatediff(), mask=True), "cfa_mask", 24_793_280),
        (MIVAConfig.default(), "cfa_mask", 0),
        (MIVAConfig.default(), "cfa", 6_389_760),
        (MIVAConfig.paper(), "gate", 40_960),
        (MIVAConfig.default(), "gate", 40_992),
        (MIVAConfig.paper(), "ca", 1_597_440),
        (MIVAConfig.default(), "ca", 1_599_488),
        (MIVAConfig.default(), "ta", 9_011_200),
        (MIVAConfig.official_animatediff(), None, 35_444_960),
    ],
)
def test_parameter_counts_of_the_paper(real: Backbone, config: MIVAConfig, component: str | None, count: int) -> None:
    with torch.device("meta"):
        assert MIVAAdapter(real, config).num_parameters(component) == count


@pytest.mark.parametrize(("dim", "blocks"), [(1536, 30), (5120, 40)], ids=["1.3B", "14B"])
def test_parameter_counts_of_wan_follow_from_its_sizes(dim: int, blocks: int) -> None:
    """Two pairs of rank 128 for cross-frame attention, one of 64 and its norm for the prompt, a gate for two."""
    with torch.device("meta"):
        adapter = MIVAAdapter(wan_backbone(dim, dim // 128, blocks, 16), MIVAConfig.default())
    counts = {name: adapter.num_parameters(name) for name in ("cfa", "ca", "gate", "ta")}
    assert counts == {
        "cfa": blocks * 2 * (128 * dim + dim * 128),
        "ca": blocks * (64 * dim + dim * 64 + 2 * 64),
        "gate": blocks * (2 * dim + 2),
        "ta": 0,
    }
    if blocks == 40:
        assert counts == {"cfa": 104_857_600, "ca": 26_219_520, "gate": 409_680, "ta": 0}
    assert adapter.num_parameters() == sum(counts.values())


def test_counts_by_component(real: Backbone) -> None:
    """The paper counts neither biases nor norms."""
    with torch.device("meta"):
        adapter = MIVAAdapter(real, MIVAConfig.official_animatediff())
    counts = count_parameters({name: parameter.shape for name, parameter in adapter.named_parameters()})
    assert counts == {
        "cross-frame attention": 24_780_800,
        "biases of cross-frame attention": 12_480,
        "gate": 40_992,
        "prompt": 1_597_440,
        "norm of the prompt": 2_048,
        "temporal attention": 9_011_200,
    }


def test_counts_of_a_mask_stream(real: Backbone) -> None:
    with torch.device("meta"):
        adapter = MIVAAdapter(real, replace(MIVAConfig.official_animatediff(), mask=True))
    counts = count_parameters({name: parameter.shape for name, parameter in adapter.named_parameters()})
    assert counts["cross-frame attention of the mask"] == 24_780_800
    assert counts["its biases"] == 12_480
    assert sum(counts.values()) == 60_238_240


def test_fingerprint_tells_bases_apart(real: Backbone, make_unet: Callable) -> None:
    tiny, same, wider = make_unet(), make_unet(), make_unet(block_out_channels=(16, 64), num_attention_heads=(2, 8))
    assert describe(tiny).fingerprint == describe(same).fingerprint
    assert len({describe(tiny).fingerprint, describe(wider).fingerprint, real.fingerprint}) == 3
    assert describe(make_unet(use_motion_mid_block=True)).fingerprint != describe(tiny).fingerprint


def test_where_a_program_keeps_a_module_plays_no_part(make_unet: Callable) -> None:
    """The same network by other names takes the same adapters, from the same files."""
    ours = describe(make_unet())
    theirs = replace(
        ours,
        sites=tuple(replace(site, path=f"diffusion_model.{index}") for index, site in enumerate(ours.sites)),
        time_path="diffusion_model.time_embed",
    )
    assert theirs == ours and theirs.fingerprint == ours.fingerprint
    names = [list(MIVAAdapter(one, MIVAConfig(cfa_rank=1, ca_rank=1)).state_dict()) for one in (ours, theirs)]
    assert names[0] == names[1]
    renamed = replace(ours, sites=(replace(ours.sites[0], id="elsewhere"), *ours.sites[1:]))
    assert renamed != ours and renamed.fingerprint != ours.fingerprint
