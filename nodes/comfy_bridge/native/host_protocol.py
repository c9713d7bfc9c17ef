"""What differs between the kinds of MODEL that motions act on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from torch import Tensor, nn

from ....miva_core.adapters.backbone import Backbone
from .call import Call
from .installer import NativeInstaller


class Host(Protocol):
    """One kind of MODEL. It is stateless.

    Attributes:
        name: what people call it.
        size: height and width of a clip where none are asked for.
        frames: of such a clip.
        multiple: of pixels, of which height and width must be one.
        stride: frames of a clip for each latent frame after the first.
        scale: pixels for each place of the latents, along one side.
        channels: of the latents.
        text: words and channels of the zeros that stand for no prompt.
        drops_text: whether the share of the text is dropped where there is no prompt, as in training, rather than given
            to zeros.
        prepends: whether a window without frame 1 may get the picture in front of it, as one more frame.
    """

    name: str
    size: tuple[int, int]
    frames: int
    multiple: int
    stride: int
    scale: int
    channels: int
    text: tuple[int, int]
    drops_text: bool
    prepends: bool

    def owns(self, net: nn.Module) -> bool:
        """Whether a network is of this kind, whether or not motions can act on it."""
        ...

    def check(self, model: Any) -> None:
        """Check that motions can act on a MODEL of this kind.

        Raises:
            MIVAError: they cannot, with the reason.
        """
        ...

    def prepare(self, model: Any) -> Any:
        """A MODEL of this kind, made for one run of motions or more: itself, perhaps with something set."""
        ...

    def notes(self, model: Any) -> tuple[str, ...]:
        """What is odd about a MODEL on which motions can act, for who uses it."""
        ...

    def longest(self, model: Any) -> int | None:
        """The most frames of a clip that a MODEL makes; None where there is no limit."""
        ...

    def backbone(self, model: Any) -> Backbone:
        """The attention sites of a MODEL, equal to those of the same network in diffusers."""
        ...

    def to_clips(self, x: Tensor, clips: int) -> Tensor:
        """A batch in the layout of the network as (clips, C, F, h, w)."""
        ...

    def to_model(self, clips: Tensor) -> Tensor:
        """(clips, C, F, h, w) as a batch in the layout of the network."""
        ...

    def window(self, options: dict[str, Any]) -> Sequence[int] | None:
        """Which frames of the clip are in the coming forward pass; None where all are.

        Args:
            options: the `transformer_options` of the pass.
        """
        ...

    def installed(self, adapters: NativeInstaller, net: nn.Module, call: Call) -> AbstractContextManager[Call]:
        """Processors put in for one forward pass.

        It lets the adapters know which of them were not called, until all were, for a pass without them would be wrong
        in silence.

        Args:
            adapters: that act.
            net: the network.
            call: the pass. Its batch is known to the context of the adapters already.

        Returns:
            Gives the call to make in its place. On exit nothing is left in the network, whatever has happened.

        Raises:
            MIVAError: on exit, see `NativeInstaller.judge`.
        """
        ...


def core_window(options: dict[str, Any]) -> Sequence[int] | None:
    """`Host.window` by the windows that ComfyUI itself makes."""
    window = options.get("context_window")
    return None if window is None else list(window.index_list)


def network_of(model: Any) -> Any:
    """The network of a MODEL, compiled or not."""
    net = model.get_model_object("diffusion_model")
    return getattr(net, "_orig_mod", net)
