"""An adapter: one motion's parameters for one base, and the .safetensors file they live in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from ..checks import printable, shown
from ..errors import MIVAError
from ..storage.files import check_writable
from ..storage.weights import check_moderate, save_weights
from .backbone import Backbone, Site
from .config import MIVAConfig
from .degree import DegreeRange
from .info import AdapterInfo, read_info
from .layers import CrossFrame, Gate, Prompt, Temporal, Words, zeros


class MIVAAdapter(nn.Module):
    """The trainable parameters of one MIVA (3.3), float32, kept apart from the base they adapt.

    A new adapter leaves the base as it is, except that text has no effect: it takes the place of text cross-attention.

    Args:
        backbone: of the base, from `describe`.
        config: ranks and variants.

    Attributes:
        degree: what its degrees mean, once it has learnt them; None without a degree.
        words: how it hears a text, or None.
        caption: (slots, dim) what it adds to the base's captions, zero at first; None where those have no slots.
        known_words: what was said of the clips that it has learnt from.
        film: the motion by formulas that filmed them, as its file has it; "" for none.

    Raises:
        MIVAError: the config has words, and the base no attention over time.

    Example:
        >>> adapter = MIVAAdapter(describe(model), MIVAConfig.default())
        >>> adapter.save("pan.safetensors", adapter.info(motion="pan", frames=16, size=(512, 320), fps=8))
        >>> adapter = MIVAAdapter.load("pan.safetensors", describe(model))
    """

    def __init__(self, backbone: Backbone, config: MIVAConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.config = config
        self.degree: DegreeRange | None = None
        if config.words and not backbone.text_dim:
            raise MIVAError(
                f"Words are heard in attention over time, of which {backbone.family} has none: train without words, or "
                "on a base with motion modules."
            )
        self.sites = nn.ModuleDict({_key(site): _build(site, backbone, config) for site in backbone.sites})
        self.words = Words(backbone.text_dim) if config.words else None
        self.caption = zeros(*backbone.caption) if backbone.caption else None
        self.known_words: tuple[str, ...] = ()
        self.film = ""

    def site(self, site: Site) -> nn.ModuleDict:
        """The parameters of one site, by component.

        Args:
            site: of the backbone.

        Returns:
            "cfa", "gate" and, with a mask stream, "cfa_mask" at a site of kind "sa"; "ca" or "ta" at one of that kind.
        """
        return cast(nn.ModuleDict, self.sites[_key(site)])

    def num_parameters(self, component: str | None = None) -> int:
        """Number of parameters.

        Args:
            component: "cfa", "gate", "cfa_mask", "ca", "ta", "words", what is made of a text, or "caption"; None counts
                all.
        """
        return sum(
            parameter.numel() for name, parameter in self.named_parameters() if component in (None, _component(name))
        )

    def info(self, **record: Any) -> AdapterInfo:
        """Metadata for `save`.

        Args:
            **record: the fields of `AdapterInfo` from `motion` on.
        """
        return AdapterInfo(
            self.backbone.family,
            self.backbone.fingerprint,
            self.config,
            degree=self.degree,
            words=self.known_words,
            **record,
        )

    def save(
        self,
        path: str | os.PathLike[str],
        metadata: AdapterInfo,
        dtype: torch.dtype = torch.float32,
        new: bool = False,
    ) -> None:
        """Write one .safetensors file, whole or not at all.

        Args:
            path: where; the folder must exist, and an older file is replaced.
            metadata: from `self.info(...)`.
            dtype: torch.float32, or torch.float16 for half the size.
            new: never replace a file, not even one that has appeared meanwhile.

        Raises:
            FileTakenError: there is such a file, and `new` is set.
            MIVAError: the path does not end in .safetensors or cannot be written, `metadata` belongs to another
                adapter, or a value is not finite in this dtype, or absurdly large.
        """
        path = check_writable(Path(path), (".safetensors",))
        if dtype not in (torch.float32, torch.float16):
            raise MIVAError(f"Adapters are saved as torch.float32 or torch.float16, not as {dtype}.")
        metadata.check(self.backbone)
        if metadata.config != self.config:
            raise MIVAError("This metadata was made for an adapter of another config; make it with adapter.info(...).")
        tensors = {
            _file_key(name): parameter.detach().to("cpu", dtype).contiguous()
            for name, parameter in self.named_parameters()
        }
        check_moderate(tensors, f"The adapter as {dtype}")
        save_weights(path, tensors, {"miva": metadata.to_json()}, f"The adapter as {dtype}", new)

    @classmethod
    def load(cls, path: str | os.PathLike[str], backbone: Backbone) -> MIVAAdapter:
        """Read an adapter file, as float32 on the CPU.

        Args:
            path: of the file.
            backbone: of the base that it is to act in, from `describe`.

        Raises:
            MIVAError: the file is something else, is damaged, is newer than this code, holds absurdly large values,
                or is for another base.
        """
        info = read_info(path)
        info.check(backbone, path)
        with torch.device("meta"):  # neither memory nor random numbers for values about to be replaced
            adapter = cls(backbone, info.config)
        shapes = {_file_key(name): tuple(parameter.shape) for name, parameter in adapter.named_parameters()}
        tensors = _read(path, shapes)
        state = {name: tensors[_file_key(name)] for name, _ in adapter.named_parameters()}
        adapter.load_state_dict(state, assign=True)
        adapter.degree, adapter.known_words = info.degree, info.words
        adapter.film = str(info.training.get("film", ""))
        return adapter

    def with_degree(self) -> MIVAAdapter:
        """A copy that can learn a degree, and is to each degree what this one is until it has."""
        copied = MIVAAdapter(self.backbone, replace(self.config, degree=True))
        copied.load_state_dict(self.state_dict(), strict=False)
        return copied


def relabel(path: Path, info: AdapterInfo, out: Path) -> None:
    """Copy an adapter file with another header, to where there is no file yet.

    Args:
        path: of the adapter.
        info: the header of the copy.
        out: where it is written.

    Raises:
        FileTakenError: there is one.
        MIVAError: it is gone or damaged, or the copy cannot be written.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise MIVAError(f"{path} cannot be read any more: make or choose the adapter again.") from error
    save_weights(out, tensors, {"miva": info.to_json()}, "The adapter", new=True)


def _key(site: Site) -> str:
    # nn.ModuleDict allows no dots
    return site.id.replace(".", "/")


def _file_key(name: str) -> str:
    return name.removeprefix("sites.").replace("/", ".")


def _component(name: str) -> str:
    """The part of an adapter that a parameter belongs to, by the parameter's name."""
    return name.removeprefix("sites.").split(".")[name.startswith("sites.")]


def _build(site: Site, backbone: Backbone, config: MIVAConfig) -> nn.ModuleDict:
    if site.kind == "sa":
        parts = {"cfa": CrossFrame(site.dim, config), "gate": Gate(backbone.time_dim, config)}
        return nn.ModuleDict(parts | ({"cfa_mask": CrossFrame(site.dim, config)} if config.mask else {}))
    if site.kind == "ca":
        return nn.ModuleDict({"ca": Prompt(site.dim, config)})
    return nn.ModuleDict({"ta": Temporal(site.dim, config)})


def _read(path: str | os.PathLike[str], expected: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The tensors of an adapter file as float32, after names and shapes were compared with the expected ones."""
    with safe_open(path, framework="pt") as file:
        shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
        for key in sorted(expected.keys() ^ shapes.keys()):
            found = "lacks the" if key in expected else "holds an unexpected"
            raise MIVAError(f"{path} {found} tensor {printable(key)}; the file is damaged, get it again.")
        for key, shape in expected.items():
            if shapes[key] != shape:
                raise MIVAError(f"{path} holds {key} of shape {shown(shapes[key])}, but its config asks for {shape}.")
        for key in expected:
            dtype = file.get_slice(key).get_dtype()
            if dtype not in ("F32", "F16", "BF16"):
                raise MIVAError(f"{path} holds {key} as {dtype}, but adapters are F32, F16 or BF16; get it again.")
        tensors = {key: file.get_tensor(key).to(torch.float32) for key in expected}
    check_moderate(tensors, str(path))
    return tensors
