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
    come_with_the_first_base(folder, monkeypatch)
    return folder


def come_with_the_first_base(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, *_ = BASES
    monkeypatch.setitem(BASES, name, replace(BASES[name], adapters=folder))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    for name in ("zoom_in.safetensors", "my jump.safetensors"):
        (folder / name).touch()
    return folder


def test_names_are_stems_and_later_folders_win(shipped: Path, own: Path) -> None:
    assert find_adapters([own]) == {
        "pan_left": shipped / "pan_left.safetensors",
        "pan_right": shipped / "pan_right.safetensors",
        "zoom_in": own / "zoom_in.safetensors",
        "my jump": own / "my jump.safetensors",
    }


def test_an_ending_in_capitals_is_one(own: Path) -> None:
    path = own / "LOUD.SAFETENSORS"
    path.touch()
    assert find_adapters([own])["LOUD"] == path == resolve_adapter("loud", [own])


def test_a_name_or_a_file_will_do(shipped: Path, own: Path) -> None:
    assert resolve_adapter("pan_left") == shipped / "pan_left.safetensors"
    assert resolve_adapter("my jump", [own]) == own / "my jump.safetensors"
    assert resolve_adapter("elsewhere/zoom_in.safetensors", [own]) == Path("elsewhere/zoom_in.safetensors")


def test_case_and_ending_do_not_matter(
    shipped: Path, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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


def test_the_nearest_names_are_told(own: Path) -> None:
    with pytest.raises(MIVAError, match=r"'zoomin': .* zoom_in\?"):
        resolve_adapter("zoomin")
    with pytest.raises(MIVAError, match=r"'PanLeft': .* pan_left( or pan_right)?\?"):
        resolve_adapter("PanLeft", [own])


def test_names_that_are_not_near_are_not_told(own: Path) -> None:
    with pytest.raises(MIVAError, match="'0123456789': `list`"):
        resolve_adapter("0123456789", [own])


def test_the_home_folder(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(own.parent))
    monkeypatch.setenv("USERPROFILE", str(own.parent))
    assert resolve_adapter(f"~/{own.name}/my jump.safetensors") == own / "my jump.safetensors"


def test_without_any_adapter_the_message_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bare").mkdir()
    come_with_the_first_base(tmp_path / "bare", monkeypatch)
    with pytest.raises(MIVAError, match="'pan', nor any other"):
        resolve_adapter("pan")


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(MIVAError, match=r"no folder .*nowhere"):
        find_adapters([tmp_path / "nowhere"])
