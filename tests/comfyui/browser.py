"""ComfyUI's own frontend in a headless Chromium."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from .server import Server

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
SHOTS = Path(os.environ.get("COMFYUI_SHOTS", "out/comfyui"))
"""Where screenshots are put for a person to look at."""
_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "Comfy.VueNodes.Enabled": False,
    # Or else texts are left out where a large graph is drawn small.
    "LiteGraph.Canvas.MinFontSizeForLOD": 0,
}
_WATCH = """() => {
  window.__run = {status: null, error: null};
  for (const kind of ['execution_success', 'execution_error', 'execution_interrupted'])
    app.api.addEventListener(kind, event => {
      window.__run.status = kind.replace('execution_', '');
      if (kind === 'execution_error') window.__run.error = event.detail.exception_message;
    });
}"""
_FIT = """() => {
  const canvas = app.canvas, box = canvas.canvas.getBoundingClientRect(), nodes = app.graph._nodes;
  const left = Math.min(...nodes.map(n => n.pos[0])), top = Math.min(...nodes.map(n => n.pos[1] - 40));
  const right = Math.max(...nodes.map(n => n.pos[0] + n.size[0]));
  const bottom = Math.max(...nodes.map(n => n.pos[1] + n.size[1]));
  canvas.ds.scale = Math.min(1.2, (box.width - 160) / (right - left), (box.height - 160) / (bottom - top));
  const wide = box.width / canvas.ds.scale, high = box.height / canvas.ds.scale;
  canvas.ds.offset = [(wide - right - left) / 2, (high - bottom - top) / 2];
  canvas.setDirty(true, true);
}"""
_MISSING = "() => app.graph._nodes.filter(n => !LiteGraph.registered_node_types[n.type]).map(n => n.type)"
_NOTICES = """() => [...document.querySelectorAll('[role=alert], [role=dialog], [data-testid=error-overlay]')]
  .map(e => e.innerText.trim()).filter(Boolean)"""
_LAYOUT = (Path(__file__).parent / "layout.js").read_text("utf-8")


@dataclass(frozen=True)
class Layout:
    """How a graph lies on the canvas.

    Attributes:
        overlapping: pairs of nodes that do. crossed: nodes that a wire runs behind.
        half_empty: nodes much taller than what they show needs.
        wires: how many pieces of wires were looked at.
        filled: how much of the note its text takes; above 1 it is cut off.
    """

    overlapping: list[str]
    crossed: list[str]
    half_empty: list[str]
    wires: int
    filled: float


_SHOWN = """() => [...document.querySelectorAll('.break-all > span, .comfy-markdown-content')].map(e => ({
  text: e.innerText,
  made: [...e.querySelectorAll('*')].map(x => x.tagName).filter(x => !['BR', 'P'].includes(x)),
}))"""


class Shown(NamedTuple):
    """Text on a node as the browser shows it, and the names of tags that were made of it."""

    text: str
    made: list[str]


class Page:
    """The frontend with a graph in it; its name tells how it draws nodes."""

    def __init__(self, page: Any, name: str) -> None:
        self._page, self.name = page, name

    def load(self, graph: dict[str, Any], name: str) -> None:
        self._page.evaluate("([graph, name]) => app.loadGraphData(graph, true, true, name)", [graph, name])
        self._page.wait_for_timeout(1200)
        self._page.evaluate(_FIT)

    def load_prompt(self, prompt: dict[str, Any], name: str) -> None:
        """Have the frontend make a graph of a prompt."""
        self._page.evaluate("([prompt, name]) => app.loadApiJson(prompt, name)", [prompt, name])
        self._page.wait_for_timeout(1200)
        self._page.evaluate(_FIT)

    def set_mode(self, kind: str, mode: int, number: int = 0) -> None:
        """Mute (2) or bypass (4) a node: the one of its kind with that number, in the order of ids; 0 for on."""
        self._page.evaluate(
            "([kind, mode, number]) => { const found = app.graph._nodes.filter(n => n.type === kind);"
            "found.sort((a, b) => a.id - b.id)[number].mode = mode; }",
            [kind, mode, number],
        )

    def inputs(self, kind: str) -> list[tuple[str, bool]]:
        """Sockets of the first node of a kind, and whether they are connected."""
        return [
            tuple(one)
            for one in self._page.evaluate(
                "kind => app.graph._nodes.find(n => n.type === kind).inputs.map(i => [i.name, i.link != null])", kind
            )
        ]

    def written(self) -> "list[Shown]":
        """What stands on nodes, as it is seen."""
        return [Shown(one["text"], one["made"]) for one in self._page.evaluate(_SHOWN)]

    def evaluate(self, script: str) -> Any:
        return self._page.evaluate(script)

    def missing(self) -> list[str]:
        """Types of nodes that the server does not know."""
        return self._page.evaluate(_MISSING)

    def notices(self) -> str:
        """What is told the user beside the graph."""
        return "\n".join(self._page.evaluate(_NOTICES))

    def set(self, kind: str, widget: str, value: Any) -> None:
        """Set a widget of all nodes of a kind."""
        self._page.evaluate(
            "([kind, name, value]) => app.graph._nodes.filter(n => n.type === kind)"
            ".forEach(n => { n.widgets.find(w => w.name === name).value = value; })",
            [kind, widget, value],
        )

    def prompt(self) -> dict[str, Any]:
        """What would be sent to the server."""
        return json.loads(self._page.evaluate("async () => JSON.stringify((await app.graphToPrompt()).output)"))

    def queue(self, timeout: float = 300) -> tuple[str, str | None]:
        """Press Run and wait: "success", "error", "interrupted" or "refused", and the error's text."""
        self._page.evaluate(_WATCH)
        self._page.evaluate("() => app.queuePrompt(0, 1)")
        if self._page.evaluate("() => Boolean(app.lastNodeErrors && Object.keys(app.lastNodeErrors).length)"):
            return "refused", str(self._page.evaluate("() => JSON.stringify(app.lastNodeErrors)"))
        self._page.wait_for_function("() => window.__run.status", timeout=timeout * 1000)
        ended = self._page.evaluate("() => window.__run")
        self._page.wait_for_timeout(1500)
        return ended["status"], ended["error"]

    def seeds_stay(self) -> bool:
        """Whether no widget changes by itself after a run."""
        names = "() => app.graph._nodes.flatMap(n => n.widgets ?? []).filter(w => w.name === 'control_after_generate')"
        return self._page.evaluate(f"{names[:-1]}).every(w => w.value === 'fixed')")

    def layout(self) -> Layout:
        return Layout(**self._page.evaluate(_LAYOUT))

    def shows(self, text: str) -> bool:
        return self._page.get_by_text(text).first.is_visible()

    def click(self, selector: str) -> None:
        self._page.locator(selector).first.click(timeout=10000)
        self._page.wait_for_timeout(1500)

    def shoot(self, name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        self._page.screenshot(path=SHOTS / f"{name}.png")


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; only one may be open at a time."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield opened
        opened.close()


def open_page(browser: Any, server: Server, name: str = "", **settings: Any) -> Page:
    """The frontend as a user with these settings has it."""
    page = browser.new_page(viewport={"width": 1900, "height": 1050})
    page.request.post(f"{server.url}/api/settings", data=_SETTINGS | settings)
    page.route(lambda url: not url.startswith((server.url, "data:", "blob:")), lambda route: route.abort())
    page.goto(server.url, wait_until="domcontentloaded")
    ready = "() => window.app?.graph && window.LiteGraph?.registered_node_types?.MIVASampler"
    page.wait_for_function(ready, timeout=120000)
    page.wait_for_timeout(2000)
    return Page(page, name)
