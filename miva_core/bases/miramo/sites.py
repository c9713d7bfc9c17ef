"""Where MiraMo is adapted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...adapters.backbone import Backbone, Kind, Site

_TIME = "time_embed.emb"


def describe_miramo(model: Any) -> Backbone:
    """The attention sites of a `MiraMoTransformer` in any size, or of a `FlowingMiraMo`, whose captions have slots."""
    return miramo_backbone(model.config, getattr(model, "caption_slots", 0))


def miramo_backbone(config: Mapping[str, Any], slots: int = 0, revision: str = "") -> Backbone:
    """The attention sites of a `MiraMoTransformer` by its config alone.

    Args:
        config: of diffusers.
        slots: of its captions, for models that pass those through `caption_input`; 0 where texts are of any length.
        revision: see `Backbone`.
    """
    heads, text = config["num_attention_heads"], config["caption_channels"]
    dim = heads * config["attention_head_dim"]
    attentions: tuple[tuple[str, Kind, int], ...] = (
        ("attn1", "sa", heads),
        ("attn3d", "ta", heads),
        ("attn2", "ca", config["num_cross_attention_heads"]),
    )
    sites = [
        Site(path, path, kind, dim, of_kind)
        for block in range(config["num_layers"])
        for name, kind, of_kind in attentions
        for path in [f"transformer_blocks.{block}.{name}"]
    ]
    return Backbone(
        "miramo",
        tuple(sites),
        _TIME,
        _TIME,
        dim,
        revision=revision,
        text_dim=text,
        caption=(slots, text) if slots else None,
    )
