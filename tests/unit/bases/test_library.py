from dataclasses import replace
from pathlib import Path

import pytest

from miva_core.bases.library import find_adapters, resolve_adapter
from miva_core.bases.registry import BASES
from miva_core.errors import MIVAError


@pytest.fixture(autouse=True)
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shipped"
    folder.mkdir()
    for name in ("pan_left.safetensors", "pan_right.safetensors", "zoom_in.safetensors", "notes.txt"):
        (folder / name).touch()
    for base, spec in BASES.items():
        monkeypatch.setitem(BASES, base, replace(spec, adapters=None))
    come_with_the_first_base(folder, monkeypatch)
    return folder


def come_with_the_first_base(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, *_ = BASES
    monkeypatch.setitem(BASES, name, replace(BASES[name], adapters=folder))


@pytest.fixture
def user_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    for name in ("zoom_in.safetensors", "my jump.safetensors"):
        (folder / name).touch()
    return folder


def test_names_are_stems_and_later_folders_win(shipped: Path, user_folder: Path) -> None:
    assert find_adapters([user_folder]) == {
        "pan_left": shipped / "pan_left.safetensors",
        "pan_right": shipped / "pan_right.safetensors",
        "zoom_in": user_folder / "zoom_in.safetensors",
        "my jump": user_folder / "my jump.safetensors",
    }


def test_an_ending_in_capitals_is_one(user_folder: Path) -> None:
    path = user_folder / "LOUD.SAFETENSORS"
    path.touch()
    assert find_adapters([user_folder])["LOUD"] == path == resolve_adapter("loud", [user_folder])


def test_a_name_or_a_file_will_do(shipped: Path, user_folder: Path) -> None:
    assert resolve_adapter("pan_left") == shipped / "pan_left.safetensors"
    assert resolve_adapter("my jump", [user_folder]) == user_folder / "my jump.safetensors"
    assert resolve_adapter("elsewhere/zoom_in.safetensors", [user_folder]) == Path("elsewhere/zoom_in.safetensors")


def test_case_and_ending_do_not_matter(
    shipped: Path, user_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resolve_adapter("PAN_left") == shipped / "pan_left.safetensors"
    assert resolve_adapter("pan_left.safetensors") == shipped / "pan_left.safetensors"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "MINE.SAFETENSORS").touch()
    (tmp_path / "picture.png").touch()
    (tmp_path / "pan_right").mkdir()
    assert resolve_adapter("MINE.SAFETENSORS") == Path("MINE.SAFETENSORS")
    assert resolve_adapter("picture.png") == Path("picture.png")  # to be told what it is
    assert resolve_adapter("pan_right") == shipped / "pan_right.safetensors"


def test_the_nearest_names_are_told(user_folder: Path) -> None:
    with pytest.raises(MIVAError, match=r"'zoomin': .* zoom_in\?"):
        resolve_adapter("zoomin")
    with pytest.raises(MIVAError, match=r"'PanLeft': .* pan_left( or pan_right)?\?"):
        resolve_adapter("PanLeft", [user_folder])


def test_names_that_are_not_near_are_not_told(user_folder: Path) -> None:
    with pytest.raises(MIVAError, match="'0123456789': `list`"):
        resolve_adapter("0123456789", [user_folder])


def test_the_home_folder(user_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(user_folder.parent))
    monkeypatch.setenv("USERPROFILE", str(user_folder.parent))
    assert resolve_adapter(f"~/{user_folder.name}/my jump.safetensors") == user_folder / "my jump.safetensors"


def test_without_any_adapter_the_message_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bare").mkdir()
    come_with_the_first_base(tmp_path / "bare", monkeypatch)
    with pytest.raises(MIVAError, match="'pan', nor any other"):
        resolve_adapter("pan")


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(MIVAError, match=r"no folder .*nowhere"):
        find_adapters([tmp_path / "nowhere"])
