"""Apply MIVA, Load Motion Module and MIVA Masks, up to the plan that they attach to one of ComfyUI's own models."""

import os
from dataclasses import fields
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from artist import Artist, mask, picture
from comfyui_miva.miva_core.adapters.adapter import MIVAAdapter as AdapterOfThePack
from comfyui_miva.miva_core.diffusion.init_noise import NoiseInit
from comfyui_miva.miva_core.errors import MIVAError
from comfyui_miva.nodes import MIVAApply, native_plan
from comfyui_miva.nodes.kept_adapters import KeptAdapters
from fake_comfyui import FakeComfyUI
from fake_native import Model, Vae, sd15, wan
from node_runs import run, shown
from torch import Tensor

from miva_core.media.pictures import fit_picture

ALL_KINDS = {"outer_sample", "prepare_sampling", "calc_cond_batch", "apply_model", "diffusion_model"}


@pytest.fixture
def artist(comfyui: FakeComfyUI, model: Any, quick_model: Any, monkeypatch: pytest.MonkeyPatch) -> Artist:
    monkeypatch.setattr(native_plan, "_ADAPTERS", KeptAdapters())
    return Artist(comfyui, model, quick_model)


def plan(output: Any) -> Any:
    """What was attached to the MODEL that a node gives."""
    return output[0].get_attachment("miva")


def colours(latent: Tensor) -> Tensor:
    """(h, w, 3) of the small VAE's latent (1, C, 1, h, w)."""
    return latent[0, :3, 0].movedim(0, -1)


def test_a_plan_is_attached_to_a_clone(artist: Artist) -> None:
    model = wan()
    output = run(MIVAApply, model=model, vae=Vae(16), image=picture(), mivas=artist.of_wan("horse"))
    changed = output[0]
    assert changed is not model and changed.model is model.model
    assert {kind for kind, key in changed.kept["wrappers"] if key == "miva"} == ALL_KINDS
    assert model.kept == {"attachments": {}, "models": {}, "wrappers": {}}
    assert changed.get_additional_models() == [plan(output).motions[0].patcher]
    (network,) = changed.get_additional_models()[0].model.children()
    assert network is plan(output).motions[0].adapter


def test_a_stack_is_planned_in_its_order(artist: Artist) -> None:
    lower = artist.of_wan("sway", weight=0.25, end_percent=0.5)
    upper = artist.bind(artist.of_wan("jump", masked=True), mask())[0]
    output = artist.apply((*lower, *upper, *lower))
    motions = plan(output).motions
    assert [(one.name, one.strength, one.span) for one in motions] == [
        ("sway (1)", 0.25, (0.0, 0.5)),
        ("jump", 1.0, (0.0, 1.0)),
        ("sway (3)", 0.25, (0.0, 0.5)),
    ]
    assert motions[0].adapter is motions[2].adapter and motions[0].patcher is motions[2].patcher
    assert len(output[0].get_additional_models()) == 2
    assert [one.mask is not None for one in motions] == [False, True, False]


def test_two_nodes_in_a_row_are_one_plan(artist: Artist) -> None:
    first = artist.apply(artist.of_wan("sway"))
    both = artist.apply(artist.of_wan("jump"), model=first[0])
    assert [one.name for one in plan(first).motions] == ["sway"]
    assert [one.name for one in plan(both).motions] == ["sway", "jump"]


@pytest.mark.parametrize("dct_init", [True, False])
@pytest.mark.parametrize("adain", [True, False])
def test_how_a_run_begins_and_ends_is_in_the_plan(artist: Artist, dct_init: bool, adain: bool) -> None:
    made = plan(artist.apply(dct_init=dct_init, adain=adain))
    assert made.noise == (NoiseInit() if dct_init else None) and made.adain is adain


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_the_picture_is_fitted_as_in_the_sampler(artist: Artist, fit: Any) -> None:
    vae = Vae(16)
    output = artist.apply(vae=vae, image=picture(100, 200), fit=fit, height=32)
    expected, done = fit_picture(picture(100, 200)[0], (32, 64), fit)
    assert torch.equal(vae.encoded[0], expected[None])
    means = F.avg_pool2d(expected.movedim(-1, 0), 8).movedim(0, -1)
    assert torch.allclose(colours(plan(output).picture), means, atol=1e-6)
    assert not done or f"The picture was {done}." in shown(output).splitlines()


def test_opacity_is_not_encoded(artist: Artist) -> None:
    vae = Vae(16)
    artist.apply(vae=vae, image=torch.cat([picture(), torch.ones(1, 64, 64, 1)], -1))
    assert vae.encoded[0].shape == (1, 64, 64, 3)


def test_the_latent_is_an_empty_clip_of_the_layout_of_its_model(artist: Artist) -> None:
    of_wan = artist.apply(width=96, height=64, length=13)
    assert of_wan[3].keys() == {"samples"}
    assert of_wan[3]["samples"].shape == (1, 16, 4, 8, 12) and not of_wan[3]["samples"].any()
    assert plan(of_wan).frames == 4 and plan(of_wan).picture.shape == (1, 16, 1, 8, 12)
    of_sd15 = artist.apply(artist.of_sd15("sway"), model=sd15(), vae=Vae(4), width=96, length=13)
    assert of_sd15[3]["samples"].shape == (13, 4, 8, 12) and not of_sd15[3]["samples"].any()
    assert plan(of_sd15).frames == 13 and plan(of_sd15).picture.shape == (1, 4, 1, 8, 12)


def test_what_is_0_is_as_the_model_was_trained(artist: Artist) -> None:
    free = {"width": 0, "height": 0, "length": 0}
    assert artist.apply(**free)[3]["samples"].shape == (1, 16, 5, 60, 104)
    of_sd15 = artist.apply(artist.of_sd15("sway"), model=sd15(), vae=Vae(4), **free)
    assert of_sd15[3]["samples"].shape == (16, 4, 40, 64)
    assert shown(of_sd15).splitlines()[-1] == "16 frames of 512×320."
    assert artist.apply(**free | {"height": 64})[3]["samples"].shape == (1, 16, 5, 8, 104)


def test_no_prompt_is_silence(artist: Artist) -> None:
    """As in the pack's own runs; no text encoder is needed."""
    given = [[torch.ones(1, 3, 4096), {"pooled_output": None}]]
    output = artist.apply(negative=given)
    ((text, more),) = output[1]
    assert text.shape == (1, 1, 4096) and not text.any() and more == {"miva_no_prompt": True}
    assert output[2] is given
    ((text, more),) = artist.apply(artist.of_sd15("sway"), model=sd15(), vae=Vae(4), positive=given)[2]
    assert text.shape == (1, 77, 768) and not text.any() and more == {"miva_no_prompt": True}


PROMPT = [[torch.ones(1, 3, 4096), {}]]
FREE = "CFG above 1 changes nothing and costs nothing."


@pytest.mark.parametrize(
    ("weights", "masked", "prompt", "said"),
    [
        ([1.0], False, False, f"The weights sum to 1: {FREE}"),
        ([0.7, 0.3], False, False, f"The weights sum to 1: {FREE}"),
        ([1.0], False, True, f"The weights sum to 1, so no prompt is heard: {FREE}"),
        ([0.8], False, False, f"No prompt is connected: {FREE}"),
        (
            [0.8],
            False,
            True,
            "The prompt is heard for the share that the weights leave to 1. CFG above 1 takes twice as long.",
        ),
        ([], True, False, f"No prompt is connected: {FREE}"),
        ([], True, True, "The prompt is heard where no subject is. CFG above 1 takes twice as long."),
        ([0.5], True, True, "The prompt is heard where no subject is. CFG above 1 takes twice as long."),
        (
            [1.0],
            True,
            True,
            "The prompt is heard at the edges of subjects alone, since the others' weights sum to 1. CFG above 1 takes "
            "twice as long.",
        ),
    ],
)
def test_the_node_says_where_a_prompt_is_heard(
    artist: Artist, weights: list[float], masked: bool, prompt: bool, said: str
) -> None:
    stack = [one for k, weight in enumerate(weights) for one in artist.of_wan(f"motion {k}", weight=weight)]
    bound = artist.bind(artist.of_wan("jump", masked=True), mask())[0] if masked else ()
    texts = shown(artist.apply((*stack, *bound), **({"positive": PROMPT} if prompt else {}))).splitlines()
    assert [line for line in texts if "CFG" in line] == [said]


def test_a_motion_of_a_part_of_the_run_leaves_the_rest_to_the_prompt(artist: Artist) -> None:
    half = artist.of_wan("sway", end_percent=0.5)
    assert "The prompt is heard for the share that the weights leave to 1." in shown(
        artist.apply(half, positive=PROMPT)
    )


def test_a_mask_is_encoded_and_can_be_read_off_its_latent(artist: Artist) -> None:
    vae = Vae(16)
    output = artist.apply(artist.bind(artist.of_wan("jump", masked=True), mask(share=0.5))[0], vae=vae)
    planned = plan(output).motions[0].mask
    assert torch.equal(planned.first, mask(share=0.5)[0])
    assert torch.equal(colours(planned.x1), F.avg_pool2d(mask(share=0.5), 8)[0][..., None].expand(-1, -1, 3))
    # Inside of a sampler the latents of the small model are twice those of its VAE.
    assert torch.allclose(planned.readout(planned.x1 * 2)[0], F.avg_pool2d(mask(share=0.5), 8)[0], atol=1e-3)
    assert output[3]["miva_masks"] is plan(output).record is not None


def test_a_mask_is_fitted_as_the_picture_is(artist: Artist) -> None:
    bound = artist.bind(artist.of_wan("jump", masked=True), mask(64, 128, share=0.5))[0]
    cropped, padded = (
        plan(artist.apply(bound, image=picture(64, 128), fit=fit)).motions[0].mask for fit in ("crop", "pad")
    )
    assert torch.equal(cropped.first, mask(share=0.5)[0])
    assert torch.equal(padded.first[:, :28] > 0.5, torch.ones(64, 28, dtype=torch.bool))
    assert padded.first[:, 36:].amax() < 0.5


def test_a_clip_of_frames_goes_on_from_its_last_latent(artist: Artist) -> None:
    vae, before = Vae(4), torch.rand(16, 4, 8, 12)
    output = artist.apply(artist.of_sd15("sway"), model=sd15(), vae=vae, previous={"samples": before}, length=4)
    assert torch.equal(plan(output).picture[:, :, 0], before[-1:]) and vae.encoded == vae.decoded == []
    assert output[3]["samples"].shape == (4, 4, 8, 12)


def test_a_clip_whose_latents_stand_for_several_frames_goes_on_from_its_last_picture(artist: Artist) -> None:
    vae, before = Vae(16), torch.rand(1, 16, 7, 8, 12)
    output = artist.apply(vae=vae, previous={"samples": before})
    assert torch.equal(vae.decoded[0], before)
    assert torch.allclose(colours(plan(output).picture), before[0, :3, -1].movedim(0, -1), atol=1e-6)
    # The picture that is connected is not looked at.
    again = artist.apply(vae=vae, previous={"samples": before}, image=picture(count=3))
    assert torch.equal(plan(again).picture, plan(output).picture)


def test_masks_of_a_clip_that_goes_on_are_of_its_size(artist: Artist) -> None:
    bound = artist.bind(artist.of_wan("jump", masked=True), mask(64, 96))[0]
    output = artist.apply(bound, previous={"samples": torch.rand(1, 16, 3, 8, 12)})
    assert torch.equal(plan(output).motions[0].mask.first, mask(64, 96)[0])
    assert "The mask of" not in shown(output)
    assert "The clip goes on from `previous`, in place of `image`." in shown(output)


def test_what_changes_beside_the_file_neither_reads_it_nor_makes_a_patcher(
    artist: Artist, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = artist.bind(artist.of_wan("jump", masked=True), mask())[0]
    first = artist.apply(bound)
    monkeypatch.setattr(AdapterOfThePack, "load", lambda *_: pytest.fail("a file was read again"))
    weaker = artist.load("jump.safetensors", weight=0.5)[0]
    again = artist.apply(artist.bind(weaker, mask(share=0.3))[0], image=picture(32, 32), model=wan())
    assert plan(again).motions[0].patcher is plan(first).motions[0].patcher


def test_a_file_that_has_changed_is_read_again(artist: Artist) -> None:
    first = artist.apply(artist.of_wan("jump"))
    again = artist.of_wan("jump")
    path = again[0].path
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 10**9))
    assert plan(artist.apply(again)).motions[0].patcher is not plan(first).motions[0].patcher


def test_a_file_that_is_gone_is_told(artist: Artist) -> None:
    mivas = artist.of_wan("jump")
    mivas[0].path.unlink()
    with pytest.raises(MIVAError, match=r"^The file jump\.safetensors is gone from"):
        artist.apply(mivas)


def test_tensors_are_no_part_of_inference_mode(artist: Artist) -> None:
    """Motions on the same adapters can be trained on."""
    adapter = plan(artist.apply()).motions[0].adapter
    assert not any(parameter.is_inference() for parameter in adapter.parameters())


def test_a_motion_module_that_stays_is_loaded_once(
    artist: Artist, comfyui: FakeComfyUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    from comfyui_miva.nodes.comfy_bridge.native import motion_module

    loaded: list[str] = []
    monkeypatch.setattr(motion_module, "load_motion_module", lambda path: loaded.append(path.name) or object())
    monkeypatch.setattr(motion_module, "apply_motion_module", lambda model, patcher: (model, patcher))
    for name in ("v3.ckpt", "v2.ckpt"):
        comfyui.add("animatediff_models", name, name.encode())
    (model, kept), (_, again) = (artist.motion_module("v3.ckpt")[0] for _ in range(2))
    assert isinstance(model, Model) and kept is again and loaded == ["v3.ckpt"]
    assert artist.motion_module("v2.ckpt")[0][1] is not kept


def test_every_field_of_a_plan_is_set(artist: Artist) -> None:
    made = plan(artist.apply(artist.bind(artist.of_wan("jump", masked=True), mask())[0]))
    assert all(getattr(made, one.name) is not None for one in fields(made))


def test_a_second_node_speaks_of_the_motions_of_both(artist: Artist) -> None:
    first = artist.apply(artist.of_wan("sway", weight=0.3))
    assert "sway runs at the weight 0.3; it was trained at 1." in shown(first)
    second = shown(artist.apply(artist.of_wan("jump", weight=0.7), model=first[0]))
    assert "trained at 1" not in second and f"The weights sum to 1: {FREE}" in second


def test_masks_of_the_first_node_come_out_of_the_second(artist: Artist) -> None:
    masked = artist.apply(artist.bind(artist.of_wan("jump", masked=True), mask())[0])
    plain = artist.apply(artist.of_wan("sway"), model=masked[0])
    assert plain[3]["miva_masks"] is masked[3]["miva_masks"]
