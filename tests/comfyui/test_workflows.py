"""The example workflows in the real frontend, as a new user meets them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from .browser import Page, chromium, open_page
from .server import PACK, ROOT, Server

WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
SD15 = {"checkpoints", "animatediff_models"}
NEEDS_MODELS = {
    "6_train_a_zoom_on_sd15": SD15,
    "8_wan_native": {"diffusion_models", "vae"},
    "9_sd15_native": SD15,
    "15_longer_clip_natively": SD15,
    "16_two_checkpoints": {"checkpoints"},
    "17_motion_of_a_clip_natively": {"diffusion_models", "vae", "text_encoders"},
}
"""Workflows that take files of other people, and the folders of those."""
RATES = {"11_motion_of_a_clip": 16, "14_living_photograph": 16}
"""Frames a second of workflows that do not make the 24 of MIVA Sampler."""
NODES_2 = "Comfy.VueNodes.Enabled"
"""The setting of the newer of ComfyUI's two ways to draw nodes."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module", params=[False, True], ids=["litegraph", "nodes_2"])
def page(browser: Any, server: Server, request: pytest.FixtureRequest) -> Page:
    return open_page(browser, server, "nodes_2" if request.param else "litegraph", **{NODES_2: request.param})


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))


def written_at(path: Path) -> int:
    """Nanoseconds, by which files of one server stand in the order of the workflows that made them."""
    return path.stat().st_mtime_ns


def test_they_are_offered_with_their_pictures(server: Server) -> None:
    offered = server.get("/workflow_templates")[PACK]
    assert sorted(offered) == [path.stem for path in WORKFLOWS]
    for path in WORKFLOWS:
        assert json.loads(server.read(f"/api/workflow_templates/{PACK}/{path.name}")) == read(path)
        assert server.read(f"/api/workflow_templates/{PACK}/{path.stem}.jpg").startswith(b"\xff\xd8")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_it_opens_and_runs(server: Server, page: Page, path: Path) -> None:
    page.load(read(path), path.stem)
    page.shoot(f"{path.stem}_{page.name}_opened")
    assert page.missing() == []
    assert page.seeds_stay()
    layout = page.layout()
    assert layout.overlapping == layout.crossed == layout.half_empty == []
    assert layout.wires >= len(read(path)["links"])
    assert 0.6 < layout.filled <= 1
    if path.stem in NEEDS_MODELS:
        assert "errors found" in page.notices()
        assert page.queue()[0] == "refused"
        return
    assert page.notices() == ""
    # What the other page has run would be taken from the cache, and nodes would not show how it goes.
    page.set("MIVASampler", "seed", len(page.name))
    page.set("MIVATransferMotion", "strength", 1 - len(page.name) / 100)
    page.set("MIVAFilm", "seed", len(page.name))
    # As shipped it learns for minutes.
    page.set("MIVATrain", "steps", len(page.name))
    status, error = page.queue()
    page.shoot(f"{path.stem}_{page.name}_done")
    assert (status, error) == ("success", None)
    # Nodes have grown by what they show.
    layout = page.layout()
    assert layout.overlapping == layout.crossed == []
    made = server.base / "output" / "MIVA"
    videos, animations = (sorted(made.glob(f"*.{ending}"), key=written_at) for ending in ("mp4", "webp"))
    assert videos and all(video.stat().st_size > 1000 for video in videos)
    if path.stem == "5_train_a_camera_motion":
        return  # What is learnt in so few steps may rest, and a clip at rest is stored as one frame.
    # Those play by themselves, as fast as the video.
    with Image.open(animations[-1]) as animation:
        animation.load()
        assert animation.n_frames > 16 and animation.info["duration"] == 1000 // RATES.get(path.stem, 24)


@pytest.mark.parametrize("name", NEEDS_MODELS)
def test_missing_models_come_with_links(page: Page, name: str) -> None:
    graph = read(ROOT / "workflows" / f"{name}.json")
    page.load(graph, name)
    page.click("text=View details")
    page.shoot(f"missing_models_{name}_{page.name}")
    links = [model for node in graph["nodes"] for model in node["properties"].get("models", [])]
    assert {model["directory"] for model in links} == NEEDS_MODELS[name]
    assert all(model["url"].endswith(f"/{model['name']}") for model in links)
    assert all(page.shows(model["name"]) for model in links)


def test_the_longest_error_says_what_to_do_where_it_is_seen(page: Page) -> None:
    page.load(read(ROOT / "workflows" / "5_train_a_camera_motion.json"), "5_train_a_camera_motion")
    page.set("MIVACameraClips", "motion", "zoom-out")
    page.set("MIVACameraClips", "speed", 10.0)
    status, error = page.queue()
    assert status == "error" and error is not None
    # All twenty stills are named; of a message the panel shows some 400 characters.
    assert len(error) > 500
    assert "replace or remove them" in error[:300]
    page.click("text=View details")
    page.shoot(f"longest_error_{page.name}")
    assert page.shows("replace or remove them")
