"""What makes the adapters that come with the pack."""

import subprocess
import sys
from pathlib import Path

import pytest

from miva_core.bases.registry import BASES
from tools import train_shipped


def test_every_file_that_ships_has_its_commands(tmp_path: Path) -> None:
    made = {train_shipped.made_by(commands[-1]) for commands in train_shipped.training_commands(tmp_path).values()}
    made.add(tmp_path / "sway_masked.safetensors")  # beside jump_masked, by its command
    shipped = {file.name for base in ("tiny", "miramo") for file in BASES[base].adapters.glob("*.safetensors")}
    assert shipped <= {file.name for file in made}


def test_commands_find_the_folders_that_they_write_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, there = tmp_path / "new", []

    def run(command: list[str], check: bool) -> None:
        there.append(train_shipped.made_by(command).parent.is_dir())

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["train_shipped", "--out", str(out), "--list"])
    train_shipped.main()
    assert not out.exists() and not there
    monkeypatch.setattr(sys, "argv", ["train_shipped", "--out", str(out)])
    train_shipped.main()
    assert len(there) > 10 and all(there)
