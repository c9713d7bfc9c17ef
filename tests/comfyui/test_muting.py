"""Nodes that are muted or bypassed, as the real frontend leaves them out of a prompt."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from .browser import Page, chromium, open_page
from .server import ROOT, Server

MUTED, BYPASSED = 2, 4
STACKED = "2_camera_and_subject"
BOUND = "3_two_subjects"
NATIVE = "8_wan_native"
_SOURCES = """() => app.graph._nodes.filter(n => n.type === 'MIVABindMask').map(n => Object.fromEntries(n.inputs
  .filter(i => i.link !== null).map(i => [i.name, app.graph.getNodeById(app.graph.links[i.link].origin_id).type])))"""
"""Of each Bind Mask: the types of the nodes that its sockets are connected to."""


@pytest.fixture(scope="module")
def page(server: Server) -> Iterator[Page]:
    with chromium() as browser:
        yield open_page(browser, server)


def read(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "workflows" / f"{name}.json").read_text("utf-8"))


def load(page: Page, name: str) -> None:
    page.load(read(name), name)


def as_saved_at_first(graph: dict[str, Any]) -> dict[str, Any]:
    """A graph as the frontend saved it while these sockets had to be connected: they were not drawn as optional, and
    the motions of Bind Mask stood before its mask."""
    links = {link[0]: link for link in graph["links"]}
    for node in graph["nodes"]:
        if node["type"] not in ("MIVAStack", "MIVABindMask"):
            continue
        for one in node["inputs"]:
            if one["name"] in ("mivas", "mivas.miva0"):
                one.pop("shape", None)
        node["inputs"].sort(key=lambda one: one["name"] != "mivas")
        for slot, one in enumerate(node["inputs"]):
            if one["link"] is not None:
                links[one["link"]][4] = slot
    return graph


def test_saved_workflows_keep_their_connections(page: Page) -> None:
    graph = as_saved_at_first(read(BOUND))
    first = next(node for node in graph["nodes"] if node["type"] == "MIVABindMask")
    assert [one["name"] for one in first["inputs"]] == ["mivas", "mask", "grow", "feather"]
    page.load(graph, "saved at first")
    stack = dict(page.inputs("MIVAStack"))
    assert {name: stack[name] for name in sorted(stack)} == {
        "mivas.miva0": True,
        "mivas.miva1": True,
        "mivas.miva2": False,
    }
    assert page.evaluate(_SOURCES) == [{"mivas": "MIVALoad", "mask": "LoadImageMask"}] * 2
    page.shoot("sockets_that_are_optional")


def test_a_new_stack_can_be_connected(page: Page) -> None:
    sockets = page.evaluate("() => LiteGraph.createNode('MIVAStack').inputs.map(i => i.name)")
    assert "mivas.miva0" in sockets


@pytest.mark.parametrize("mode", [MUTED, BYPASSED], ids=["muted", "bypassed"])
@pytest.mark.parametrize("number", [0, 1])
def test_a_motion_of_a_stack_is_left_out(page: Page, mode: int, number: int) -> None:
    load(page, STACKED)
    page.set_mode("MIVALoad", mode, number)
    assert page.queue() == ("success", None)


@pytest.mark.parametrize("kind", ["MIVALoad", "MIVABindMask"])
@pytest.mark.parametrize("number", [0, 1])
def test_a_subject_is_left_out(page: Page, kind: str, number: int) -> None:
    load(page, BOUND)
    page.set_mode(kind, MUTED, number)
    assert page.queue() == ("success", None)


def test_a_bypassed_bind_mask_gives_its_motion_on(page: Page) -> None:
    load(page, BOUND)
    page.set_mode("MIVABindMask", BYPASSED)
    status, error = page.queue()
    assert status == "error" and "is a masked motion without its mask" in str(error)


def test_without_any_motion_the_base_moves_as_it_likes(page: Page) -> None:
    load(page, STACKED)
    for number in (0, 1):
        page.set_mode("MIVALoad", MUTED, number)
    assert page.queue() == ("success", None)
    assert any("No motion acts: the base makes one of its camera moves" in one.text for one in page.written())


def sources(page: Page, kind: str) -> dict[str, str]:
    """What the inputs of a node are connected to in the prompt that the frontend sends: kinds of nodes."""
    return page.evaluate(
        "async () => { const {output} = await app.graphToPrompt();"
        f"const sampler = Object.values(output).find(one => one.class_type === '{kind}');"
        "return Object.fromEntries(Object.entries(sampler.inputs).filter(([, value]) => Array.isArray(value))"
        ".map(([name, [id]]) => [name, output[id].class_type])); }"
    )


def test_a_bypassed_apply_gives_the_model_on(page: Page) -> None:
    load(page, NATIVE)
    assert set(sources(page, "KSampler").values()) == {"MIVAApply"}
    before = sources(page, "MIVAApply")["model"]
    page.set_mode("MIVAApply", BYPASSED)
    # There are no empty clip and no silence then, which a sampler gets from elsewhere.
    assert sources(page, "KSampler") == {"model": before}


def test_a_muted_motion_of_apply_is_told(page: Page) -> None:
    load(page, NATIVE)
    page.set_mode("MIVALoad", MUTED)
    assert "mivas" not in sources(page, "MIVAApply")
    assert "model" in sources(page, "MIVAApply")
