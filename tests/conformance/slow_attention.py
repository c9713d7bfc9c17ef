"""Every kind of attention with adapters in it (3.3, 3.4, S4 to S6), as loops over streams, clips, frames and adapters.

A stream is a part of the batch: "" the clips themselves, then the mask sequences of every masked adapter by its name.
Rows may be frames, or whole clips as in Wan, whose self-attention spans all frames and has norms and rotary positions.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import torch
from slow import (
    attention,
    cosine_attention,
    linear,
    matrix,
    perceptron,
    phi,
    relu_attention,
    rms_normed,
    rope_angles,
    turned,
)
from slow_masks import Guide
from torch import Tensor, nn

from miva_core import MIVAAdapter
from miva_core.attention.strength import Strength


@dataclass
class Run:
    """What a forward pass holds.

    Attributes:
        adapters: by name, as injected.
        strengths: of each adapter in every frame, part by part.
        streams: "" and the masked adapters, in the order of the batch.
        guides: one for each clip; None where no masks guide.
        temb: (streams, clips, d_t).
        frames: latent frames of a clip.
        size: (h, w) of its latents.
        said: (clips, words, d_text) to each adapter that hears words.
        degrees: of adapters in each clip; 0 for those that are not named.
        linear: whether self-attention and attention over time are linear; guides are those of such attention then.
    """

    adapters: dict[str, MIVAAdapter]
    strengths: dict[str, Sequence[Strength]]
    streams: Sequence[str]
    guides: Sequence[Guide] | None
    temb: Tensor
    frames: int
    size: tuple[int, int]
    said: Mapping[str, Tensor] = field(default_factory=dict)
    degrees: Mapping[str, Sequence[float]] = field(default_factory=dict)
    linear: bool = False

    @property
    def unguided(self) -> float:
        """What stands for a guide where there is none: nothing is added to logits, or similarities are as they are."""
        return float(self.linear)

    @property
    def clips(self) -> int:
        return self.temb.shape[1]

    def mixing(self, stream: str, part: str) -> dict[str, list[float]]:
        """A row of the matrix of streams by adapters, for one part of them, in every frame."""
        if stream:
            return {stream: [1.0] * self.frames}
        return {name: [getattr(strength, part) for strength in by_frame] for name, by_frame in self.strengths.items()}

    def guide(self, stream: str, clip: int) -> Guide | None:
        return self.guides[clip] if self.guides and not stream else None

    def grid(self, tokens: int) -> tuple[int, int]:
        """Of the tokens of a frame."""
        step = math.isqrt(self.size[0] * self.size[1] // tokens)
        return self.size[0] // step, self.size[1] // step

    def rows(self) -> Sequence[tuple[int, str, int]]:
        return [(s, stream, clip) for s, stream in enumerate(self.streams) for clip in range(self.clips)]


def expected(
    run: Run,
    site: Any,
    attn: nn.Module,
    hidden_states: Tensor,
    encoder_hidden_states: Tensor | None = None,
    attention_mask: None = None,
    rotary_emb: Any = None,
) -> Tensor:
    """What an attention module with adapters returns for these arguments."""
    if site.kind == "ta":
        return _temporal(run, site, attn, hidden_states)
    x = _by_frame(run, hidden_states)
    if site.kind == "sa":
        spans_frames = len(hidden_states) == len(run.streams) * run.clips
        y = _spatial(run, site, attn, x, spans_frames, rotary_emb is not None)
    else:
        y = _prompted(run, site, attn, x, encoder_hidden_states)
    return y.reshape(hidden_states.shape)


def _by_frame(run: Run, rows: Tensor) -> Tensor:
    """Rows that are frames (S B F, s, d) or clips (S B, F s, d), to (S, B, F, s, d)."""
    return rows.reshape(len(run.streams), run.clips, run.frames, -1, rows.shape[-1])


def _spatial(run: Run, site: Any, attn: nn.Module, x: Tensor, spans_frames: bool, rotary: bool) -> Tensor:
    y, grid, heads = torch.zeros_like(x), run.grid(x.shape[3]), attn.heads
    norm_q, norm_k = (getattr(attn, name, None) for name in ("norm_q", "norm_k"))
    every, cells, attend = range(run.frames), x.shape[3], relu_attention if run.linear else attention
    angles = rope_angles(x.shape[-1] // heads, (run.frames, *grid)).unflatten(0, (run.frames, -1)) if rotary else None

    def rotated(tokens: Tensor) -> Tensor:
        return tokens if angles is None else torch.stack([turned(tokens[i], angles[i], heads) for i in every])

    for s, stream, clip in run.rows():
        guide = run.guide(stream, clip)
        q, k = rms_normed(norm_q, linear(attn.to_q, x[s, clip])), rms_normed(norm_k, linear(attn.to_k, x[s, clip]))
        v = linear(attn.to_v, x[s, clip])
        turned_q, turned_k = rotated(q), rotated(k)
        for i in every:
            seen = list(every) if spans_frames else [i]
            bias = torch.cat([guide.within(i, j, grid) for j in seen], -1) if guide else run.unguided
            hidden = attend(turned_q[i], turned_k[seen].flatten(0, 1), v[seen].flatten(0, 1), heads, bias)
            y[s, clip, i] = linear(attn.to_out[0], hidden)
        for name, weights in run.mixing(stream, "cross_frame").items():
            parts, config = run.adapters[name].site(site), run.adapters[name].config
            branch = parts["cfa_mask"] if stream else parts["cfa"]
            queries = linear(attn.to_q, x[s, clip]) + x[s, clip] @ matrix(branch.q).T
            queries = rms_normed(norm_q, queries if branch.q_bias is None else queries + branch.q_bias)
            image_k, image_v = rms_normed(norm_k, linear(attn.to_k, x[0, clip])), linear(attn.to_v, x[0, clip])
            keys = k
            if config.cfa_rope:
                queries, keys, image_k = rotated(queries), turned_k, rotated(image_k)
            first_share, prev_share = phi(run.temb[s, clip], parts["gate"], config.gate_temperature)
            nothing = torch.full((cells, cells), run.unguided).to(x)
            for i in every:
                references = [
                    (keys[r], v[r], share, guide.between(name, i, r, grid) if guide else nothing)
                    for r, share in ((0, first_share), (max(i - 1, 0), prev_share))
                ]
                if stream and config.image_guidance:
                    references.append((image_k[i], image_v[i], 1.0, nothing))
                change = _mixed(attend, queries[i], references, heads, config.cfa_softmax) @ matrix(branch.out).T
                y[s, clip, i] += weights[i] * (change if branch.bias is None else change + branch.bias)
    return y


def _mixed(
    attend: Callable[..., Tensor],
    query: Tensor,
    references: list[tuple[Tensor, Tensor, Any, Tensor]],
    heads: int,
    softmax: str,
) -> Tensor:
    """Attention to all references (keys, values, share, bias) of one frame."""
    if softmax == "separate":
        return sum(share * attend(query, k, v, heads, bias) for k, v, share, bias in references)
    keys, values = torch.cat([k for k, *_ in references]), torch.cat([share * v for _, v, share, _ in references])
    return attend(query, keys, values, heads, torch.cat([bias for *_, bias in references], -1))


def _prompted(run: Run, site: Any, attn: nn.Module, x: Tensor, text: Tensor | None) -> Tensor:
    y, grid, heads = torch.zeros_like(x), run.grid(x.shape[3]), attn.heads
    norm_q, norm_k = (getattr(attn, name, None) for name in ("norm_q", "norm_k"))
    if text is not None:
        text = text.reshape(len(run.streams), run.clips, -1, *text.shape[1:]).expand(-1, -1, run.frames, -1, -1)
    for s, stream, clip in run.rows():
        guide = run.guide(stream, clip)
        for i in range(run.frames):
            tokens, rest = x[s, clip, i], torch.ones(x.shape[3]).to(x)
            for name, weights in run.mixing(stream, "prompt").items():
                prompt, config = run.adapters[name].site(site)["ca"], run.adapters[name].config
                query = linear(attn.to_q, tokens) if config.ca_query_bias else tokens @ attn.to_q.weight.T
                gate = weights[i] * (guide.gate(name, i, grid) if guide else torch.ones_like(rest))
                degree = run.degrees[name][clip] if name in run.degrees else 0.0
                said = perceptron(prompt, rms_normed(norm_q, query), config.ca_act, config.ca_norm, degree)
                y[s, clip, i] += gate[:, None] * said
                rest = rest - gate
            if text is not None:
                q, k = linear(attn.to_q, tokens), linear(attn.to_k, text[s, clip, i])
                v = linear(attn.to_v, text[s, clip, i])
                hidden = attention(rms_normed(norm_q, q), rms_normed(norm_k, k), v, heads)
                y[s, clip, i] += rest[:, None] * linear(attn.to_out[0], hidden)
    return y


def heard(words: nn.Module, text: Tensor, frames: int) -> Tensor:
    """What each frame hears of a text (words, d_text), (frames, d), by four heads."""
    tokens = attention(words.queries, text @ words.key.T, text @ words.value.T, 4)
    every = []
    for i in range(frames):
        place = Fraction(i * (len(tokens) - 1), max(1, frames - 1))
        before, way = tokens[int(place)], float(place - int(place))
        every.append(before if way == 0 else (1 - way) * before + way * tokens[int(place) + 1])
    return torch.stack(every)


def _temporal(run: Run, site: Any, attn: nn.Module, rows: Tensor) -> Tensor:
    """Rows are places, (S B s, F, d)."""
    x = rows.unflatten(0, (len(run.streams), run.clips, -1))
    y, grid, attend = torch.zeros_like(x), run.grid(x.shape[2]), cosine_attention if run.linear else attention
    base, out, bias = [attn.to_q.weight, attn.to_k.weight, attn.to_v.weight], attn.to_out[0].weight, attn.to_out[0].bias
    for s, stream, clip in run.rows():
        mixing, guide = run.mixing(stream, "temporal"), run.guide(stream, clip)
        for cell, tokens in enumerate(x[s, clip]):
            plain = attend(*(tokens @ w.T for w in base), attn.heads) @ out.T + bias
            for i in range(run.frames):
                y[s, clip, cell, i] = (1 - sum(weights[i] for weights in mixing.values())) * plain[i]
            for name, weights in mixing.items():
                lora, config = run.adapters[name].site(site)["ta"], run.adapters[name].config
                scale = config.ta_alpha / config.ta_rank
                told = tokens
                if name in run.said:
                    told = tokens + heard(run.adapters[name].words, run.said[name][clip], run.frames) @ lora.words.T
                qkv = [told @ (w + scale * matrix(d)).T for w, d in zip(base, (lora.q, lora.k, lora.v), strict=True)]
                hidden = attend(*qkv, attn.heads, guide.over_time(name, cell, grid) if guide else run.unguided)
                for i in range(run.frames):
                    y[s, clip, cell, i] += weights[i] * ((out + scale * matrix(lora.out)) @ hidden[i] + bias)
    return y.flatten(0, 2)
