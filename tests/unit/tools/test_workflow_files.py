"""The example workflows as files; `tests/comfyui` opens and runs them in a real ComfyUI."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"), key=lambda path: int(path.stem.partition("_")[0]))
LEARNT = {"sd15_zoom_in.safetensors", "wan_zoom_in.safetensors"}
"""Motions that do not come with the pack: workflow 6 makes the one, and the note of 8 tells how to make the other."""


def nodes(path: Path, kind: str) -> list[dict[str, Any]]:
    return [node for node in json.loads(path.read_text("utf-8"))["nodes"] if node["type"] == kind]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_note_can_be_read_in_both_renderers(path: Path) -> None:
    (note,) = nodes(path, "MarkdownNote")
    (text,) = note["widgets_values"]
    # Nodes 2.0 draws words in back-ticks blue on blue, and drops a line break between words of two styles.
    assert "`" not in text
    assert not re.search(r"[^\n]\n(?![\n-])", text)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_pictures_and_motions_that_it_names_come_with_the_pack(path: Path) -> None:
    pictures = [node["widgets_values"][0] for kind in ("LoadImage", "LoadImageMask") for node in nodes(path, kind)]
    motions = {node["widgets_values"][0] for node in nodes(path, "MIVALoad")} - LEARNT
    assert pictures
    assert all((ROOT / "workflows" / "pictures" / name).is_file() for name in pictures)
    assert all(next((ROOT / "miva_core").rglob(name)).is_file() for name in motions)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_models_that_it_names_are_linked_in_its_note(path: Path) -> None:
    (note,) = nodes(path, "MarkdownNote")
    links = [
        model for node in json.loads(path.read_text("utf-8"))["nodes"] for model in node["properties"].get("models", [])
    ]
    for link in links:
        assert link["url"].startswith("https://huggingface.co/")
        assert f"[{link['name']}]({link['url']}) in **models/{link['directory']}**" in note["widgets_values"][0]


def test_the_table_in_the_readme_lists_them_all_in_order() -> None:
    listed = re.findall(r"^\| `(\d+_\w+)` \|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert listed == [path.stem for path in WORKFLOWS]
    assert all(path.with_suffix(".jpg").is_file() for path in WORKFLOWS)
