"""Write what follows from the schemas of the nodes, after a change of one of them:

    python -m tools.node_texts

locales/en/nodeDefs.json         the texts of the nodes, which ComfyUI shows and translations take their keys from
tests/golden/object_info.json    all that ComfyUI tells its frontend of the nodes, which saved workflows count on

A test fails where one of them is not what the schemas say. Both are committed together with the change.
"""

import asyncio
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[1]
TEXTS = ROOT / "locales" / "en" / "nodeDefs.json"
OBJECT_INFO = ROOT / "tests" / "golden" / "object_info.json"

Texts = dict[str, str]
"""`name` and `tooltip` of an input or output."""


def rendered() -> dict[Path, str]:
    """What the two files should hold. Needs the pack, and ComfyUI's modules or their stand-ins, in `sys.modules`."""
    nodes = asyncio.run(_nodes())
    texts = {node.define_schema().node_id: node_texts(node.define_schema()) for node in nodes}
    infos = {node.define_schema().node_id: node.GET_NODE_INFO_V1() for node in nodes}
    return {
        TEXTS: json.dumps(texts, indent=2, ensure_ascii=False) + "\n",
        OBJECT_INFO: json.dumps(infos, indent=1, ensure_ascii=False) + "\n",
    }


async def _nodes() -> list[Any]:
    from comfyui_miva import comfy_entrypoint

    extension = await comfy_entrypoint()
    await extension.on_load()
    return await extension.get_node_list()


def node_texts(schema: Any) -> dict[str, Any]:
    """The texts of one node, under the keys by which the frontend looks for them."""
    outputs = {str(k): {"name": one.id, "tooltip": one.tooltip} for k, one in enumerate(schema.outputs)}
    return {
        "display_name": schema.display_name,
        "description": schema.description,
        "inputs": {key: texts for key, _, texts in input_texts(schema.inputs)},
    } | ({"outputs": outputs} if outputs else {})


def input_texts(inputs: Iterable[Any], above: str = "") -> Iterator[tuple[str, str, Texts]]:
    """The texts of inputs, and of those that stand below one of them.

    Below another one only widgets have names, since the frontend calls sockets by their ids there.

    Args:
        inputs: of a schema, or of an option.
        above: id of the input that they stand below, and an underscore.

    Yields:
        The key in the file, the input's own id, and its texts.
    """
    for one in inputs:
        name = {} if above and not hasattr(one, "default") else {"name": one.as_dict().get("display_name", one.id)}
        yield above + one.id, one.id, {**name, "tooltip": one.as_dict()["tooltip"]}
        if one.get_io_type() == "COMFY_AUTOGROW_V3":
            yield from _grown_texts(one)
        elif one.get_io_type() == "COMFY_DYNAMICCOMBO_V3":
            yield from _option_texts(one)


def _grown_texts(one: Any) -> Iterator[tuple[str, str, Texts]]:
    """Of each socket that may grow; pages of help name the first two."""
    ((socket, (_, info)),) = one.template.info["input"]["optional"].items()
    for k in range(len(one.template.names)):
        yield f"{one.id}_{socket}{k}", f"{socket}{min(k, 1)}", {"tooltip": info["tooltip"]}


def _option_texts(one: Any) -> Iterator[tuple[str, str, Texts]]:
    """Of the inputs below the options of a menu; one key stands for all of an id, whatever the option."""
    found: dict[str, dict[str, Texts]] = {}
    for option in one.options:
        for key, _, texts in input_texts(option.inputs, f"{one.id}_"):
            found.setdefault(key, {})[option.key] = texts
    for key, by_option in found.items():
        options: dict[str, list[str]] = {}
        for option, texts in by_option.items():
            options.setdefault(texts["tooltip"], []).append(option)
        first = next(iter(by_option.values()))
        if len(options) > 1:
            lines = (f"{'; '.join(names)}: {tooltip}" for tooltip, names in options.items())
            first = {**first, "tooltip": "\n".join(lines)}
        yield key, key.removeprefix(f"{one.id}_"), first


def main() -> None:
    # The tests' stand-ins, over empty folders, so that menus hold what comes with the pack.
    sys.path.insert(0, str(ROOT / "tests" / "nodes"))
    from fake_comfyui import FakeComfyUI
    from node_pack import load_pack

    load_pack()
    with TemporaryDirectory() as folder:
        sys.modules.update(FakeComfyUI(Path(folder) / "comfyui").modules)
        for path, text in rendered().items():
            changed = path.read_text("utf-8") != text
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"{path.relative_to(ROOT)}: {'written anew' if changed else 'as it was'}")


if __name__ == "__main__":
    main()
