"""Adapters in a model, until they are removed."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from ..adapters.adapter import MIVAAdapter
from ..adapters.backbone import Backbone
from ..attention.injection import Injection
from ..errors import MIVAError
from .describe import describe
from .registry import find_architecture


def inject(model: nn.Module, /, **adapters: MIVAAdapter) -> Injection:
    """Make the named adapters act in a model, in parallel and with strength 1 each, until the result is removed.

    The adapters are moved to the model's device and keep their dtype; they compute in the dtype of the activations.
    The model's parameters, buffers and structure are left alone. A model that diffusers built with AnimateDiff motion
    modules should go through `per_frame_norm.use_per_frame_norm` first, as the built-in bases do.

    One model serves one thread at a time: where another thread has adapters in this model, or animates with it, this
    call waits until that is over. Run the model itself, too, by the thread that injected alone.

    In training, call backward before `set_weights`, `set_spans` and `set_progress`, which write to a tensor that it
    needs; with gradient checkpointing also before the next forward pass and before `remove`, since what is recomputed
    sees the present step.

    Args:
        model: a supported base, see `describe`.
        **adapters: one or more adapters made for this base.

    Returns:
        The injection, which is also a context manager that removes it.

    Raises:
        MIVAError: an adapter is missing or made for another base, or the model already has adapters or uses attention
            that would be lost (fused projections, IP-Adapter). The model is then as it was.

    Example:
        >>> with inject(model, pan=pan, jump=jump) as miva:
        ...     miva.set_weights(pan=0.3, jump=0.7)
        ...     output = model(latents, timestep, text).sample
    """
    backbone = describe(model)
    _check_adapters(adapters, backbone)
    architecture = find_architecture(backbone.family)
    installer = architecture.installer(model, backbone)
    try:
        if installer.device.type != "meta":
            for adapter in adapters.values():
                adapter.to(installer.device)
        return Injection(
            adapters,
            backbone,
            installer,
            architecture.processors(),
            grids=architecture.attention_grids,
            spans_frames=architecture.attention_spans_frames,
            linear=architecture.attention_is_linear,
        )
    except BaseException:
        installer.remove()
        raise


def check_bare(model: nn.Module, backbone: Backbone) -> None:
    """Check that no adapters are in a model, and that nothing else has taken the place of its plain attention.

    It waits for its turn at the model, as `inject` does.

    Args:
        model: a supported base.
        backbone: its description.

    Raises:
        MIVAError: something acts there, see `inject`.
    """
    find_architecture(backbone.family).installer(model, backbone).remove()


def _check_adapters(adapters: Mapping[str, MIVAAdapter], backbone: Backbone) -> None:
    if not adapters:
        raise MIVAError("No adapter was given; pass at least one by name, as in inject(model, pan=adapter).")
    for name, adapter in adapters.items():
        if not isinstance(adapter, MIVAAdapter):
            raise MIVAError(f"{name} is a {type(adapter).__name__}, expected a MIVAAdapter.")
        if adapter.backbone != backbone:
            raise MIVAError(
                f"The adapter {name} was made for another base ({adapter.backbone.family}, "
                f"{adapter.backbone.fingerprint}), while this model is {backbone.family}, {backbone.fingerprint}."
            )
