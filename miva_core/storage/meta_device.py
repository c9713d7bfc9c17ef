"""Build models on the meta device, without memory, and fill them with the tensors of a file."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..checks import printable, shown
from ..errors import MIVAError
from .weights import check_floating

Model = TypeVar("Model", bound=nn.Module)


def on_meta(build: Callable[[], Model]) -> Model:
    """Build a model on the meta device, its parameters and buffers without memory.

    Args:
        build: makes the model.
    """
    with torch.device("meta"):
        return build()


def fill(
    model: nn.Module,
    tensors: dict[str, Tensor],
    source: str,
    device: torch.device | str,
    dtype: Callable[[str], torch.dtype],
) -> None:
    """Fill a model on the meta device with tensors, one by one, so that memory holds about one copy of them.

    Args:
        model: built by `on_meta`; afterwards frozen and in eval mode.
        tensors: by their names in the model; emptied on the way.
        source: the file they come from, for messages.
        device: where the model will run.
        dtype: gives the dtype of each tensor by its name.

    Raises:
        MIVAError: names or shapes are not those of the model, or a tensor holds no floating-point numbers.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    check_tensors(tensors, shapes, source)
    # Copied even where nothing changes: a mapped file could be replaced under the running model.
    placed = {name: tensors.pop(name).to(device, dtype(name), copy=True) for name in shapes}
    model.load_state_dict(placed, assign=True)
    model.eval().requires_grad_(False)


def check_tensors(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], source: str) -> None:
    """Check that tensors are those of a model.

    Args:
        tensors: by their names in the model.
        shapes: the model's, by the same names.
        source: the file they come from, for messages.

    Raises:
        MIVAError: names or shapes are not those of the model, or a tensor holds no floating-point numbers.
    """
    # diffusers' converters put None where a tensor is missing.
    found_names = {name for name, tensor in tensors.items() if tensor is not None}
    for name in sorted(shapes.keys() ^ found_names):
        found = "lacks" if name in shapes else "holds an unexpected"
        raise MIVAError(f"{source} {found} {printable(name)}: it is damaged, or of a version that is not supported.")
    for name, shape in shapes.items():
        if tuple(tensors[name].shape) != shape:
            raise MIVAError(
                f"{source} holds {name} of shape {shown(tuple(tensors[name].shape))}, but {shape} was expected."
            )
        check_floating(name, tensors[name], source)
