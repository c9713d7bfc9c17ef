"""Models built on the meta device, without memory, and then filled with the tensors of a file."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ..checks import printable, shown
from ..errors import MIVAError
from .weights import check_floating


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
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
    """Put tensors in place of those on the meta device, one after another, so that memory holds about one copy.

    Args:
        model: built by `on_meta`; afterwards frozen and in eval mode.
        tensors: by the model's names; emptied on the way.
        source: the files they came from, for messages.
        device: where they are to be.
        dtype: gives the dtype of each tensor by its name.

    Raises:
        MIVAError: names or shapes are not the model's.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    _check(tensors, wanted, source)
    # Copied even where nothing changes: a mapped file could be replaced under the running model.
    placed = {name: tensors.pop(name).to(device, dtype(name), copy=True) for name in wanted}
    model.load_state_dict(placed, assign=True)
    model.eval().requires_grad_(False)


def _check(tensors: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]], source: str) -> None:
    # diffusers' converters put None where they miss a tensor.
    found_names = {name for name, tensor in tensors.items() if tensor is not None}
    for name in sorted(wanted.keys() ^ found_names):
        found = "lacks" if name in wanted else "holds an unexpected"
        raise MIVAError(f"{source} {found} {printable(name)}: it is damaged, or of a version that is not supported.")
    for name, shape in wanted.items():
        if tuple(tensors[name].shape) != shape:
            raise MIVAError(
                f"{source} holds {name} of shape {shown(tuple(tensors[name].shape))}, but {shape} was expected."
            )
        check_floating(name, tensors[name], source)
