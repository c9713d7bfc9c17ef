"""Adapter files find their base by what their headers say, whatever has changed in the code since they were written."""

import subprocess
import sys
from pathlib import Path

import pytest

from miva_core.adapters.adapter import MIVAAdapter
from miva_core.adapters.config import MIVAConfig
from miva_core.adapters.info import AdapterInfo, read_info
from miva_core.bases.animatediff.loading import meta_unet
from miva_core.bases.describe import describe
from miva_core.bases.known import TRAINED_ON, find_backbone, name_base, say_trained_on
from miva_core.bases.library import find_adapters
from miva_core.bases.loading import load_base
from miva_core.bases.wan.loading import meta_transformer
from miva_core.bases.wan.releases import WAN_2_1_1_3B, WAN_2_1_14B, WAN_2_2_HIGH, WAN_2_2_LOW

PUBLISHED = {
    "8d2bb6334d44": ("animatediff", "the built-in U-Net"),
    "52e4f941d4be": ("animatediff", "Stable Diffusion 1.5 with AnimateDiff v1 or v3"),
    "99716ab80e94": ("animatediff", "Stable Diffusion 1.5 with AnimateDiff v2"),
    "60a07bd075db": ("wan", "Wan 2.1 1.3B"),
    "32db1b14b65a": ("wan", "Wan 2.1 14B or Wan 2.2 14B"),
}
"""In files that people have."""


_14B = "32db1b14b65a"


def header(family: str, fingerprint: str, **training: str) -> AdapterInfo:
    return AdapterInfo(family, fingerprint, MIVAConfig.default(), "pan", 16, (512, 320), 8, training=training)


@pytest.mark.parametrize("fingerprint", PUBLISHED)
def test_published_fingerprints_are_those_of_the_bases(fingerprint: str) -> None:
    family, name = PUBLISHED[fingerprint]
    info = header(family, fingerprint)
    found = find_backbone(info)
    assert found is not None
    info.check(found)
    assert name_base(info) == name_base(found) == name


def test_what_is_known_without_a_model_is_what_the_models_say() -> None:
    """Fine-tunes have the structure of what they were tuned from, so that they are named alike."""
    models = [meta_unet(), meta_unet(use_motion_mid_block=True), load_base("tiny").model]
    assert [name_base(describe(model)) for model in models[:2]] == [
        "Stable Diffusion 1.5 with AnimateDiff v1 or v3",
        "Stable Diffusion 1.5 with AnimateDiff v2",
    ]
    assert name_base(load_base("tiny").backbone) == "the built-in U-Net"
    for release in (WAN_2_1_1_3B, WAN_2_1_14B, WAN_2_2_HIGH, WAN_2_2_LOW):
        assert release.backbone == describe(meta_transformer(release))


def test_bases_are_named_without_torch_or_diffusers() -> None:
    code = (
        "import sys; from miva_core.bases.known import _releases, name_base;"
        "print(*(name_base(backbone) for *_, backbone in _releases()), sep='; ');"
        "sys.exit(bool({'torch', 'diffusers'} & sys.modules.keys()))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert found.returncode == 0, found.stderr
    assert "Wan 2.1 1.3B; Wan 2.1 14B or Wan 2.2 14B; " in found.stdout


def test_which_of_several_bases_an_adapter_has_met_is_told() -> None:
    assert say_trained_on(header("wan", _14B, **{TRAINED_ON: "Wan 2.2 14B, high noise"})) == (
        "It was trained on Wan 2.2 14B, high noise, and has not seen Wan 2.1 14B and Wan 2.2 14B, low noise, which "
        "take it as well."
    )
    # Not recorded, recorded by hand, or of a base that shares its structure with no other.
    assert say_trained_on(header("wan", _14B)) == say_trained_on(header("wan", _14B, **{TRAINED_ON: "x"})) == ""
    assert say_trained_on(header("wan", "60a07bd075db", **{TRAINED_ON: "Wan 2.2 14B, high noise"})) == ""


def test_another_base_is_not_taken_for_one_that_is_known() -> None:
    assert find_backbone(header("wan", "8d2bb6334d44")) is None
    assert name_base(header("animatediff", "60a07bd075db")) == ""


@pytest.mark.parametrize("path", find_adapters().values(), ids=lambda path: path.stem)
def test_every_adapter_that_comes_with_the_package_loads(path: Path) -> None:
    built_in = find_backbone(read_info(path))
    assert built_in is not None
    adapter = MIVAAdapter.load(path, built_in)
    assert adapter.config == read_info(path).config and len(adapter.sites) == len(built_in.sites)


def test_twelve_of_them_come_with_it() -> None:
    assert len(find_adapters()) >= 12
