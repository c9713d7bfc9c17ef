"""What loading the engine may touch: neither ComfyUI, nor heavy libraries before they are needed, nor the network."""

import ast
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

import miva_core
from miva_core import load_base

PACKAGE = Path(miva_core.__file__).parent
COMFYUI = {"comfy", "comfy_api", "comfy_extras", "comfy_execution", "execution", "folder_paths", "latent_preview"}
COMFYUI |= {"nodes", "server"}
LATE = {"diffusers", "transformers", "cv2", "av", "PIL", "tqdm", "accelerate", "matplotlib"}


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The level (0 is absolute) and the name of every import anywhere in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: file.name)
def test_no_file_imports_comfyui_or_leaves_the_package(file: Path) -> None:
    """In ComfyUI the package has another name, so it must find itself by relative imports alone."""
    depth = len(file.relative_to(PACKAGE).parts)
    for level, name in imports(ast.parse(file.read_text(encoding="utf-8"))):
        assert level <= depth, f"level {level} import of {name}"
        if level == 0:
            assert name.split(".")[0] not in COMFYUI | {PACKAGE.name}


def test_every_public_name_is_there_and_is_not_a_module() -> None:
    for name in miva_core.__all__:
        # A submodule of the same name would take its place once it is imported.
        assert not (PACKAGE / f"{name}.py").exists()
        assert getattr(miva_core, name).__name__ == name
        assert name in dir(miva_core)
    with pytest.raises(AttributeError, match="sing"):
        _ = miva_core.sing


def test_importing_the_engine_loads_nothing_heavy_beside_torch() -> None:
    program = "import sys, torch; before = set(sys.modules); from miva_core import *; print(*set(sys.modules) - before)"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=PACKAGE.parent, capture_output=True, text=True, check=True, timeout=300
    )
    loaded = {name.split(".")[0] for name in run.stdout.split()}
    assert "miva_core" in loaded
    assert not loaded & (COMFYUI | LATE)


def test_the_built_in_base_loads_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("something wanted to go online")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(AssertionError, match="online"):
        socket.create_connection(("localhost", 9))
    assert load_base("tiny").name == "tiny"
