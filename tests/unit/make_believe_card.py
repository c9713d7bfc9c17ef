"""A make-believe graphics card: its tensors say that they are on cuda:0, hold their values on the CPU, and refuse to be
mixed with tensors of the CPU, as those of a real card do. Mistakes of that kind are not seen on the CPU alone.

It does not take gradients, whose engine asks the real driver for its devices.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

CARD = torch.device("cuda", 0)

_CROSSES = {"aten::copy_", "aten::_to_copy"}
"""What carries values from one device to another."""
_INDEXES = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_", "aten::_unsafe_index"}
"""What takes places on the CPU for a tensor on the card, though not the other way round."""


class OnCard(Tensor):
    """A tensor on the make-believe card; `values` are the true ones, on the CPU."""

    values: Tensor

    @staticmethod
    def __new__(cls, values: Tensor) -> "OnCard":
        return Tensor._make_wrapper_subclass(
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=CARD,
        )

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def __repr__(self) -> str:
        return f"OnCard({self.values!r})"

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _compute(func, args, dict(kwargs or {}))


class _Card(TorchDispatchMode):
    """Sees what makes tensors out of nothing, too, which no tensor of the card takes part in."""

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _compute(func, args, dict(kwargs or {}))


@contextmanager
def make_believe_card() -> Iterator[torch.device]:
    """Within it there is a card, the device that is given: `to`, `device=` and all else work as with a real one."""
    without = not torch.cuda.is_available()
    if without:
        torch._C._ensureCUDADeviceGuardSet()  # as torch's own fake tensors do: a guard that does nothing
    with ExitStack() as stack:
        if without:
            # Whoever names the device wakes the driver first, of which there is none. torch asks once in a process.
            stack.enter_context(mock.patch("torch.cuda._lazy_init"))
        # A parameter that moves becomes one of the card as a whole; by default it takes on the device, not the class.
        stack.callback(
            torch.__future__.set_swap_module_params_on_conversion,
            torch.__future__.get_swap_module_params_on_conversion(),
        )
        torch.__future__.set_swap_module_params_on_conversion(True)
        # Inference mode hides from tensors like these how operations are made of others; it is no_grad here.
        for name in ("__enter__", "__exit__"):
            stack.enter_context(mock.patch.object(torch.inference_mode, name, getattr(torch.no_grad, name)))
        # These two copy to the device themselves, where no mode sees it.
        for name in ("tensor", "as_tensor"):
            stack.enter_context(mock.patch.object(torch, name, _made_here(getattr(torch, name))))
        stack.enter_context(_Card())
        yield CARD


def _made_here(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`torch.tensor` or the like, which makes its tensor on the CPU and then moves it."""

    def made(data: Any, *, device: Any = None, **options: Any) -> Tensor:
        if isinstance(data, OnCard):
            return data.to(device=device, **options)
        here = make(data, **options)
        return here if device is None else here.to(device)

    return made


def _compute(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """One operation, on the true values; what comes out is on the card if it would be."""
    name = func._schema.name
    if name == "aten::_fused_sdp_choice":
        return 0  # attention written out, which a card without kernels of its own has as well
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    cards = [tensor for tensor in tensors if isinstance(tensor, OnCard)]
    if cards and len(cards) < len(tensors) and name not in _CROSSES:
        _check_mixed(name, args, [tensor for tensor in tensors if not isinstance(tensor, OnCard)])
    asked = kwargs.get("device")
    if asked is not None:
        on_card = torch.device(asked).type == "cuda"
        kwargs["device"] = torch.device("cpu")
    else:
        on_card = isinstance(args[0], OnCard) if name in _CROSSES else bool(cards)
    if kwargs.get("pin_memory"):
        kwargs["pin_memory"] = False
    out = func(*tree_map(_values, args), **tree_map(_values, kwargs))
    if not on_card:
        return out
    copies = {id(card.values): card for card in cards}  # what is changed in place stays the same tensor

    def moved(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        return copies[id(x)] if id(x) in copies else OnCard(x)

    return tree_map(moved, out)


def _check_mixed(name: str, args: Sequence[Any], plain: Sequence[Tensor]) -> None:
    """Raise as a card does where it is given tensors of the CPU that are more than single numbers."""
    wrong = [tensor for tensor in plain if tensor.ndim]
    if name in _INDEXES and isinstance(args[0], OnCard):
        places = {id(place) for place in args[1]}
        wrong = [tensor for tensor in wrong if id(tensor) not in places]
    if wrong:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in wrong)
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but {name} is given {shapes} on the CPU beside cuda:0."
        )


def _values(x: Any) -> Any:
    return x.values if isinstance(x, OnCard) else x
