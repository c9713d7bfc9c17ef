"""The pack as ComfyUI loads it, above the stub of ComfyUI's node API."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "workflows" / "pictures"
STUBS = Path(__file__).parents[1] / "stubs"
NAME = "comfyui_miva"
"""ComfyUI calls it by the path of its folder, which no code of the pack may count on."""


def load_pack() -> ModuleType:
    """The pack by a name that is not its own; its engine is `comfyui_miva.miva_core`, beside any other copy of it."""
    if NAME not in sys.modules:
        sys.path.insert(0, str(STUBS))
        spec = importlib.util.spec_from_file_location(
            NAME, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        assert spec and spec.loader
        sys.modules[NAME] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[NAME])
    return sys.modules[NAME]
