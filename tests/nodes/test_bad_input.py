"""What artists get wrong, and the exact text they read then: an error, or a note on a node that works all the same."""

import re
from typing import Any

import pytest
import torch
from artist import Artist, FullCard, Mistake, picture
from comfyui_miva.miva_core.errors import MIVAError
from fake_comfyui import FakeComfyUI
from mistakes_animating import ANIMATING
from mistakes_native import NATIVE
from mistakes_preparing import PREPARING
from mistakes_steering import STEERING
from node_runs import motion, shown

ALWAYS = re.compile(
    r"\d+ frames of \d+×\d+(, [\d.]+ a second)?\.|The mask covers [\d.]+% of the picture\.|.*CFG above 1 .*"
)
"""Lines that stand on a node, whatever was done."""
MISTAKES = [*ANIMATING, *NATIVE, *PREPARING, *STEERING]


@pytest.fixture
def artist(comfyui: FakeComfyUI, model: Any, quick_model: Any) -> Artist:
    return Artist(comfyui, model, quick_model)


@pytest.mark.parametrize("mistake", MISTAKES, ids=[mistake.what for mistake in MISTAKES])
def test_a_mistake_is_told_in_these_words(mistake: Mistake, artist: Artist) -> None:
    folders = {name: getattr(artist.comfyui, name) for name in ("models", "input", "output")}
    if not mistake.error:
        lines = shown(mistake.do(artist)).splitlines()
        assert "\n".join(line for line in lines if not ALWAYS.fullmatch(line)) == mistake.note.format(**folders)
        return
    with pytest.raises((MIVAError, torch.cuda.OutOfMemoryError)) as raised:
        mistake.do(artist)
    assert str(raised.value) == mistake.error.format(**folders)
    assert not any(artist.comfyui.output.glob("*/*/*.safetensors"))


def test_every_mistake_is_another_one() -> None:
    assert len({mistake.what for mistake in MISTAKES}) == len(MISTAKES)


def test_a_picture_with_transparency_is_taken_without(artist: Artist) -> None:
    opacity = torch.linspace(0, 1, 64).expand(1, 64, 64)[..., None]
    with_it = artist.sample(motion(), torch.cat([picture(), opacity], dim=-1))
    assert torch.equal(with_it[0], artist.sample(motion(), picture())[0])


def test_after_a_mistake_the_next_run_is_as_ever(artist: Artist) -> None:
    before = artist.sample(motion())[0]
    with pytest.raises(MIVAError):
        artist.sample(motion(), sigmas=torch.tensor([1.0, 2.0]))
    with pytest.raises(torch.cuda.OutOfMemoryError):
        artist.sample(motion(), model=artist.named("tiny", codec=FullCard()))
    assert torch.equal(artist.sample(motion())[0], before)
