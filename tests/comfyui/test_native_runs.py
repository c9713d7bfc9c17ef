"""What the workflows on ComfyUI's own MODELs make, run as their frontend sends them; of small models."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from .browser import chromium, open_page
from .native_workflows import (
    LENGTHS,
    LONGER,
    LORAS,
    MASK,
    MOVED,
    SD15,
    SIZE,
    TWO,
    WAN,
    load,
    put_pictures,
    switch_lora_on,
    without_text_encoder,
)
from .server import Prompt, Server, node


@pytest.fixture(scope="module")
def prompts(server_with_models: Server) -> dict[str, Prompt]:
    """What the frontend sends of each workflow, and of some with their LoRA, with all frames of the clip shown."""
    put_pictures(server_with_models)
    found = {}
    with chromium() as browser:
        page = open_page(browser, server_with_models)
        for name in (WAN, SD15, LONGER, TWO, MOVED):
            load(page, name)
            found[name] = without_text_encoder(page.prompt())
            if name in LORAS:
                switch_lora_on(page, name)
                found[LORAS[name]] = page.prompt()
    return {name: _with_frames(prompt) for name, prompt in found.items()}


def _with_frames(prompt: Prompt) -> Prompt:
    clip = prompt[find(prompt, "CreateVideo")]["inputs"]["images"]
    return prompt | {"shown": node("PreviewImage", images=clip)}


def find(prompt: Prompt, kind: str, number: int = 0) -> str:
    """The id of a node of a prompt."""
    return [name for name, one in prompt.items() if one["class_type"] == kind][number]


def changed(prompt: Prompt, kind: str, **inputs: Any) -> Prompt:
    """A prompt with other inputs of the first node of a kind."""
    name = find(prompt, kind)
    return prompt | {name: prompt[name] | {"inputs": prompt[name]["inputs"] | inputs}}


def frames(server: Server, prompt: Prompt, shown: str = "shown") -> np.ndarray:
    """(F, H, W, 3) int, of what a node of a prompt shows."""
    run = server.run(prompt)
    assert run.status == "success", run.error.get("exception_message", run.error)
    files = [server.view(one) for one in run.outputs[shown]["images"]]
    return np.stack([np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files]).astype(int)


def changed_values(clip: np.ndarray, other: np.ndarray) -> float:
    """Share of values that differ in the frames after the first; the same prompt makes the same ones."""
    return float((clip[1:] != other[1:]).mean())


def through_the_vae(prompt: Prompt) -> Prompt:
    """A prompt whose picture goes through its VAE and back, and nowhere else."""
    vae, image = prompt[find(prompt, "VAEDecode")]["inputs"]["vae"], find(prompt, "LoadImage")
    return {
        **{name: one for name, one in prompt.items() if name in (vae[0], image)},
        "latent": node("VAEEncode", pixels=[image, 0], vae=vae),
        "picture": node("VAEDecode", samples=["latent", 0], vae=vae),
        "shown": node("PreviewImage", images=["picture", 0]),
    }


@pytest.mark.parametrize("name", [WAN, SD15])
def test_the_clip_begins_with_the_picture_and_the_motion_is_seen(
    server_with_models: Server, prompts: dict[str, Prompt], name: str
) -> None:
    clip = frames(server_with_models, prompts[name])
    (picture,) = frames(server_with_models, through_the_vae(prompts[name]))
    assert len(clip) == LENGTHS[name]
    assert picture.std() > 5
    assert np.abs(clip[0] - picture).max() <= 1
    assert (np.abs(clip[1:] - picture).mean((1, 2, 3)) > 2).all()
    weaker = frames(server_with_models, changed(prompts[name], "MIVALoad", weight=0.5))
    assert (weaker[0] == clip[0]).all()
    assert changed_values(weaker, clip) > 0.1


@pytest.mark.parametrize("name", [WAN, SD15])
def test_a_motion_of_no_weight_leaves_a_clip_that_begins_with_the_picture(
    server_with_models: Server, prompts: dict[str, Prompt], name: str
) -> None:
    clip = frames(server_with_models, prompts[name])
    still = frames(server_with_models, changed(prompts[name], "MIVALoad", weight=0.0))
    assert (still[0] == clip[0]).all()
    assert changed_values(still, clip) > 0.1


@pytest.mark.parametrize("name", [WAN, SD15])
def test_the_seed_counts_and_cfg_does_not(server_with_models: Server, prompts: dict[str, Prompt], name: str) -> None:
    clip = frames(server_with_models, prompts[name])
    guided = frames(server_with_models, changed(prompts[name], "KSampler", cfg=6.0))
    assert (guided == clip).all()
    other = frames(server_with_models, changed(prompts[name], "KSampler", seed=2))
    assert (other[0] == clip[0]).all()
    assert changed_values(other, clip) > 0.1


@pytest.mark.parametrize("name", [WAN, SD15])
def test_a_lora_is_left_out_until_it_is_switched_on(
    server_with_models: Server, prompts: dict[str, Prompt], name: str
) -> None:
    bypassed, switched_on = prompts[name], prompts[LORAS[name]]
    kinds = [{one["class_type"] for one in prompt.values()} for prompt in (bypassed, switched_on)]
    assert kinds[1] - kinds[0] == {"LoraLoaderModelOnly"}
    clip, other = (frames(server_with_models, prompt) for prompt in (bypassed, switched_on))
    assert (other[0] == clip[0]).all()
    assert changed_values(other, clip) > 0.1


@pytest.mark.parametrize(("name", "miva"), [(WAN, "wan_masked"), (SD15, "sd15_masked")])
def test_masks_of_a_subject_come_out_of_the_sampler(
    server_with_models: Server, prompts: dict[str, Prompt], name: str, miva: str
) -> None:
    prompt = changed(prompts[name], "MIVAApply", mivas=["bound", 0]) | {
        "masked": node("MIVALoad", miva_name=f"{miva}.safetensors", weight=1.0, start_percent=0.0, end_percent=1.0),
        "mask": node("LoadImageMask", image=MASK, channel="red"),
        "bound": node("MIVABindMask", mivas=["masked", 0], mask=["mask", 0], grow=0, feather=0),
        "masks": node("MIVAMasks", latent=[find(prompts[name], "KSampler"), 0]),
        "to picture": node("MaskToImage", mask=["masks", 0]),
        "masks shown": node("PreviewImage", images=["to picture", 0]),
    }
    masks = frames(server_with_models, prompt, "masks shown")
    assert masks.shape == (LENGTHS[name], *SIZE, 3)
    middle, edge = masks[0, 24:40, 40:64], masks[0, :8]
    assert middle.min() > 200 and edge.max() < 50
    assert (frames(server_with_models, prompt)[0] == frames(server_with_models, prompts[name])[0]).all()


@pytest.mark.parametrize("name", [WAN, SD15])
def test_an_interrupted_run_leaves_nothing(server_with_models: Server, prompts: dict[str, Prompt], name: str) -> None:
    prompt = prompts[name]
    model = prompt[find(prompt, "MIVAApply")]["inputs"]["model"]
    plain = changed(prompt, "KSampler", model=model, seed=9)
    before = frames(server_with_models, prompt), frames(server_with_models, plain)
    stopped = server_with_models.run(changed(prompt, "KSampler", steps=400), interrupt_at=3)
    assert stopped.status == "interrupted" and stopped.progress[-1][0] < 200
    # KSampler takes this for 1, and what it has made before is not taken from the cache.
    again = [changed(one, "KSampler", denoise=0.99995) for one in (prompt, plain)]
    after = [frames(server_with_models, one) for one in reversed(again)]
    assert (after[1] == before[0]).all() and (after[0] == before[1]).all()
    assert (before[0] != before[1]).any()


def test_a_longer_clip_goes_on_from_its_last_frame(server_with_models: Server, prompts: dict[str, Prompt]) -> None:
    prompt, length = prompts[LONGER], LENGTHS[LONGER]
    clip = frames(server_with_models, prompt)
    assert len(clip) == 2 * length - 1
    parts = [
        frames(server_with_models, prompt | {"shown": node("PreviewImage", images=[find(prompt, "VAEDecode", k), 0])})
        for k in (0, 1)
    ]
    assert (clip == np.concatenate([parts[0], parts[1][1:]])).all()
    assert (parts[0][-1] == parts[1][0]).all()
    assert changed_values(parts[1], parts[0]) > 0.1


def test_two_checkpoints_make_a_third_on_the_line_through_them(
    server_with_models: Server, prompts: dict[str, Prompt]
) -> None:
    prompt = prompts[TWO]
    farther = frames(server_with_models, prompt)
    assert len(farther) == LENGTHS[TWO]
    older, newer = (
        frames(server_with_models, changed(prompt, "VideoLinearCFGGuidance", model=[loader, 0]))
        for loader in (find(prompt, "ImageOnlyCheckpointLoader", k) for k in (0, 1))
    )
    assert changed_values(older, newer) > 0.1
    for multiplier, alone in ((0.0, older), (-1.0, newer)):
        made = frames(server_with_models, changed(prompt, "ModelMergeSubtract", multiplier=multiplier))
        assert np.abs(made - alone).max() <= 1
    assert changed_values(farther, older) > 0.1 and changed_values(farther, newer) > 0.1


def test_what_a_transferred_motion_had_to_invent_is_painted_anew_and_nothing_else(
    server_with_models: Server, prompts: dict[str, Prompt]
) -> None:
    prompt = prompts[MOVED]
    encoded = find(prompt, "VAEEncode")
    moved = frames(server_with_models, changed(prompt, "VAEDecode", samples=[encoded, 0]))
    nothing = prompt | {"nothing": node("SolidMask", value=0.0, width=SIZE[1], height=SIZE[0])}
    kept = frames(server_with_models, changed(nothing, "SetLatentNoiseMask", mask=["nothing", 0]))
    assert np.abs(kept - moved).max() <= 1
    painted = frames(server_with_models, prompt)
    anew = frames(server_with_models, changed(prompt, "KSampler", latent_image=[encoded, 0]))
    assert len(painted) == LENGTHS[MOVED]
    assert 0 < changed_values(painted, moved) < changed_values(anew, moved)
