"""Starts ComfyUI in this process, on the processor and on one thread, and loads this pack into it.

Importing this module does it, once. ComfyUI's folder is first in the path only meanwhile, since both it and this
project have a `nodes`.
"""

import asyncio
import importlib.util
import sys
import tempfile
from types import ModuleType
from typing import Any

import torch

import tests.unit.single_files  # noqa: F401 (before ComfyUI's own `tests` can be found)

from ..server import COMFYUI_PATH, ROOT

NAME = "comfyui_miva"
"""ComfyUI calls the pack by the path of its folder, which no code of the pack may count on."""
_FOLDER = tempfile.TemporaryDirectory(prefix="comfyui-")


def _load_comfyui() -> None:
    assert "comfy" not in sys.modules and "nodes" not in sys.modules, "another ComfyUI or the pack's nodes are loaded"
    sys.path.insert(0, COMFYUI_PATH)
    try:
        from comfy.cli_args import args

        args.cpu = True
        import comfy.model_management
        import comfy.sd  # noqa: F401
        import folder_paths

        import nodes

        assert hasattr(nodes, "KSampler"), "these are the pack's nodes, not ComfyUI's"
    finally:
        sys.path.remove(COMFYUI_PATH)
        sys.path.append(COMFYUI_PATH)
    folder_paths.models_dir = _FOLDER.name
    folder_paths.set_input_directory(_FOLDER.name)


def _load_pack() -> ModuleType:
    spec = importlib.util.spec_from_file_location(NAME, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    assert spec and spec.loader
    pack = sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    return pack


async def _nodes(pack: ModuleType) -> dict[str, Any]:
    extension = await pack.comfy_entrypoint()
    await extension.on_load()
    return {kind.__name__: kind for kind in await extension.get_node_list()}


torch.set_num_threads(1)
_load_comfyui()
MODELS = _FOLDER.name
"""The folder of models, empty but for the pack's own ones."""
NODES = asyncio.run(_nodes(_load_pack()))
"""The pack's node classes by id: `NODES["MIVAApply"].execute(model=model, ...)`."""
