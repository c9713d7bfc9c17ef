"""What ComfyUI does not check for a node: plain values on sockets, and options that this pack does not have."""

from collections.abc import Iterable, Mapping
from typing import Any

from comfy_api.v0_0_2 import io
from torch import Tensor

from ..miva_core.checks import shown
from ..miva_core.errors import MIVAError
from .sockets import Dataset, MivaModel, StackedMiva

_CLASSES = {
    "MIVA_MODEL": MivaModel,
    "MIVA_STACK": tuple,
    "MIVA_DATASET": Dataset,
    "IMAGE": Tensor,
    "MASK": Tensor,
    "SIGMAS": Tensor,
}
_WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
_PLAIN = (bool, int, float, str, bytes, list, dict)
"""What a prompt may hold in the place of a connection; no other type of ComfyUI's is one of these."""
_SOURCES = {
    "MIVA_MODEL": "Load MIVA Base",
    "MIVA_STACK": "Load MIVA",
    "MIVA_DATASET": "Camera Clips",
    "IMAGE": "Load Image",
    "MASK": "Subject Mask",
}
"""Nodes to connect."""


def check_inputs(inputs: Iterable[io.Input], given: Mapping[str, Any], in_lists: bool) -> None:
    """Check that sockets were given what nodes give, and that the chosen options are there.

    Args:
        inputs: of the node's schema.
        given: values by their ids.
        in_lists: whether the node takes lists, so that values stand inside of them.

    Raises:
        MIVAError: not so.
    """
    for one in inputs:
        if isinstance(one, io.DynamicCombo.Input):
            _check_option(one, given.get(one.id), in_lists)
        elif isinstance(one, io.Autogrow.Input):
            for name, value in (given.get(one.id) or {}).items():
                _check_socket(name, one.template.input.get_io_type(), True, value)
        elif one.get_io_type() not in _WIDGETS:
            value = given.get(one.id)
            for each in (value or [None]) if in_lists and isinstance(value, list) else [value]:
                _check_socket(one.id, one.get_io_type(), one.optional, each)


def _check_option(one: io.Input, chosen: Any, in_lists: bool) -> None:
    """ComfyUI hands over nothing where it does not find the option."""
    key = chosen.get(one.id) if isinstance(chosen, Mapping) else None
    key = key[0] if isinstance(key, list) and key else key
    option = next((option for option in one.options if option.key == key), None)
    if option is None:
        names = ", ".join(option.key for option in one.options)
        raise MIVAError(
            f"What is chosen for `{one.id}` is not known to this ComfyUI-MIVA, as when a newer one has made the "
            f"workflow: update ComfyUI-MIVA, or choose one of these: {names}."
        )
    check_inputs(option.inputs, chosen, in_lists)


def _check_socket(name: str, io_type: str, optional: bool, value: Any) -> None:
    source = next((_SOURCES[kind] for kind in io_type.split(",") if kind in _SOURCES), "")
    advice = f"connect {source + ', or another' if source else 'a'} node with such an output"
    if value is None and not optional:
        raise MIVAError(f"Nothing is connected to `{name}`, which takes {io_type}: {advice}.")
    if value is not None and not any(_is(kind, value) for kind in io_type.split(",")):
        raise MIVAError(f"`{name}` was given {_shown(value)}, and takes {io_type} alone: {advice}.")


def _is(kind: str, value: Any) -> bool:
    if kind == "MIVA_STACK" and isinstance(value, tuple):
        return all(isinstance(entry, StackedMiva) for entry in value)
    return isinstance(value, _CLASSES[kind]) if kind in _CLASSES else not isinstance(value, _PLAIN)


def _shown(value: Any) -> str:
    """A wrong value for a message: of numbers and texts what they are, of others their type."""
    return shown(value) if isinstance(value, (bool, int, float, str)) else f"a {type(value).__name__}"
