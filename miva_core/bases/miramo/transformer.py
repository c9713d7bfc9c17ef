"""MiraMo's transformer: SANA's, in whose blocks every place also attends to itself at the clip's other times."""

from collections.abc import Mapping
from functools import wraps
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import SanaTransformer2DModel
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.transformers.sana_transformer import SanaTransformerBlock
from torch import Tensor, nn

from .linear_attention import cosine_attention, relu_attention, relu_sums, rotations

SANA_600M: Mapping[str, Any] = {
    "in_channels": 32,
    "out_channels": 32,
    "num_attention_heads": 36,
    "attention_head_dim": 32,
    "num_layers": 28,
    "num_cross_attention_heads": 16,
    "cross_attention_head_dim": 72,
    "cross_attention_dim": 1152,
    "caption_channels": 2304,
    "patch_size": 1,
    "sample_size": 16,
}
"""The config of SANA 600M."""
MIRAMO: Mapping[str, Any] = {**SANA_600M, "in_channels": 4, "out_channels": 4, "patch_size": 2}
"""The config of MiraMo, which has 746,084,752 parameters: SANA's, on latents of Stable Diffusion's kind."""
_MODULATIONS = 9
"""Vectors that a block is modulated by: shift, scale and gate of attention, of the perceptron and of time."""


_BLOCK_OPTIONS = (
    "attention_bias",
    "cross_attention_dim",
    "cross_attention_head_dim",
    "dropout",
    "mlp_ratio",
    "norm_elementwise_affine",
    "norm_eps",
    "num_cross_attention_heads",
    "qk_norm",
)
"""Of the config, those that its blocks take."""


class TemporalLinearProcessor:
    """Linear attention over time in an `Attention` of diffusers: tokens (b s, f, d), a row for each place."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: Tensor | None = None,
    ) -> Tensor:
        """The module's output; `rotary_emb` (f, d / heads / 2) comes from `rotations`."""
        layers = attn.to_q, attn.to_k, attn.to_v
        q, k, v = (layer(hidden_states).unflatten(-1, (attn.heads, -1)).transpose(1, 2) for layer in layers)
        projection, dropout = attn.to_out
        return dropout(projection(cosine_attention(q, k, v, rotary_emb).transpose(1, 2).flatten(2)))


class SpatialLinearProcessor:
    """SANA's linear attention in an `Attention` of diffusers: tokens (b f, s, d), a row for each frame.

    It answers what diffusers' own processor does, but that one knows no better precision than float32.
    """

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """The module's output."""
        query, key, value = (layer(hidden_states) for layer in (attn.to_q, attn.to_k, attn.to_v))
        query = query if attn.norm_q is None else attn.norm_q(query)
        key = key if attn.norm_k is None else attn.norm_k(key)
        q, k, v = (tokens.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for tokens in (query, key, value))
        projection, dropout = attn.to_out
        return dropout(projection(relu_attention(q, relu_sums(k, v)).transpose(1, 2).flatten(2)))


class MiraMoBlock(SanaTransformerBlock):
    """A block of SANA with linear attention over time behind its linear attention over space.

    With a gate of 0, as the table of a new one has, its attention over time adds nothing, and the block is SANA's.

    Attributes:
        attn3d: the attention over time.
        scale_shift_table_attn3d: (3, d) its shift, scale and gate, apart from SANA's table so that SANA's weights fit.

    Args:
        dim: width d of tokens.
        heads: of both linear attentions.
        head_dim: channels of each; heads times these are d.
        attention_bias: whether queries, keys and values have a bias.
        **options: further ones of `SanaTransformerBlock`.
    """

    def __init__(self, dim: int, heads: int, head_dim: int, attention_bias: bool = False, **options: Any) -> None:
        super().__init__(dim, heads, head_dim, attention_bias=attention_bias, **options)
        self.attn1.set_processor(SpatialLinearProcessor())
        self.attn3d = Attention(
            dim, heads=heads, dim_head=head_dim, bias=attention_bias, processor=TemporalLinearProcessor()
        )
        table = torch.randn(3, dim) / dim**0.5
        table[2] = 0
        self.scale_shift_table_attn3d = nn.Parameter(table)

    def forward(
        self,
        hidden_states: Tensor,
        text: Tensor,
        modulation: Tensor,
        rotary_emb: Tensor | None,
        size: tuple[int, int, int],
        text_bias: Tensor | None = None,
    ) -> Tensor:
        """Change the tokens of clips.

        Args:
            hidden_states: (b f, s, d), a row for each frame.
            text: (b, words, d), or (b f, words, d) for each frame its own.
            modulation: (b f, 9 d) shift, scale and gate of attention, of the perceptron and of attention over time.
            rotary_emb: (f, head_dim / 2) from `rotations`; None for a single frame.
            size: frames f, height and width in tokens.
            text_bias: (b, 1, words) added to the logits of attention to the text; None for all words alike.

        Returns:
            (b f, s, d)
        """
        table = torch.cat([self.scale_shift_table, self.scale_shift_table_attn3d])
        modulations = (table[None] + modulation.unflatten(1, (_MODULATIONS, -1))).chunk(_MODULATIONS, dim=1)
        x = hidden_states
        x = x + modulations[2] * self.attn1(_modulated(self.norm1(x), *modulations[:2]))
        x = x + modulations[8] * self._over_time(_modulated(self.norm1(x), *modulations[6:8]), rotary_emb, size[0])
        x = self._to_text(x, text, text_bias) + x
        return x + modulations[5] * self._perceptron(_modulated(self.norm2(x), *modulations[3:5]), size[1:])

    def _over_time(self, x: Tensor, rotary_emb: Tensor | None, frames: int) -> Tensor:
        places = x.unflatten(0, (-1, frames)).transpose(1, 2)
        attended = self.attn3d(places.flatten(0, 1), rotary_emb=rotary_emb)
        return attended.unflatten(0, places.shape[:2]).transpose(1, 2).flatten(0, 1)

    def _to_text(self, x: Tensor, text: Tensor, bias: Tensor | None) -> Tensor:
        # All frames that share a text are one row, so that its keys and values are made once.
        rows = x.reshape(len(text), -1, x.shape[-1])
        return self.attn2(rows, encoder_hidden_states=text, attention_mask=bias).view_as(x)

    def _perceptron(self, x: Tensor, size: tuple[int, ...]) -> Tensor:
        return self.ff(x.unflatten(1, size).permute(0, 3, 1, 2)).flatten(2, 3).permute(0, 2, 1)


class MiraMoTransformer(SanaTransformer2DModel):
    """SANA's transformer for clips: linear attention over time in every block, and a degree of motion.

    It is made and loaded like any model of diffusers; its config is that of `SanaTransformer2DModel`, see `MIRAMO` for
    the real one. A new one answers what SANA does of each frame by itself: the gates of time and the degree's part
    begin at zero.

    MiraMo's weights are not released. Its prediction is a velocity, over noise that is centred on frame 1, see
    `NoiseProcess`.

    Attributes:
        degree_embed: of the degree of motion, added to the embedding of the noise level.

    Source: MiraMo, arXiv 2508.07246.
    """

    _no_split_modules = ("MiraMoBlock", "PatchEmbed", "SanaModulatedNorm")

    # The signature that is wrapped is what diffusers reads a config by; diffusers has no types.
    @wraps(SanaTransformer2DModel.__init__)  # type: ignore[misc]
    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        dim = self.config.num_attention_heads * self.config.attention_head_dim
        # One by one, so that no more than one of SANA's is there in vain.
        for i in range(self.config.num_layers):
            self.transformer_blocks[i] = self._block(dim)
        self.time_embed.linear = nn.Linear(dim, _MODULATIONS * dim)
        self.degree_proj = Timesteps(256, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.degree_embed = TimestepEmbedding(256, dim)
        # Without this, a new model would move tokens at random between frames.
        for values in (self.time_embed.linear.weight, self.time_embed.linear.bias):
            nn.init.zeros_(values.data[-dim:])
        for parameter in self.degree_embed.linear_2.parameters():
            nn.init.zeros_(parameter)

    def _block(self, dim: int) -> MiraMoBlock:
        options = {name: self.config[name] for name in _BLOCK_OPTIONS}
        return MiraMoBlock(dim, self.config.num_attention_heads, self.config.attention_head_dim, **options)

    def forward(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        encoder_attention_mask: Tensor | None = None,
        degree: Tensor | None = None,
        times: Tensor | None = None,
    ) -> Transformer2DModelOutput:
        """Predict of noisy clips.

        Args:
            hidden_states: (B, C, F, h, w) noisy latents, frame 1 clean.
            timestep: (B,) T sigma, from 0 to 1000.
            encoder_hidden_states: (B, W, D) tokens of a text.
            encoder_attention_mask: (B, W) 1 for words that count; None for all.
            degree: (B,) how much motion, from 0 to 19 in MiraMo; None adds nothing.
            times: (F,) of the frames, any real numbers; None for 0, 1, 2, …

        Returns:
            `sample` is (B, C', F, h, w).
        """
        frames, patch = hidden_states.shape[2], self.config.patch_size
        size = frames, hidden_states.shape[-2] // patch, hidden_states.shape[-1] // patch
        tokens = self.patch_embed(hidden_states.transpose(1, 2).flatten(0, 1))
        embedded = self._embedded(timestep, degree, tokens.dtype)
        modulation = self.time_embed.linear(F.silu(embedded)).repeat_interleave(frames, 0)
        text = self.caption_norm(self.caption_projection(encoder_hidden_states))
        rotary = self._rotary(times, frames, tokens)
        bias = _text_bias(encoder_attention_mask, tokens.dtype)
        for block in self.transformer_blocks:
            tokens = self._run(block, tokens, text, modulation, rotary, size, bias)
        tokens = self.norm_out(tokens, embedded.repeat_interleave(frames, 0), self.scale_shift_table)
        return Transformer2DModelOutput(sample=_unpatched(self.proj_out(tokens), size, patch))

    def _run(self, block: nn.Module, *inputs: Any) -> Tensor:
        if torch.is_grad_enabled() and self.gradient_checkpointing:
            return self._gradient_checkpointing_func(block, *inputs)
        return block(*inputs)

    def _embedded(self, timestep: Tensor, degree: Tensor | None, dtype: torch.dtype) -> Tensor:
        """(B, d) of the noise level and the degree of motion."""
        level = self.time_embed.emb(
            timestep, resolution=None, aspect_ratio=None, batch_size=len(timestep), hidden_dtype=dtype
        )
        return level if degree is None else level + self.degree_embed(self.degree_proj(degree).to(dtype))

    def _rotary(self, times: Tensor | None, frames: int, tokens: Tensor) -> Tensor | None:
        """The rotary positions of frames; a picture has none, as in MiraMo's joint training on pictures."""
        if frames == 1:
            return None
        moments = torch.arange(frames) if times is None else times
        return rotations(moments.to(tokens.device), self.config.attention_head_dim)


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return x * (1 + scale) + shift


def _text_bias(mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return None if mask is None else ((1 - mask.to(dtype)) * -10_000.0)[:, None]


def _unpatched(tokens: Tensor, size: tuple[int, int, int], patch: int) -> Tensor:
    """(B F, h w, p p C) to (B, C, F, p h, p w)"""
    frames, height, width = size
    pixels = tokens.unflatten(2, (patch, patch, -1)).unflatten(1, (height, width))
    pictures = pixels.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
    return pictures.unflatten(0, (-1, frames)).transpose(1, 2)
