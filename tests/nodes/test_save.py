"""Save MIVA keeps motions, replaces nothing, and writes nowhere else."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from comfyui_miva.miva_core.errors import MIVAError
from comfyui_miva.nodes import MIVAInfo, MIVALoad, MIVASave
from comfyui_miva.nodes.comfy_bridge import comfy_folders
from comfyui_miva.nodes.file_names import fill_in
from fake_comfyui import FakeComfyUI
from node_runs import motion, run, shown
from safetensors.torch import load_file

from miva_core.adapters.info import read_info
from miva_core.bases.tiny.spec import SHIPPED


def files(comfyui: FakeComfyUI) -> set[str]:
    """All files there are, by their paths from ComfyUI's own folder."""
    root = comfyui.models.parent
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_a_saved_motion_is_the_same_and_in_the_menu(comfyui: FakeComfyUI) -> None:
    output = run(MIVASave, mivas=motion("rise", weight=0.3), filename_prefix="my_rise")
    assert shown(output) == "Saved as my_rise.safetensors"
    kept = comfyui.models / "miva" / "my_rise.safetensors"
    before, after = load_file(SHIPPED / "rise.safetensors"), load_file(kept)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) and before[key].dtype == after[key].dtype for key in before)
    assert read_info(kept) == read_info(SHIPPED / "rise.safetensors")
    (entry,) = run(MIVALoad, miva_name="my_rise.safetensors")[0]
    assert entry.path == kept and entry.strength == 1


def test_nothing_is_ever_replaced(comfyui: FakeComfyUI) -> None:
    first = run(MIVASave, mivas=motion("rise"), filename_prefix="mine")
    content = (comfyui.models / "miva" / "mine.safetensors").read_bytes()
    again = [run(MIVASave, mivas=motion(name), filename_prefix="mine") for name in ("jump", "zoom_in")]
    assert [shown(output) for output in (first, *again)] == [
        "Saved as mine.safetensors",
        "Saved as mine_00002.safetensors",
        "Saved as mine_00003.safetensors",
    ]
    assert (comfyui.models / "miva" / "mine.safetensors").read_bytes() == content
    assert read_info(comfyui.models / "miva" / "mine_00003.safetensors").motion == "zoom in"


def test_a_number_that_another_save_takes_meanwhile_is_left_to_it(
    comfyui: FakeComfyUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    mivas, find = motion("rise"), comfy_folders.file_in
    taken: list[Path] = []

    def find_before_another_save(folder: str, name: str) -> Path | None:
        found = find(folder, name)
        if len(taken) < 2:
            taken.append(comfyui.add(folder, name, b"theirs"))
        return found

    monkeypatch.setattr(comfy_folders, "file_in", find_before_another_save)
    output = run(MIVASave, mivas=mivas, filename_prefix="mine")
    assert shown(output) == "Saved as mine_00003.safetensors"
    assert [path.name for path in taken] == ["mine.safetensors", "mine_00002.safetensors"]
    assert {path.read_bytes() for path in taken} == {b"theirs"}


def test_a_motion_that_comes_with_the_pack_is_not_hidden(comfyui: FakeComfyUI) -> None:
    comfyui.add("miva", "camera/mine.safetensors", b"any")
    for name, kept in (("jump", "jump_00002"), ("camera/mine", "camera/mine_00002")):
        assert shown(run(MIVASave, mivas=motion("rise"), filename_prefix=name)) == f"Saved as {kept}.safetensors"
    (entry,) = motion("jump")
    assert entry.path == SHIPPED / "jump.safetensors"


def test_every_motion_of_a_stack_is_saved(comfyui: FakeComfyUI) -> None:
    output = run(MIVASave, mivas=motion("jump", prev=motion("rise")), filename_prefix="both")
    assert shown(output) == "Saved as both.safetensors\nSaved as both_00002.safetensors"
    assert read_info(comfyui.models / "miva" / "both.safetensors").motion == "rise"
    assert read_info(comfyui.models / "miva" / "both_00002.safetensors").motion == "jump"


@pytest.mark.parametrize("prefix", ["camera/slow/pan", "camera\\slow\\pan", " camera / slow/pan.safetensors "])
def test_folders_may_stand_before_the_name(comfyui: FakeComfyUI, prefix: str) -> None:
    output = run(MIVASave, mivas=motion("rise"), filename_prefix=prefix)
    assert shown(output) == "Saved as camera/slow/pan.safetensors"
    assert files(comfyui) == {"models/miva/camera/slow/pan.safetensors"}


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        " ",
        "/",
        "/tmp/mine",
        "../mine",
        "a/../../mine",
        "a//b",
        "C:mine",
        "..\\mine",
        ".mine",
        "a/",
        "a\x00b",
        "a?b",
        "~",
        "~/mine",
        "~root",
        "a\u202ebc",
        "a\u200bb",
        "a\x7fb",
        "a\ud800",
    ],
)
def test_there_is_no_way_out_of_the_folder(comfyui: FakeComfyUI, prefix: str) -> None:
    with pytest.raises(MIVAError) as raised:
        run(MIVASave, mivas=motion("rise"), filename_prefix=prefix)
    assert str(raised.value) == (
        f"The filename_prefix {prefix!r} is no name for a file in models/miva: write letters, digits, _ and -, and / "
        "for folders."
    )
    assert files(comfyui) == set()


NOW = time.struct_time((2031, 2, 3, 4, 5, 6, 0, 34, 0))


@pytest.mark.parametrize(
    ("prefix", "filled"),
    [
        ("%year%-%month%-%day%/%hour%%minute%%second%", "2031-02-03/040506"),
        ("%width%x%height%", "64x48"),
        ("%date:yyyy-MM-dd%/%date:hhmmss%", "2031-02-03/040506"),
        ("%date:d.M.yy h:m:s%", "3.2.31 4:5:6"),
        ("100% %year%", "100% %year%"),  # as Save Image reads it, the first two signs belong together
        ("plain", "plain"),
        ("%date:%", "%date:%"),
    ],
)
def test_dates_and_sizes_are_filled_in(prefix: str, filled: str) -> None:
    assert fill_in(prefix, NOW, (64, 48)) == filled


def test_a_name_is_filled_in_before_it_is_checked(comfyui: FakeComfyUI) -> None:
    before = time.localtime().tm_year
    output = run(MIVASave, mivas=motion("rise"), filename_prefix="%year%/my_%width%")
    assert shown(output) in [f"Saved as {year}/my_64.safetensors" for year in (before, time.localtime().tm_year)]
    with pytest.raises(MIVAError, match="no name for a file"):
        run(MIVASave, mivas=motion("rise"), filename_prefix="%date:hh:mm%")


@pytest.mark.parametrize("prefix", ["%seed%", "a/%KSampler.seed%", "%Year%"])
def test_what_cannot_be_filled_in_is_told(comfyui: FakeComfyUI, prefix: str) -> None:
    with pytest.raises(MIVAError) as raised:
        run(MIVASave, mivas=motion("rise"), filename_prefix=prefix)
    assert str(raised.value) == (
        f"Nothing is known to fill in for {prefix.removeprefix('a/')} in the filename_prefix {prefix!r}: %year%, "
        "%month%, %day%, %hour%, %minute%, %second%, %width%, %height% and %date:yyyy-MM-dd% are."
    )
    assert files(comfyui) == set()


@pytest.mark.parametrize("prefix", ["CON", "a/nul.txt", "com¹", "LPT9 ", "conout$"])
def test_names_of_devices_are_told(comfyui: FakeComfyUI, prefix: str) -> None:
    with pytest.raises(MIVAError, match="Windows keeps for itself"):
        run(MIVASave, mivas=motion("rise"), filename_prefix=prefix)
    assert files(comfyui) == set()


def test_author_and_licence_are_recorded_and_shown(comfyui: FakeComfyUI) -> None:
    before = read_info(SHIPPED / "rise.safetensors")
    run(MIVASave, mivas=motion("rise"), filename_prefix="a", author=" Ada ", licence="CC0-1.0")
    info = read_info(comfyui.models / "miva" / "a.safetensors")
    assert (info.author, info.licence) == ("Ada", "CC0-1.0")
    assert (info.motion, info.training) == (before.motion, before.training)
    lines = run(MIVAInfo, mivas=run(MIVALoad, miva_name="a.safetensors")[0])[0].splitlines()
    assert "author: Ada" in lines and "licence: CC0-1.0" in lines
    run(MIVASave, mivas=run(MIVALoad, miva_name="a.safetensors")[0], filename_prefix="b", author="Bob")
    info = read_info(comfyui.models / "miva" / "b.safetensors")
    assert (info.author, info.licence) == ("Bob", "CC0-1.0")


def test_a_file_where_a_folder_should_be_is_told(comfyui: FakeComfyUI) -> None:
    comfyui.add("miva", "camera", b"no folder")
    with pytest.raises(MIVAError) as raised:
        run(MIVASave, mivas=motion("rise"), filename_prefix="camera/pan")
    folder = comfyui.models / "miva" / "camera"
    assert str(raised.value) == f"The folder {folder} cannot be made: File exists."


def test_a_motion_that_is_gone_is_not_saved(comfyui: FakeComfyUI, tmp_path: Path) -> None:
    path = comfyui.add("miva", "mine.safetensors", SHIPPED / "rise.safetensors")
    loaded: Any = run(MIVALoad, miva_name="mine.safetensors")[0]
    path.unlink()
    with pytest.raises(MIVAError) as raised:
        run(MIVASave, mivas=loaded, filename_prefix="copy")
    assert str(raised.value) == (
        f"The file mine.safetensors is gone from {path.parent}: put it back, or choose another one."
    )
    assert files(comfyui) == set()
