"""What watches damaged files: each end is told apart, and the same seed makes the same damage."""

import json
import os
import random
import struct
import sys
import tempfile
import time
from pathlib import Path

import pytest

from benchmarks import damage
from benchmarks.fuzz import judged, model_door
from benchmarks.watched import Door, Outcome, Watched
from benchmarks.whole_files import model_files
from miva_core.errors import MIVAError

WHOLE = damage.join(
    {
        "__metadata__": {"miva": json.dumps({"format_version": 1, "config": {"rank": 2}})},
        "x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
    },
    struct.pack("<2f", 1, 2),
)


def reader() -> Door:
    """Does what is written in the file."""

    def door(path: Path) -> None:
        word = path.read_text()
        if word == "refuse":
            raise MIVAError(f"{path} is damaged.")
        if word == "fail":
            raise IndexError("index 7")
        if word == "crash":
            os.abort()
        if word == "hang":
            time.sleep(60)
        if word == "feast":
            bytearray(300 * 2**20)

    return door


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_every_end_is_told_apart(tmp_path: Path) -> None:
    watched = Watched(reader, seconds=2, megabytes=200)
    ends = []
    for word in ("go on", "refuse", "fail", "crash", "feast", "go on", "hang", "refuse"):
        (tmp_path / "file").write_text(word)
        ends.append(watched.run(tmp_path / "file"))
    watched.stop()
    assert [end.kind for end in ends] == [
        *("fine", "sentence", "traceback", "crash", "memory", "fine", "hang", "sentence")
    ]
    assert "IndexError: index 7 (test_fuzz.py:" in ends[2].text and ends[3].text == "SIGABRT"


def test_the_door_of_models_leaves_its_files_beside_the_model_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    path = next(model_files(tmp_path))
    model_door()(path)
    assert list(temporary.iterdir()) == [] and (tmp_path / "out.safetensors").is_file()


@pytest.mark.parametrize("change", {*damage.ANY, *damage.SAFETENSORS}, ids=lambda change: change.__name__)
def test_a_seed_makes_one_damage(change: damage.Change) -> None:
    made = [change(WHOLE, random.Random(seed)) for seed in range(12)]
    assert made == [change(WHOLE, random.Random(seed)) for seed in range(12)]
    assert sum(content != WHOLE for content in made) > 6
    assert len(set(made)) > 1


def test_several_changes_are_named() -> None:
    names = {damage.damaged(WHOLE, damage.ANY + damage.SAFETENSORS, random.Random(seed))[1] for seed in range(200)}
    assert {name.split(" + ")[0] for name in names} >= {"flip", "lie_of_tensor", "lie_of_header", "deep"}
    assert any(" + " in name for name in names)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("case7.pt is damaged: get it again.", "sentence"),
        ("A file is damaged: get it again.", "unnamed"),
        ("case7.pt is\ndamaged.", "unnamed"),
        ("case7.pt is " + "x" * 2000, "unnamed"),
    ],
)
def test_a_sentence_names_its_file(text: str, kind: str) -> None:
    assert judged(Outcome("sentence", text), Path("models-7/case7.pt")).kind == kind
    assert judged(Outcome("hang"), Path("case7.pt")) == Outcome("hang")
