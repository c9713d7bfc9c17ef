"""The laws of who may import whom hold in this repository, and would be seen to be broken."""

from pathlib import Path

import pytest
from import_laws import ENGINE, LAYERS, all_imports, broken_laws

ROOT = Path(__file__).parents[2]


def write(root: Path, files: dict[str, str]) -> Path:
    """A small repository that keeps all laws, with these files on top."""
    kept = {
        "miva_core/__init__.py": "from .animation.animate import animate",
        "miva_core/bases/base.py": "from ..adapters import config",
        "miva_core/bases/wan/spec.py": "from ..base import Base\nfrom .loading import load",
        "miva_core/bases/wan/loading.py": "import torch",
        "miva_core/adapters/config.py": "from ..errors import MIVAError",
        "miva_core/animation/animate.py": "from ..bases.base import Base\nfrom . import masks",
        "miva_core/animation/masks.py": "",
        "miva_core/diffusion/loop.py": "",
        "miva_core/attention/cross_frame.py": "import torch.nn.functional as F",
        "miva_core/errors.py": "",
        "nodes/__init__.py": "from . import comfy_bridge\nfrom .sampling import MIVASampler",
        "nodes/comfy_bridge.py": "def files():\n    import folder_paths",
        "nodes/sampling.py": "from comfy_api.v0_0_2 import io\nfrom ..miva_core.animation.animate import animate",
        "tools/shapes.py": "from miva_core.bases.wan import loading",
        "benchmarks/masks.py": "from tools import shapes",
    }
    for name, text in (kept | files).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for folder in (root / ENGINE).rglob("*/"):
        (folder / "__init__.py").touch()
    return root


def test_this_repository_keeps_the_laws() -> None:
    assert broken_laws(ROOT) == []


def test_every_file_is_looked_at() -> None:
    """The laws would hold in an empty tree, too."""
    seen = {one.layer for one in all_imports(ROOT) if one.module.startswith(f"{ENGINE}.")}
    assert seen >= {part for layer in LAYERS for part in layer if (ROOT / ENGINE / part).is_dir()} - {"text"}
    assert {one.module for one in all_imports(ROOT)} >= {"nodes.comfy_bridge", "tools.shapes", "benchmarks.masks"}


def test_a_tree_that_keeps_the_laws_is_left_in_peace(tmp_path: Path) -> None:
    assert broken_laws(write(tmp_path, {})) == []


LATE = "def late():\n    "
TYPED = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "
BREAKS = [
    ("attention/cross_frame.py", "from ..bases.base import Base", ["stands below"]),
    ("attention/cross_frame.py", "from ..bases.wan import loading", ["stands below", "no base by name"]),
    ("attention/cross_frame.py", LATE + "from ..diffusion.loop import sample", ["no scheduler"]),
    ("attention/cross_frame.py", "from diffusers.schedulers.scheduling_ddim import DDIMScheduler", ["only bases"]),
    ("attention/cross_frame.py", "from diffusers import DDIMScheduler", ["only bases"]),
    ("attention/cross_frame.py", LATE + "import diffusers", ["only bases"]),
    ("attention/cross_frame.py", "from diffusers.models.attention_processor import Attention", ["only bases"]),
    ("adapters/config.py", TYPED + "from diffusers import ModelMixin", ["only bases"]),
    ("diffusion/loop.py", "from diffusers import SchedulerMixin", ["only bases"]),
    ("animation/masks.py", "import diffusers.utils", ["only bases"]),
    ("../nodes/sampling.py", LATE + "from diffusers import DDIMScheduler", ["only bases"]),
    ("adapters/config.py", TYPED + "from ..diffusion import loop", ["stands below"]),
    ("animation/masks.py", "from ..bases import wan", ["no base by name"]),
    ("animation/masks.py", "def is_wan(base):\n    return base.name == 'wan'", ["no base by name"]),
    ("animation/masks.py", "def is_slow(base):\n    return base.name in {'tiny', 'wan'}", ["no base by name"]),
    ("animation/masks.py", "STEPS = {'wan': 50}", ["no base by name"]),
    ("../nodes/sampling.py", "match name:\n    case 'wan':\n        steps = 50", ["no base by name"]),
    ("animation/masks.py", LATE + "from .animate import animate", ["each other"]),
    ("errors.py", "from .adapters import config", ["stands below", "each other"]),
    ("errors.py", LATE + "import comfy.utils", ["no ComfyUI"]),
    ("errors.py", "from miva_core.storage import files", ["stands below", "relatively"]),
    ("errors.py", "from ..nodes import comfy_bridge", ["relatively"]),
    ("errors.py", "from ...elsewhere import thing", ["relatively"]),
    ("errors.py", "from tools.procedural import sprites", ["relatively"]),
    ("sprites.py", "", ["in no layer"]),
    ("drawing/sprites.py", "", ["in no layer"]),
    ("../nodes/sampling.py", "from ..miva_core.bases.wan.loading import load", ["no base by name"]),
    ("../nodes/sampling.py", LATE + "from comfy.model_management import load_models_gpu", ["only the bridge"]),
    ("../nodes/sampling.py", "from comfy_api.latest import io", ["only the bridge"]),
    ("../nodes/sampling.py", "from ..miva_core.cli.main import main", ["neither the command line"]),
    ("../nodes/sampling.py", "from ..tools.procedural.sprites import draw", ["neither the command line"]),
    ("../tools/shapes.py", "import benchmarks.masks", ["no measurement", "each other"]),
]
"""Files of miva_core, or beside it, that break laws when they hold this, and words of those laws."""


@pytest.mark.parametrize(("name", "text", "laws"), BREAKS, ids=[f"{name}-{text[-30:]}" for name, text, _ in BREAKS])
def test_a_broken_law_is_found(tmp_path: Path, name: str, text: str, laws: list[str]) -> None:
    found = broken_laws(write(tmp_path, {f"{ENGINE}/{name}": text}))
    assert len(found) == len(laws) and all(law in sentence for law, sentence in zip(laws, found, strict=True)), found
    assert all(Path(name).stem in sentence or Path(name).parent.name in sentence for sentence in found)


def test_a_circle_of_three_is_found(tmp_path: Path) -> None:
    files = {"a": "from . import b", "b": "from .c import x", "c": "def late():\n    from .a import y"}
    write(tmp_path, {f"miva_core/media/{name}.py": text for name, text in files.items()})
    assert broken_laws(tmp_path) == ["miva_core.media.a and miva_core.media.b and miva_core.media.c import each other"]
