"""What ComfyUI tells of the nodes is what workflows on other people's disks count on."""

import asyncio
import difflib
import json
import os
from typing import Any

from comfyui_miva import comfy_entrypoint
from node_pack import ROOT

GOLDEN = ROOT / "tests" / "golden" / "object_info.json"
RENEW = "MIVA_RENEW_GOLDEN"


def object_info() -> dict[str, Any]:
    """By node, of the pack in an empty ComfyUI: menus hold what comes with the pack."""

    async def loaded() -> dict[str, Any]:
        extension = await comfy_entrypoint()
        await extension.on_load()
        return {node.define_schema().node_id: node.GET_NODE_INFO_V1() for node in await extension.get_node_list()}

    return asyncio.run(loaded())


def test_nodes_are_as_they_were() -> None:
    """Compares all that is told of the nodes with tests/golden/object_info.json, to the letter and in order.

    A workflow keeps the values of widgets by their position, and connections by the ids of inputs and the numbers of
    outputs: an input may be added at the end, but none may change its id, place or type, or lose an option.

    Where a change is meant, write the file anew, look at what git shows of it, and commit it with the change:

        MIVA_RENEW_GOLDEN=1 python -m pytest tests/nodes/test_object_info.py
    """
    told = json.dumps(object_info(), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get(RENEW):
        GOLDEN.write_text(told, encoding="utf-8")
    kept = GOLDEN.read_text(encoding="utf-8")
    changes = difflib.unified_diff(kept.splitlines(), told.splitlines(), "as kept", "as they are", n=8, lineterm="")
    assert told == kept, (
        "What ComfyUI tells of the nodes has changed, on which saved workflows count. If that is meant, run this test "
        f"once with {RENEW}=1 and commit the file.\n" + "\n".join(changes)
    )
