"""A small MiraMo on random weights."""

from typing import Any

from diffusers import SanaTransformer2DModel

from miva_core.bases.miramo.transformer import MiraMoTransformer

CONFIG: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "num_layers": 2,
    "num_cross_attention_heads": 2,
    "cross_attention_head_dim": 16,
    "cross_attention_dim": 32,
    "caption_channels": 12,
    "patch_size": 2,
    "sample_size": 8,
}
"""Two blocks of two heads of 16 channels, patches of 2 x 2 latents, texts of 12 channels."""


def small_miramo(**config: Any) -> MiraMoTransformer:
    """Frozen, random, float32, its gates of time closed."""
    return MiraMoTransformer(**(CONFIG | config)).eval().requires_grad_(False)


def moving_miramo(**config: Any) -> MiraMoTransformer:
    """The same with its gates of time open, and a degree that counts."""
    model = small_miramo(**config)
    for block in model.transformer_blocks:
        block.scale_shift_table_attn3d[2] = 1.0
    model.degree_embed.linear_2.reset_parameters()
    return model


def small_sana(**config: Any) -> SanaTransformer2DModel:
    """Frozen, random, float32."""
    return SanaTransformer2DModel(**(CONFIG | config)).eval().requires_grad_(False)
