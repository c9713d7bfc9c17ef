"""Runs a node as ComfyUI does: what is not given has its default, menus and ranges are checked, results are typed."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from comfy_api.v0_0_2 import io
from comfyui_miva.nodes import MIVABindMask, MIVALoad
from torch import Tensor


def run(node: type[io.ComfyNode], **settings: Any) -> io.NodeOutput:
    """The results of a node whose inputs ComfyUI accepts.

    Args:
        given: by the ids of the inputs. A menu with inputs below is a dict, as in {"clips": "folder", "folder": "a"}.
            Of nodes that take lists, what is no list is put into one.
    """
    schema = node.define_schema()
    for one in schema.inputs:
        _check(one, settings)
    assert settings.keys() <= {one.id for one in schema.inputs}, f"{schema.node_id} has no such input: {list(settings)}"
    output = run_unchecked(node, **settings)
    assert len(output.args) == len(schema.outputs)
    for socket, value in zip(schema.outputs, output.args, strict=True):
        assert _IS[socket.io_type](value), f"{schema.node_id}.{socket.id} is no {socket.io_type}"
    return output


def run_unchecked(node: type[io.ComfyNode], **settings: Any) -> io.NodeOutput:
    """The results of a node whose inputs ComfyUI has accepted earlier, when the files in its menus were still there."""
    schema = node.define_schema()
    values = _with_defaults(schema.inputs, settings)
    if schema.is_input_list:
        values = {id: _listed(value) for id, value in values.items()}
    with torch.inference_mode():  # as ComfyUI runs all nodes
        return node.execute(**values)


def motion(name: str = "pan_left", **settings: Any) -> Any:
    """MIVA_STACK: one of the motions that come with the pack, from Load MIVA."""
    return run(MIVALoad, miva_name=f"{name}.safetensors", **settings)[0]


def bound(name: str, mask: Tensor, **settings: Any) -> Any:
    """MIVA_STACK: a masked motion with the mask of its subject."""
    return run(MIVABindMask, mivas=motion(name, **settings), mask=mask)[0]


def shown(output: io.NodeOutput) -> str:
    """The text that stands on the node afterwards; empty without any."""
    texts = {} if output.ui is None else output.ui if isinstance(output.ui, Mapping) else output.ui.as_dict()
    return "".join(texts.get("text", ()))


def _with_defaults(inputs: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    values = {}
    for one in inputs:
        if isinstance(one, io.DynamicCombo.Input):
            chosen = dict(settings[one.id])
            below = next((option.inputs for option in one.options if option.key == chosen[one.id]), ())
            # What stands below a menu is there even if nothing is connected.
            values[one.id] = chosen | {each.id: None for each in below} | _with_defaults(below, chosen)
        elif one.id in settings:
            values[one.id] = settings[one.id]
        elif isinstance(one, io.Combo.Input):
            values[one.id] = one.default or next(iter(one.options), None)
        elif hasattr(one, "default"):
            values[one.id] = one.default
    return values


def _check(one: io.Input, settings: Mapping[str, Any]) -> None:
    """What ComfyUI checks before it runs anything."""
    if isinstance(one, io.DynamicCombo.Input):
        chosen = settings[one.id]
        option = next(option for option in one.options if option.key == chosen[one.id])
        for below in option.inputs:
            _check(below, chosen)
        assert chosen.keys() <= {one.id, *(below.id for below in option.inputs)}, chosen
        return
    if one.id not in settings:
        assert one.optional or hasattr(one, "default"), f"{one.id} is not connected"
        return
    limits, value = one.as_dict(), settings[one.id]
    value = value[0] if isinstance(value, list) else value
    assert "options" not in limits or value in limits["options"], f"{value} is none of {limits['options']}"
    assert "min" not in limits or limits["min"] <= value <= limits["max"], f"{one.id} cannot be {value}"


def _listed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: None if below is None else _listed(below) for key, below in value.items()}
    return value if isinstance(value, list) else [value]


def _is_picture(value: Any) -> bool:
    return _is_in_range(value) and value.ndim == 4 and value.shape[-1] == 3


def _is_in_range(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.float32 and value.amin() >= 0 and value.amax() <= 1


_IS: dict[str, Callable[[Any], bool]] = {
    "IMAGE": _is_picture,
    "MASK": lambda value: _is_in_range(value) and value.ndim == 3,
    "NOISE": lambda value: isinstance(value.seed, int) and callable(value.generate_noise),
    "INT": lambda value: type(value) is int,
    "FLOAT": lambda value: isinstance(value, float),
    "STRING": lambda value: isinstance(value, str),
    "LOSS_MAP": lambda value: all(isinstance(loss, float) for loss in value["loss"]),
    "MODEL": lambda value: callable(value.clone),
    "LATENT": lambda value: isinstance(value["samples"], Tensor),
    "CONDITIONING": lambda value: all(isinstance(text, Tensor) and isinstance(more, dict) for text, more in value),
    "MIVA_MODEL": lambda value: type(value).__name__ == "MivaModel",
    "MIVA_STACK": lambda value: all(type(entry).__name__ in ("StackedMiva", "StackedWords") for entry in value),
    "MIVA_FILM": lambda value: all(type(entry).__name__ == "FilmedMotion" for entry in value),
    "MIVA_STRENGTH": lambda value: type(value).__name__ == "Strength",
    "MIVA_DATASET": lambda value: type(value).__name__ == "Dataset",
}
"""What a value must be to travel along a wire."""
