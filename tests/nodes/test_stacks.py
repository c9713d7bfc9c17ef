"""Motions: loaded, put together, bound to their subjects, looked into."""

import json
import os
from dataclasses import replace
from typing import Any

import pytest
import torch
from comfyui_miva.miva_core.attention.strength import Strength
from comfyui_miva.nodes import MIVABindMask, MIVAInfo, MIVALoad, MIVALoadBase, MIVAStack
from fake_comfyui import FakeComfyUI
from node_runs import bound, motion, run, shown
from safetensors import safe_open

from miva_core.adapters.info import read_info
from miva_core.bases.known import TRAINED_ON
from miva_core.bases.tiny.spec import SHIPPED
from miva_core.bases.wan.releases import WAN_2_2_HIGH
from miva_core.subject_mask import edits


def names(mivas: Any) -> list[str]:
    return [entry.path.stem for entry in mivas]


def disc(side: int = 64) -> torch.Tensor:
    """MASK (1, side, side) of a disc in the middle."""
    y, x = torch.meshgrid(*[torch.arange(side) - side / 2 + 0.5] * 2, indexing="ij")
    return ((y**2 + x**2).sqrt() < side / 4).float()[None]


def test_a_motion_is_loaded_as_it_is_set() -> None:
    (entry,) = motion("jump", weight=-0.5, start_percent=0.25, end_percent=0.75)
    assert entry.path == SHIPPED / "jump.safetensors"
    assert (entry.strength, entry.span, entry.mask) == (-0.5, (0.25, 0.75), None)
    assert entry.info.to_json() == read_info(entry.path).to_json()


def test_a_strength_takes_the_place_of_weight_and_percents() -> None:
    strength = Strength(cross_frame=0.5, temporal=1.5)
    (entry,) = motion("jump", weight=-2.0, start_percent=0.9, end_percent=0.1, strength=strength)
    assert (entry.strength, entry.span) == (strength, (0.0, 1.0))


def test_how_much_and_which_motion_are_left_to_the_file_unless_they_are_set() -> None:
    assert [(entry.degree, entry.words) for entry in motion("jump")] == [(None, "")]
    assert [entry.degree for entry in motion("pan_left", degree=0.0)] == [0.0]
    assert [entry.words for entry in motion("camera_words", words=" zoom in ")] == ["zoom in"]


def test_motions_are_found_in_folders_of_ones_own(comfyui: FakeComfyUI) -> None:
    path = comfyui.add("miva", "camera/slow.safetensors", SHIPPED / "pan_left.safetensors")
    menu = next(one for one in MIVALoad.define_schema().inputs if one.id == "miva_name").options
    assert os.path.join("camera", "slow.safetensors") in menu and "pan_left.safetensors" in menu
    (entry,) = run(MIVALoad, miva_name=os.path.join("camera", "slow.safetensors"))[0]
    assert entry.path == path


def test_ones_own_file_comes_before_that_of_the_pack(comfyui: FakeComfyUI) -> None:
    path = comfyui.add("miva", "jump.safetensors", SHIPPED / "rise.safetensors")
    assert motion("jump")[0].path == path


def test_a_chain_and_a_stack_are_the_same() -> None:
    chained = motion("jump", weight=0.5, prev=motion("zoom_in", weight=0.5))
    both = {"miva0": motion("zoom_in", weight=0.5), "miva1": motion("jump", weight=0.5)}
    assert run(MIVAStack, mivas=both)[0] == chained
    assert names(chained) == ["zoom_in", "jump"]


def test_a_free_socket_does_not_change_the_order() -> None:
    pair = motion("jump", prev=motion("rise"))
    stack = run(MIVAStack, mivas={"miva0": motion("zoom_in"), "miva1": None, "miva2": pair, "miva5": motion("jump")})
    assert names(stack[0]) == ["zoom_in", "rise", "jump", "jump"]


def test_what_was_chained_stays_as_it_was() -> None:
    """ComfyUI keeps what nodes gave, for later runs."""
    first = motion("zoom_in")
    motion("jump", prev=first)
    assert names(first) == ["zoom_in"]
    masked = motion("jump_masked")
    run(MIVABindMask, mivas=masked, mask=disc())
    assert masked[0].mask is None


def test_the_last_motion_of_a_chain_is_bound() -> None:
    chain = motion("jump_masked", prev=bound("sway_masked", disc()))
    other = 1 - disc()
    back, front = run(MIVABindMask, mivas=chain, mask=other)[0]
    assert torch.equal(back.mask, disc())
    assert torch.equal(front.mask, other)


def test_a_mask_grows_and_softens() -> None:
    grown = run(MIVABindMask, mivas=motion("jump_masked"), mask=disc(), grow=4)[0][0].mask
    area = disc().sum().sqrt()
    assert grown.sum().sqrt() / area == pytest.approx((16 + 4) / 16, abs=0.02)
    shrunk = run(MIVABindMask, mivas=motion("jump_masked"), mask=disc(), grow=-4)[0][0].mask
    assert shrunk.sum().sqrt() / area == pytest.approx((16 - 4) / 16, abs=0.02)
    soft = run(MIVABindMask, mivas=motion("jump_masked"), mask=disc(), grow=4, feather=6)[0][0].mask
    assert torch.equal(soft, edits.feather(grown, 6))
    assert ((soft > 0.05) & (soft < 0.95)).sum() > 100


def test_a_mask_may_come_without_a_batch() -> None:
    assert torch.equal(bound("jump_masked", disc()[0])[0].mask, disc())


def test_the_header_of_a_file_is_shown() -> None:
    mivas = motion("pan_left", weight=0.5, end_percent=0.4, prev=bound("jump_masked", disc()))
    # ComfyUI keeps what has the same fingerprint, but a page that is loaded anew shows no text of kept nodes.
    first, second = ((MIVAInfo.fingerprint_inputs(mivas=None),) for _ in range(2))
    assert first != second
    output = run(MIVAInfo, mivas=mivas)
    assert output[0] == shown(output)
    masked, pan = (part.splitlines() for part in output[0].split("\n\n"))
    with safe_open(SHIPPED / "pan_left.safetensors", framework="pt") as file:
        header = json.loads(file.metadata()["miva"])
    width, height = header["size"]
    assert pan[:5] == [
        f"{header['motion']} (pan_left.safetensors)",
        "base: the built-in U-Net",
        f"made for: {header['frames']} frames of {width}×{height} at {header['fps']} a second",
        "masked: no",
        "weight: 0.5, from 0% to 40% of the steps",
    ]
    for name, value in header["training"].items():
        assert f"{name}: {value}" in pan
    assert f"licence: {header['licence']}" in pan
    assert "masked: bound to a mask" in masked
    assert "masked: needs a mask of its subject" in run(MIVAInfo, mivas=motion("jump_masked"))[0]


def test_what_a_degree_means_is_shown() -> None:
    known = read_info(SHIPPED / "pan_left.safetensors").degree
    lines = run(MIVAInfo, mivas=motion("pan_left", degree=1.0))[0].splitlines()
    (meaning,) = [line for line in lines if line.startswith("degree: ")]
    assert f"{known.speeds[0]:.2f} to {known.speeds[-1]:.2f} pixels a frame at 64×64" in meaning
    (asked,) = [line for line in lines if line.startswith("set to 1: ")]
    assert f"about {known.speeds[-1]:.2f} pixels a frame" in asked


def test_which_of_several_bases_a_motion_has_met_is_shown() -> None:
    (entry,) = motion("pan_left")
    record = {TRAINED_ON: WAN_2_2_HIGH.menu}
    info = replace(entry.info, family="wan", fingerprint=WAN_2_2_HIGH.backbone.fingerprint, training=record)
    lines = run(MIVAInfo, mivas=(replace(entry, info=info),))[0].splitlines()
    assert "base: Wan 2.1 14B or Wan 2.2 14B" in lines
    assert "trained on: Wan 2.2 14B, high noise" in lines
    others = "Wan 2.1 14B and Wan 2.2 14B, low noise, which take it as well."
    assert f"It was trained on Wan 2.2 14B, high noise, and has not seen {others}" in lines


def test_a_file_that_was_replaced_is_read_again(comfyui: FakeComfyUI) -> None:
    """ComfyUI runs a node again when this changes."""
    path = comfyui.add("miva", "mine.safetensors", SHIPPED / "jump.safetensors")
    settings = {"miva_name": "mine.safetensors", "weight": 1.0, "start_percent": 0.0, "end_percent": 1.0}
    before = MIVALoad.fingerprint_inputs(**settings)
    assert before == MIVALoad.fingerprint_inputs(**settings | {"weight": 0.5})
    os.utime(path, ns=(0, 1))
    after = MIVALoad.fingerprint_inputs(**settings)
    assert before != after
    path.unlink()
    assert MIVALoad.fingerprint_inputs(**settings) not in (before, after)


def test_a_model_file_that_was_replaced_is_read_again(comfyui: FakeComfyUI) -> None:
    path = comfyui.add("checkpoints", "sd15.safetensors")
    comfyui.add("animatediff_models", "mm.ckpt")
    chosen = {
        "base": "SD 1.5 + AnimateDiff",
        "checkpoint": "sd15.safetensors",
        "motion_module": "mm.ckpt",
        "vae": "the checkpoint's own",
    }
    before = MIVALoadBase.fingerprint_inputs(chosen)
    assert before == MIVALoadBase.fingerprint_inputs(dict(chosen))
    os.utime(path, ns=(0, 1))
    assert MIVALoadBase.fingerprint_inputs(chosen) != before
    assert MIVALoadBase.fingerprint_inputs({"base": "tiny (built in)"}) == []


def test_a_name_that_another_node_gives_is_not_known_yet(comfyui: FakeComfyUI) -> None:
    """ComfyUI asks with None then."""
    assert MIVALoad.fingerprint_inputs(miva_name=None, weight=1.0) is None
    assert MIVALoadBase.fingerprint_inputs({"base": "Wan 2.1 1.3B", "diffusion_model": None, "vae": None}) == []
