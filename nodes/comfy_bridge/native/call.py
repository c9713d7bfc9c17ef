"""The arguments that ComfyUI calls a network with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a network, which its wrappers may change.

    Attributes:
        arguments: by position, the batch first; the others are the timestep, the text and what a network takes besides.
        named: by name.
    """

    arguments: tuple[Any, ...]
    named: Mapping[str, Any]

    @property
    def x(self) -> Tensor:
        """The batch, in the layout of the network."""
        batch: Tensor = self.arguments[0]
        return batch

    @property
    def options(self) -> dict[str, Any]:
        """The `transformer_options`."""
        options: dict[str, Any] = self.named[_OPTIONS] if _OPTIONS in self.named else self.arguments[self._place]
        return options

    @property
    def _place(self) -> int:
        return next(place for place, argument in enumerate(self.arguments) if _is_options(argument))

    def with_x(self, x: Tensor) -> Call:
        """The same call with another batch."""
        return replace(self, arguments=(x, *self.arguments[1:]))

    def with_options(self, options: dict[str, Any]) -> Call:
        """The same call with other `transformer_options`."""
        if _OPTIONS in self.named:
            return replace(self, named={**self.named, _OPTIONS: options})
        place = self._place
        return replace(self, arguments=(*self.arguments[:place], options, *self.arguments[place + 1 :]))

    def __call__(self, network: Callable[..., Tensor]) -> Tensor:
        """What the network answers."""
        return network(*self.arguments, **self.named)


_OPTIONS = "transformer_options"


def _is_options(argument: Any) -> bool:
    # U-Nets also take the residuals of a ControlNet, as a dict of lists.
    return isinstance(argument, dict) and "cond_or_uncond" in argument
