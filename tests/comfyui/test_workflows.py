"""The example workflows in the real frontend, as a new user meets them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .browser import Page, chromium, open_page
from .server import PACK, ROOT, Server

WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
NEEDS_MODELS = "6_camera_and_subject_sd15"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def page(browser: Any, server: Server) -> Page:
    return open_page(browser, server)


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))


def test_they_are_offered_with_their_pictures(server: Server) -> None:
    offered = server.get("/workflow_templates")[PACK]
    assert sorted(offered) == [path.stem for path in WORKFLOWS]
    for path in WORKFLOWS:
        assert json.loads(server.read(f"/api/workflow_templates/{PACK}/{path.name}")) == read(path)
        assert server.read(f"/api/workflow_templates/{PACK}/{path.stem}.jpg").startswith(b"\xff\xd8")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_it_opens_and_runs(server: Server, page: Page, path: Path) -> None:
    page.load(read(path), path.stem)
    page.shoot(f"{path.stem}_opened")
    assert page.missing() == []
    assert page.seeds_stay()
    if path.stem == NEEDS_MODELS:
        assert "errors found" in page.notices()
        assert page.queue()[0] == "refused"
        return
    assert page.notices() == ""
    if path.stem.startswith("5_"):
        # As shipped it learns for minutes.
        page.set("MIVATrain", "steps", 10)
    status, error = page.queue()
    page.shoot(f"{path.stem}_done")
    assert (status, error) == ("success", None)
    videos = sorted((server.base / "output" / "MIVA").glob("*.mp4"))
    assert videos and all(video.stat().st_size > 1000 for video in videos)


def test_missing_models_come_with_links(page: Page) -> None:
    page.load(read(ROOT / "workflows" / f"{NEEDS_MODELS}.json"), NEEDS_MODELS)
    page.click("text=View details")
    page.shoot("missing_models")
    graph = read(ROOT / "workflows" / f"{NEEDS_MODELS}.json")
    links = [model for node in graph["nodes"] for model in node["properties"].get("models", [])]
    assert {model["directory"] for model in links} == {"checkpoints", "animatediff_models"}
    assert all(model["url"].endswith(f"/{model['name']}") for model in links)


@pytest.mark.parametrize("path", WORKFLOWS[:5], ids=lambda path: path.stem)
def test_it_also_opens_in_the_new_renderer(server: Server, browser: Any, path: Path) -> None:
    page = open_page(browser, server, **{"Comfy.VueNodes.Enabled": True})
    page.load(read(path), path.stem)
    page.shoot(f"{path.stem}_new_renderer")
    assert page.missing() == []
    assert page.notices() == ""
