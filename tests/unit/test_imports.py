"""What loading the engine touches: neither ComfyUI, nor heavy libraries before they are needed, nor the network."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from import_laws import COMFYUI

import miva_core
from miva_core import load_base

PACKAGE = Path(miva_core.__file__).parent
LATE = {"diffusers", "transformers", "cv2", "av", "PIL", "tqdm", "accelerate", "matplotlib", "torchvision"}


def test_every_public_name_is_there_and_is_not_a_module() -> None:
    for name in miva_core.__all__:
        # A submodule of the same name would take its place once it is imported.
        assert not (PACKAGE / f"{name}.py").exists()
        assert getattr(miva_core, name).__name__ == name
        assert name in dir(miva_core)
    with pytest.raises(AttributeError, match="sing"):
        _ = miva_core.sing


@pytest.mark.parametrize(
    ("program", "late"),
    [("import miva_core", LATE | {"torch", "numpy"}), ("import torch; from miva_core import *", LATE)],
    ids=["the package", "all names"],
)
def test_importing_the_engine_loads_nothing_heavy(program: str, late: set[str]) -> None:
    """Not before it is used; all names need torch, whatever that loads."""
    *first, last = program.split("; ")
    program = "; ".join(["import sys", *first, "before = set(sys.modules)", last, "print(*set(sys.modules) - before)"])
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=PACKAGE.parent, capture_output=True, text=True, check=True, timeout=300
    )
    loaded = {name.split(".")[0] for name in run.stdout.split()}
    assert "miva_core" in loaded
    assert not loaded & (COMFYUI | late)


def test_the_built_in_base_loads_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("something wanted to go online")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(AssertionError, match="online"):
        socket.create_connection(("localhost", 9))
    assert load_base("tiny").name == "tiny"
