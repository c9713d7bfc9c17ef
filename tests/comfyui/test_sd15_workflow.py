"""The workflow for Stable Diffusion 1.5, as it is shipped, from two files to a clip; of a small model."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from .browser import chromium, open_page
from .server import ROOT, Server

NAME = "6_train_a_zoom_on_sd15"
SIZE = "size=(320, 512)"


def small_pack(folder: Path, configs: dict[str, dict[str, object]]) -> Path:
    """A copy of the pack that expects a smaller model and makes smaller clips; all else of it is as it is."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".*", "benchmarks", "docs", "tests", "out"))
    for name, small in configs.items():
        path = folder / "miva_core" / "bases" / "animatediff" / "configs" / f"{name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | small))
    code = folder / "miva_core" / "bases" / "animatediff" / "loading.py"
    assert code.read_text().count(SIZE) == 1
    code.write_text(code.read_text().replace(SIZE, "size=(64, 96)"))
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """ComfyUI with the two files that the workflow asks for, by the names that it asks for."""
    from diffusers import AutoencoderKL, UNetMotionModel
    from safetensors.torch import save_file

    from tests.unit.single_files import UNET, VAE, motion_module, stable_diffusion

    configs = {"unet": {"block_out_channels": UNET["block_out_channels"]}}
    configs["vae"] = {"block_out_channels": VAE["block_out_channels"]}
    running = Server(pack=small_pack(tmp_path_factory.mktemp("pack") / "ComfyUI-MIVA", configs))
    torch.manual_seed(0)
    unet = UNetMotionModel(**UNET, use_motion_mid_block=False)
    graph = json.loads((ROOT / "workflows" / f"{NAME}.json").read_text("utf-8"))
    models = [model for node in graph["nodes"] for model in node["properties"].get("models", [])]
    contents = {
        "checkpoints": stable_diffusion(unet, AutoencoderKL(**VAE)),
        "animatediff_models": motion_module(unet),
    }
    for model in models:
        path = running.base / "models" / model["directory"] / model["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in contents[model["directory"]].items()}, path)
    yield running
    running.stop()


def test_two_files_are_all_that_it_needs(server: Server) -> None:
    with chromium() as browser:
        page = open_page(browser, server, "litegraph")
        page.load(json.loads((ROOT / "workflows" / f"{NAME}.json").read_text("utf-8")), NAME)
        assert page.missing() == []
        assert page.notices() == ""
        # As shipped it learns for hours on a processor.
        page.set("MIVATrain", "steps", 1)
        page.set("MIVASampler", "steps", 2)
        status, error = page.queue(600)
        page.shoot(f"{NAME}_done")
        layout = page.layout()
    assert (status, error) == ("success", None)
    assert layout.overlapping == layout.crossed == []
    (learnt,) = (server.base / "models" / "miva").glob("sd15_zoom_in*.safetensors")
    assert learnt.stat().st_size > 1000
    (video,) = (server.base / "output" / "MIVA").glob("sd15_zoom_in*.mp4")
    assert video.stat().st_size > 1000
