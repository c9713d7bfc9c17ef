"""Which processor stands at which kind of site."""

from __future__ import annotations

from ..bases.wan.processors import WanCrossAttention, WanSelfAttention
from .processors import CrossAttention, Processor, SelfAttention, TemporalAttention

PROCESSORS: dict[tuple[str, str], type[Processor]] = {
    ("animatediff", "sa"): SelfAttention,
    ("animatediff", "ca"): CrossAttention,
    ("animatediff", "ta"): TemporalAttention,
    ("wan", "sa"): WanSelfAttention,
    ("wan", "ca"): WanCrossAttention,
}
"""By `Backbone.family` and `Site.kind`."""
