"""A torchvision that was built for another torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchvision
from torchvision.ops import nms

import miva_core
from miva_core import MIVAError
from miva_core.package_fit import misfit_of

SENTENCE = f"The installed torchvision does not fit torch {torch.__version__}, as when one of them was updated alone: "


def raised_by_torch() -> RuntimeError:
    """What torch tells torchvision of an operator that was not loaded."""
    with pytest.raises(RuntimeError) as raised:
        torch.library.register_fake("torchvision::of_another_release", lambda: None)
    return raised.value


def test_operators_that_torch_does_not_have() -> None:
    assert misfit_of(raised_by_torch()).startswith(SENTENCE)


def test_operators_that_could_not_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.extension, "_has_ops", lambda: False)
    with pytest.raises(RuntimeError) as raised:
        nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    assert misfit_of(raised.value).startswith(SENTENCE)


def test_other_packages_that_could_not_be_imported_for_it() -> None:
    """As transformers and diffusers raise them, and what took them for damage of a file."""
    error = MIVAError("model.safetensors is damaged")
    error.__cause__ = ModuleNotFoundError("Could not import module 'Sam2Model'.")
    error.__cause__.__context__ = raised_by_torch()
    assert misfit_of(error).startswith(SENTENCE)


def test_nothing_else_is_explained_away() -> None:
    for error in (
        RuntimeError("operator miva::nms does not exist"),
        ModuleNotFoundError("No module named 'torchvision'"),
    ):
        error.__cause__ = ValueError("of somebody else")
        assert misfit_of(error) == ""


def test_the_command_line_says_it(tmp_path: Path) -> None:
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("import torch\ntorch.library.register_fake('torchvision::nms', print)\n")
    root = Path(miva_core.__file__).parents[1]
    picture = next((root / "workflows" / "pictures").glob("*.jpg"))
    command = ["mask", str(picture), "--box", "5,5,60,60", "--grabcut", "--out", "masks"]
    run = subprocess.run(
        [sys.executable, "-m", "miva_core", *command],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 2
    assert run.stderr.startswith(f"Error: {SENTENCE}") and run.stderr.count("\n") == 1
