"""Texts from strangers' files, as the real frontend shows them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from .browser import Page, chromium, open_page
from .prompts import animate, motion, node
from .server import ROOT, Server

SCRIPT = "<img src=x onerror='window.__ran=1'>"
LINKS = (
    "[[safe|https://evil.example/a]] [safe](//evil.example) ![x](//evil.example/x.png) a@evil.example www.evil.example"
)
HOSTILE = f"{SCRIPT}<b>&lt;i&gt;</b> & &amp; {LINKS} __LNK7__ *a* _b_ ~~c~~ `d` e_f \\\\* | g"
"""What a header says; each field has its own name before it."""
NAME = "<img src=x onerror=window.__ran=1>[[safe|www.evil.example]]"
"""What a file is called, which has no slash in it."""
LINES = {"# a": 1, "- b": 2, "    c": 3, "1. d": 4, "===": 5, "> e": 6, "--- | ---": 7}
"""What would begin a heading, a list, code, a quotation or a table."""
FIELDS = ("motion", "subject", "author", "licence")


@pytest.fixture(scope="module", params=[False, True], ids=["canvas", "new renderer"])
def page(server: Server, request: pytest.FixtureRequest) -> Iterator[Page]:
    with chromium() as browser:
        yield open_page(browser, server, **{"Comfy.VueNodes.Enabled": request.param})


def hostile(path: Path, **header: Any) -> None:
    """Write a motion whose header holds scripts and links in every text."""
    source = ROOT / "miva_core" / "bases" / "tiny" / "adapters" / "pan_left.safetensors"
    with safe_open(source, framework="pt") as file:
        said = json.loads(file.metadata()["miva"])
    said |= {name: f"{name} {HOSTILE}" for name in FIELDS} | {"training": {f"key {HOSTILE}": HOSTILE, **LINES}} | header
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(load_file(source), path, {"miva": json.dumps(said)})


def written(page: Page, prompt: dict[str, Any]) -> str:
    """What stands on the nodes afterwards."""
    page.load_prompt(prompt, "hostile")
    status, error = page.queue()
    assert (status, error) == ("success", None)
    shown = page.written()
    assert shown and not page.evaluate("() => window.__ran")
    assert [one.made for one in shown] == [[] for _ in shown]
    return "\n".join(one.text for one in shown)


def test_a_header_is_shown_to_the_letter(server: Server, page: Page) -> None:
    hostile(server.base / "models" / "miva" / f"{NAME}.safetensors", family=HOSTILE, fingerprint=HOSTILE)
    text = written(page, {"miva": motion(NAME), "info": node("MIVAInfo", mivas=["miva", 0])})
    page.shoot("hostile_header")
    for name in FIELDS:
        assert f"{name} {HOSTILE}" in text
    assert f"key {HOSTILE}: {HOSTILE}" in text
    lines = [line.strip() for line in text.splitlines()]
    assert {f"{name.strip()}: {value}" for name, value in LINES.items()} <= set(lines)
    assert f"({NAME}.safetensors)" in text
    assert f"base: {HOSTILE}, {HOSTILE}" in text


def test_notes_name_files_to_the_letter(server: Server, page: Page) -> None:
    hostile(server.base / "models" / "miva" / f"note {NAME}.safetensors")
    text = written(page, animate() | {"miva": motion(f"note {NAME}", 2.0)})
    assert f"note {NAME} runs at the weight 2" in text


def test_an_error_runs_nothing(server: Server, page: Page) -> None:
    """What a file is called stands in messages, too."""
    path = server.base / "models" / "miva" / f"broken {NAME}.safetensors"
    hostile(path)
    server.get("/object_info/MIVALoad")
    path.write_bytes(b"no adapter at all")
    page.load_prompt({"miva": motion(path.stem), "info": node("MIVAInfo", mivas=["miva", 0])}, "broken")
    status, error = page.queue()
    assert status == "error" and NAME in str(error)
    if "View details" in page.notices():
        page.click("text=View details")
    page.shoot("hostile_error")
    assert not page.evaluate("() => window.__ran")
