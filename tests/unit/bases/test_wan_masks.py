"""Mask streams and guidance in a Wan transformer, against loops over streams, clips and frames in float64."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from slow import attention, matrix, phi
from slow_masks import Guide
from slow_wan import linear, normed, rope_angles, turned
from torch import Tensor, nn

from miva_core.adapters.config import MIVAConfig
from miva_core.bases.describe import describe
from miva_core.bases.inject import inject

CLIPS, FRAMES, HEIGHT, WIDTH = 2, 3, 4, 6
GRID = (HEIGHT // 2, WIDTH // 2)
TOKENS = GRID[0] * GRID[1]
RANKS = {"cfa_rank": 3, "ca_rank": 4, "ta_rank": 2}
CONFIGS = {
    "separate": MIVAConfig(**RANKS, mask=True),
    "official": MIVAConfig(
        **(RANKS | {"cfa_rank": None}),
        mask=True,
        image_guidance=False,
        cfa_softmax="joint",
        cfa_q_bias=True,
        cfa_out_bias=True,
        cfa_rope=False,
        ca_query_bias=False,
    ),
}
WEIGHTS = {"jump": 0.7, "pan": 0.4, "sway": -0.3}


def frame(index: int) -> slice:
    return slice(index * TOKENS, (index + 1) * TOKENS)


class SlowSelf:
    """Row by row; `mixing` is the matrix of streams by adapters, `guides` one for each clip, or none."""

    def __init__(self, site: Any, adapters: dict, streams: list[str], guides: list | None, temb: Tensor) -> None:
        self.site, self.adapters, self.streams, self.guides, self.temb = site, adapters, streams, guides, temb

    def __call__(self, attn, x, encoder_hidden_states=None, attention_mask=None, rotary_emb=None):
        rows = x.unflatten(0, (len(self.streams), CLIPS))
        y = torch.zeros_like(rows)
        for s, stream in enumerate(self.streams):
            for clip in range(CLIPS):
                guide = self.guides[clip] if self.guides and not stream else None
                y[s, clip] = self.row(attn, stream, rows[s, clip], rows[0, clip], self.temb[clip], guide)
        return y.flatten(0, 1)

    def row(self, attn: nn.Module, stream: str, x: Tensor, image: Tensor, temb: Tensor, guide: Guide | None) -> Tensor:
        angles, heads = rope_angles(x.shape[-1] // attn.heads, (FRAMES, *GRID)), attn.heads
        k, v = normed(attn.norm_k, linear(attn.to_k, x)), linear(attn.to_v, x)
        q = turned(normed(attn.norm_q, linear(attn.to_q, x)), angles, heads)
        bias = 0.0
        if guide:
            pairs = [[guide.within(i, j, GRID) for j in range(FRAMES)] for i in range(FRAMES)]
            bias = torch.cat([torch.cat(row, -1) for row in pairs])
        y = linear(attn.to_out[0], attention(q, turned(k, angles, heads), v, heads, bias))
        for name, weight in {stream: 1.0}.items() if stream else WEIGHTS.items():
            parts, config = self.adapters[name].site(self.site), self.adapters[name].config
            branch = parts["cfa_mask"] if stream else parts["cfa"]
            own = linear(attn.to_q, x) + x @ matrix(branch.q).T
            own = normed(attn.norm_q, own if branch.q_bias is None else own + branch.q_bias)
            seen_k, seen_v = normed(attn.norm_k, linear(attn.to_k, image)), linear(attn.to_v, image)
            keys = k
            if config.cfa_rope:
                own, keys, seen_k = (turned(tokens, angles, heads) for tokens in (own, k, seen_k))
            l2, l3 = phi(temb, parts["gate"], config.gate_temperature)
            for i in range(FRAMES):
                prev = max(i - 1, 0)
                references = [
                    (keys[frame(r)], v[frame(r)], share, guide.between(name, i, r, GRID) if guide else None)
                    for r, share in ((0, l2), (prev, l3))
                ]
                if stream and config.image_guidance:
                    references.append((seen_k[frame(i)], seen_v[frame(i)], 1.0, None))
                biases = [torch.zeros(TOKENS, TOKENS).double() if b is None else b for *_, b in references]
                if config.cfa_softmax == "separate":
                    mixed = sum(
                        share * attention(own[frame(i)], key, value, heads, b)
                        for (key, value, share, _), b in zip(references, biases, strict=True)
                    )
                else:
                    key, value = (torch.cat(p) for p in zip(*((k, c * v) for k, v, c, _ in references), strict=True))
                    mixed = attention(own[frame(i)], key, value, heads, torch.cat(biases, -1))
                change = mixed @ matrix(branch.out).T
                y[frame(i)] += weight * (change if branch.bias is None else change + branch.bias)
        return y


class SlowPrompt(SlowSelf):
    def __call__(self, attn, x, encoder_hidden_states=None, attention_mask=None, rotary_emb=None):
        rows, text = (tokens.unflatten(0, (len(self.streams), CLIPS)) for tokens in (x, encoder_hidden_states))
        y = torch.zeros_like(rows)
        for s, stream in enumerate(self.streams):
            for clip in range(CLIPS):
                q = normed(attn.norm_q, linear(attn.to_q, rows[s, clip]))
                k = normed(attn.norm_k, linear(attn.to_k, text[s, clip]))
                heard = linear(attn.to_out[0], attention(q, k, linear(attn.to_v, text[s, clip]), attn.heads))
                rest = torch.ones(len(q)).double()
                for name, weight in {stream: 1.0}.items() if stream else WEIGHTS.items():
                    prompt, config = self.adapters[name].site(self.site)["ca"], self.adapters[name].config
                    asked = q if config.ca_query_bias else normed(attn.norm_q, rows[s, clip] @ attn.to_q.weight.T)
                    hidden = nn.functional.layer_norm(asked @ prompt.first.T, prompt.first.shape[:1])
                    hidden = nn.functional.gelu(hidden * prompt.norm_weight + prompt.norm_bias)
                    gate = torch.full((len(q),), weight).double()
                    if self.guides and not stream:
                        gate = gate * torch.cat([self.guides[clip].gate(name, i, GRID) for i in range(FRAMES)])
                    y[s, clip] += gate[:, None] * (hidden @ prompt.second.T)
                    rest = rest - gate
                y[s, clip] += rest[:, None] * heard
        return y.flatten(0, 1)


@pytest.mark.parametrize("guided", ["unguided", "by masks", "by codes"])
@pytest.mark.parametrize("kinds", ["separate separate", "official official", "separate official"])
@torch.no_grad()
def test_streams_and_guidance(
    make_wan: Callable, make_adapter: Callable, monkeypatch: pytest.MonkeyPatch, kinds: str, guided: str
) -> None:
    monkeypatch.setattr("miva_core.attention.guidance._FEW_TOKENS", 0 if guided == "by codes" else 10**6)
    guided = guided != "unguided"
    wan = make_wan().double()
    for name, parameter in wan.named_parameters():
        if "norm_" in name or name.endswith("bias"):
            torch.nn.init.normal_(parameter, mean=1.0, std=0.3)
    first, last = kinds.split()
    configs = {"jump": CONFIGS[first], "pan": MIVAConfig(**RANKS), "sway": CONFIGS[last]}
    adapters = {name: make_adapter(wan, config) for name, config in configs.items()}
    masks = {name: torch.rand(CLIPS, FRAMES, HEIGHT, WIDTH).double().round(decimals=1) for name in ("jump", "sway")}
    latents = torch.randn(3 * CLIPS, 4, FRAMES, HEIGHT, WIDTH).double()
    text, t = torch.randn(3 * CLIPS, 5, 16).double(), torch.tensor([900.0, 300.0]).repeat(3)
    seen: list[Tensor] = []
    watch = wan.condition_embedder.time_embedder.register_forward_hook(lambda *call: seen.append(call[2]))
    with inject(wan, **adapters) as miva:
        miva.set_weights(**WEIGHTS)
        miva.set_mask_streams(True)
        miva.set_masks(masks if guided else None)
        output = wan(latents, t, text).sample
        streams = ["", *miva.masked]
    watch.remove()
    guides = [Guide({"jump": masks["jump"][c], "pan": None, "sway": masks["sway"][c]}) for c in range(CLIPS)]
    for site in describe(wan).sites:
        slow = SlowSelf if site.kind == "sa" else SlowPrompt
        wan.get_submodule(site.path).set_processor(slow(site, adapters, streams, guides if guided else None, seen[0]))
    torch.testing.assert_close(output, wan(latents, t, text).sample, rtol=0, atol=2e-4)
