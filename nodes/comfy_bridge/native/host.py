"""Which kind of MODEL is at hand."""

from __future__ import annotations

from typing import Any

from ....miva_core.errors import MIVAError
from .host_protocol import Host, network_of
from .unet_host import UNetHost
from .wan_host import WanHost

HOSTS: tuple[Host, ...] = (WanHost(), UNetHost())
"""All kinds of MODEL that motions act on."""


def find_host(model: Any) -> Host:
    """The kind of a MODEL.

    Raises:
        MIVAError: motions cannot act on it, with the reason.
    """
    net = network_of(model) if hasattr(getattr(model, "model", None), "diffusion_model") else None
    for host in HOSTS:
        if net is not None and host.owns(net):
            host.check(model)
            return host
    kinds = " and on ".join(host.name for host in HOSTS)
    raise MIVAError(
        f"Apply MIVA works on {kinds}, but this MODEL is {kind_of(model)}: load another model, or use MIVA Sampler "
        "with a base of Load MIVA Base."
    )


def kind_of(model: Any) -> str:
    """What ComfyUI calls a MODEL, such as "SDXL"."""
    config = getattr(getattr(model, "model", None), "model_config", model)
    return type(config).__name__
