"""Where an adapter acts in a base model: its attention sites and its time embedding."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["sa", "ca", "ta"]


@dataclass(frozen=True)
class Site:
    """One attention module of a base model.

    The same network goes by other names in other programs. `id` is the name that adapter files use, equal everywhere;
    `path` is where this very model keeps the module, and plays no part when sites are compared.

    Args:
        id: canonical name, the one that diffusers gives the module, such as "blocks.0.attn1".
        path: dotted name of the module in the model at hand.
        kind: "sa" spatial self-attention, "ca" text cross-attention, "ta" temporal self-attention.
        dim: width d of its tokens, of its query and of its output.
        heads: number of attention heads.
    """

    id: str
    path: str = field(compare=False)
    kind: Kind
    dim: int
    heads: int


@dataclass(frozen=True)
class Backbone:
    """What an adapter needs to know of a base model.

    Two backbones are equal if adapters for the one fit the other, whatever names their programs give the modules.

    Args:
        family: name of the architecture, such as "animatediff".
        sites: all attention sites, in the model's own order.
        time_id: canonical name of the module whose output is the time embedding, see `Site.id`.
        time_path: dotted name of that module in the model at hand, see `Site.path`.
        time_dim: width d_t of that embedding.
        latent_space: name of the latents that it denoises, where a family has several; empty for the family's first.
        revision: name of the weights, where adapters fit just these; empty for bases whose fine-tunes share adapters.
        text_dim: width of the tokens of its texts, which adapters may hear; 0 where there is no attention over time, by
            which they hear.
        caption: (slots, dim) of the captions that its model takes for each frame, which adapters add one of their own
            to; None where its texts are of any length.
    """

    family: str
    sites: tuple[Site, ...]
    time_id: str
    time_path: str = field(compare=False)
    time_dim: int
    latent_space: str = ""
    revision: str = field(default="", compare=False)
    text_dim: int = field(default=0, compare=False)
    caption: tuple[int, int] | None = None

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits, equal for two bases of the same structure, latent space and revision."""
        sites = [[site.id, site.kind, site.dim, site.heads] for site in self.sites]
        description: list[Any] = [self.family, self.time_id, self.time_dim, sites]
        # What is empty leaves no trace, so that files from before it was there keep their fingerprints.
        if self.latent_space:
            description.append({"latent_space": self.latent_space})
        if self.revision:
            description.append(self.revision)
        if self.caption:
            description.append({"caption": self.caption})
        return hashlib.sha256(json.dumps(description).encode()).hexdigest()[:12]
