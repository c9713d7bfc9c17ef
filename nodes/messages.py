"""What a user reads: errors whose first line says what to do, and text on a node."""

import functools
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from comfy_api.v0_0_2 import io, ui

from ..miva_core.errors import MIVAError, MIVAWarning
from ..miva_core.package_fit import misfit_of
from ..miva_core.text.terminal import in_ascii
from . import comfy_bridge
from .input_checks import check_inputs

_log = logging.getLogger(__name__)

_PACKAGES = {
    "accelerate": "accelerate>=1.1",
    "cv2": "opencv-python>=4.8",
    "diffusers": "diffusers>=0.36,<0.50",
    "matplotlib": "matplotlib>=3.8",
    "torchvision": "torchvision",
    "transformers": "transformers>=4.57.6",
}
"""Packages that not every ComfyUI has, by the names they are imported by, and what pip calls them."""


def friendly_errors(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a node's `execute` so that what goes wrong is said in one sentence that tells what to do.

    That is so for inputs that ComfyUI does not check, a package that is missing or does not fit the others, and a
    graphics card that is full. An optional input that is None is left out, as if nothing were connected.
    """

    @functools.wraps(execute)
    def run(cls: type[io.ComfyNode], **values: Any) -> Any:
        schema = cls.define_schema()
        check_inputs(schema.inputs, values, schema.is_input_list)
        empty = {one.id for one in schema.inputs if one.optional and values.get(one.id) is None}
        try:
            return execute(cls, **{name: value for name, value in values.items() if name not in empty})
        except torch.cuda.OutOfMemoryError as error:
            # The same type, by which ComfyUI knows that it should unload its models.
            raise type(error)(
                "The graphics card has run out of memory: close other programs that use it, or choose fewer frames, a "
                f"smaller picture or a smaller base. ({error})"
            ) from error
        except (MIVAError, RuntimeError, ImportError, AttributeError) as error:
            _raise_for_package(error)
            if isinstance(error, MIVAError):
                # ComfyUI writes it into its console.
                error.args = (in_ascii(str(error)),)
            raise

    return run


def _raise_for_package(error: BaseException) -> None:
    """Raise a MIVAError if an exception comes from a package that is missing, or does not fit the others."""
    if misfit := misfit_of(error):
        raise MIVAError(misfit) from error
    package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if package in _PACKAGES:
        raise MIVAError(
            f"This needs the package {package}, which is not installed: run `python -m pip install "
            f'"{_PACKAGES[package]}"` with the Python of ComfyUI, then start it again.'
        ) from error


def node_text(text: str) -> ui.PreviewText:
    """Show text on the node that is running, where artists see it.

    Returns:
        The same for the node's `ui`, where programs that call ComfyUI's API find it.
    """
    comfy_bridge.show_text(text)
    return ui.PreviewText(text)


@contextmanager
def suggest_another(widget: str) -> Iterator[None]:
    """Add to errors of a file in which widget to choose another one.

    Args:
        widget: that named the file.
    """
    try:
        yield
    except MIVAError as error:
        raise MIVAError(f"{error} Mend that, or choose another `{widget}`.") from error


@contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Collect the engine's warnings while the block runs, to be shown on the node; others pass.

    Yields:
        A list that is filled when the block ends.
    """
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", MIVAWarning)
        yield texts
    for warning in caught:
        if issubclass(warning.category, MIVAWarning):
            texts.append(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    for text in texts:
        _log.info("MIVA: %s", in_ascii(text))
