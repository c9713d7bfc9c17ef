"""Adapter files find their base by what their headers say, whatever has changed in the code since they were written."""

from pathlib import Path

import pytest

from miva_core.adapters.adapter import MIVAAdapter
from miva_core.adapters.backbone import Backbone
from miva_core.adapters.config import MIVAConfig
from miva_core.adapters.info import AdapterInfo, read_info
from miva_core.bases.known import find_backbone, name_base
from miva_core.bases.library import find_adapters

PUBLISHED = {
    "8d2bb6334d44": ("animatediff", "the built-in base"),
    "52e4f941d4be": ("animatediff", "Stable Diffusion 1.5 with AnimateDiff v1 or v3"),
    "99716ab80e94": ("animatediff", "Stable Diffusion 1.5 with AnimateDiff v2"),
    "60a07bd075db": ("wan", "Wan 2.1 1.3B"),
}
"""In files that people have."""


def header(family: str, fingerprint: str) -> AdapterInfo:
    return AdapterInfo(family, fingerprint, MIVAConfig.default(), "pan", 16, (512, 320), 8)


@pytest.mark.parametrize("fingerprint", PUBLISHED)
def test_published_fingerprints_are_those_of_the_bases(fingerprint: str) -> None:
    family, name = PUBLISHED[fingerprint]
    info = header(family, fingerprint)
    found = find_backbone(info)
    assert found is not None
    info.check(found)
    assert name_base(info) == name_base(found) == name


def test_another_base_is_not_taken_for_one_that_is_known() -> None:
    assert find_backbone(header("wan", "8d2bb6334d44")) is None
    assert name_base(header("animatediff", "60a07bd075db")) == ""


@pytest.fixture(scope="module")
def built_in() -> Backbone:
    found = find_backbone(header("animatediff", "8d2bb6334d44"))
    assert found is not None
    return found


@pytest.mark.parametrize("path", find_adapters().values(), ids=lambda path: path.stem)
def test_every_adapter_that_comes_with_the_package_loads(path: Path, built_in: Backbone) -> None:
    adapter = MIVAAdapter.load(path, built_in)
    assert adapter.config == read_info(path).config and len(adapter.sites) == len(built_in.sites)


def test_twelve_of_them_come_with_it() -> None:
    assert len(find_adapters()) >= 12
