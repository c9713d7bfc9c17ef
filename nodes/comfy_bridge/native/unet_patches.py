"""The spatial sites of a U-Net, for one forward pass: patches in a copy of `transformer_options`.

The copy is made so late that whatever other nodes have put there, before Apply MIVA or after it, is called by ours, and
takes no place that another node wants.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor

from ....miva_core.attention.cross_attention import CrossAttention
from ....miva_core.attention.self_attention import SelfAttention
from ....miva_core.attention.strength import Part
from .installer import NativeInstaller
from .unet_layout import Place, spatial_place
from .unet_port import CrossAttentionSite, Extra, Replacement, SelfAttentionSite


class SpatialPatches:
    """What stands at the spatial sites.

    Args:
        adapters: that act.
        options: `transformer_options` of the pass, which stay as they are.
    """

    def __init__(self, adapters: NativeInstaller, options: Mapping[str, Any]) -> None:
        self._context, self._options = adapters.context, options
        self._self_attention: dict[Place, SelfAttentionSite] = {}
        self._cross_attention: dict[Place, CrossAttentionSite] = {}
        for site, processor in adapters.processors.items():
            if site.kind == "sa" and Part.CROSS_FRAME in adapters.acting:
                place = spatial_place(site.id)
                found = self._found("attn1", place)
                self._self_attention[place] = SelfAttentionSite(cast(SelfAttention, processor), found)
            elif site.kind == "ca" and Part.PROMPT in adapters.acting:
                place = spatial_place(site.id)
                found = self._found("attn2", place)
                # What another node answers, as of a picture, is heard without a text as well.
                hears_answer = adapters.hears_text or found is not None
                self._cross_attention[place] = CrossAttentionSite(cast(CrossAttention, processor), found, hears_answer)

    def in_options(self) -> dict[str, Any]:
        """A copy of the options, with these patches among the others."""
        patches = {name: list(of_others) for name, of_others in self._options.get("patches", {}).items()}
        for name, last in (("emb_patch", self._see_time), ("attn1_patch", self._see_input)):
            patches.setdefault(name, []).append(last)
        for name, first in (("attn1_output_patch", self._add), ("attn2_output_patch", self._mix)):
            patches.setdefault(name, []).insert(0, first)
        replace = {name: dict(of_others) for name, of_others in self._options.get("patches_replace", {}).items()}
        for name, sites in (("attn1", self._self_attention), ("attn2", self._cross_attention)):
            replace.setdefault(name, {}).update({place: site.attend for place, site in sites.items()})
        return {**self._options, "patches": patches, "patches_replace": replace}

    def missed(self) -> list[str]:
        """Sites that were not called, as messages name them."""
        missed = [place for place, site in self._self_attention.items() if not site.called]
        missed += [place for place, site in self._cross_attention.items() if not site.called]
        return [f"{side} block {number}" for side, number, _ in missed]

    def _found(self, name: str, place: Place) -> Replacement | None:
        """Another node's replacement, for this transformer or for all of its block."""
        replaced = self._options.get("patches_replace", {}).get(name, {})
        replacement: Replacement | None = replaced.get(place, replaced.get(place[:2]))
        return replacement

    def _see_time(self, embedding: Tensor, channels: int, options: Extra) -> Tensor:
        self._context.temb = embedding[:: self._context.counted_frames()]
        return embedding

    def _see_input(self, x: Tensor, k: Tensor, v: Tensor, extra: Extra) -> tuple[Tensor, Tensor, Tensor]:
        if site := self._self_attention.get(_place(extra)):
            site.see(x)
        return x, k, v

    def _add(self, y: Tensor, extra: Extra) -> Tensor:
        site = self._self_attention.get(_place(extra))
        return y if site is None else site.add(y)

    def _mix(self, y: Tensor, extra: Extra) -> Tensor:
        site = self._cross_attention.get(_place(extra))
        return y if site is None else site.mix(y)


def _place(extra: Extra) -> Place:
    side, number = extra["block"][:2]
    return side, number, extra.get("block_index", 0)
