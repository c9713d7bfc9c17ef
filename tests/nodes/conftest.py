"""The pack without ComfyUI, its base, and things that artists connect."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_comfyui import FakeComfyUI, load_picture
from node_pack import PICTURES, load_pack
from torch import Tensor

from miva_core import load_base
from miva_core.bases.base import Base

torch.set_num_threads(1)
load_pack()


def _installed(fake: FakeComfyUI, patch: pytest.MonkeyPatch) -> FakeComfyUI:
    from comfyui_miva.nodes.comfy_bridge import comfy_folders

    for name, module in fake.modules.items():
        patch.setitem(sys.modules, name, module)
    comfy_folders.register_folders()
    return fake


@pytest.fixture(autouse=True)
def comfyui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeComfyUI:
    """ComfyUI's own modules, over empty folders; those of models are registered."""
    return _installed(FakeComfyUI(tmp_path / "comfyui"), monkeypatch)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """MIVA_MODEL: the built-in base, from its node."""
    from comfyui_miva.nodes import MIVALoadBase
    from node_runs import run

    with pytest.MonkeyPatch.context() as patch:
        _installed(FakeComfyUI(tmp_path_factory.mktemp("base")), patch)
        made = run(MIVALoadBase, base={"base": "tiny (built in)"})[0]
    yield made


@pytest.fixture(scope="session")
def quick_model(model: Any) -> Any:
    """MIVA_MODEL: the built-in base for clips of four frames and one step, with which to learn takes no time."""
    return replace(model, base=replace(model.base, frames=4, steps=1))


@pytest.fixture(scope="session")
def engine() -> Base:
    """The built-in base of the engine itself, to compare with; no node has touched it."""
    return load_base("tiny")


@pytest.fixture(scope="session")
def shapes() -> Tensor:
    """IMAGE: drawn shapes, among them a green circle."""
    return load_picture(PICTURES / "miva_shapes.jpg")
