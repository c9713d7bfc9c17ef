"""Adapters in a Wan transformer against the formulas, written as slow loops in float64."""

from collections.abc import Callable

import pytest
import torch
from diffusers import WanTransformer3DModel
from slow import attention, matrix, phi
from slow_wan import linear, normed, rope_angles, turned
from torch import Tensor, nn

from miva_core.adapters.adapter import MIVAAdapter
from miva_core.adapters.config import MIVAConfig
from miva_core.attention.strength import Strength
from miva_core.bases.describe import describe
from miva_core.bases.inject import inject
from miva_core.errors import MIVAError

FRAMES, HEIGHT, WIDTH = 3, 4, 6
TOKENS = (HEIGHT // 2) * (WIDTH // 2)
RANKS = {"cfa_rank": 3, "ca_rank": 4, "ta_rank": 2}
CONFIGS = {
    "default": MIVAConfig(**RANKS),
    "official": MIVAConfig(
        **(RANKS | {"cfa_rank": None}),
        cfa_softmax="joint",
        cfa_q_bias=True,
        cfa_out_bias=True,
        cfa_rope=False,
        ca_query_bias=False,
    ),
}
STRENGTHS = {"one": Strength(cross_frame=0.75, prompt=0.3), "two": Strength(cross_frame=-0.4, prompt=1.1)}
EXACT = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture
def wan(make_wan: Callable) -> WanTransformer3DModel:
    model = make_wan().double()
    for name, parameter in model.named_parameters():
        if "norm_" in name or name.endswith("bias"):
            torch.nn.init.normal_(parameter, mean=1.0, std=0.3)
    return model


@pytest.fixture
def call() -> Callable[..., Tensor]:
    def run(model: nn.Module, t: int = 500, words: int = 5) -> Tensor:
        generator = torch.Generator().manual_seed(7)
        latents = torch.randn(2, 4, FRAMES, HEIGHT, WIDTH, generator=generator, dtype=torch.float64)
        text = torch.randn(2, words, 16, generator=generator, dtype=torch.float64)
        return model(hidden_states=latents, timestep=torch.tensor([t, t]), encoder_hidden_states=text).sample

    return run


@pytest.fixture(params=["default default", "official official", "default official"])
def pair(request: pytest.FixtureRequest, wan: nn.Module, make_adapter: Callable) -> dict[str, MIVAAdapter]:
    configs = zip(STRENGTHS, request.param.split(), strict=True)
    return {name: make_adapter(wan, CONFIGS[config]) for name, config in configs}


# --- the formulas ----------------------------------------------------------------------------------------------------


def self_attention(attn: nn.Module, x: Tensor, temb: Tensor, adapters: list, weights: list) -> Tensor:
    """x (frames · tokens, d) of one clip."""
    angles, heads = rope_angles(x.shape[-1] // attn.heads, (FRAMES, HEIGHT // 2, WIDTH // 2)), attn.heads
    k, v = normed(attn.norm_k, linear(attn.to_k, x)), linear(attn.to_v, x)
    q = turned(normed(attn.norm_q, linear(attn.to_q, x)), angles, heads)
    result = linear(attn.to_out[0], attention(q, turned(k, angles, heads), v, heads))
    for (parts, config), weight in zip(adapters, weights, strict=True):
        own = linear(attn.to_q, x) + x @ matrix(parts["cfa"].q).T
        if parts["cfa"].q_bias is not None:
            own = own + parts["cfa"].q_bias
        own = normed(attn.norm_q, own)
        keys = k
        if config.cfa_rope:
            own, keys = turned(own, angles, heads), turned(k, angles, heads)
        l2, l3 = phi(temb, parts["gate"], config.gate_temperature)
        for i in range(FRAMES):
            here, first, prev = (slice(j * TOKENS, (j + 1) * TOKENS) for j in (i, 0, max(i - 1, 0)))
            if config.cfa_softmax == "separate":
                mixed = l2 * attention(own[here], keys[first], v[first], heads)
                mixed = mixed + l3 * attention(own[here], keys[prev], v[prev], heads)
            else:
                both = torch.cat((keys[first], keys[prev]))
                mixed = attention(own[here], both, torch.cat((l2 * v[first], l3 * v[prev])), heads)
            change = mixed @ matrix(parts["cfa"].out).T
            if parts["cfa"].bias is not None:
                change = change + parts["cfa"].bias
            result[here] += weight * change
    return result


def prompted(attn: nn.Module, x: Tensor, text: Tensor, adapters: list, weights: list) -> Tensor:
    q = normed(attn.norm_q, linear(attn.to_q, x))
    k, v = normed(attn.norm_k, linear(attn.to_k, text)), linear(attn.to_v, text)
    result = (1 - sum(weights)) * linear(attn.to_out[0], attention(q, k, v, attn.heads))
    for (parts, config), weight in zip(adapters, weights, strict=True):
        query = q if config.ca_query_bias else normed(attn.norm_q, x @ attn.to_q.weight.T)
        hidden = query @ parts["ca"].first.T
        centred = hidden - hidden.mean(-1, keepdim=True)
        hidden = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-5)
        hidden = hidden * parts["ca"].norm_weight + parts["ca"].norm_bias
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
        result = result + weight * hidden @ parts["ca"].second.T
    return result


# --- the model -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [1, 5])
def test_the_whole_model_follows_the_formulas(
    wan: nn.Module, pair: dict[str, MIVAAdapter], call: Callable, words: int
) -> None:
    seen: list[Tensor] = []
    watch = wan.condition_embedder.time_embedder.register_forward_hook(lambda *call: seen.append(call[2]))
    with inject(wan, **pair) as miva:
        miva.set_weights(**STRENGTHS)
        output = call(wan, words=words)
    watch.remove()

    class Slow:
        def __init__(self, path: str) -> None:
            site = next(site for site in describe(wan).sites if site.path == path)
            self.adapters = [(adapter.site(site), adapter.config) for adapter in pair.values()]

        def __call__(self, attn, x, encoder_hidden_states=None, attention_mask=None, rotary_emb=None):
            if encoder_hidden_states is None:
                weights = [strength.cross_frame for strength in STRENGTHS.values()]
                clips = [self_attention(attn, *of, self.adapters, weights) for of in zip(x, seen[0], strict=True)]
            else:
                weights = [strength.prompt for strength in STRENGTHS.values()]
                rows = zip(x, encoder_hidden_states, strict=True)
                clips = [prompted(attn, *of, self.adapters, weights) for of in rows]
            return torch.stack(clips)

    for site in describe(wan).sites:
        wan.get_submodule(site.path).set_processor(Slow(site.path))
    torch.testing.assert_close(output, call(wan, words=words), rtol=1e-5, atol=1e-6)  # Wan keeps float32 islands


def test_weight_zero_is_the_base(wan: nn.Module, call: Callable, make_adapter: Callable) -> None:
    expected = call(wan)
    with inject(wan, one=make_adapter(wan)) as miva:
        miva.set_weights(one=0.0)
        torch.testing.assert_close(call(wan), expected, **EXACT)


def test_removal_is_exact(wan: nn.Module, call: Callable, make_adapter: Callable) -> None:
    expected, state = call(wan), {name: tensor.clone() for name, tensor in wan.state_dict().items()}
    processors = [module.processor for module in wan.modules() if hasattr(module, "processor")]
    with inject(wan, one=make_adapter(wan), two=make_adapter(wan)):
        assert not torch.equal(call(wan), expected)
    assert torch.equal(call(wan), expected)
    after = [module.processor for module in wan.modules() if hasattr(module, "processor")]
    assert all(one is other for one, other in zip(processors, after, strict=True))
    assert all(torch.equal(tensor, state[name]) for name, tensor in wan.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in wan.modules())


def test_a_new_adapter_only_drops_the_text(wan: nn.Module, call: Callable) -> None:
    with inject(wan, one=MIVAAdapter(describe(wan), CONFIGS["default"]).double()):
        output = call(wan)
    for block in wan.blocks:
        block.attn2.to_out[0].weight.zero_()
        block.attn2.to_out[0].bias.zero_()
    torch.testing.assert_close(output, call(wan), **EXACT)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_wrapped_query_is_called_not_read(
    wan: nn.Module, call: Callable, make_adapter: Callable, config: MIVAConfig
) -> None:
    """As with LoRA, quantisation or offload: what a layer computes counts, not its parameter."""

    class Wrapped(nn.Module):
        def __init__(self, layer: nn.Linear) -> None:
            super().__init__()
            self.layer, self.weight, self.bias = layer, torch.full_like(layer.weight, torch.nan), None

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x)

    adapter = make_adapter(wan, config)
    with inject(wan, one=adapter):
        expected = call(wan)
        for block in wan.blocks:
            block.attn2.to_q = Wrapped(block.attn2.to_q)
        torch.testing.assert_close(call(wan), expected, **EXACT)


def test_gradients_reach_all_of_the_adapter(wan: nn.Module, call: Callable, make_adapter: Callable) -> None:
    adapter = make_adapter(wan)
    with inject(wan, one=adapter):
        call(wan).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in adapter.parameters())


def test_the_parameters_of_the_real_model() -> None:
    """30 blocks of width 1536: the paper counts 23.6 M for cross-frame attention of rank 128."""
    with torch.device("meta"):
        model = WanTransformer3DModel(num_attention_heads=12, attention_head_dim=128, num_layers=30, ffn_dim=8960)
        adapter = MIVAAdapter(describe(model), MIVAConfig.default())
    assert adapter.num_parameters("cfa") == 23_592_960
    assert adapter.num_parameters("gate") == 92_220
    assert adapter.num_parameters("ca") == 5_898_240 + 3_840
    assert adapter.num_parameters("ta") == 0


def test_image_to_video_models_are_refused(make_wan: Callable) -> None:
    model = make_wan(image_dim=8, added_kv_proj_dim=24)
    with pytest.raises(MIVAError, match="image-to-video Wan model"):
        describe(model)
