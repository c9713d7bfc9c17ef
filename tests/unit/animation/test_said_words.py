"""Words of a run: encoded by what the base knows, refused or remarked on where they say nothing to an adapter."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from miva_core import Base, Curve, MIVAAdapter, MIVAConfig, Motion, RunOptions, animate
from miva_core.animation.words import words_notes
from miva_core.bases.vocabulary import Vocabulary
from miva_core.errors import MIVAError

QUICK = RunOptions(steps=1, adain=False)
VECTORS = {"camera pan_left": torch.randn(16), "camera zoom_in": torch.randn(16)}


@pytest.fixture
def base(make_base: Callable[..., Base]) -> Base:
    return replace(make_base(), vocabulary=Vocabulary(("camera",), VECTORS))


@pytest.fixture
def camera(base: Base, make_adapter: Callable, small: MIVAConfig) -> MIVAAdapter:
    adapter = make_adapter(base.model, replace(small, words=True))
    adapter.known_words = ("pan left", "zoom in")
    return adapter


def made(base: Base, adapter: MIVAAdapter, words: str | Tensor | None) -> Tensor:
    return animate(base, torch.full((12, 16, 3), 0.5), [Motion(adapter, name="camera", words=words)], QUICK).frames


def test_words_are_what_the_base_knows_them_by(base: Base, camera: MIVAAdapter) -> None:
    panned = made(base, camera, "Pan-Left")
    assert torch.equal(panned, made(base, camera, VECTORS["camera pan_left"][None]))
    assert not torch.allclose(panned, made(base, camera, "zoom in"), atol=1e-3)
    assert not torch.allclose(panned, made(base, camera, None), atol=1e-3)


def test_each_segment_of_a_clip_hears_them_anew(base: Base, camera: MIVAAdapter) -> None:
    """With a curve over the frames of the clip as without one."""
    options, text = replace(QUICK, segments=2), 3 * torch.randn(3, 16)  # of several words, so that frames hear others
    plain, curved = (
        animate(base, torch.full((12, 16, 3), 0.5), [Motion(camera, strength, words=text)], options).frames
        for strength in (0.7, Curve(((0.0, 0.7), (1.0, 0.7)), over="frames"))
    )
    torch.testing.assert_close(curved, plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "words", "match"),
    [
        ({}, "rain", "The words for camera: 'rain' is unknown to this base; say one of pan left, zoom in."),
        ({}, "", "The words for camera: '' holds no word: say one of pan left, zoom in."),
        ({}, torch.zeros(2, 3), "The words for camera are of shape"),
        ({"vocabulary": None}, "pan left", "The animatediff base runs without its text encoder, so camera cannot"),
    ],
)
def test_other_words_are_refused(
    base: Base, camera: MIVAAdapter, changes: dict[str, Any], words: str | Tensor, match: str
) -> None:
    with pytest.raises(MIVAError, match=match):
        made(replace(base, **changes), camera, words)


def test_a_motion_is_told_words_if_it_hears_them(base: Base, camera: MIVAAdapter, make_adapter: Callable) -> None:
    with pytest.raises(MIVAError, match="pan was trained without words"):
        Motion(make_adapter(base.model), name="pan", words="pan left")
    with pytest.raises(MIVAError, match="The words of camera are a int"):
        Motion(camera, name="camera", words=3)


@pytest.mark.parametrize(
    ("words", "note"),
    [
        (None, ["camera holds several motions, and is not told which: say one of pan left, zoom in."]),
        ("roll cw", ["camera has not learnt the words 'roll cw': say one of pan left, zoom in."]),
        ("Zoom_in", []),
        (torch.zeros(1, 16), []),
    ],
)
def test_what_an_adapter_has_not_learnt_is_told(camera: MIVAAdapter, words: Any, note: list[str]) -> None:
    assert words_notes([Motion(camera, name="camera", words=words)]) == note
    assert words_notes([Motion(camera, 0.0, name="camera", words=words)]) == []
