"""The processors against the formulas, written as slow loops over clips, frames, heads and adapters in float64."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from slow import attention, matrix, phi
from torch import Tensor, nn

from miva_core.adapters.adapter import MIVAAdapter
from miva_core.adapters.config import MIVAConfig
from miva_core.attention.cross_frame import joint_cross_frame
from miva_core.attention.softmax_attention import attend
from miva_core.attention.strength import Strength
from miva_core.bases.describe import describe
from miva_core.bases.inject import inject
from miva_core.errors import MIVAError

CLIPS, FRAMES, TOKENS = 2, 4, 6
RANKS = {"cfa_rank": 3, "ca_rank": 4, "ta_rank": 2}
CONFIGS = {
    "default": MIVAConfig(**RANKS),
    "paper": MIVAConfig(**RANKS, gate_temperature=1.0, gate_bias=False, ca_act="softmax", ca_norm=False),
    "official": MIVAConfig(**(RANKS | {"cfa_rank": None}), cfa_softmax="joint", cfa_out_bias=True),
    "wide": MIVAConfig(cfa_rank=5, ca_rank=3, ta_rank=4, ta_alpha=4.0, cfa_softmax="joint"),
}
STRENGTHS = {"one": Strength(cross_frame=0.75, prompt=0.3, temporal=-0.2), "two": Strength(-0.4, 1.1, 0.6)}
OF_KIND = {"sa": "cross_frame", "ca": "prompt", "ta": "temporal"}
"""The part of an adapter that acts at a kind of site."""
EXACT = {"rtol": 1e-9, "atol": 1e-9}


def weights_at(kind: str) -> list[float]:
    return [getattr(strength, OF_KIND[kind]) for strength in STRENGTHS.values()]


# --- the formulas ----------------------------------------------------------------------------------------------------


def out(attn: nn.Module, tokens: Tensor) -> Tensor:
    return tokens @ attn.to_out[0].weight.T + attn.to_out[0].bias


def spatial(attn: nn.Module, x: Tensor, temb: Tensor, adapters: list, weights: list, frames: int) -> Tensor:
    """x (clips · frames, tokens, d). `adapters` holds (parts, config) pairs."""
    result = torch.zeros_like(x)
    for row in range(len(x)):
        clip, frame = divmod(row, frames)
        first, prev = clip * frames, clip * frames + max(frame - 1, 0)
        k = [x[r] @ attn.to_k.weight.T for r in (row, first, prev)]
        v = [x[r] @ attn.to_v.weight.T for r in (row, first, prev)]
        result[row] = out(attn, attention(x[row] @ attn.to_q.weight.T, k[0], v[0], attn.heads))
        for (parts, config), weight in zip(adapters, weights, strict=True):
            q = x[row] @ (attn.to_q.weight + matrix(parts["cfa"].q)).T
            l2, l3 = phi(temb[clip], parts["gate"], config.gate_temperature)
            if config.cfa_softmax == "separate":
                mixed = l2 * attention(q, k[1], v[1], attn.heads) + l3 * attention(q, k[2], v[2], attn.heads)
            else:
                mixed = attention(q, torch.cat((k[1], k[2])), torch.cat((l2 * v[1], l3 * v[2])), attn.heads)
            change = mixed @ matrix(parts["cfa"].out).T
            if parts["cfa"].bias is not None:
                change = change + parts["cfa"].bias
            result[row] += weight * change
    return result


def prompted(attn: nn.Module, x: Tensor, text: Tensor | None, adapters: list, weights: list) -> Tensor:
    result = torch.zeros_like(x)
    for row in range(len(x)):
        q = x[row] @ attn.to_q.weight.T
        for (parts, config), weight in zip(adapters, weights, strict=True):
            prompt = parts["ca"]
            hidden = q @ prompt.first.T
            if config.ca_norm:
                centred = hidden - hidden.mean(-1, keepdim=True)
                hidden = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-5)
                hidden = hidden * prompt.norm_weight + prompt.norm_bias
            if config.ca_act == "gelu":
                hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
            else:
                hidden = torch.exp(hidden) / torch.exp(hidden).sum(-1, keepdim=True)
            result[row] += weight * (hidden @ prompt.second.T)
        if text is not None:
            k, v = text[row] @ attn.to_k.weight.T, text[row] @ attn.to_v.weight.T
            result[row] += (1 - sum(weights)) * out(attn, attention(q, k, v, attn.heads))
    return result


def temporal(attn: nn.Module, x: Tensor, adapters: list, weights: list) -> Tensor:
    """x (clips · pixels, frames, d)."""
    result = torch.zeros_like(x)
    for row in range(len(x)):
        base = (attn.to_q.weight, attn.to_k.weight, attn.to_v.weight)
        for (parts, config), weight in zip(adapters, weights, strict=True):
            scale = config.ta_alpha / config.ta_rank
            lora = parts["ta"]
            changed = [w + scale * matrix(d) for w, d in zip(base, (lora.q, lora.k, lora.v), strict=True)]
            hidden = attention(*(x[row] @ w.T for w in changed), attn.heads)
            result[row] += weight * (out(attn, hidden) + scale * hidden @ matrix(lora.out).T)
        result[row] += (1 - sum(weights)) * out(attn, attention(*(x[row] @ w.T for w in base), attn.heads))
    return result


class Slow:
    """A processor made of the loops above, to see the whole model obey them."""

    def __init__(self, kind: str, temb: Tensor, adapters: list, weights: list, frames: int) -> None:
        self.kind, self.temb, self.adapters, self.weights, self.frames = kind, temb, adapters, weights, frames

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None):
        if self.kind == "sa":
            return spatial(attn, hidden_states, self.temb, self.adapters, self.weights, self.frames)
        if self.kind == "ca":
            return prompted(attn, hidden_states, encoder_hidden_states, self.adapters, self.weights)
        return temporal(attn, hidden_states, self.adapters, self.weights)


# --- one attention ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=["default default", "official official", "default official", "paper wide"])
def pair(request: pytest.FixtureRequest, unet: nn.Module, make_adapter: Callable) -> dict[str, MIVAAdapter]:
    """Two random adapters, of equal and of different configs."""
    configs = zip(STRENGTHS, request.param.split(), strict=True)
    return {name: make_adapter(unet, CONFIGS[config]) for name, config in configs}


def at_site(unet: nn.Module, pair: dict[str, MIVAAdapter], kind: str, x: Tensor, text: Tensor | None = None):
    """One attention of the injected model, called alone: (attention, output, adapters as the loops want them, temb)."""
    site = next(site for site in describe(unet).sites if site.kind == kind)
    attn = unet.get_submodule(site.path)
    temb = torch.randn(CLIPS, describe(unet).time_dim).double()
    with inject(unet, **pair) as miva:
        miva.set_weights(**STRENGTHS)
        miva.context.temb, miva.context.frames = temb, FRAMES
        output = attn(x, encoder_hidden_states=text)
    return attn, output, [(adapter.site(site), adapter.config) for adapter in pair.values()], temb


def test_self_attention_follows_equation_2(unet: nn.Module, pair: dict[str, MIVAAdapter]) -> None:
    x = torch.randn(CLIPS * FRAMES, TOKENS, 16).double()
    attn, output, adapters, temb = at_site(unet, pair, "sa", x)
    expected = spatial(attn, x, temb, adapters, weights_at("sa"), FRAMES)
    torch.testing.assert_close(output, expected, **EXACT)


@pytest.mark.parametrize("text", [None, 5])
def test_cross_attention_is_the_prompt_perceptron(
    unet: nn.Module, pair: dict[str, MIVAAdapter], text: int | None
) -> None:
    x = torch.randn(CLIPS * FRAMES, TOKENS, 16).double()
    states = None if text is None else torch.randn(CLIPS * FRAMES, text, 16).double()
    attn, output, adapters, _ = at_site(unet, pair, "ca", x, states)
    expected = prompted(attn, x, states, adapters, weights_at("ca"))
    torch.testing.assert_close(output, expected, **EXACT)


def test_temporal_attention_sums_outputs(unet: nn.Module, pair: dict[str, MIVAAdapter]) -> None:
    x = torch.randn(CLIPS * TOKENS, FRAMES, 16).double()
    attn, output, adapters, _ = at_site(unet, pair, "ta", x)
    expected = temporal(attn, x, adapters, weights_at("ta"))
    torch.testing.assert_close(output, expected, **EXACT)


def test_joint_softmax_is_a_mixture_of_the_separate_ones(unet: nn.Module) -> None:
    """joint = p λ2 A(first) + (1 - p) λ3 A(prev), p the mass that a query gives to the first frame's keys."""
    heads, dim = 2, 16
    q = torch.randn(1, FRAMES, TOKENS, dim).double()
    k, v = torch.randn(2, FRAMES, TOKENS, dim).double()
    lambdas = torch.softmax(torch.randn(1, FRAMES, 2).double(), -1)
    joint = joint_cross_frame(q, k, v, lambdas, partial(attend, heads=heads), FRAMES)
    for frame in range(FRAMES):
        prev = max(frame - 1, 0)
        mixture = []
        for h in range(heads):
            c = slice(8 * h, 8 * h + 8)
            to_first, to_prev = (torch.exp(q[0, frame, :, c] @ k[j, :, c].T / math.sqrt(8)).sum(-1) for j in (0, prev))
            p = (to_first / (to_first + to_prev))[:, None]
            a_first, a_prev = (attention(q[0, frame, :, c], k[j, :, c], v[j, :, c], 1) for j in (0, prev))
            mixture.append(p * lambdas[0, frame, 0] * a_first + (1 - p) * lambdas[0, frame, 1] * a_prev)
        torch.testing.assert_close(joint[0, frame], torch.cat(mixture, -1), **EXACT)


def test_attention_masks_are_refused(unet: nn.Module, make_adapter: Callable) -> None:
    with inject(unet, pan=make_adapter(unet)), pytest.raises(MIVAError, match="mask"):
        latents = torch.randn(1, 4, 2, 8, 8).double()
        unet(latents, 1, None, attention_mask=torch.ones(1, 64).double())


# --- the whole model -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [False, True])
def test_whole_model(unet: nn.Module, pair: dict[str, MIVAAdapter], call: Callable, text: bool) -> None:
    with inject(unet, **pair) as miva:
        miva.set_weights(**STRENGTHS)
        output = call(unet, text=text)

    temb = unet.time_embedding(unet.time_proj(torch.tensor([500, 500])).double())
    for site in describe(unet).sites:
        adapters = [(adapter.site(site), adapter.config) for adapter in pair.values()]
        slow = Slow(site.kind, temb, adapters, weights_at(site.kind), frames=3)
        unet.get_submodule(site.path).set_processor(slow)
    torch.testing.assert_close(output, call(unet, text=text), **EXACT)
