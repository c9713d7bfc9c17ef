"""What the rest of the package needs to know of a base, without loading it.

Importing a spec costs nothing: what needs torch or diffusers is imported by the functions that it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..adapters.backbone import Backbone, Kind
from .recipe import Preset, Recipe

if TYPE_CHECKING:
    from torch import nn

    from ..attention.installer import Installer
    from ..attention.processor import Processor
    from .base import Base


@dataclass(frozen=True)
class Architecture:
    """A kind of network that adapters can be put into; bases may share one.

    Args:
        family: its name in adapter files, `Backbone.family`.
        model_class: name of the class of diffusers whose models have it, also through classes derived from that one.
        describe: finds the attention sites of such a model.
        processors: gives the attention processor for each kind of site.
        installer: waits for its turn at such a model, checks that nothing has taken the place of its plain attention,
            and makes what puts processors there; see `for_diffusers`.
        attention_spans_frames: whether self-attention runs over all frames at once, rather than frame by frame.
        attention_grids: from height and width of the latents to the grids (height, width) of places that self-attention
            runs on, the finest first.
        attention_is_linear: whether self-attention and attention over time are linear, so that masks are factors of
            their similarities, rather than by a softmax.
    """

    family: str
    model_class: str
    describe: Callable[[nn.Module], Backbone]
    processors: Callable[[], Mapping[Kind, type[Processor]]]
    installer: Callable[[nn.Module, Backbone], Installer]
    attention_spans_frames: bool
    attention_grids: Callable[[int, int], list[tuple[int, int]]]
    attention_is_linear: bool = False


def for_diffusers(*plain_processors: str) -> Callable[[nn.Module, Backbone], Installer]:
    """An `Architecture.installer` for models whose attention modules are built like those of diffusers.

    Args:
        *plain_processors: class names of the attention processors that such a model has by itself. Any other one does
            more, which would be lost.
    """

    def install(model: nn.Module, backbone: Backbone) -> Installer:
        from .diffusers_installer import DiffusersInstaller

        return DiffusersInstaller(model, backbone, plain_processors)

    return install


@dataclass(frozen=True)
class BaseFile:
    """A file that a base is loaded from.

    Args:
        argument: of `BaseSpec.load`, also as an option of the command line.
        option_help: what the command line says of that option, to stand after "for NAME".
        input: id of the menu of Load MIVA Base.
        folder: whose files that menu lists, in ComfyUI's `models`.
        what: what messages call the file, such as "motion module".
        tooltip: of the menu.
        without: the menu's entry for no file; empty if there must be one.
    """

    argument: str
    option_help: str
    input: str
    folder: str
    what: str
    tooltip: str
    without: str = ""


@dataclass(frozen=True)
class BaseSpec:
    """A base: its texts, its numbers, and how it is loaded.

    Args:
        name: what `load_base` and the command line call it.
        menu: what Load MIVA Base calls it.
        architecture: of its network.
        files: what it is loaded from, in the order of the node's menus.
        load: loads it from (device, dtype, **files by `BaseFile.argument`).
        backbones: gives the backbones of all its releases, each after what people call it, without their weights.
        recipes: how its adapters are trained, by preset.
        half_precision: the 16-bit type that its weights are loaded in where the device computes in it; None for a base
            that always runs in float32.
        fits_float16: whether its activations stay in the range of float16.
        latent_format: class of `comfy.latent_formats` whose previewer shows its latents; None for latents that ComfyUI
            does not know, which the base decodes for previews, too.
        decoding_memory: bytes that its decoder takes for each pixel of a frame and each byte of its dtype, as ComfyUI
            reckons them.
        predicts_flow: see `Base`.
        guided: see `Base`.
        adapters: folder of the adapters that come with it, or None.
        words: gives the words that it moves by, without loading it; None where MIVAs alone move it.
    """

    name: str
    menu: str
    architecture: Architecture
    files: tuple[BaseFile, ...]
    load: Callable[..., Base]
    backbones: Callable[[], Iterable[tuple[str, Backbone]]]
    recipes: Mapping[Preset, Recipe]
    half_precision: Literal["float16", "bfloat16"] | None
    fits_float16: bool
    latent_format: str | None
    decoding_memory: int = 2178
    predicts_flow: bool = False
    guided: bool = False
    adapters: Path | None = None
    words: Callable[[], Sequence[str]] | None = None
