"""Puts adapters into a base and takes them out again without a trace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from ..adapters.adapter import MIVAAdapter
from ..adapters.backbone import Backbone, Site
from ..bases.describe import describe
from ..bases.registry import find_architecture
from ..checks import is_number, is_weight
from ..errors import MIVAError
from .guidance import Guidance, unify
from .processors import Context, Group, Processor
from .turns import Turn, take_turn


class Injection:
    """Adapters at work inside a model, until `remove` or the end of the with block. Made by `inject`."""

    def __init__(
        self, adapters: dict[str, MIVAAdapter], backbone: Backbone, context: Context, dtype: torch.dtype, turn: Turn
    ) -> None:
        self._order = list(adapters)
        self._adapters = _by_config(adapters)
        self._backbone = backbone
        self._context = context
        self._dtype = dtype
        self._turn = turn
        self._weights = dict.fromkeys(self._adapters, 1.0)
        self._spans = dict.fromkeys(self._adapters, (0.0, 1.0))
        self._done = 0.0
        self._replaced: list[tuple[nn.Module, Any]] = []
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every adapter by name."""
        return dict(self._weights)

    @property
    def spans(self) -> dict[str, tuple[float, float]]:
        """The span of every adapter by name, see `set_spans`."""
        return dict(self._spans)

    @property
    def masked(self) -> tuple[str, ...]:
        """The adapters with a mask stream (3.4), in the order of the streams."""
        return tuple(name for name, adapter in self._adapters.items() if adapter.config.mask)

    def set_weights(self, /, **weights: float) -> None:
        """Sets the weights of the named adapters; the others keep theirs.

        Any number from -1e6 to 1e6 is allowed. What the sum leaves to 1 is filled by the base's own attention (B.2.1),
        but for text cross-attention where the model is run without a text.

        Raises:
            MIVAError: an unknown name, or a weight that is no such number; nothing is changed then.
        """
        self._check_names(weights)
        for name, weight in weights.items():
            if not is_weight(weight):
                raise MIVAError(f"The weight of {name} is {weight!r}, expected a number from -1e6 to 1e6.")
        self._weights.update(weights)
        self._apply()

    def set_spans(self, /, **spans: tuple[float, float]) -> None:
        """Sets when the named adapters act; the others keep their spans, which are the whole run at first.

        Args:
            **spans: (start, end), shares of the run's steps, 0 <= start < end <= 1. An adapter acts while
                start <= done < end, see `set_progress`; outside it counts as one of weight 0.

        Raises:
            MIVAError: an unknown name, or no such span; nothing is changed then.
        """
        self._check_names(spans)
        for name, span in spans.items():
            if not _is_span(span):
                raise MIVAError(
                    f"The span of {name} is {span!r}, expected (start, end), shares of the run with "
                    "0 <= start < end <= 1."
                )
        self._spans.update(spans)
        self._apply()

    def set_progress(self, done: float) -> None:
        """Tells which share of the run's steps is done, in [0, 1); a sampling loop calls it before every step.

        Raises:
            MIVAError: `done` is out of range.
        """
        if not is_number(done) or not 0 <= done < 1:
            raise MIVAError(f"The share of steps done is {done!r}, expected a number from 0 to below 1.")
        self._done = done
        self._apply()

    def set_mask_streams(self, present: bool) -> None:
        """Tells whether the coming forward passes hold mask sequences (3.4).

        If so, their batch holds b clips, then the b mask sequences of `masked[0]`, those of `masked[1]` and so on. They
        are denoised like clips, at the step of the clip they belong to.
        """
        self._context.streams = len(self.masked) if present else 0

    def set_masks(self, masks: Mapping[str, Tensor] | None) -> None:
        """Guides the coming forward passes by the subjects' masks (3.4, Eq. 3, S5, S6), or no longer, if None.

        Among adapters with masks, one without a mask stream acts where no subject is. Of overlapping masks the one that
        was injected last is on top.

        A subject's region is kept apart also while the weight of its adapter is 0.

        Args:
            masks: of every adapter in `masked`, (b, F, h, w) in [0, 1] on the grid of the latents, where the model is.

        Raises:
            MIVAError: a mask is missing or one too many, or they are not of one size; nothing is changed then. Masks of
                another size than the clips are told by the next forward pass.
        """
        if masks is None:
            self._context.guidance = None
            return
        if set(masks) != set(self.masked):
            raise MIVAError(f"Masks were given for {list(masks)}, but the adapters with masks are {list(self.masked)}.")
        shapes = {tuple(mask.shape) for mask in masks.values()}
        if len(shapes) != 1 or any(len(shape) != 4 for shape in shapes):
            raise MIVAError(f"Masks must all be (b, F, h, w) of one size, but they are {sorted(shapes)}.")
        dtype = self._context.weights.dtype
        soft = {name: masks[name].to(dtype).clamp(0, 1) for name in self._order if name in masks}
        labels = unify(torch.stack(list(soft.values())))
        background = (labels == 0).to(dtype)
        every = torch.stack([soft.get(name, background) for name in self._adapters])
        with _no_autocast(every.device.type):
            self._context.guidance = self._guidance(every, labels, len(soft))

    def _guidance(self, masks: Tensor, labels: Tensor, subjects: int) -> Guidance:
        """For the model at hand; arguments as in `Guidance`."""
        sites = [site for site in self._backbone.sites if site.kind == "sa"]
        architecture = find_architecture(self._backbone.family)
        return Guidance(
            masks,
            labels,
            subjects,
            grids=architecture.attention_grids(*labels.shape[-2:]),
            widths=sorted({site.dim // site.heads for site in sites}),
            rank=max(self._adapters[name].config.region_rank for name in self.masked),
            spans_frames=architecture.attention_spans_frames,
            dtype=self._dtype,
        )

    def _check_names(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._weights:
                raise MIVAError(f"There is no adapter named {name!r}; the injected ones are {list(self._weights)}.")

    def _apply(self) -> None:
        acting = [
            weight if start <= self._done < end else 0.0
            for weight, (start, end) in zip(self._weights.values(), self._spans.values(), strict=True)
        ]
        self._context.weights.copy_(torch.tensor(acting, dtype=torch.float64))

    def remove(self) -> None:
        """Takes the adapters out: the very processors found at injection return, and the next thread gets the model.

        Any thread may call it, and a second call does nothing.
        """
        while self._hooks:
            self._hooks.pop().remove()
        while self._replaced:
            attention, processor = self._replaced.pop()
            attention.set_processor(processor)
        self._context.temb, self._context.frames = None, 0
        self._context.streams, self._context.guidance = 0, None
        self._turn.release()

    def __enter__(self) -> Injection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()

    def _install(self, model: nn.Module) -> None:
        processors = find_architecture(self._backbone.family).processors()
        for site in self._backbone.sites:
            attention = model.get_submodule(site.path)
            self._replaced.append((attention, attention.processor))
            attention.set_processor(processors[site.kind](self._context, self._groups(site)))
        time_module = model.get_submodule(self._backbone.time_path)
        self._hooks.append(time_module.register_forward_hook(self._remember_time))
        self._hooks.append(model.register_forward_pre_hook(self._remember_frames, with_kwargs=True))

    def _groups(self, site: Site) -> list[Group]:
        """The adapters' modules for a site, by equal config; `_adapters` has them in this order already."""
        groups: list[Group] = []
        start = stream = 0
        for config, members in groupby(self._adapters.values(), key=lambda adapter: adapter.config):
            modules = [adapter.site(site) for adapter in members]
            groups.append(Group(modules, config, start, stream))
            start += len(modules)
            stream += len(modules) if config.mask else 0
        return groups

    def _remember_time(self, module: nn.Module, args: tuple[Any, ...], temb: Tensor) -> None:
        self._context.temb = temb

    def _remember_frames(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        latents = next((kwargs[name] for name in ("sample", "hidden_states") if name in kwargs), None)
        rows, _, frames, height, width = (args[0] if latents is None else latents).shape
        streams, guidance = self._context.streams, self._context.guidance
        if rows % (1 + streams):
            raise MIVAError(
                f"The batch has {rows} rows, but each clip was to be followed by {streams} mask sequences: call "
                "set_mask_streams(False) where there are none."
            )
        clips = rows // (1 + streams)
        if guidance is not None and guidance.size != (clips, frames, height, width):
            raise MIVAError(
                f"The masks are {guidance.size}, but the clips' latents are {(clips, frames, height, width)}: "
                "set masks of their size, or None."
            )
        self._context.frames = frames


def inject(model: nn.Module, /, **adapters: MIVAAdapter) -> Injection:
    """Makes the named adapters act in `model`, in parallel and with weight 1 each, until the result is removed.

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

    Raises:
        MIVAError: an adapter is missing or made for another base, or the model already has adapters or uses attention
            that would be lost (fused projections, IP-Adapter). The model is then as it was.
    """
    backbone = describe(model)
    _check_adapters(adapters, backbone)
    turn = take_turn(model)
    try:
        check_bare(model, backbone)
        injection = _prepare(model, adapters, backbone, turn)
    except BaseException:
        turn.release()
        raise
    try:
        injection._install(model)
    except BaseException:
        injection.remove()
        raise
    return injection


def _prepare(model: nn.Module, adapters: dict[str, MIVAAdapter], backbone: Backbone, turn: Turn) -> Injection:
    """What is to be installed; the adapters are moved to the model's device."""
    home = _present_parameter(model)
    if home.device.type != "meta":
        for adapter in adapters.values():
            adapter.to(home.device)
    # never in half precision, where weights such as 0.3 and 0.7 would not add up to 1
    dtype = torch.float64 if home.dtype == torch.float64 else torch.float32
    # Inference tensors could not be written later, outside of inference mode.
    with torch.inference_mode(False):
        weights = torch.ones(len(adapters), device=home.device, dtype=dtype)
    return Injection(adapters, backbone, Context(weights), _attention_dtype(model, backbone), turn)


def _by_config(adapters: dict[str, MIVAAdapter]) -> dict[str, MIVAAdapter]:
    """The same adapters, those of equal config side by side."""
    configs = list(dict.fromkeys(adapter.config for adapter in adapters.values()))
    return dict(sorted(adapters.items(), key=lambda item: configs.index(item[1].config)))


def _is_span(value: Any) -> bool:
    return (
        isinstance(value, Sequence) and len(value) == 2 and all(map(is_number, value)) and 0 <= value[0] < value[1] <= 1
    )


def _check_adapters(adapters: dict[str, MIVAAdapter], backbone: Backbone) -> None:
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


def check_bare(model: nn.Module, backbone: Backbone) -> None:
    """Check that nothing has taken the place of the model's plain attention.

    Raises:
        MIVAError: adapters are injected already, or it uses fused projections, IP-Adapter or the like.
    """
    for site in backbone.sites:
        attention = model.get_submodule(site.path)
        if isinstance(attention.processor, Processor):
            raise MIVAError("This model already has adapters; remove them first, or inject all of them in one call.")
        if attention.fused_projections:
            raise MIVAError("This model has fused projections; call model.unfuse_qkv_projections() first.")
        if type(attention.processor).__name__ not in ("AttnProcessor2_0", "AttnProcessor", "WanAttnProcessor"):
            raise MIVAError(
                f"The attention at {site.path} uses {type(attention.processor).__name__}, which adapters would "
                "replace; call model.set_default_attn_processor() first."
            )


def _no_autocast(device_type: str) -> AbstractContextManager[Any]:
    """Biases are small differences of large numbers, which autocast would round."""
    if not torch.amp.is_autocast_available(device_type):
        return nullcontext()
    return torch.autocast(device_type, enabled=False)


def _attention_dtype(model: nn.Module, backbone: Backbone) -> torch.dtype:
    """What attention computes in, as far as its weights tell: stored ones of 8 bits are computed with as others."""
    site = next(site for site in backbone.sites if site.kind == "sa")
    dtype = model.get_submodule(site.path).to_q.weight.dtype
    return dtype if dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64) else torch.float32


def _present_parameter(model: nn.Module) -> Tensor:
    """A parameter that tells where the model is; offloading keeps some on the meta device until they are needed."""
    parameters = list(model.parameters())
    return next((parameter for parameter in parameters if parameter.device.type != "meta"), parameters[0])
