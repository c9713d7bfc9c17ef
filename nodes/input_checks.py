"""Checks of inputs that ComfyUI leaves out: plain values on sockets, and options that this pack does not have."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..miva_core.attention.strength import Strength
from ..miva_core.checks import shown
from ..miva_core.errors import MIVAError
from ..miva_core.filming.filmed_motion import FilmedMotion
from .sockets import Dataset, MivaModel
from .stacks import StackedMiva, StackedWords

_CLASSES: dict[str, type | tuple[type, ...]] = {
    "MIVA_MODEL": MivaModel,
    "MIVA_STACK": tuple,
    "MIVA_STRENGTH": Strength,
    "MIVA_FILM": tuple,
    "MIVA_DATASET": Dataset,
    "IMAGE": Tensor,
    "MASK": Tensor,
    "SIGMAS": Tensor,
    "LATENT": dict,
    "CONDITIONING": list,
    "FLOATS": (int, float, list, tuple, np.ndarray, Tensor),
}
_WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
_PLAIN = (bool, int, float, str, bytes, list, dict)
"""What a prompt may hold where a connection belongs; values of ComfyUI's own types are none of these."""
_SOURCES = {
    "MIVA_MODEL": "Load MIVA Base",
    "MIVA_STACK": "Load MIVA",
    "MIVA_STRENGTH": "Strength over Time",
    "CURVE": "Curve Editor",
    "MIVA_FILM": "Motion to Film",
    "MIVA_DATASET": "Motion Clips",
    "IMAGE": "Load Image",
    "MASK": "Subject Mask",
    "VAE": "Load VAE",
    "MODEL": "Load Diffusion Model",
    "LATENT": "KSampler",
    "CONDITIONING": "CLIP Text Encode (Prompt)",
}
"""The node to connect, by the type of the socket."""


def check_inputs(inputs: Iterable[io.Input], values: Mapping[str, Any], in_lists: bool) -> None:
    """Check that sockets have values of their types, and that the chosen options exist.

    Args:
        inputs: of the node's schema.
        values: by the ids of the inputs.
        in_lists: whether the node takes lists, so that each value is a list of values.

    Raises:
        MIVAError: a value is missing or of another type, or an option does not exist.
    """
    for one in inputs:
        if isinstance(one, io.DynamicCombo.Input):
            _check_option(one, values.get(one.id), in_lists)
        elif isinstance(one, io.Autogrow.Input):
            for name, value in (values.get(one.id) or {}).items():
                _check_socket(name, one.template.input.get_io_type(), True, value)
        elif one.get_io_type() not in _WIDGETS:
            value = values.get(one.id)
            for each in (value or [None]) if in_lists and isinstance(value, list) else [value]:
                _check_socket(one.id, one.get_io_type(), one.optional, each)


def _check_option(one: io.Input, chosen: Any, in_lists: bool) -> None:
    """Check the chosen option of a menu, which ComfyUI passes as None if it does not find it, and the inputs below."""
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
    types = io_type.replace(",", " or ")
    if value is None and not optional:
        raise MIVAError(f"Nothing is connected to `{name}`, which takes {types}: {advice}.")
    if value is not None and not any(_is(kind, value) for kind in io_type.split(",")):
        raise MIVAError(f"`{name}` was given {_shown(value)}, and takes {types} alone: {advice}.")


def _is(kind: str, value: Any) -> bool:
    if kind == "MIVA_STACK" and isinstance(value, tuple):
        return all(isinstance(entry, StackedMiva | StackedWords) for entry in value)
    if kind == "MIVA_FILM" and isinstance(value, tuple):
        return all(isinstance(entry, FilmedMotion) for entry in value)
    if kind == "LATENT" and isinstance(value, dict):
        return hasattr(value.get("samples"), "shape")
    if kind == "CURVE" and isinstance(value, dict):  # as its widget writes it
        return "points" in value
    if kind == "FLOATS" and isinstance(value, bool):
        return False
    return isinstance(value, _CLASSES[kind]) if kind in _CLASSES else not isinstance(value, _PLAIN)


def _shown(value: Any) -> str:
    """A wrong value as a message names it: numbers and texts themselves, others by their type."""
    return shown(value) if isinstance(value, (bool, int, float, str)) else f"a {type(value).__name__}"
