"""The temporal part of an adapter as a LoRA file for other programs."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ..adapters.adapter import MIVAAdapter
from ..adapters.backbone import Site
from ..errors import MIVAError
from ..storage.files import check_writable
from ..storage.weights import save_weights

Layout = Literal["motion-lora", "peft"]


def export_motion_lora(adapter: MIVAAdapter, path: Path, layout: Layout = "motion-lora") -> None:
    """Write the LoRA of all temporal attentions; cross-frame attention and prompt have no place in such a file.

    The adapter's scale alpha / rank is multiplied into the second matrix, so the file is meant for strength 1:
    AnimateDiff's loaders add up @ down without dividing by the rank.

    Args:
        adapter: one with a temporal part.
        path: of the new file, ending in .safetensors.
        layout: "motion-lora" has the names of AnimateDiff's MotionLoRA files, "peft" those that diffusers loads by
            `load_lora_adapter`.

    Raises:
        FileTakenError: there is such a file already.
        MIVAError: the adapter has no temporal part, or the file cannot be written.
    """
    path = check_writable(path, (".safetensors",))
    sites = [site for site in adapter.backbone.sites if site.kind == "ta"]
    if not sites:
        raise MIVAError(f"An adapter for {adapter.backbone.family} has no temporal part to export.")
    names = _LAYOUTS[layout]
    scale = adapter.config.ta_alpha / adapter.config.ta_rank
    tensors: dict[str, Tensor] = {}
    for site in sites:
        for projection in ("q", "k", "v", "out"):
            delta = getattr(adapter.site(site)["ta"], projection)
            down, up = names(site, projection)
            tensors[down] = delta.down.detach().to("cpu", torch.float32).contiguous()
            tensors[up] = (delta.up.detach() * scale).to("cpu", torch.float32).contiguous()
    save_weights(path, tensors, {"format": "pt"}, "The temporal part", new=True)


def temporal_place(site: Site) -> str:
    """The name AnimateDiff gives the processor of a temporal site."""
    block, _, attention = site.id.rpartition(".")
    module, _, rest = block.partition(".transformer_blocks.")
    number = {"attn1": 0, "attn2": 1}[attention]
    return f"{module}.temporal_transformer.transformer_blocks.{rest}.attention_blocks.{number}.processor"


def _motion_lora(site: Site, projection: str) -> tuple[str, str]:
    place = f"{temporal_place(site)}.to_{projection}_lora"
    return f"{place}.down.weight", f"{place}.up.weight"


def _peft(site: Site, projection: str) -> tuple[str, str]:
    layer = "to_out.0" if projection == "out" else f"to_{projection}"
    place = f"unet.{site.id}.{layer}"
    return f"{place}.lora_A.weight", f"{place}.lora_B.weight"


_LAYOUTS: dict[Layout, Callable[[Site, str], tuple[str, str]]] = {"motion-lora": _motion_lora, "peft": _peft}
