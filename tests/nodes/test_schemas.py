"""What every node says of itself, and how little that costs."""

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from comfy_api.v0_0_2 import io
from comfyui_miva.nodes import NODES
from node_pack import ROOT

each_node = pytest.mark.parametrize("node", NODES, ids=lambda node: node.__name__)


def all_inputs(inputs: Sequence[io.Input]) -> Iterator[io.Input]:
    """Also those below menus."""
    for one in inputs:
        yield one
        for option in getattr(one, "options", ()):
            yield from all_inputs(option.inputs) if isinstance(option, io.DynamicCombo.Option) else ()


def test_all_nodes_are_there() -> None:
    assert [node.define_schema().node_id for node in NODES] == [node.__name__ for node in NODES]
    assert len(NODES) == len(set(NODES)) == 22


@each_node
def test_a_node_says_what_it_is(node: type[io.ComfyNode]) -> None:
    schema = node.define_schema()
    assert schema.node_id.startswith("MIVA")
    assert schema.category in ("MIVA", "MIVA/mask", "MIVA/training")
    assert schema.display_name and schema.description.endswith(".")
    assert len(schema.search_aliases) >= 3
    assert all(alias == alias.lower() for alias in schema.search_aliases)
    assert schema.is_output_node or schema.outputs


@each_node
def test_everything_on_a_node_is_explained(node: type[io.ComfyNode]) -> None:
    schema = node.define_schema()
    for one in all_inputs(schema.inputs):
        info = one.as_dict()
        assert info.get("tooltip", "").endswith("."), one.id
        template = info.get("template", {"input": {}})["input"]
        assert all(below[1]["tooltip"].endswith(".") for group in template.values() for below in group.values())
        if one.io_type in ("INT", "FLOAT"):
            assert info["min"] <= info["default"] <= info["max"], one.id
    for output in schema.outputs:
        assert output.tooltip and output.tooltip.endswith("."), output.id


@each_node
def test_a_node_takes_what_it_shows(node: type[io.ComfyNode]) -> None:
    """ComfyUI hands inputs over by their ids, and leaves out optional ones that are not connected."""
    inputs = node.define_schema().inputs
    takes = inspect.signature(node.execute).parameters
    assert takes.keys() == {one.id for one in inputs}
    for one in inputs:
        assert (takes[one.id].default is not inspect.Parameter.empty) == one.optional, one.id
    if "fingerprint_inputs" in vars(node):
        inspect.signature(node.fingerprint_inputs).bind(**dict.fromkeys(takes))


def test_nothing_that_is_folded_away_has_to_be_set() -> None:
    for node in NODES:
        for one in all_inputs(node.define_schema().inputs):
            if one.as_dict().get("advanced"):
                assert "default" in one.as_dict() or one.as_dict()["options"], one.id


_CHEAP = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
from tempfile import mkdtemp
from fake_comfyui import FakeComfyUI
from node_pack import load_pack
load_pack()
sys.modules.update(FakeComfyUI(Path(mkdtemp()) / "comfyui").modules)
from comfyui_miva.nodes import NODES
from comfyui_miva.nodes.comfy_bridge import comfy_folders
comfy_folders.register_folders()
for node in NODES:
    node.GET_NODE_INFO_V1()
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


def test_to_be_listed_costs_nothing(tmp_path: Path) -> None:
    """ComfyUI asks every pack for its nodes at start, and again for every prompt."""
    command = [sys.executable, "-c", _CHEAP.format(here=str(Path(__file__).parent))]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    process = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    loaded = set(process.stdout.split())
    assert "comfyui_miva" in loaded and "torch" in loaded
    assert not loaded & {"diffusers", "transformers", "cv2", "torchvision", "accelerate", "matplotlib", "av"}


def test_every_node_has_a_page_of_help() -> None:
    for node in NODES:
        assert (ROOT / "web" / "docs" / f"{node.__name__}.md").is_file()
