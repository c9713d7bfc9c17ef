"""Which motion of a file that holds several: typed in Load MIVA, or as a prompt; and clips that are learnt by words."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from comfyui_miva.miva_core.adapters.adapter import MIVAAdapter as AdapterOfThePack
from comfyui_miva.miva_core.errors import MIVAError
from comfyui_miva.nodes import MIVADataset, MIVAInfo, MIVASampler, MIVATrain
from comfyui_miva.nodes.words import untold_notes, with_prompt
from fake_comfyui import FakeComfyUI
from node_runs import motion, run, shown
from test_clips_nodes import noise, write_frames
from torch import Tensor

from miva_core import MIVAAdapter, Motion, RunOptions, animate
from miva_core.bases.base import Base
from miva_core.bases.tiny.recipe import NORMAL
from miva_core.media.pictures import fit_picture

SHORT: dict[str, Any] = {"steps": 1, "frames": 3, "seed": 7}


@pytest.fixture
def camera(comfyui: FakeComfyUI, engine: Base) -> MIVAAdapter:
    """A motion in ComfyUI's folder, camera.safetensors, that answers to every word in another way."""
    torch.manual_seed(0)
    adapter = MIVAAdapter(engine.backbone, replace(NORMAL.config, cfa_rank=2, ca_rank=2, ta_rank=2, words=True))
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    adapter.known_words = ("pan left", "zoom in")
    (comfyui.models / "miva").mkdir(parents=True, exist_ok=True)
    path = comfyui.models / "miva" / "camera.safetensors"
    adapter.save(path, adapter.info(motion="camera", frames=16, size=(64, 64), fps=8.0))
    return adapter


def test_typed_words_are_those_of_the_engine(model: Any, engine: Base, shapes: Tensor, camera: MIVAAdapter) -> None:
    small = fit_picture(shapes[0], (64, 64))[0]
    for words in ("zoom in", ""):
        output = run(MIVASampler, model=model, mivas=motion("camera", words=f" {words} "), image=small[None], **SHORT)
        told_ = Motion(camera, words=words or None, name="camera")
        wanted = animate(engine, small, [told_], RunOptions(steps=1, frames=3, seed=7))
        assert torch.equal(output[0], wanted.frames)
        assert ("is not told which: say one of pan left, zoom in." in shown(output)) == (not words)
    info = shown(run(MIVAInfo, mivas=motion("camera", words="zoom in")))
    assert "words: pan left, zoom in" in info and "told: zoom in" in info


def test_words_are_refused_where_nothing_hears_them(model: Any, shapes: Tensor, camera: MIVAAdapter) -> None:
    with pytest.raises(MIVAError, match="pan_left holds one motion and hears no words"):
        motion("pan_left", words="zoom in")
    with pytest.raises(MIVAError, match="The words for camera must be one line"):
        motion("camera", words="zoom\nin")
    for inputs, match in (
        ({"mivas": motion("camera", words="rain")}, "'rain' is unknown to this base; say one of pan left, zoom in."),
        ({"mivas": motion("camera"), "words": prompt()}, "The built-in bases hear no prompt"),
    ):
        with pytest.raises(MIVAError, match=match):
            run(MIVASampler, model=model, image=shapes, **inputs, **SHORT)


def prompt(*shape: int) -> list[Any]:
    """CONDITIONING."""
    return [[torch.randn(shape or (1, 77, 768)), {}]]


def test_a_prompt_tells_the_motions_that_hear_words(camera: MIVAAdapter) -> None:
    """Of a model whose texts ComfyUI encodes."""
    stack, said = motion("camera", prev=motion("pan_left")), prompt()
    pan, hearing = with_prompt(stack, said, None, 768)
    assert pan.text is None and torch.equal(hearing.text, said[0][0][0])
    loaded = AdapterOfThePack.load(hearing.path, camera.backbone)
    assert torch.equal(hearing.motion(loaded, 0).words, hearing.text)
    untold = with_prompt(stack, None, None, 768)
    assert untold[1].text is None and not untold_notes((pan, hearing))
    assert untold_notes(untold) == [
        "camera holds several motions, and no prompt says which: connect one to `words`, such as pan left, zoom in."
    ]
    for mivas, given, match in (
        (motion("camera", words="zoom in"), said, "are for a built-in base"),
        (stack, [*said, *said], "several at once"),
        (stack, prompt(2, 77, 768), "several at once"),
        (stack, prompt(1, 77, 1024), "tokens of 1024 numbers, but this model's have 768"),
    ):
        with pytest.raises(MIVAError, match=match):
            with_prompt(mivas, given, None, 768)
    assert with_prompt(motion("pan_left"), [*said, *said], None, 768) == motion("pan_left")


def test_clips_are_learnt_by_the_names_of_their_folders(quick_model: Any, comfyui: FakeComfyUI) -> None:
    for seed, name in enumerate(("pan left", "zoom_in")):
        write_frames(comfyui.input / "camera" / name / "clip", noise(4, seed=seed))
    clips = {"clips": "folder", "folder": "camera"}
    dataset = run(MIVADataset, model=quick_model, clips=clips, words=True)[0]
    assert {clip.name: clip.words for clip in dataset.clips} == {"pan left/clip": "pan left", "zoom_in/clip": "zoom in"}
    output = run(MIVATrain, model=quick_model, dataset=dataset, name="camera", preset="quick", steps=1, seed=0)
    (made,) = output[0]
    assert made.info.words == ("pan left", "zoom in") and made.info.config.words
    assert made.info.training["flip"] is False
    with pytest.raises(MIVAError, match="There are no clips"):
        run(MIVADataset, model=quick_model, clips=clips)


def test_words_that_cannot_be_learnt_are_refused_at_the_clips(quick_model: Any, comfyui: FakeComfyUI) -> None:
    write_frames(comfyui.input / "camera" / "pan lefft" / "clip", noise(4))
    clips = {"clips": "folder", "folder": "camera"}
    with pytest.raises(MIVAError, match="pan lefft/clip: 'pan lefft' is unknown to this base; the nearest"):
        run(MIVADataset, model=quick_model, clips=clips, words=True)
    other = replace(quick_model, base=replace(quick_model.base, vocabulary=None, name="animatediff"))
    with pytest.raises(MIVAError, match="The animatediff base runs without its text encoder"):
        run(MIVADataset, model=other, clips=clips, words=True)
    with pytest.raises(MIVAError, match="Words are read from files"):
        run(MIVADataset, model=quick_model, clips={"clips": "connected", "videos": noise(4), "fps": 0.0}, words=True)
