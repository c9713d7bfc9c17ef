"""A real ComfyUI for these tests, if there is one."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .server import COMFYUI_PATH, PYTHON, ROOT, Server

HERE = Path(__file__).parent
REASON = "COMFYUI_PATH does not name a checkout of ComfyUI"
SIZE = "size=(320, 512)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not COMFYUI_PATH:
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=REASON))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def server_with_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """ComfyUI with small files of all models that workflows ask for, by the names that they ask for."""
    pack = _small_pack(tmp_path_factory.mktemp("pack") / "ComfyUI-MIVA")
    beside = tuple(HERE / f"{name}.py" for name in ("narrow_sd15", "narrow_svd", "random_texts"))
    running = Server(pack=pack, beside=beside)
    write = [PYTHON, "-m", "tests.comfyui.small_model_files", str(running.base / "models")]
    subprocess.run(write, cwd=ROOT, check=True, capture_output=True)
    yield running
    running.stop()


def _small_pack(folder: Path) -> Path:
    """A copy of the pack that expects a smaller Stable Diffusion and films smaller clips; all else is as it is."""
    from tests.unit.single_files import UNET, VAE

    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".*", "benchmarks", "docs", "tests", "out"))
    base = folder / "miva_core" / "bases" / "animatediff"
    for name, small in {"unet": UNET, "vae": VAE}.items():
        path = base / "configs" / f"{name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"block_out_channels": small["block_out_channels"]}))
    code = base / "loading.py"
    assert code.read_text().count(SIZE) == 1
    code.write_text(code.read_text().replace(SIZE, "size=(64, 96)"))
    return folder
