"""Files that are written whole or not at all: what appears meanwhile is left alone, what killed writers leave goes."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import miva_core
from miva_core.adapters.adapter import MIVAAdapter
from miva_core.errors import MIVAError
from miva_core.storage.files import FileTakenError, _mark, replacing, sweep, whole_folder
from miva_core.storage.weights import save_weights

ROOT = Path(miva_core.__file__).parents[1]
KILLED = """
import sys, time
from pathlib import Path
from miva_core.storage.files import replacing

with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    time.sleep(100)
"""


@pytest.fixture(params=["hard links", "none"])
def links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """File systems with hard links, and those without, as on memory cards."""

    def refuse(*paths: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    if request.param == "none":
        monkeypatch.setattr(os, "link", refuse)


def kill_while_writing(path: Path) -> None:
    """Leaves what a writer of this file leaves when it is killed."""
    writer = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, stdout=subprocess.PIPE)
    assert writer.stdout and writer.stdout.readline() == b"writing\n"
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()


@pytest.mark.usefixtures("links")
def test_a_new_file_never_takes_the_place_of_one_that_has_appeared(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with replacing(path, new=True) as temporary:
        temporary.write_text("first")
    message = r"a\.txt has appeared in .* is left alone: name another file"
    with pytest.raises(FileTakenError, match=message), replacing(path, new=True) as temporary:
        temporary.write_text("second")
    assert path.read_text() == "first" and list(tmp_path.iterdir()) == [path]
    with replacing(path) as temporary:
        temporary.write_text("third")
    assert path.read_text() == "third" and list(tmp_path.iterdir()) == [path]


def test_a_name_that_was_taken_but_could_not_be_filled_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*paths: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "replace", refuse)
    message = r"a\.txt could not be written: Input/output error"
    with pytest.raises(MIVAError, match=message), replacing(tmp_path / "a.txt", new=True) as temporary:
        temporary.write_text("text")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("links")
def test_of_many_that_write_at_once_one_has_the_name(tmp_path: Path) -> None:
    path, ready, done = tmp_path / "a.txt", threading.Barrier(8), []

    def write(k: int) -> None:
        with replacing(path, new=True) as temporary:
            temporary.write_text(str(k))
            ready.wait(30)
        done.append(k)

    def tried(k: int) -> None:
        try:
            write(k)
        except FileTakenError:
            lost.append(k)

    lost: list[int] = []
    threads = [threading.Thread(target=tried, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(done) == 1 and len(lost) == 7
    assert path.read_text() == str(done[0]) and list(tmp_path.iterdir()) == [path]


def test_a_link_is_written_through_and_a_broken_one_can_be_new(tmp_path: Path) -> None:
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    with replacing(tmp_path / "link.txt", new=True) as temporary:
        temporary.write_text("text")
    assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "real.txt").read_text() == "text"


def test_what_a_killed_writer_left_is_removed_with_its_file_alone(tmp_path: Path) -> None:
    path, other = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    for target in (path, other):
        kill_while_writing(target)
    (tmp_path / ".hidden.safetensors").touch()
    assert len(list(tmp_path.iterdir())) == 3 and not path.exists()
    sweep(path)
    left = [found for found in tmp_path.iterdir() if found.name != ".hidden.safetensors"]
    assert len(left) == 1 and left[0].read_text() == "half"
    sweep(other)
    assert [found.name for found in tmp_path.iterdir()] == [".hidden.safetensors"]


def test_a_day_later_any_writer_removes_it_but_nothing_that_is_being_written(tmp_path: Path) -> None:
    old, path = tmp_path / ".miva-01234567-0123456789abcdef.png", tmp_path / "a.txt"
    old.touch()
    (tmp_path / "miva-notes.txt").touch()
    os.utime(tmp_path / "miva-notes.txt", (0, 0))
    with replacing(tmp_path / "b.txt") as others:
        with replacing(path) as temporary:
            temporary.touch()
        assert old.exists() and others.exists()
        os.utime(old, (time.time() - 25 * 3600,) * 2)
        with replacing(path) as temporary:
            temporary.touch()
        assert not old.exists() and others.exists()
    assert sorted(found.name for found in tmp_path.iterdir()) == ["a.txt", "b.txt", "miva-notes.txt"]


def test_names_of_any_length_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 120 + ".txt")
    with replacing(path, new=True) as temporary:
        temporary.write_text("text")
    assert path.read_text() == "text"


def test_weights_can_be_new_or_replace(tmp_path: Path) -> None:
    path, tensors = tmp_path / "a.safetensors", {"a": torch.ones(1)}
    save_weights(path, tensors, {}, "It", new=True)
    content = path.read_bytes()
    with pytest.raises(MIVAError, match="has appeared"):
        save_weights(path, {"a": torch.zeros(1)}, {}, "It", new=True)
    assert path.read_bytes() == content
    save_weights(path, {"a": torch.zeros(1)}, {}, "It")
    assert path.read_bytes() != content


def test_an_adapter_can_be_new_or_replace(tmp_path: Path, make_adapter: Any, unet: Any) -> None:
    adapter: MIVAAdapter = make_adapter(unet)
    info = adapter.info(motion="a", frames=5, size=(16, 16), fps=8)
    adapter.save(tmp_path / "a.safetensors", info, new=True)
    with pytest.raises(FileTakenError):
        adapter.save(tmp_path / "a.safetensors", info, new=True)
    adapter.save(tmp_path / "a.safetensors", info)


def test_a_folder_takes_its_place_whole_and_never_that_of_another(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    for _ in range(2):  # one that is not there, and one that is empty
        with whole_folder(folder) as made:
            (made / "a.txt").write_text("first")
            assert not folder.exists() or not any(folder.iterdir())
        assert [path.name for path in folder.iterdir()] == ["a.txt"] and len(list(tmp_path.iterdir())) == 1
        (folder / "a.txt").unlink()
    message = r"clips was filled meanwhile, and is left alone: the results are in .*clips_3\."
    (tmp_path / "clips_2").mkdir()
    with pytest.raises(FileTakenError, match=message), whole_folder(folder) as made:
        (made / "a.txt").write_text("second")
        (folder / "theirs.txt").touch()
    assert [path.name for path in folder.iterdir()] == ["theirs.txt"]
    assert (tmp_path / "clips_3" / "a.txt").read_text() == "second"
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "more") as made:
        (made / "a.txt").touch()
        raise KeyboardInterrupt
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips", "clips_2", "clips_3"]


def make_old(path: Path) -> None:
    os.utime(path, (time.time() - 25 * 3600,) * 2)


def test_folders_of_killed_commands_are_removed_a_day_later(tmp_path: Path) -> None:
    old, young, growing = (tmp_path / f".miva-01234567-{k}123456789abcdef" for k in "012")
    for left in (old, young, growing):
        (left / "clips").mkdir(parents=True)
        (left / "clips" / "a.mp4").touch()
    for path in (old / "clips" / "a.mp4", old / "clips", old, growing / "clips", growing):
        make_old(path)
    with whole_folder(tmp_path / "clips") as made:
        (made / "a.txt").touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == [young.name, growing.name, "clips"]


@pytest.mark.parametrize(
    "name",
    [
        ".miva-backup",
        ".miva-notes.txt",
        ".miva-01234567-notes.txt",
        ".miva-01234567-0123456789abcdef_mine",
        ".miva-0123456789abcdef.png",
    ],
)
def test_files_and_folders_of_others_stay_whatever_they_are_called(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / name).touch()
    (tmp_path / "folder" / name).mkdir(parents=True)
    theirs = [tmp_path / "file" / name, tmp_path / "folder" / name / "a.txt"]
    theirs[1].touch()
    for path in (*theirs, theirs[1].parent):
        make_old(path)
    for place in (tmp_path / "file", tmp_path / "folder"):
        with replacing(place / "a.json") as temporary:
            temporary.write_text("{}")
        with whole_folder(place / "clips") as made:
            (made / "a.txt").touch()
        sweep(place)
        sweep(place / "a.json")
    assert all(path.is_file() for path in theirs)


def test_names_that_no_encoding_takes_have_temporary_files_of_their_own() -> None:
    names = ["a\ud800.txt", "a\udc80.txt", "a\udfff.txt", "a.txt"]  # Windows allows them; a sweep needs the same again
    assert len({_mark(Path(name)) for name in names}) == 4
    assert _mark(Path("there") / names[0]) == _mark(Path(names[0]))
