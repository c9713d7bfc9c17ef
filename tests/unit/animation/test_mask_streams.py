"""Mask streams and guidance in a whole model, against loops over streams, clips, frames and adapters in float64."""

import math
from collections.abc import Callable

import pytest
import torch
from slow import attention, matrix, phi
from slow_masks import Guide
from torch import Tensor, nn

from miva_core.adapters.adapter import MIVAAdapter
from miva_core.adapters.config import MIVAConfig
from miva_core.attention.strength import Strength
from miva_core.bases.describe import describe
from miva_core.bases.inject import inject
from miva_core.errors import MIVAError

CLIPS, FRAMES, HEIGHT, WIDTH = 2, 4, 4, 6
RANKS = {"cfa_rank": 3, "ca_rank": 4, "ta_rank": 2}
PLAIN = MIVAConfig(**RANKS)
CONFIGS = {
    "separate": MIVAConfig(**RANKS, mask=True),
    "joint": MIVAConfig(**RANKS, mask=True, cfa_softmax="joint", cfa_out_bias=True),
    "no image guidance": MIVAConfig(**RANKS, mask=True, image_guidance=False),
    "official": MIVAConfig(**(RANKS | {"cfa_rank": None}), mask=True, cfa_softmax="joint", cfa_out_bias=True),
}
STRENGTHS = {"jump": Strength(0.7, 0.2, 1.3), "pan": Strength(0.4, -0.6, 0.5), "sway": Strength(-0.3, 0.8, -0.1)}
CLOSE = {"rtol": 0, "atol": 2e-4}


# --- the formulas, row by row ----------------------------------------------------------------------------------------


class Rows:
    """What stands in every row of the batch: (stream, clip), stream "" being the clip itself."""

    def __init__(self, adapters: dict[str, MIVAAdapter], guides: list[Guide] | None, temb: Tensor, kinds: str) -> None:
        self.adapters, self.guides, self.temb = adapters, guides, temb
        masked = [name for name in kinds.split() if adapters[name].config.mask]
        self.streams = ["", *masked]

    def mixing(self, stream: str, part: str) -> dict[str, float]:
        """A row of the matrix of streams by adapters, for one part of them."""
        return {n: getattr(STRENGTHS[n], part) for n in self.adapters} if stream == "" else {stream: 1.0}

    def guide(self, stream: str, clip: int) -> Guide | None:
        return self.guides[clip] if self.guides and stream == "" else None


def grid_of(tokens: int) -> tuple[int, int]:
    down = math.isqrt(HEIGHT * WIDTH // tokens)
    return HEIGHT // down, WIDTH // down


class SlowSpatial:
    def __init__(self, rows: Rows, site) -> None:
        self.rows, self.site = rows, site

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None):
        x = hidden_states.unflatten(0, (len(self.rows.streams), CLIPS, FRAMES))
        y, grid = torch.zeros_like(x), grid_of(x.shape[-2])
        wq, wk, wv = attn.to_q.weight, attn.to_k.weight, attn.to_v.weight
        for s, stream in enumerate(self.rows.streams):
            for clip in range(CLIPS):
                guide = self.rows.guide(stream, clip)
                for i in range(FRAMES):
                    frame, prev = x[s, clip, i], max(i - 1, 0)
                    own = guide.within(i, i, grid) if guide else 0.0
                    hidden = attention(frame @ wq.T, frame @ wk.T, frame @ wv.T, attn.heads, own)
                    y[s, clip, i] = hidden @ attn.to_out[0].weight.T + attn.to_out[0].bias
                    for name, weight in self.rows.mixing(stream, "cross_frame").items():
                        change = self.cross_frame(attn, name, stream, x[s, clip], i, prev, guide, x[0, clip, i], clip)
                        y[s, clip, i] += weight * change
        return y.flatten(0, 2)

    def cross_frame(self, attn, name, stream, frames, i, prev, guide, image, clip):
        adapter = self.rows.adapters[name]
        parts, config = adapter.site(self.site), adapter.config
        branch = parts["cfa"] if stream == "" else parts["cfa_mask"]
        wk, wv, grid = attn.to_k.weight, attn.to_v.weight, grid_of(frames.shape[-2])
        q = frames[i] @ (attn.to_q.weight + matrix(branch.q)).T
        first_share, prev_share = phi(self.rows.temb[clip], parts["gate"], config.gate_temperature)
        biases = [guide.between(name, i, r, grid) if guide else torch.zeros(len(q), len(q)) for r in (0, prev)]
        references = [(frames[0], first_share, biases[0]), (frames[prev], prev_share, biases[1])]
        if stream and config.image_guidance:
            references.append((image, 1.0, torch.zeros(len(q), len(q))))
        if config.cfa_softmax == "separate":
            mixed = sum(share * attention(q, r @ wk.T, r @ wv.T, attn.heads, b) for r, share, b in references)
        else:
            k, v = torch.cat([r @ wk.T for r, _, _ in references]), torch.cat([c * r @ wv.T for r, c, _ in references])
            mixed = attention(q, k, v, attn.heads, torch.cat([b for _, _, b in references], -1))
        change = mixed @ matrix(branch.out).T
        return change if branch.bias is None else change + branch.bias


class SlowPrompt:
    def __init__(self, rows: Rows, site) -> None:
        self.rows, self.site = rows, site

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None):
        x = hidden_states.unflatten(0, (len(self.rows.streams), CLIPS, FRAMES))
        text = encoder_hidden_states.unflatten(0, (len(self.rows.streams), CLIPS, FRAMES))
        y, grid = torch.zeros_like(x), grid_of(x.shape[-2])
        for s, stream in enumerate(self.rows.streams):
            for clip in range(CLIPS):
                guide = self.rows.guide(stream, clip)
                for i in range(FRAMES):
                    q, rest = x[s, clip, i] @ attn.to_q.weight.T, torch.ones(x.shape[-2]).double()
                    for name, weight in self.rows.mixing(stream, "prompt").items():
                        prompt = self.rows.adapters[name].site(self.site)["ca"]
                        normed = nn.functional.layer_norm(q @ prompt.first.T, prompt.first.shape[:1])
                        hidden = nn.functional.gelu(normed * prompt.norm_weight + prompt.norm_bias)
                        gate = weight * (guide.gate(name, i, grid) if guide else torch.ones(len(q)).double())
                        y[s, clip, i] += gate[:, None] * (hidden @ prompt.second.T)
                        rest = rest - gate
                    words = text[s, clip, i]
                    heard = attention(q, words @ attn.to_k.weight.T, words @ attn.to_v.weight.T, attn.heads)
                    y[s, clip, i] += rest[:, None] * (heard @ attn.to_out[0].weight.T + attn.to_out[0].bias)
        return y.flatten(0, 2)


class SlowTemporal:
    def __init__(self, rows: Rows, site) -> None:
        self.rows, self.site = rows, site

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None):
        x = hidden_states.unflatten(0, (len(self.rows.streams), CLIPS, -1))
        y, grid = torch.zeros_like(x), grid_of(x.shape[2])
        base = (attn.to_q.weight, attn.to_k.weight, attn.to_v.weight)
        out, bias = attn.to_out[0].weight, attn.to_out[0].bias
        for s, stream in enumerate(self.rows.streams):
            for clip in range(CLIPS):
                guide = self.rows.guide(stream, clip)
                for cell, tokens in enumerate(x[s, clip]):
                    mixing = self.rows.mixing(stream, "temporal")
                    plain = attention(*(tokens @ w.T for w in base), attn.heads) @ out.T + bias
                    y[s, clip, cell] = (1 - sum(mixing.values())) * plain
                    for name, weight in mixing.items():
                        adapter = self.rows.adapters[name]
                        lora, scale = adapter.site(self.site)["ta"], adapter.config.ta_alpha / adapter.config.ta_rank
                        pairs = zip(base, (lora.q, lora.k, lora.v), strict=True)
                        qkv = (tokens @ (w + scale * matrix(d)).T for w, d in pairs)
                        hidden = attention(*qkv, attn.heads, guide.over_time(name, cell, grid) if guide else 0.0)
                        y[s, clip, cell] += weight * (hidden @ (out + scale * matrix(lora.out)).T + bias)
        return y.flatten(0, 2)


SLOW = {"sa": SlowSpatial, "ca": SlowPrompt, "ta": SlowTemporal}


def soft_masks() -> Tensor:
    """(b, F, h, w): inside, outside and soft edges."""
    values = torch.rand(CLIPS, FRAMES, HEIGHT, WIDTH).double()
    return torch.where(values < 0.3, 0.0, torch.where(values > 0.7, 1.0, values))


@pytest.mark.parametrize("guided", ["unguided", "by masks", "by codes"])
@pytest.mark.parametrize("kinds", ["separate", "joint", "no image guidance", "official", "separate official"])
@torch.no_grad()
def test_streams_and_guidance(
    make_unet: Callable, make_adapter: Callable, monkeypatch: pytest.MonkeyPatch, kinds: str, guided: str
) -> None:
    """Two masked adapters, of one config or of two, with a plain one between them."""
    monkeypatch.setattr("miva_core.attention.guidance._FEW_TOKENS", 0 if guided == "by codes" else 10**6)
    guided = guided != "unguided"
    unet = make_unet().double()
    first, last = (kinds.split() * 2)[:2] if kinds in ("separate", "joint", "official") else (kinds, kinds)
    if kinds == "separate official":
        first, last = "separate", "official"
    adapters = {
        "jump": make_adapter(unet, CONFIGS[first]),
        "pan": make_adapter(unet, PLAIN),
        "sway": make_adapter(unet, CONFIGS[last]),
    }
    masks = {"jump": soft_masks(), "sway": soft_masks()}
    latents = torch.randn(3 * CLIPS, 4, FRAMES, HEIGHT, WIDTH).double()
    text = torch.randn(3 * CLIPS * FRAMES, 5, 16).double()
    t = torch.tensor([900, 300]).repeat(3)
    with inject(unet, **adapters) as miva:
        miva.set_weights(**STRENGTHS)
        miva.set_mask_streams(True)
        miva.set_masks(masks if guided else None)
        output = unet(latents, t, text).sample
        order = " ".join(miva.masked)

    guides = [Guide({"jump": masks["jump"][clip], "pan": None, "sway": masks["sway"][clip]}) for clip in range(CLIPS)]
    temb = unet.time_embedding(unet.time_proj(t[:CLIPS]).double())
    rows = Rows(adapters, guides if guided else None, temb, order)
    for site in describe(unet).sites:
        unet.get_submodule(site.path).set_processor(SLOW[site.kind](rows, site))
    torch.testing.assert_close(output, unet(latents, t, text).sample, **CLOSE)


# --- what an injection is set to -------------------------------------------------------------------------------------


@torch.no_grad()
def test_masks_of_ones_guide_nothing(make_unet: Callable, make_adapter: Callable) -> None:
    """Nor does a run without them: what stands before the first prediction is the plain adapter."""
    unet = make_unet().double()
    latents, t = torch.randn(CLIPS, 4, FRAMES, HEIGHT, WIDTH).double(), torch.tensor([900, 300])
    with inject(unet, jump=make_adapter(unet, CONFIGS["separate"])) as miva:
        plain = unet(latents, t, None).sample
        miva.set_masks({"jump": torch.ones(CLIPS, FRAMES, HEIGHT, WIDTH)})
        torch.testing.assert_close(unet(latents, t, None).sample, plain, **CLOSE)
        miva.set_masks({"jump": soft_masks()})
        assert (unet(latents, t, None).sample - plain).abs().max() > 1e-2
        miva.set_masks(None)
        assert torch.equal(unet(latents, t, None).sample, plain)


@torch.no_grad()
def test_a_clip_does_not_see_the_masks_beside_it(make_unet: Callable, make_adapter: Callable) -> None:
    unet = make_unet().double()
    latents, t = torch.randn(2, 4, FRAMES, HEIGHT, WIDTH).double(), torch.tensor([500, 500])
    with inject(unet, jump=make_adapter(unet, CONFIGS["separate"])) as miva:
        alone = unet(latents[:1], t[:1], None).sample
        miva.set_mask_streams(True)
        both = unet(latents, t, None).sample
        torch.testing.assert_close(both[:1], alone, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_nothing_of_masks_stays_after_removal(make_unet: Callable, make_adapter: Callable) -> None:
    unet = make_unet().double()
    latents = torch.randn(1, 4, FRAMES, HEIGHT, WIDTH).double()
    text = torch.randn(FRAMES, 5, 16).double()
    base = unet(latents, torch.tensor(500), text).sample
    miva = inject(unet, jump=make_adapter(unet, CONFIGS["separate"]))
    miva.set_mask_streams(True)
    miva.set_masks({"jump": soft_masks()[:1]})
    miva.remove()
    assert torch.equal(unet(latents, torch.tensor(500), text).sample, base)
    with inject(unet, jump=make_adapter(unet, CONFIGS["separate"])):
        unet(latents, torch.tensor(500), text)  # one row is no batch of a clip and a mask


@torch.no_grad()
def test_masks_of_another_grid_are_refused(make_unet: Callable, make_adapter: Callable) -> None:
    unet = make_unet().double()
    with inject(unet, jump=make_adapter(unet, CONFIGS["separate"])) as miva:
        miva.set_masks({"jump": torch.ones(1, FRAMES, 16, 16)})
        latents = torch.randn(2, 4, FRAMES, HEIGHT, WIDTH).double()
        with pytest.raises(MIVAError, match=r"masks are \(1, 4, 16, 16\), but the clips' latents are \(2, 4, 4, 6\)"):
            unet(latents, torch.tensor(500), None)
        miva.set_masks({"jump": torch.ones(2, FRAMES, WIDTH, HEIGHT)})  # as many places, but turned
        with pytest.raises(MIVAError, match="set masks of their size, or None"):
            unet(latents, torch.tensor(500), None)
        miva.set_masks(None)
        miva.set_mask_streams(True)
        with pytest.raises(MIVAError, match="The batch has 3 rows, but each clip was to be followed by 1 mask"):
            unet(torch.cat([latents, latents[:1]]), torch.tensor(500), None)


def test_the_last_adapter_given_is_on_top_whatever_their_configs(
    make_unet: Callable, make_adapter: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adapters of equal config are computed side by side, but lie in the order they were given in."""
    monkeypatch.setattr("miva_core.attention.guidance._FEW_TOKENS", 0)
    unet = make_unet()
    kinds = {"bottom": "separate", "middle": "joint", "top": "separate"}
    ones = torch.ones(1, FRAMES, HEIGHT, WIDTH)
    with inject(unet, **{name: make_adapter(unet, CONFIGS[kind]) for name, kind in kinds.items()}) as miva:
        assert miva.masked == ("bottom", "top", "middle")
        labels = []
        for empty in ({}, {"top"}, {"top", "middle"}):
            miva.set_masks({name: ones * 0 if name in empty else ones for name in kinds})
            labels.append(miva.context.guidance.at(HEIGHT * WIDTH).self_attention.key[0, 0].argmax().item())
    assert labels == [3, 2, 1]


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({}, r"Masks were given for \[\], but the adapters with masks are \['jump'\]."),
        ({"jump": torch.ones(1, 2, 3, 4), "pan": torch.ones(1, 2, 3, 4)}, r"Masks were given for \['jump', 'pan'\]"),
        ({"jump": torch.ones(2, 3, 4)}, r"Masks must all be \(b, F, h, w\) of one size, but they are \[\(2, 3, 4\)\]."),
    ],
)
def test_wrong_masks(make_unet: Callable, make_adapter: Callable, masks: dict[str, Tensor], message: str) -> None:
    unet = make_unet()
    adapters = {"jump": make_adapter(unet, CONFIGS["separate"]), "pan": make_adapter(unet, PLAIN)}
    with inject(unet, **adapters) as miva, pytest.raises(MIVAError, match=message):
        miva.set_masks(masks)
