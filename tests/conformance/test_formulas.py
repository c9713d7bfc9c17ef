"""Every attention with adapters in it against the paper's formulas, written as slow loops in float64."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

import pytest
import torch
from calls import (
    CLIPS,
    FRAMES,
    HEIGHT,
    SMALL,
    WIDTH,
    Attended,
    denoise,
    is_linear,
    latents,
    random_adapter,
    watched,
    words,
)
from slow_attention import Run, expected
from slow_masks import Guide
from torch import Tensor

from miva_core import Base, Curve, MIVAAdapter, MIVAConfig, inject
from miva_core.attention.injection import Injection
from miva_core.attention.strength import Strength

DEFAULT = SMALL
PAPER = replace(SMALL, gate_temperature=1.0, gate_bias=False, ca_act="softmax", ca_norm=False)
OFFICIAL = replace(SMALL, cfa_rank=None, cfa_softmax="joint", cfa_out_bias=True)
OFFICIAL_WAN = replace(OFFICIAL, cfa_q_bias=True, cfa_rope=False, ca_query_bias=False)
WIDE = MIVAConfig(cfa_rank=5, ca_rank=3, ta_rank=4, ta_alpha=4.0, cfa_softmax="joint")
TIMES = torch.tensor([900, 300])


@torch.no_grad()
def assert_follows_formulas(
    base: Base,
    adapters: dict[str, MIVAAdapter],
    strengths: Mapping[str, Strength | Sequence[Strength]],
    text: Tensor | None,
    streams: Sequence[str] = ("",),
    guides: Sequence[Guide] | None = None,
    tolerance: float = 1e-9,
    degrees: Mapping[str, Sequence[float]] | None = None,
) -> None:
    """Each attention by itself, for the input that it gets in the model with these adapters in it.

    Each stream is at times of its own. Strengths are the same in all frames, or one for each of them.
    """
    times = torch.cat([TIMES - 37 * stream for stream in range(len(streams))])
    with watched(base) as (calls, embeddings):
        denoise(base, latents(base, len(streams) * CLIPS), text, times)
    assert sorted(call.site.path for call in calls) == sorted(site.path for site in base.backbone.sites)
    by_frame = {name: [s] * FRAMES if isinstance(s, Strength) else s for name, s in strengths.items()}
    temb = embeddings[0].unflatten(0, (-1, CLIPS))
    kind = {"degrees": degrees or {}, "linear": is_linear(base)}
    run = Run(adapters, by_frame, streams, guides, temb, FRAMES, (HEIGHT, WIDTH), **kind)
    for call in calls:
        wanted = expected(run, call.site, call.attention, *call.args, **call.kwargs)
        where = f"{call.site.kind} at {call.site.path}: "
        atol = max(tolerance, rounding_of_positions(call))
        torch.testing.assert_close(call.output, wanted, rtol=atol, atol=atol, msg=where.__add__)


def rounding_of_positions(call: Attended) -> float:
    """Rotary positions come as a pair of float32 tables, whatever the model's precision."""
    return 1e-6 if any(isinstance(argument, tuple) for argument in (*call.args, *call.kwargs.values())) else 0.0


@pytest.mark.parametrize("captioned", [True, False])
@pytest.mark.parametrize(
    "configs",
    [(DEFAULT, DEFAULT), (DEFAULT, OFFICIAL), (OFFICIAL, OFFICIAL), (OFFICIAL_WAN, OFFICIAL_WAN), (PAPER, WIDE)],
    ids=["default", "default and official", "official", "official Wan", "paper and wide"],
)
def test_adapters_side_by_side(precise: Base, configs: tuple[MIVAConfig, MIVAConfig], captioned: bool) -> None:
    """Under a caption, or under what the base is told where there is none."""
    adapters = {name: random_adapter(precise, config) for name, config in zip(("one", "two"), configs, strict=True)}
    strengths = {"one": Strength(cross_frame=0.75, prompt=0.3, temporal=-0.2), "two": Strength(-0.4, 1.1, 0.6)}
    with inject(precise.model, **adapters) as miva:
        miva.set_weights(**strengths)
        assert_follows_formulas(precise, adapters, strengths, words(precise) if captioned else precise.text)


# --- frames ----------------------------------------------------------------------------------------------------------

BY_FRAME = {
    "one": [Strength(0.0, 0.3, 1.0), Strength(0.5, -0.2, 0.7), Strength(1.5, 0.4, 0.0), Strength(0.2, 1.0, -0.3)],
    "two": [Strength(0.4, 0.9, 0.3)] * FRAMES,
    "three": [Strength(0.1 * i, 0.2 * i, 0.5) for i in range(FRAMES)],
}


def curved(by_frame: Sequence[Strength]) -> Strength:
    """The same strengths as curves over the frames, but for a part that does not change."""
    parts = zip(*(strength.by_part() for strength in by_frame), strict=True)
    return Strength(*(values[0] if len(set(values)) == 1 else Curve.of_values(values) for values in parts))


def set_by_frame(miva: Injection, names: Sequence[str]) -> dict[str, Sequence[Strength]]:
    """Set strengths that differ from frame to frame for the named adapters; return them."""
    by_frame = dict(zip(names, BY_FRAME.values(), strict=True))
    miva.set_weights(**{name: curved(strengths) for name, strengths in by_frame.items()})
    miva.set_frames([k / (FRAMES - 1) for k in range(FRAMES)])
    return by_frame


def test_strengths_of_each_frame(precise: Base) -> None:
    configs = {"one": DEFAULT, "two": OFFICIAL, "three": DEFAULT}
    adapters = {name: random_adapter(precise, config) for name, config in configs.items()}
    with inject(precise.model, **adapters) as miva:
        miva.freeze()
        strengths = set_by_frame(miva, list(configs))
        assert_follows_formulas(precise, adapters, strengths, words(precise))


# --- degrees ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of_clips", ["all alike", "each its own"])
def test_degrees_of_some_adapters(precise: Base, of_clips: str) -> None:
    """Two adapters with a degree and one without, masked ones in streams of their own."""
    masked = {"mask": True, "degree": True}
    configs = {"jump": replace(DEFAULT, **masked), "pan": DEFAULT, "sway": replace(PAPER, **masked)}
    adapters = {name: random_adapter(precise, config) for name, config in configs.items()}
    degrees = {"jump": (-0.7, -0.7), "sway": (0.9, 0.9) if of_clips == "all alike" else (0.9, -0.2)}
    strengths = dict.fromkeys(adapters, Strength(0.4, 0.3, 0.2))
    with inject(precise.model, **adapters) as miva:
        miva.set_weights(**strengths)
        miva.set_mask_streams(True)
        miva.set_degrees(
            jump=-0.7, sway=0.9 if of_clips == "all alike" else torch.tensor(degrees["sway"], dtype=torch.float64)
        )
        if of_clips == "all alike":
            miva.freeze()
        streams = ("", *miva.masked)
        assert_follows_formulas(precise, adapters, strengths, words(precise), streams, degrees=degrees)


# --- masks -----------------------------------------------------------------------------------------------------------


@cache
def soft_masks() -> dict[str, Tensor]:
    """(b, F, h, w) of two subjects: inside, outside and soft edges."""
    values = torch.rand(2, CLIPS, FRAMES, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(3)).double()
    soft = torch.where(values < 0.3, 0.0, torch.where(values > 0.7, 1.0, values))
    return {"jump": soft[0], "sway": soft[1]}


@cache
def guides(linear: bool) -> list[Guide]:
    """Of both clips, the slow way; a plain adapter stands between two masked ones."""
    masks = soft_masks()
    return [Guide({"jump": masks["jump"][c], "pan": None, "sway": masks["sway"][c]}, linear) for c in range(CLIPS)]


def rounding_of_guidance(base: Base) -> float:
    """Region codes of rank 16 stand for the logarithms of Eq. 3; without a logarithm codes of rank 2 are exact."""
    return 1e-9 if is_linear(base) else 1e-4


@pytest.mark.parametrize("guided", ["unguided", "by masks", "by codes"])
@pytest.mark.parametrize(
    "configs",
    [
        (DEFAULT, DEFAULT),
        (OFFICIAL, OFFICIAL),
        (OFFICIAL_WAN, DEFAULT),
        (replace(DEFAULT, image_guidance=False), replace(DEFAULT, image_guidance=False)),
        (replace(WIDE, ca_rank=4), replace(OFFICIAL_WAN, image_guidance=False)),
    ],
    ids=["default", "official", "official Wan and default", "no image guidance", "joint and no image guidance"],
)
def test_mask_streams_and_guidance(
    precise: Base, monkeypatch: pytest.MonkeyPatch, configs: tuple[MIVAConfig, MIVAConfig], guided: str
) -> None:
    """Two masked adapters, of one config or of two, with a plain one between them."""
    monkeypatch.setattr("miva_core.attention.guidance._FEW_TOKENS", 0 if guided == "by codes" else 10**6)
    first, last = (replace(config, mask=True) for config in configs)
    kinds = {"jump": first, "pan": DEFAULT, "sway": last}
    adapters = {name: random_adapter(precise, config) for name, config in kinds.items()}
    strengths = {"jump": Strength(0.7, 0.2, 1.1), "pan": Strength(0.4, 0.9, 0.3), "sway": Strength(-0.3, 0.5, -0.6)}
    with inject(precise.model, **adapters) as miva:
        miva.set_weights(**strengths)
        miva.set_mask_streams(True)
        miva.set_masks(None if guided == "unguided" else soft_masks())
        streams = ("", *miva.masked)
        assert sorted(streams) == ["", "jump", "sway"]
        by = None if guided == "unguided" else guides(is_linear(precise))
        tolerance = rounding_of_guidance(precise) if by else 1e-9
        assert_follows_formulas(precise, adapters, strengths, words(precise), streams, by, tolerance)


def test_strengths_of_each_frame_under_masks(precise: Base) -> None:
    configs = {"jump": replace(DEFAULT, mask=True), "pan": DEFAULT, "sway": replace(OFFICIAL_WAN, mask=True)}
    adapters = {name: random_adapter(precise, config) for name, config in configs.items()}
    with inject(precise.model, **adapters) as miva:
        strengths = set_by_frame(miva, list(configs))
        miva.set_mask_streams(True)
        miva.set_masks(soft_masks())
        by, tolerance = guides(is_linear(precise)), rounding_of_guidance(precise)
        assert_follows_formulas(precise, adapters, strengths, words(precise), ("", *miva.masked), by, tolerance)


@torch.no_grad()
def test_masks_of_ones_guide_nothing(precise: Base) -> None:
    """Nor does a run without them: what stands before the first prediction is the plain adapter."""
    clips, text, ones = latents(precise), words(precise), torch.ones(CLIPS, FRAMES, HEIGHT, WIDTH)
    with inject(precise.model, jump=random_adapter(precise, replace(DEFAULT, mask=True))) as miva:
        plain = denoise(precise, clips, text, TIMES)
        miva.set_masks({"jump": ones})
        torch.testing.assert_close(denoise(precise, clips, text, TIMES), plain, rtol=0, atol=2e-4)
        miva.set_masks({"jump": soft_masks()["jump"]})
        assert (denoise(precise, clips, text, TIMES) - plain).abs().max() > 1e-2
        miva.set_masks(None)
        assert torch.equal(denoise(precise, clips, text, TIMES), plain)
