"""Write the example workflows, and make their thumbnails, by driving a running ComfyUI in a headless browser.

    pip install playwright
    python -m tools.make_workflows --server http://127.0.0.1:8188 --browser /usr/bin/chromium [--only 1_one_motion]
    python -m tools.make_workflows … --thumbnails      # runs each, and writes a picture made of its frames
    python -m tools.make_workflows … --node-pictures   # pictures of the nodes for their help pages

The frontend itself lays out widgets and writes the files, so that they are what it would save. The pack must be
installed in that ComfyUI, and its models empty, so that menus hold what a new user's hold; for pictures of graphs
without red frames there are files of any content by the names that workflows ask for, but no LoRA.
"""

import argparse
import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageOps
from playwright.sync_api import Page, sync_playwright

from .workflow_graphs import GRAPHS
from .workflow_graphs.graph import Graph

ROOT = Path(__file__).parents[1]
PACK_ID = "miva"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
COLUMN_GAP, ROW_GAP = 90, 100
LANES = 90, 30
"""Wires that pass over columns: how far above the nodes the lowest one is, and from one to the next."""
CELL, SEAM, LARGEST = (400, 300), 8, 60_000
"""Of thumbnails: (width, height) of each of the two frames, pixels between them, bytes of the file."""
SHEET = 800, 600
"""(width, height) of thumbnails of workflows that cannot be run here."""

BUILD = (Path(__file__).parent / "build_graph.js").read_text("utf-8")
SAVE = "() => JSON.stringify(app.graph.serialize())"
ALONE = """kind => {
  // Not clear(), after which ids begin anew: a widget would be called what one of its name was on the node before.
  [...app.graph._nodes].forEach(one => app.graph.remove(one));
  const node = LiteGraph.createNode(kind), c = app.canvas, box = c.canvas.getBoundingClientRect();
  app.graph.add(node);
  node.setSize([Math.max(320, node.computeSize()[0]), node.computeSize()[1]]);
  node.pos = [0, 0];
  c.ds.scale = 1; c.ds.offset = [120, 160];
  c.deselectAll?.();
  c.draw(true, true);
  return [box.left + 120, box.top + 160, node.size[0], node.size[1]];
}"""

WHOLE = """() => {
  // In the part of the window that no bars cover.
  const [left, top, right, bottom] = [80, 120, 1480, 980], margin = 60;
  const nodes = app.graph._nodes, c = app.canvas, box = c.canvas.getBoundingClientRect();
  const [x0, x1] = [Math.min(...nodes.map(n => n.pos[0])), Math.max(...nodes.map(n => n.pos[0] + n.size[0]))];
  const ends = nodes.map(n => n.pos[1] + n.size[1]).concat(app.graph._groups.map(g => g.pos[1] + g.size[1]));
  const above = [...app.graph.reroutes.values()].map(r => r.pos[1]).concat(nodes.map(n => n.pos[1] - 30));
  const [y0, y1] = [Math.min(...above), Math.max(...ends)];
  const wide = x1 - x0 + 2 * margin, high = y1 - y0 + 2 * margin;
  c.ds.scale = Math.min((right - left) / wide, (bottom - top) / high);
  c.ds.offset = [(left - box.left) / c.ds.scale - x0 + margin, (top - box.top) / c.ds.scale - y0 + margin];
  c.deselectAll?.();
  c.draw(true, true);
  return [left, top, wide * c.ds.scale, high * c.ds.scale];
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True)
    parser.add_argument("--browser", required=True, help="a Chromium")
    parser.add_argument("--only", action="append", help="names of workflows")
    parser.add_argument("--thumbnails", action="store_true", help="make the pictures of workflows")
    parser.add_argument("--node-pictures", action="store_true", help="make the pictures of nodes")
    options = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.browser, args=FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 1000}, device_scale_factor=1.5)
        open_page(page, options.server)
        if options.node_pictures:
            picture_nodes(page, ROOT / "web" / "docs" / "pictures")
        else:
            for name in options.only or GRAPHS:
                write_workflow(page, name, options.server, options.thumbnails)
        browser.close()


def open_page(page: Page, server: str) -> None:
    settings = {"Comfy.TutorialCompleted": True, "Comfy.Minimap.Visible": False, "Comfy.Graph.CanvasInfo": False}
    # Or else texts are left out where a large graph is drawn small.
    settings["LiteGraph.Canvas.MinFontSizeForLOD"] = 0
    # Nodes 2.0 would save its own, larger sizes, with which the other way to draw them looks half empty.
    settings["Comfy.VueNodes.Enabled"] = False
    page.request.post(f"{server}/api/settings", data=settings)
    page.route(lambda url: not url.startswith((server, "data:", "blob:")), lambda route: route.abort())
    page.goto(server, wait_until="domcontentloaded")
    page.wait_for_function(
        "() => window.app?.graph && window.LiteGraph?.registered_node_types?.MIVASampler", timeout=90000
    )
    page.wait_for_timeout(2500)


def write_workflow(page: Page, name: str, server: str, thumbnail: bool) -> None:
    """Write a workflow, and its thumbnail, for which it is run."""
    graph, path = GRAPHS[name], ROOT / "workflows" / f"{name}.json"
    columns = [[(key, vars(node)) for key, node in column.items()] for column in graph.columns]
    plan = {"columns": columns, "groups": graph.groups, "gaps": [COLUMN_GAP, ROW_GAP], "lanesAt": LANES}
    ids = page.evaluate(BUILD, plan | {"pack": PACK_ID})
    saved = json.loads(page.evaluate(SAVE))
    # Where its author last looked is nobody's business.
    saved.get("extra", {}).pop("ds", None)
    if path.exists():
        # The page draws a new one every time.
        saved["id"] = json.loads(path.read_text("utf-8"))["id"]
    path.write_text(json.dumps(saved, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{path.name}: {len(saved['nodes'])} nodes")
    if thumbnail:
        shown = before_and_after(run(page, server, graph, ids)) if graph.shown else picture_and_graph(page, graph)
        path.with_suffix(".jpg").write_bytes(shown)


def run(page: Page, server: str, graph: Graph, ids: dict[str, int]) -> list[Image.Image]:
    """The frames that a workflow makes; a preview is added to it for that."""
    prompt = json.loads(page.evaluate("async () => JSON.stringify((await app.graphToPrompt()).output)"))
    node, output = graph.shown
    slot = page.evaluate(
        "([id, name]) => app.graph.getNodeById(id).outputs.findIndex(o => o.name === name)", [ids[node], output]
    )
    prompt["frames"] = {"class_type": "PreviewImage", "inputs": {"images": [str(ids[node]), slot]}}
    answer = page.request.post(f"{server}/prompt", data={"prompt": prompt}).json()
    if "prompt_id" not in answer:
        raise RuntimeError(json.dumps(answer)[:1000])
    started = time.monotonic()
    while not (history := page.request.get(f"{server}/history/{answer['prompt_id']}").json()):
        time.sleep(0.5)
    result: dict[str, Any] = history[answer["prompt_id"]]
    if "frames" not in result["outputs"]:
        raise RuntimeError(json.dumps(result["status"])[:1000])
    print(f"  ran in {time.monotonic() - started:.1f} s")
    shown = result["outputs"]["frames"]["images"]
    return [
        Image.open(io.BytesIO(page.request.get(f"{server}/view", params=one).body())).convert("RGB") for one in shown
    ]


def before_and_after(frames: list[Image.Image]) -> bytes:
    """The first frame of a clip and, behind an arrow, the one that differs most from it, as a JPEG.

    With cameras that is the last one; what jumps is back on the ground by then.
    """
    width, height = CELL
    small = np.stack([np.asarray(frame.resize((96, 72))) for frame in frames]).astype(float)
    farthest = int(np.abs(small - small[0]).mean((1, 2, 3)).argmax())
    sheet = Image.new("RGB", (2 * width + SEAM, height), "white")
    for left, frame in ((0, frames[0]), (width + SEAM, frames[farthest])):
        sheet.paste(ImageOps.fit(frame, CELL, Image.Resampling.LANCZOS), (left, 0))
    badge = arrow(height // 4)
    sheet.paste(badge, ((sheet.width - badge.width) // 2, (height - badge.height) // 2), badge)
    return small_jpeg(sheet)


def arrow(side: int) -> Image.Image:
    """An arrow to the right on a white disc, transparent around it."""
    large = Image.new("RGBA", (400, 400))
    draw = ImageDraw.Draw(large)
    draw.ellipse((0, 0, 399, 399), fill="white")
    draw.rectangle((80, 170, 220, 230), fill=(40, 40, 40))
    draw.polygon(((205, 95), (330, 200), (205, 305)), fill=(40, 40, 40))
    return large.resize((side, side), Image.Resampling.LANCZOS)


def small_jpeg(picture: Image.Image) -> bytes:
    """A JPEG of the best quality within `LARGEST` bytes."""
    for quality in range(88, 20, -4):
        stream = io.BytesIO()
        picture.save(stream, format="JPEG", quality=quality, optimize=True)
        if stream.tell() <= LARGEST:
            return stream.getvalue()
    raise ValueError(f"{picture.size} does not fit into {LARGEST} bytes")


def picture_and_graph(page: Page, graph: Graph) -> bytes:
    """For want of the models that a workflow needs: what its clip begins with, which is its picture, and its graph."""
    (name,) = (
        node.widgets["image"] for column in graph.columns for node in column.values() if node.kind == "LoadImage"
    )
    x, y, width, height = page.evaluate(WHOLE)
    page.wait_for_timeout(1000)
    seen = page.screenshot(clip={"x": x, "y": y, "width": width, "height": height})
    below = ImageOps.contain(Image.open(io.BytesIO(seen)).convert("RGB"), SHEET, Image.Resampling.LANCZOS)
    picture = Image.open(ROOT / "workflows" / "pictures" / name).convert("RGB")
    sheet = Image.new("RGB", SHEET)
    sheet.paste(ImageOps.fit(picture, (SHEET[0], SHEET[1] - below.height), Image.Resampling.LANCZOS))
    sheet.paste(below, (0, SHEET[1] - below.height))
    return small_jpeg(sheet)


def picture_nodes(page: Page, folder: Path) -> None:
    """A picture of each node of this pack as it comes from the menu."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = page.evaluate("() => Object.keys(LiteGraph.registered_node_types).filter(kind => kind.startsWith('MIVA'))")
    for kind in kinds:
        x, y, width, height = page.evaluate(ALONE, kind)
        page.wait_for_timeout(400)
        clip = {"x": x - 12, "y": y - 34, "width": width + 24, "height": height + 46}
        page.screenshot(path=folder / f"{kind}.png", clip=clip)
        print(kind)


if __name__ == "__main__":
    main()
