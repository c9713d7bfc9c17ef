"""Adapters at work in a model: how strongly they act, when, and guided by which masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, groupby
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from ..adapters.adapter import MIVAAdapter
from ..adapters.backbone import Backbone, Kind, Site
from ..checks import is_number
from ..errors import MIVAError
from .caption import captions_of
from .context import Context, Group
from .guidance import Guidance, SoftmaxGuidance, check_masks, layered, no_autocast
from .installer import Installer
from .linear_guidance import LinearGuidance
from .processor import Processor
from .strength import Level, Part, Strength, check_strength
from .strength_table import strength_table
from .words import check_words, listeners_of


class Injection:
    """Adapters at work in a model, until `remove` or the end of the with block.

    `inject` makes one for a model of diffusers. How the adapters come into the model is the affair of the installer;
    this is their state, which every forward pass reads.

    Args:
        adapters: by name, made for this backbone, in the order of layers: of overlapping masks the last is on top.
        backbone: of the model.
        installer: of the model. It installs the processors at once.
        processors: the class for each kind of site.
        grids: from height and width of the latents to the grids (height, width) of places that self-attention runs on.
        spans_frames: whether self-attention runs over all frames at once, rather than frame by frame.
        linear: whether self-attention and attention over time are linear, rather than by a softmax.

    Attributes:
        context: what the processors read.
    """

    def __init__(
        self,
        adapters: Mapping[str, MIVAAdapter],
        backbone: Backbone,
        installer: Installer,
        processors: Mapping[Kind, type[Processor]],
        *,
        grids: Callable[[int, int], list[tuple[int, int]]],
        spans_frames: bool,
        linear: bool = False,
    ) -> None:
        self._order = list(adapters)
        self._adapters = by_config(adapters)
        self._backbone = backbone
        self._installer = installer
        self._grids, self._spans_frames, self._linear = grids, spans_frames, linear
        self._strengths: dict[str, Level | Strength] = dict.fromkeys(self._adapters, 1.0)
        self._spans = dict.fromkeys(self._adapters, (0.0, 1.0))
        self._done = self._noise = 0.0
        self._degrees: dict[str, float | Tensor] = {
            name: adapter.degree.centred() if adapter.degree else 0.0 for name, adapter in self._adapters.items()
        }
        strengths, degrees = _ones(installer, len(Part), len(adapters)), _ones(installer, len(adapters))
        members = self._adapters.values()
        self.context = Context(strengths, degrees, listeners=listeners_of(members), captions=captions_of(members))
        self._write_degrees()
        self._groups = {site: self._groups_at(site) for site in backbone.sites}
        installer.install(self._processors(processors), self.context)

    @property
    def weights(self) -> dict[str, Level | Strength]:
        """The strength of every adapter by name, as `set_weights` was given it."""
        return dict(self._strengths)

    @property
    def spans(self) -> dict[str, tuple[float, float]]:
        """The span of every adapter by name, see `set_spans`."""
        return dict(self._spans)

    @property
    def masked(self) -> tuple[str, ...]:
        """The adapters with a mask stream (3.4), in the order of the streams."""
        return tuple(name for name, adapter in self._adapters.items() if adapter.config.mask)

    def set_weights(self, /, **weights: Level | Strength) -> None:
        """Set how strongly the named adapters act; the others keep their strength, which is 1 at first.

        What the strengths of a part leave to 1 is filled by the base's own attention (B.2.1), but for text
        cross-attention where the model is run without a text.

        Args:
            **weights: for all parts of an adapter a number from -1e6 to 1e6, a `Curve` or several, whose product
                counts; or a `Strength` with one for each part. Curves over the run follow `set_progress`, those over
                frames `set_frames`.

        Raises:
            MIVAError: an unknown name, or a strength that is neither; nothing is changed then.
        """
        self._check_names(weights)
        for name, strength in weights.items():
            check_strength(name, strength)
        self._strengths.update(weights)
        self._write_strengths()

    def set_spans(self, /, **spans: tuple[float, float]) -> None:
        """Set when the named adapters act; the others keep their spans, which are the whole run at first.

        Args:
            **spans: (start, end), shares of the run's steps, 0 <= start < end <= 1. An adapter acts while
                start <= done < end, see `set_progress`; outside it counts as one of strength 0.

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
        self._write_strengths()

    def set_progress(self, done: float, noise: float) -> None:
        """Set how far the run is; a sampling loop calls it before every step.

        Args:
            done: share of the run's steps that is done, in [0, 1).
            noise: share of the noise that is gone, in [0, 1], see `noise_share`.

        Raises:
            MIVAError: one of them is out of range; nothing is changed then.
        """
        if not is_number(done) or not 0 <= done < 1:
            raise MIVAError(f"The share of steps done is {done!r}, expected a number from 0 to below 1.")
        if not _is_share(noise):
            raise MIVAError(f"The share of noise gone is {noise!r}, expected a number from 0 to 1.")
        self._done, self._noise = done, noise
        self._write_strengths()

    def set_frames(self, shares: Sequence[float] | None) -> None:
        """Set which frames of the clip the coming forward passes hold.

        Strengths may differ from frame to frame, and each frame hears its part of what is said.

        Args:
            shares: of the clip, one for each (latent) frame: k/(F - 1) at frame k of F, counted from 0. None forgets
                them: forward passes with such strengths are refused then, and words are heard as in a whole clip.

        Raises:
            MIVAError: they are no numbers from 0 to 1; nothing is changed then.
        """
        shares = () if shares is None else tuple(shares)
        if not all(map(_is_share, shares)):
            raise MIVAError(f"The shares of the clip at its frames are {shares}, expected numbers from 0 to 1.")
        self.context.shares = shares
        self._write_strengths()

    def set_degrees(self, /, **degrees: float | Tensor) -> None:
        """Set how much motion the named adapters make; the others keep their degree, which is their usual one at first.

        Args:
            **degrees: u in [-1, 1] from the slowest to the fastest motion that an adapter has learnt, see
                `DegreeRange.centred`; or (clips,) with one for each clip of the coming batches.

        Raises:
            MIVAError: an unknown name, an adapter without a degree, or a number out of range; nothing is changed then.
                Where they are not as many as the clips, the next forward pass raises it.
        """
        self._check_names(degrees)
        for name, degree in degrees.items():
            if not self._adapters[name].config.degree:
                raise MIVAError(
                    f"{name} was trained without a degree: set its weight instead, or train it with --degree."
                )
            if not ((is_number(degree) and -1 <= degree <= 1) or (isinstance(degree, Tensor) and degree.ndim == 1)):
                raise MIVAError(f"The degree of {name} is {degree!r}, expected a number from -1 to 1, or one a clip.")
        self._degrees.update(degrees)
        self._write_degrees()

    def set_words(self, /, **texts: Tensor | None) -> None:
        """Say words to the named adapters; the others hear what was said to them before, which is nothing at first.

        Adapters hear them in temporal attention alone (EDG, stage 1), whatever text the model itself runs under. Mask
        sequences hear what their clips do.

        Args:
            **texts: (words, d_text) to all clips, or (b, words, d_text) to each its own, encoded as the base's texts
                are; None says nothing.

        Raises:
            MIVAError: an unknown name, an adapter that was trained without words, or no such text; nothing is changed
                then. Where they are not as many as the clips, the next forward pass raises it.
        """
        self._check_names(texts)
        listeners = dict(zip(self._adapters, self.context.listeners, strict=False))
        for name, text in texts.items():
            check_words(name, text, self._adapters[name].config.words, self._backbone.text_dim)
        for name, text in texts.items():
            if listener := listeners.get(name):
                listener.say(text)

    def set_mask_streams(self, present: bool) -> None:
        """Set whether the coming forward passes hold mask sequences (3.4).

        If so, their batch holds b clips, then the b mask sequences of `masked[0]`, those of `masked[1]` and so on. They
        are denoised like clips, each at a step of its own, usually that of the clip it belongs to.

        Args:
            present: whether they do; at first they do not.
        """
        self.context.streams = len(self.masked) if present else 0

    def set_masks(self, masks: Mapping[str, Tensor] | None) -> None:
        """Guide the coming forward passes by the subjects' masks (3.4, Eq. 3, S5, S6).

        Among adapters with masks, one without a mask stream acts where no subject is. Of overlapping masks the one that
        was injected last is on top.

        A subject's region is kept apart also while the strength of its adapter is 0.

        Args:
            masks: of every adapter in `masked`, (b, F, h, w) in [0, 1] on the grid of the latents, on the device of the
                model; None ends the guidance.

        Raises:
            MIVAError: a mask is missing or one too many, or they are not of one size; nothing is changed then. Where
                they are not of the clips' size, the next forward pass raises it.
        """
        if masks is None:
            self.context.guidance = None
            return
        check_masks(masks, self.masked)
        dtype = self.context.strengths.dtype
        soft = {name: masks[name].to(dtype).clamp(0, 1) for name in self._order if name in masks}
        regions = layered(soft, self._adapters)
        with no_autocast(regions[0].device.type):
            self.context.guidance = self._guidance(*regions, len(soft))

    def _guidance(self, masks: Tensor, labels: Tensor, subjects: int) -> Guidance:
        """Make the guidance by these masks; arguments as in `SoftmaxGuidance`."""
        of_masks = masks, labels, subjects, self._grids(*labels.shape[-2:])
        if self._linear:
            return LinearGuidance(*of_masks, self._installer.dtype)
        return SoftmaxGuidance(
            *of_masks,
            widths=sorted({site.dim // site.heads for site in self._backbone.sites if site.kind == "sa"}),
            rank=max(self._adapters[name].config.region_rank for name in self.masked),
            spans_frames=self._spans_frames,
            dtype=self._installer.dtype,
        )

    def _check_names(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._strengths:
                raise MIVAError(f"There is no adapter named {name!r}; the injected ones are {list(self._strengths)}.")

    def _write_strengths(self) -> None:
        strengths, spans = list(self._strengths.values()), list(self._spans.values())
        self.context.set_strengths(strength_table(strengths, spans, self._done, self._noise, self.context.shares))

    def _write_degrees(self) -> None:
        like = self.context.degrees
        given = [torch.as_tensor(u, dtype=like.dtype, device=like.device) for u in self._degrees.values()]
        degrees = torch.stack(torch.broadcast_tensors(*given))
        if degrees.shape == self.context.degrees.shape:
            self.context.degrees.copy_(degrees)
        else:
            self.context.degrees = degrees

    @torch.no_grad()
    def freeze(self) -> None:
        """Stack and cast the adapters' parameters once for all coming forward passes, rather than at each of them.

        The output stays the same to the last digit. Parameters get no gradients any more, and a change of them is not
        heard before the next `freeze`; strengths, spans and masks are set as before. The copies are in the dtype and on
        the device that the installer tells.
        """
        # Inference tensors could not be used later, where gradients are made.
        with torch.inference_mode(False):
            for group in chain.from_iterable(self._groups.values()):
                group.freeze(self._installer.dtype, self._installer.device)
            for listener in filter(None, self.context.listeners):
                listener.freeze(self._installer.device)
            if captions := self.context.captions:
                captions.freeze(self._installer.dtype, self._installer.device)

    def remove(self) -> None:
        """Take the adapters out: the model is what it was at injection, and the next thread gets it.

        Any thread may call it, and a second call does nothing.
        """
        self.context.end()
        self._groups = {}
        self._installer.remove()

    def __enter__(self) -> Injection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()

    def _processors(self, classes: Mapping[Kind, type[Processor]]) -> dict[Site, Processor]:
        """One for every site."""
        return {site: classes[site.kind](self.context, groups) for site, groups in self._groups.items()}

    def _groups_at(self, site: Site) -> list[Group]:
        """The adapters' modules for a site, by equal config; `_adapters` has them in this order already."""
        groups: list[Group] = []
        start = stream = 0
        for config, members in groupby(self._adapters.values(), key=lambda adapter: adapter.config):
            modules = [adapter.site(site) for adapter in members]
            groups.append(Group(modules, config, start, stream))
            start += len(modules)
            stream += len(modules) if config.mask else 0
        return groups


def _ones(installer: Installer, *shape: int) -> Tensor:
    # never in half precision, where strengths such as 0.3 and 0.7 would not add up to 1
    dtype = torch.float64 if installer.dtype == torch.float64 else torch.float32
    # Inference tensors could not be written later, outside of inference mode.
    with torch.inference_mode(False):
        return torch.ones(shape, device=installer.device, dtype=dtype)


def by_config(adapters: Mapping[str, MIVAAdapter]) -> dict[str, MIVAAdapter]:
    """The same adapters, those of equal config side by side, as an injection has them; see `Injection.masked`."""
    configs = list(dict.fromkeys(adapter.config for adapter in adapters.values()))
    return dict(sorted(adapters.items(), key=lambda item: configs.index(item[1].config)))


def _is_share(value: Any) -> bool:
    return is_number(value) and 0 <= value <= 1


def _is_span(value: Any) -> bool:
    return (
        isinstance(value, Sequence) and len(value) == 2 and all(map(is_number, value)) and 0 <= value[0] < value[1] <= 1
    )
