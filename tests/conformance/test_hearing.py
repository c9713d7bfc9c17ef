"""Adapters that hear words through temporal attention alone: nothing at first, then by the formula, each its own."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from calls import (
    CLIPS,
    FRAMES,
    HEIGHT,
    SMALL,
    WIDTH,
    denoise,
    fresh_adapter,
    is_linear,
    latents,
    random_adapter,
    watched,
    words,
)
from slow_attention import Run, expected
from torch import Tensor

from miva_core import Base, MIVAAdapter, inject
from miva_core.attention.strength import Strength
from miva_core.errors import MIVAError

HEARING = replace(SMALL, words=True)
MASKED = replace(HEARING, mask=True)


def hears(base: Base) -> bool:
    return any(site.kind == "ta" for site in base.backbone.sites)


def text(base: Base, seed: int, clips: int = CLIPS, count: int = 3) -> Tensor:
    """(clips, count, d_text), for each clip another."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(clips, count, base.backbone.text_dim, generator=generator).to(base.model.dtype)


def test_a_base_without_attention_over_time_hears_none(base: Base) -> None:
    if hears(base):
        assert fresh_adapter(base, HEARING).words is not None
    else:
        with pytest.raises(MIVAError, match=r"attention over time, of which wan has none: [^.]*\.$"):
            MIVAAdapter(base.backbone, HEARING)


@torch.no_grad()
def test_at_first_words_change_not_a_bit(base: Base) -> None:
    """All else is random, so that the clips are those of an adapter that has learnt, but for the words."""
    if not hears(base):
        return
    told = random_adapter(base, HEARING)
    for name, parameter in told.named_parameters():
        if name.endswith("ta.words"):
            torch.nn.init.zeros_(parameter)
    plain = MIVAAdapter(base.backbone, SMALL)
    plain.load_state_dict({name: told.state_dict()[name] for name in plain.state_dict()})
    clips, caption = latents(base), words(base)
    with inject(base.model, pan=plain):
        wanted = denoise(base, clips, caption)
    with inject(base.model, pan=told) as miva:
        assert torch.equal(denoise(base, clips, caption), wanted)
        miva.set_words(pan=text(base, 1))
        assert torch.equal(denoise(base, clips, caption), wanted)


@torch.no_grad()
def test_training_begins_with_the_same_adapter(base: Base) -> None:
    """What it knows of words is drawn last, so that the seed gives all else as without words."""
    if not hears(base):
        return
    adapters = []
    for config in (SMALL, HEARING):
        torch.manual_seed(4)
        adapters.append(MIVAAdapter(base.backbone, config).state_dict())
    plain, told = adapters
    assert all(torch.equal(told[name], plain[name]) for name in plain)
    assert not any(told[name].any() for name in told if name.endswith("ta.words"))


def assert_follows_formulas(base: Base, adapters: Mapping[str, MIVAAdapter], said: Mapping[str, Tensor]) -> None:
    """Each attention over time by itself, for the input that it gets in the model."""
    strengths = {name: Strength(0.6, 0.3, 0.9 - 0.5 * k) for k, name in enumerate(adapters)}
    with inject(base.model, **adapters) as miva:
        miva.set_weights(**strengths)
        miva.set_words(**said)
        miva.set_mask_streams(True)
        streams = ("", *miva.masked)
        with watched(base) as (calls, embeddings):
            denoise(base, latents(base, len(streams) * CLIPS), words(base))
    by_frame = {name: [strength] * FRAMES for name, strength in strengths.items()}
    to_each = {name: one if one.ndim == 3 else one.expand(CLIPS, -1, -1) for name, one in said.items()}
    temb = embeddings[0].unflatten(0, (-1, CLIPS))
    run = Run(dict(adapters), by_frame, streams, None, temb, FRAMES, (HEIGHT, WIDTH), to_each, linear=is_linear(base))
    # Slow as they are, some attentions stand for all.
    for call in [call for call in calls if call.site.kind == "ta"][::4]:
        wanted = expected(run, call.site, call.attention, *call.args, **call.kwargs)
        torch.testing.assert_close(call.output, wanted, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_several_adapters_each_hear_their_own(precise: Base) -> None:
    """One text for all clips, one for each, nothing said, and an adapter that hears none."""
    if not hears(precise):
        return
    configs = {"one": HEARING, "none": SMALL, "two": HEARING, "untold": HEARING}
    adapters = {name: random_adapter(precise, config) for name, config in configs.items()}
    assert_follows_formulas(precise, adapters, {"one": text(precise, 1), "two": text(precise, 2, count=5)[0]})


@torch.no_grad()
def test_mask_sequences_hear_what_their_clips_do(precise: Base) -> None:
    if not hears(precise):
        return
    configs = {"jump": MASKED, "pan": HEARING, "sway": MASKED, "still": replace(SMALL, mask=True)}
    adapters = {name: random_adapter(precise, config) for name, config in configs.items()}
    assert_follows_formulas(
        precise, adapters, {"jump": text(precise, 1), "pan": text(precise, 2), "sway": text(precise, 3)}
    )


@torch.no_grad()
def test_what_is_said_counts_until_something_else_is(precise: Base) -> None:
    """Frozen or not; a window of a clip hears what its frames do in the whole."""
    if not hears(precise):
        return
    adapter, clips, caption = random_adapter(precise, HEARING), latents(precise), words(precise)
    one, other = text(precise, 1), text(precise, 2)
    with inject(precise.model, pan=adapter) as miva:
        silent = denoise(precise, clips, caption)
        miva.set_words(pan=one)
        told = denoise(precise, clips, caption)
        miva.set_words(pan=other)
        assert not torch.allclose(denoise(precise, clips, caption), told, rtol=1e-3, atol=1e-3)
        miva.freeze()
        miva.set_words(pan=one)
        assert torch.equal(denoise(precise, clips, caption), told)
        miva.set_frames([k / (FRAMES - 1) for k in range(FRAMES)])
        torch.testing.assert_close(denoise(precise, clips, caption), told, rtol=1e-12, atol=1e-12)
        miva.set_frames([0.0, 0.1, 0.2, 0.3])
        assert not torch.allclose(denoise(precise, clips, caption), told, rtol=1e-3, atol=1e-3)
        miva.set_words(pan=None)
        assert torch.equal(denoise(precise, clips, caption), silent)
        miva.set_words(pan=one)
        before = denoise(precise, clips, caption)
        adapter.words.value.mul_(-1)
        assert torch.equal(denoise(precise, clips, caption), before)
        miva.freeze()
        assert not torch.allclose(denoise(precise, clips, caption), before, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_clips_hear_their_own_words_alone(precise: Base) -> None:
    if not hears(precise):
        return
    clips, caption, said = latents(precise), words(precise), text(precise, 1)
    with inject(precise.model, pan=random_adapter(precise, HEARING)) as miva:
        miva.set_words(pan=said)
        both = denoise(precise, clips, caption)
        for k in range(CLIPS):
            miva.set_words(pan=said[k])
            torch.testing.assert_close(
                denoise(precise, clips[k : k + 1], caption), both[k : k + 1], rtol=1e-9, atol=1e-9
            )


@torch.no_grad()
def test_what_cannot_be_said_is_refused(base: Base) -> None:
    if not hears(base):
        return
    told, clips = random_adapter(base, HEARING), latents(base)
    with inject(base.model, pan=told, deaf=random_adapter(base)) as miva:
        miva.set_words(deaf=None)
        for name, words_, match in (
            ("deaf", text(base, 1), "deaf was trained without words"),
            ("pan", "pan left", "are a str"),
            ("pan", torch.zeros(3, 7), "of shape"),
            ("pan", torch.zeros(0, base.backbone.text_dim), "of shape"),
            ("other", text(base, 1), "no adapter named"),
        ):
            with pytest.raises(MIVAError, match=match):
                miva.set_words(**{name: words_})
        miva.set_words(pan=text(base, 1, clips=CLIPS + 1))
        with pytest.raises(MIVAError, match=f"said to {CLIPS + 1} clips, but the batch has {CLIPS}"):
            denoise(base, clips, words(base))
        miva.set_words(pan=text(base, 1))
        miva.set_frames([0.0, 1.0])
        with pytest.raises(MIVAError, match=f"said over 2 frames, but the latents have {FRAMES}: call set_frames"):
            denoise(base, clips, words(base))
    with inject(base.model, pan=told, zoom=random_adapter(base, HEARING)) as miva:
        miva.set_words(pan=text(base, 1), zoom=text(base, 1, clips=CLIPS + 1))
        with pytest.raises(MIVAError, match=f"said to {CLIPS + 1} clips"):
            denoise(base, clips, words(base))
