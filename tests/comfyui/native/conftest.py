"""ComfyUI in this process, and small models of its own with the diffusers models of the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..server import COMFYUI_PATH

if TYPE_CHECKING:
    from .cases import Case
    from .sd15_models import SmallSD15
    from .wan_models import SmallWan

REASON = "COMFYUI_PATH does not name a checkout of ComfyUI"
ALONE = "tests of nodes need a stub where ComfyUI's own modules are loaded here; run tests/comfyui by itself"


class _Skipped(pytest.File):
    """A module of tests that is not even imported."""

    def collect(self) -> list[pytest.Item]:
        pytest.skip(ALONE if COMFYUI_PATH else REASON)


def _is_alone(config: pytest.Config) -> bool:
    """Whether nothing but tests with a real ComfyUI is collected."""
    paths = [(config.invocation_params.dir / arg.split("::")[0]).resolve() for arg in config.args]
    return all(path.is_relative_to(Path(__file__).parents[1]) for path in paths)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if not COMFYUI_PATH or not _is_alone(parent.config):
        return _Skipped.from_parent(parent, path=module_path)
    from . import real_comfyui  # noqa: F401 (its import starts ComfyUI)

    return None


@pytest.fixture(autouse=True)
def _as_comfyui_runs() -> Iterator[None]:
    import torch

    torch.manual_seed(0)
    with torch.inference_mode():
        yield


@pytest.fixture(scope="session")
def wan() -> SmallWan:
    """Wan 2.1 text-to-video: MODEL, its weights, and the diffusers model of the same weights."""
    from .wan_models import SmallWan

    return SmallWan.make()


@pytest.fixture(scope="session")
def wan_vae() -> Any:
    """VAE of 16 channels for Wan 2.1."""
    from .vaes import wan_vae

    return wan_vae()


@pytest.fixture(scope="session")
def sd15_vae() -> Any:
    """VAE for Stable Diffusion 1.5."""
    from .vaes import sd15_vae

    return sd15_vae()


@pytest.fixture(scope="session")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> SmallSD15:
    """Stable Diffusion 1.5 with files of motion modules v1, v2, v3: MODEL, and bases of the engine by these files."""
    from .sd15_models import SmallSD15

    return SmallSD15.make(tmp_path_factory.mktemp("sd15"))


@pytest.fixture(params=["wan", "sd15"])
def case(request: pytest.FixtureRequest) -> Case:
    """Each kind of MODEL, and the diffusers model of the same weights."""
    return request.getfixturevalue(f"{request.param}_case")


@pytest.fixture(scope="session")
def wan_case(wan: SmallWan) -> Case:
    """Wan 2.1 text-to-video."""
    from .cases import Case

    return Case.of("wan", wan.model, wan.reference, wan.backbone)


@pytest.fixture(scope="session")
def sd15_case(sd15: SmallSD15) -> Case:
    """Stable Diffusion 1.5 with motion module v3 by Load Motion Module."""
    from comfyui_miva.nodes.comfy_bridge.native.motion_module import apply_motion_module, load_motion_module

    from .cases import Case

    base = sd15.base("v3")
    model = apply_motion_module(sd15.model, load_motion_module(sd15.motion("v3")))
    return Case.of("sd15", model, base.model, base.backbone)
