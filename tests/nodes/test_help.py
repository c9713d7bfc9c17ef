"""Help pages and the texts of nodes, in English and in Chinese."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from comfy_api.v0_0_2 import io
from comfyui_miva.nodes import NODES
from node_pack import ROOT

from tools.node_texts import input_texts

PAGES = ROOT / "web" / "docs"
EN, ZH = (json.loads((ROOT / "locales" / name / "nodeDefs.json").read_text("utf-8")) for name in ("en", "zh"))


def read_page(node: str, language: str) -> str:
    return (PAGES / (f"{node}.md" if language == "en" else f"{node}/{language}.md")).read_text("utf-8")


def keys(tree: Any) -> Any:
    return {key: keys(below) for key, below in tree.items()} if isinstance(tree, dict) else None


def texts_in(tree: Any) -> Iterator[str]:
    for below in tree.values():
        if isinstance(below, dict):
            yield from texts_in(below)
        else:
            yield below


def test_both_languages_have_the_same_keys() -> None:
    assert keys(EN) == keys(ZH)
    assert EN.keys() == {node.define_schema().node_id for node in NODES}


@pytest.mark.parametrize("locale", [EN, ZH], ids=["en", "zh"])
def test_no_text_has_what_the_frontend_would_replace(locale: dict[str, Any]) -> None:
    for text in texts_in(locale):
        assert text.strip() and not set("{}@|") & set(text), text


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("node", EN)
def test_a_page_shows_its_node(node: str, language: str) -> None:
    page = read_page(node, language)
    name = {"en": EN, "zh": ZH}[language][node]["display_name"]
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"!\[(.*?)\]\((.*?)\)", page) == [(name, f"pictures/{node}.png")]
    assert (PAGES / "pictures" / f"{node}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("node", NODES, ids=lambda node: node.__name__)
def test_a_page_explains_every_input_and_output(node: type[io.ComfyNode], language: str) -> None:
    schema = node.define_schema()
    page = read_page(schema.node_id, language)
    grown = {one.id for one in schema.inputs if isinstance(one, io.Autogrow.Input)}
    ids = {id for _, id, _ in input_texts(schema.inputs)} - grown | {one.id for one in schema.outputs}
    assert {id for id in ids if not re.search(rf"(?<!\w){id}(?!\w)", page)} == set()


@pytest.mark.parametrize("node", EN)
def test_both_languages_quote_the_same_messages(node: str) -> None:
    english, chinese = (re.findall(r'"(.+?)"', read_page(node, language)) for language in ("en", "zh"))
    assert english == chinese


def test_no_page_is_left_of_a_node_that_is_gone() -> None:
    assert {path.relative_to(PAGES).as_posix() for path in PAGES.rglob("*.md")} == {
        f"{node}{ending}" for node in EN for ending in (".md", "/zh.md")
    }
    assert {path.stem for path in (PAGES / "pictures").iterdir()} == set(EN)
