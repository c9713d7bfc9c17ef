"""Processors in a model of diffusers: put in the place of its own, which return when they are removed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..adapters.backbone import Backbone, Kind, Site
from ..attention.context import Context
from ..attention.processor import Processor
from ..attention.turns import take_turn
from ..errors import MIVAError
from .diffusers_port import DiffusersPort, DiffusersProcessor

CAPTION_INPUT = "caption_input"
"""Submodule that a model passes its captions through where they have slots: (B, K, slots, dim), K being 1 or F."""


class DiffusersInstaller:
    """An `Installer` for models whose attention modules have a `set_processor`.

    It waits for its turn at the model, which it keeps until `remove`.

    Args:
        model: a model of diffusers.
        backbone: its description.
        plain_processors: class names of the processors that it may have so far.
        ports: for kinds of sites whose attention is not by a softmax, how processors see their modules.

    Raises:
        MIVAError: something has taken the place of the model's plain attention: adapters are injected already, or it
            uses fused projections, IP-Adapter or the like.
    """

    def __init__(
        self,
        model: nn.Module,
        backbone: Backbone,
        plain_processors: Collection[str],
        ports: Mapping[Kind, type[DiffusersPort]] | None = None,
    ) -> None:
        self._model, self._backbone, self._ports = model, backbone, ports or {}
        self._replaced: list[tuple[Any, Any]] = []
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []
        self._turn = take_turn(model)
        try:
            for site in backbone.sites:
                _check_plain(site.path, self._attention(site), plain_processors)
        except BaseException:
            self._turn.release()
            raise

    @property
    def device(self) -> torch.device:
        """Where the model is, as far as its parameters say: offloading keeps some on the meta device until needed."""
        # Asked for each site: to look at all parameters every time would take a quarter of a clip's time.
        present = (parameter for parameter in self._model.parameters() if parameter.device.type != "meta")
        return next(present, next(self._model.parameters())).device

    @property
    def dtype(self) -> torch.dtype:
        """What its attention computes in: weights stored in 8 bits are computed with in another type."""
        site = next(site for site in self._backbone.sites if site.kind == "sa")
        dtype = self._attention(site).to_q.weight.dtype
        return dtype if dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64) else torch.float32

    def install(self, processors: Mapping[Site, Processor], context: Context) -> None:
        """See `Installer.install`."""
        self._context = context
        for site, processor in processors.items():
            attention = self._attention(site)
            self._replaced.append((attention, attention.processor))
            attention.set_processor(DiffusersProcessor(processor, self._ports.get(site.kind, DiffusersPort)))
        time_module = self._model.get_submodule(self._backbone.time_path)
        self._hooks.append(time_module.register_forward_hook(self._report_time))
        self._hooks.append(self._model.register_forward_pre_hook(self._report_latents, with_kwargs=True))
        if self._backbone.caption:
            captions = self._model.get_submodule(CAPTION_INPUT)
            self._hooks.append(captions.register_forward_hook(self._add_captions))

    def remove(self) -> None:
        """See `Installer.remove`. The next thread gets the model. Any thread may call it."""
        while self._hooks:
            self._hooks.pop().remove()
        while self._replaced:
            attention, processor = self._replaced.pop()
            attention.set_processor(processor)
        self._turn.release()

    def _attention(self, site: Site) -> Any:
        return self._model.get_submodule(site.path)

    def _report_time(self, module: nn.Module, args: tuple[Any, ...], temb: Tensor) -> None:
        self._context.temb = temb

    def _add_captions(self, module: nn.Module, args: tuple[Any, ...], captions: Tensor) -> Tensor:
        return self._context.captioned(captions)

    def _report_latents(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        latents = next((kwargs[name] for name in ("sample", "hidden_states") if name in kwargs), None)
        rows, _, frames, height, width = (args[0] if latents is None else latents).shape
        self._context.begin(rows, frames, height, width)


def _check_plain(path: str, attention: Any, plain_processors: Collection[str]) -> None:
    if isinstance(attention.processor, DiffusersProcessor):
        raise MIVAError("This model already has adapters; remove them first, or inject all of them in one call.")
    if attention.fused_projections:
        raise MIVAError("This model has fused projections; call model.unfuse_qkv_projections() first.")
    if type(attention.processor).__name__ not in plain_processors:
        raise MIVAError(
            f"The attention at {path} uses {type(attention.processor).__name__}, which adapters would "
            "replace; call model.set_default_attn_processor() first."
        )
