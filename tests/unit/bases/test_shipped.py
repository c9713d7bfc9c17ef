"""The files that come with the package: complete, small, and made for each other."""

from dataclasses import replace

import pytest
import torch

from benchmarks.tiny_quality import camera_ideal, camera_speed, held_out_pictures
from miva_core import Base, MIVAAdapter, RunOptions, animate, load_base, read_info
from miva_core.bases.library import find_adapters
from miva_core.bases.registry import BASES
from miva_core.bases.spec import BaseSpec
from miva_core.bases.tiny.spec import SHIPPED, WEIGHTS
from miva_core.clips.camera import UNIT_MOVES
from miva_core.storage.json_files import read_json
from tools.motion_gallery import FOLDER, LIMIT, ROOT, commands
from tools.tiny_base.model import SETTINGS

CAMERA = {name for name in UNIT_MOVES if name != "still"}


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base("tiny")


def test_camera_motions_and_two_subject_motions_of_each_kind_are_there() -> None:
    names = set(find_adapters())
    assert names >= CAMERA
    infos = [read_info(path) for path in SHIPPED.glob("*.safetensors")]
    assert len([info for info in infos if info.subject and not info.config.mask]) >= 2
    assert len([info for info in infos if info.subject and info.config.mask]) >= 2


def test_readme_shows_each_of_them_by_a_command_that_works() -> None:
    made = commands()
    assert made.keys() == find_adapters().keys()
    for name, command in made.items():
        assert command[command.index("--miva") + 1] == name
        assert (ROOT / command[command.index("animate") + 1]).is_file()
        shown = (FOLDER / f"{name}.webp").read_bytes()
        assert shown[:4] + shown[8:12] == b"RIFFWEBP" and len(shown) <= LIMIT


def test_the_base_has_the_settings_of_what_trains_it() -> None:
    assert read_json(WEIGHTS / "settings.json") == SETTINGS


def test_each_caption_of_the_base_is_a_camera_motion(base: Base) -> None:
    moves = [name for name in UNIT_MOVES if name != "still"]
    assert len(base.captions) == len(moves)
    for move, caption in zip(moves, base.captions, strict=True):
        ideal, speed = camera_ideal(held_out_pictures(1), move, base).frames[0], camera_speed(move)
        clip = animate(replace(base, text=caption[None]), ideal[0], [], RunOptions(seed=0, render="latents")).frames
        assert speed(clip) / speed(ideal) > 0.7, move


def test_the_seed_draws_one_of_its_captions(base: Base) -> None:
    drawn = torch.cat([base.with_drawn_caption(seed).text for seed in range(60)])
    assert torch.equal(drawn.unique(dim=0), base.captions.unique(dim=0))
    assert torch.equal(base.with_drawn_caption(7).text, drawn[7:8])
    silent = replace(base, captions=None)
    assert silent.with_drawn_caption(7) is silent


def test_the_base_and_each_adapter_are_small() -> None:
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    adapters = [path for path in files if path.parent == SHIPPED]
    assert sum(path.stat().st_size for path in files if path not in adapters) <= 12_000_000
    assert all(path.stat().st_size <= 1_000_000 for path in adapters)


@pytest.mark.parametrize("spec", [spec for spec in BASES.values() if spec.adapters], ids=lambda spec: spec.name)
def test_every_adapter_fits_its_base_and_was_trained(spec: BaseSpec) -> None:
    base = load_base(spec.name)
    for path in spec.adapters.glob("*.safetensors"):
        adapter = MIVAAdapter.load(path, base.backbone)
        info = read_info(path)
        assert (info.frames, info.size) == (base.frames, (base.size[1], base.size[0]))
        assert info.licence and info.author and info.training
        # These parts start at zero.
        assert all(adapter.site(site)["ca"].second.any() for site in base.backbone.sites if site.kind == "ca")
