"""A new base costs a folder and a line in the registry: all else finds it there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from miva_core.adapters.backbone import Backbone, Site
from miva_core.adapters.config import MIVAConfig
from miva_core.adapters.info import AdapterInfo
from miva_core.bases.base import Base
from miva_core.bases.describe import describe
from miva_core.bases.known import find_backbone
from miva_core.bases.library import find_adapters
from miva_core.bases.loading import load_base
from miva_core.bases.recipe import PRESETS, Recipe
from miva_core.bases.registry import BASES, find_architecture, find_base
from miva_core.bases.spec import Architecture, BaseFile, BaseSpec
from miva_core.bases.wan.recipe import RECIPES
from miva_core.cli.main import main
from miva_core.errors import MIVAError
from miva_core.training.recipes import recipe

BACKBONE = Backbone("toy", (Site("one", "one", "sa", 4, 2),), "time", "time", 4)


class Toy(nn.Module):
    """A network of a class that nothing here has heard of."""


class Derived(Toy):
    pass


def backbones() -> Iterator[tuple[str, Backbone]]:
    yield "Toy 1.0", BACKBONE


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> BaseSpec:
    """What a folder of a new base would hold, under its line in the registry."""
    (tmp_path / "wobble.safetensors").touch()
    architecture = Architecture("toy", "Toy", lambda model: BACKBONE, dict, True, lambda height, width: [(1, 1)])
    file = BaseFile("blocks", "its bricks", "bricks", "checkpoints", "box of bricks", "All of them.")
    spec = BaseSpec(
        name="toy",
        menu="Toy (new)",
        architecture=architecture,
        files=(file,),
        load=lambda device, dtype, blocks: (device, dtype, blocks),
        backbones=backbones,
        recipes=RECIPES,
        half_precision="bfloat16",
        fits_float16=True,
        latent_format=None,
        adapters=tmp_path,
    )
    monkeypatch.setitem(BASES, "toy", spec)
    return spec


def test_it_is_loaded_from_its_files(toy: BaseSpec) -> None:
    assert find_base("toy") is toy
    assert load_base("toy", blocks="a.safetensors") == ("cpu", torch.float32, "a.safetensors")
    assert load_base("toy", device="cuda", blocks="a")[1] == torch.bfloat16
    assert load_base("toy", dtype=torch.float64, blocks="a")[1] == torch.float64
    with pytest.raises(MIVAError, match="toy needs a blocks"):
        load_base("toy")
    with pytest.raises(MIVAError, match="toy takes no vae"):
        load_base("toy", blocks="a", vae="b")


def test_its_models_are_described(toy: BaseSpec) -> None:
    assert describe(Derived()) is BACKBONE
    assert find_architecture("toy") is toy.architecture
    with pytest.raises(MIVAError, match=r"class Linear .* pass one of Toy, UNetMotionModel, Wan"):
        describe(nn.Linear(2, 2))


def test_its_adapters_are_found_and_know_it(toy: BaseSpec) -> None:
    assert find_adapters()["wobble"].parent == toy.adapters
    info = AdapterInfo("toy", BACKBONE.fingerprint, MIVAConfig.default(), "wobble", 8, (64, 64), 8)
    assert find_backbone(info) == BACKBONE


def test_it_has_recipes(toy: BaseSpec) -> None:
    assert recipe("toy", "paper").steps == RECIPES["paper"].steps
    assert recipe("toy", "quick", masked=True).config.mask


def test_the_command_line_lists_it_and_takes_its_files(toy: BaseSpec, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert "  toy\n" in capfd.readouterr().out
    with pytest.raises(SystemExit):
        main(["animate", "--help"])
    told = " ".join(capfd.readouterr().out.split())
    assert "wan or toy" in told and "--blocks FILE for toy: its bricks" in told


@pytest.mark.parametrize("spec", BASES.values(), ids=lambda spec: spec.name)
def test_every_base_fills_its_spec(spec: BaseSpec) -> None:
    assert spec.name == next(name for name, other in BASES.items() if other is spec)
    assert set(spec.recipes) == set(PRESETS)
    assert all(isinstance(one, Recipe) and one.preset == preset for preset, one in spec.recipes.items())
    assert len({file.input for file in spec.files}) == len({file.argument for file in spec.files}) == len(spec.files)
    releases = dict(spec.backbones())
    kinds = spec.architecture.processors()
    for backbone in releases.values():
        assert backbone.family == spec.architecture.family
        assert {site.kind for site in backbone.sites} == set(kinds)


def test_architectures_of_one_family_are_one() -> None:
    families = {spec.architecture.family for spec in BASES.values()}
    assert len({id(spec.architecture) for spec in BASES.values()}) == len(families)


def test_a_loaded_base_belongs_to_its_spec() -> None:
    base: Base = load_base(next(iter(BASES)))
    assert base.backbone.family == find_base(base.name).architecture.family
