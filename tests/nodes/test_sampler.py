"""MIVA Sampler gives the clips of the engine, to the bit, and keeps to ComfyUI's ways."""

import dataclasses
import threading
from typing import Any

import numpy as np
import pytest
import torch
from comfyui_miva.miva_core.adapters.adapter import MIVAAdapter as AdapterOfThePack
from comfyui_miva.nodes import MIVADCTInitNoise, MIVASampler, MIVAStack
from comfyui_miva.nodes.kept_adapters import KeptAdapters
from fake_comfyui import FakeComfyUI, Interrupted
from node_runs import bound, motion, run, shown
from torch import Tensor

from miva_core import MIVAAdapter, Motion, RunOptions, animate
from miva_core.bases.base import Base
from miva_core.bases.tiny.spec import SHIPPED
from miva_core.media.pictures import fit_picture

SHORT: dict[str, Any] = {"steps": 2, "frames": 5, "seed": 7}
"""Of a run that takes no time."""


def adapter(engine: Base, name: str) -> MIVAAdapter:
    return MIVAAdapter.load(SHIPPED / f"{name}.safetensors", engine.backbone)


def square(top: int, left: int, side: int = 24) -> Tensor:
    """MASK (1, 64, 64) of a square."""
    mask = torch.zeros(1, 64, 64)
    mask[:, top : top + side, left : left + side] = 1
    return mask


@pytest.fixture
def small(shapes: Tensor) -> Tensor:
    """IMAGE of the size of the clip, which is left as it is."""
    return fit_picture(shapes[0], (64, 64))[0][None]


def test_a_painted_clip_begins_with_the_picture(model: Any, engine: Base, shapes: Tensor) -> None:
    output = run(MIVASampler, model=model, mivas=motion(), image=shapes, steps=2, render="latents")
    frames, masks, fps = output
    assert frames.shape == (16, 64, 64, 3)
    decoded = engine.decode(engine.encode(fit_picture(shapes[0], (64, 64))[0]))[0]
    assert (frames[0] - decoded).abs().max() < 1e-5  # a batch of frames is rounded in another way than one
    assert (frames[1:] - frames[0]).abs().flatten(1).amax(1).min() > 0.1
    assert masks.shape == (16, 64, 64) and not masks.any()
    assert fps == engine.fps
    assert shown(output) == "The picture was scaled 384×384 to 64×64.\n16 frames of 64×64, 8 a second."


@pytest.mark.parametrize("side", [64, 80])
def test_what_bicubic_scaling_overshoots_is_clamped(model: Any, shapes: Tensor, side: int) -> None:
    """As ComfyUI's own Upscale Image gives it, at the size of the clip or at another."""
    small = (shapes[:, ::8, ::8] > 0.5).float().movedim(-1, 1)
    scaled = torch.nn.functional.interpolate(small, (side, side), mode="bicubic").movedim(1, -1)
    assert scaled.min() < 0 and scaled.max() > 1
    inputs = {"model": model, "mivas": motion(), **SHORT}
    clips = [run(MIVASampler, image=image, **inputs)[0] for image in (scaled, scaled.clamp(0, 1))]
    assert torch.equal(*clips)


def test_motions_and_their_weights_and_spans_are_those_of_the_engine(model: Any, engine: Base, small: Tensor) -> None:
    pan = motion("pan_left", weight=0.4, start_percent=0.5)
    both = motion("jump", weight=0.6, prev=pan)
    clip = run(MIVASampler, model=model, mivas=both, image=small, **SHORT)[0]
    pan, jump = Motion(adapter(engine, "pan_left"), 0.4), Motion(adapter(engine, "jump"), 0.6)
    late = dataclasses.replace(pan, span=(0.5, 1.0))
    assert torch.equal(clip, animate(engine, small[0], [late, jump], RunOptions(**SHORT)).frames)
    assert not torch.equal(clip, animate(engine, small[0], [pan, jump], RunOptions(**SHORT)).frames)


def test_the_seed_alone_makes_another_clip(model: Any, small: Tensor) -> None:
    clips = [
        run(MIVASampler, model=model, mivas=motion(), image=small, **SHORT | {"seed": seed})[0] for seed in (1, 1, 2)
    ]
    assert torch.equal(clips[0], clips[1])
    assert not torch.equal(clips[0], clips[2])


def test_a_motion_of_no_weight_does_nothing(model: Any, small: Tensor) -> None:
    without = run(MIVASampler, model=model, image=small, **SHORT)[0]
    clip = run(MIVASampler, model=model, mivas=motion(weight=0.0), image=small, **SHORT)[0]
    assert (clip - without).abs().max() < 1e-3
    full = run(MIVASampler, model=model, mivas=motion(), image=small, **SHORT)[0]
    assert (full - without).abs().max() > 0.1


def test_size_length_fit_and_adain_of_a_painted_clip_are_those_of_the_engine(
    model: Any, engine: Base, shapes: Tensor
) -> None:
    wide = shapes[:, 64:256]
    chosen = {"width": 80, "height": 48, "frames": 3, "steps": 1, "fit": "pad", "adain": "on", "render": "latents"}
    clip = run(MIVASampler, model=model, mivas=motion(), image=wide, **chosen)[0]
    assert clip.shape == (3, 48, 80, 3)
    fitted = fit_picture(wide[0], (48, 80), "pad")[0]
    pan = Motion(adapter(engine, "pan_left"))
    options = RunOptions(size=(48, 80), frames=3, steps=1, adain=True, render="latents")
    assert torch.equal(clip, animate(engine, fitted, [pan], options).frames)
    off = run(MIVASampler, model=model, mivas=motion(), image=wide, **chosen | {"adain": "off"})[0]
    assert not torch.equal(clip, off)


def test_a_masked_motion_moves_its_subject_by_the_engine(model: Any, engine: Base, small: Tensor) -> None:
    mask = square(20, 20)
    output = run(MIVASampler, model=model, mivas=bound("jump_masked", mask), image=small, **SHORT)
    jump = Motion(adapter(engine, "jump_masked"), mask=mask[0], name="jump_masked")
    same = animate(engine, small[0], [jump], RunOptions(**SHORT))
    assert torch.equal(output[0], same.frames)
    assert torch.equal(output[1], same.masks["jump_masked"])
    assert torch.equal(output[1][0], mask[0])
    assert output[1][1:].flatten(1).any(1).all()


def test_masks_of_several_subjects_come_out_as_one(model: Any, engine: Base, small: Tensor) -> None:
    left, right = square(20, 4), square(20, 36)
    both = run(MIVAStack, mivas={"miva0": bound("jump_masked", left), "miva1": bound("sway_masked", right)})[0]
    masks = run(MIVASampler, model=model, mivas=both, image=small, **SHORT)[1]
    assert torch.equal(masks[0], (left + right)[0])
    chosen = [
        Motion(adapter(engine, "jump_masked"), mask=left[0]),
        Motion(adapter(engine, "sway_masked"), mask=right[0]),
    ]
    same = animate(engine, small[0], chosen, RunOptions(**SHORT))
    assert torch.equal(masks, torch.maximum(*same.masks.values()))


def test_of_subjects_that_overlap_the_last_is_on_top(model: Any, engine: Base, small: Tensor) -> None:
    back, front = bound("jump_masked", square(16, 8)), bound("sway_masked", square(24, 20))
    clips = {}
    for order, stack in (("as meant", (back, front)), ("reversed", (front, back))):
        mivas = run(MIVAStack, mivas=dict(zip(("miva0", "miva1"), stack, strict=True)))[0]
        clips[order] = run(MIVASampler, model=model, mivas=mivas, image=small, **SHORT)[0]
    assert not torch.equal(clips["as meant"], clips["reversed"])
    jump = Motion(adapter(engine, "jump_masked"), mask=square(16, 8)[0])
    sway = Motion(adapter(engine, "sway_masked"), mask=square(24, 20)[0])
    assert torch.equal(clips["as meant"], animate(engine, small[0], [jump, sway], RunOptions(**SHORT)).frames)


def test_a_mask_is_fitted_as_its_picture_is(model: Any, shapes: Tensor) -> None:
    """A picture of another aspect is cropped, and the mask must lose the same."""
    wide, mask = shapes[:, :192], torch.zeros(1, 192, 384)
    mask[:, 48:144, 96:192] = 1  # the left half of what is left of the picture
    mivas = bound("jump_masked", mask)
    small = {"width": 64, "height": 64, "edges": "mirror", "steps": 1, "frames": 2}
    masks = run(MIVASampler, model=model, mivas=mivas, image=wide, **small)[1]
    assert masks[0, 16:48, :32].mean() > 0.99
    assert masks[0, :, 34:].max() < 0.01


@pytest.mark.filterwarnings("ignore:These steps end in weak noise")
def test_levels_of_noise_that_are_given_count(model: Any, engine: Base, small: Tensor, comfyui: FakeComfyUI) -> None:
    sigmas = torch.tensor([14.6, 5.0, 1.0, 0.0])
    clip = run(MIVASampler, model=model, mivas=motion(), image=small, sigmas=sigmas, **SHORT)[0]
    assert comfyui.progress[-1] == (3 + 5, 3 + 5)
    pan = Motion(adapter(engine, "pan_left"))
    assert torch.equal(clip, animate(engine, small[0], [pan], RunOptions(sigmas=sigmas, seed=7, frames=5)).frames)


def test_noise_that_is_connected_is_used(model: Any, engine: Base, small: Tensor) -> None:
    class Still:
        """A NOISE like that of Disable Noise."""

        seed = 0

        def generate_noise(self, input_latent: dict[str, Tensor]) -> Tensor:
            return torch.zeros_like(input_latent["samples"])

    clip = run(MIVASampler, model=model, mivas=motion(), image=small, noise=Still(), **SHORT)[0]
    latent = engine.encode(small[0])
    start = torch.zeros(1, latent.shape[1], engine.frames, *latent.shape[-2:])
    pan = Motion(adapter(engine, "pan_left"))
    assert torch.equal(clip, animate(engine, small[0], [pan], RunOptions(start=start, **SHORT)).frames)


def test_dctinit_noise_at_its_defaults_is_what_the_sampler_draws(model: Any, small: Tensor) -> None:
    drawn = run(MIVASampler, model=model, mivas=motion(), image=small, **SHORT)[0]
    noise = run(MIVADCTInitNoise, model=model, image=small, noise_seed=7)[0]
    connected = run(MIVASampler, model=model, mivas=motion(), image=small, noise=noise, **SHORT | {"seed": 99})[0]
    assert torch.equal(connected, drawn)
    other = run(MIVADCTInitNoise, model=model, image=small, noise_seed=7, shared_noise=0.5)[0]
    changed = run(MIVASampler, model=model, mivas=motion(), image=small, noise=other, **SHORT)[0]
    assert not torch.equal(changed, drawn)


def test_what_is_told_replaces_what_the_last_run_told(model: Any, small: Tensor, comfyui: FakeComfyUI) -> None:
    """The browser passes over a text that is empty."""
    for weight in (0.0, 1.0):
        run(MIVASampler, model=model, mivas=motion(weight=weight), image=small, steps=1, frames=3, edges="mirror")
    summary = "3 frames of 64×64, 24 a second."
    odd, usual = ([line.strip() for line in text.splitlines()] for _, text in comfyui.written)
    assert odd[0].startswith("No motion acts") and odd[1:] == ["pan_left has the weight 0 and does nothing.", summary]
    assert usual == [summary]


@pytest.mark.parametrize(
    ("render", "harm"), [("full", "weakens some motions"), ("latents", "breaks later frames into blocks")]
)
def test_steps_in_weak_noise_are_told_on_the_node(model: Any, small: Tensor, render: str, harm: str) -> None:
    note = f"These steps end in weak noise, where this base {harm}"
    for levels, odd in (([14.6, 5.0, 0.7, 0.0], True), ([14.6, 9.0, 0.0], False)):
        sigmas = torch.tensor(levels)
        output = run(MIVASampler, model=model, mivas=motion(), image=small, sigmas=sigmas, render=render, **SHORT)
        assert (note in shown(output)) == odd


def test_two_threads_get_the_clips_that_each_would_get_alone(model: Any, small: Tensor) -> None:
    names = ("pan_left", "jump")

    def clip(name: str) -> Tensor:
        return run(MIVASampler, model=model, mivas=motion(name), image=small, **SHORT)[0]

    alone = {name: clip(name) for name in names}
    together: dict[str, Tensor] = {}
    threads = [threading.Thread(target=lambda name=name: together.update({name: clip(name)})) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert together.keys() == alone.keys()
    assert all(torch.equal(together[name], alone[name]) for name in names)


def test_progress_and_a_frame_of_each_step_are_shown(model: Any, small: Tensor, comfyui: FakeComfyUI) -> None:
    run(MIVASampler, model=model, mivas=motion(), image=small, steps=4, frames=5)
    assert comfyui.progress == [(done, 4 + 5) for done in range(1, 10)]
    assert [(kind, picture.size) for kind, picture, _ in comfyui.previews] == [("JPEG", (64, 64))] * 4


def test_the_previews_run_through_the_clip(model: Any, small: Tensor, comfyui: FakeComfyUI) -> None:
    """They end at the last frame of the clip as it comes out, which is one of all frames."""
    clip = run(MIVASampler, model=model, mivas=motion(), image=small, steps=2, fps=3.0)[0]
    last = torch.from_numpy(np.array(comfyui.previews[-1][1])) / 255
    errors = (clip - last).abs().flatten(1).mean(1)
    assert errors.argmin() == len(clip) - 1 and errors[-1] < 0.01


@pytest.mark.parametrize("previews", ["auto", "none"])
def test_a_stop_takes_a_step_and_leaves_the_model_as_it_was(
    model: Any, small: Tensor, comfyui: FakeComfyUI, previews: str
) -> None:
    comfyui.modules["comfy.cli_args"].args.preview_method = previews
    before = run(MIVASampler, model=model, mivas=motion(), image=small, **SHORT)[0]
    comfyui.progress.clear()
    comfyui.stop_at = (2, 6 + 5)
    with pytest.raises(Interrupted):
        run(MIVASampler, model=model, mivas=motion(), image=small, steps=6, frames=5)
    assert comfyui.progress == [(1, 11), (2, 11)]
    assert torch.equal(run(MIVASampler, model=model, mivas=motion(), image=small, **SHORT)[0], before)


def test_another_weight_or_seed_reads_no_file(model: Any, small: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    run(MIVASampler, model=model, mivas=motion("rise"), image=small, **SHORT)

    def read(*_: Any) -> None:
        raise AssertionError("a file was read again")

    monkeypatch.setattr(AdapterOfThePack, "load", read)
    run(MIVASampler, model=model, mivas=motion("rise", weight=0.5), image=small, **SHORT | {"seed": 8})
    fresh = dataclasses.replace(model, _kept=KeptAdapters())
    with pytest.raises(AssertionError):
        run(MIVASampler, model=fresh, mivas=motion("rise"), image=small, **SHORT)


def test_of_many_motions_the_oldest_are_given_up(
    model: Any, comfyui: FakeComfyUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh, read, load = dataclasses.replace(model, _kept=KeptAdapters()), [], AdapterOfThePack.load
    monkeypatch.setattr(AdapterOfThePack, "load", lambda path, backbone: read.append(path.stem) or load(path, backbone))
    names = [f"motion {k}" for k in range(20)]
    for name in names:
        comfyui.add("miva", f"{name}.safetensors", SHIPPED / "jump.safetensors")
        fresh.adapters(motion(name))
    fresh.adapters(motion(names[-1]))
    assert read == names
    fresh.adapters(motion(names[0]))
    assert read == [*names, names[0]]


def test_noise_is_made_before_the_base_is_brought(model: Any, small: Tensor, comfyui: FakeComfyUI) -> None:
    """A model that it is made with could drive the base out of memory again."""
    noise = run(MIVADCTInitNoise, model=model, image=small)[0]
    make = noise.generate_noise

    def make_and_bring(latent: dict[str, Tensor]) -> Tensor:
        comfyui.loads.append(([], 0, {"of": True}))
        return make(latent)

    noise.generate_noise = make_and_bring
    run(MIVASampler, model=model, mivas=motion(), image=small, noise=noise, **SHORT)
    assert {"of": True} in [options for *_, options in comfyui.loads[:-1]]
    assert len(comfyui.loads[-1][0]) == 3


def test_networks_are_brought_whole_with_room_to_work(model: Any, small: Tensor, comfyui: FakeComfyUI) -> None:
    run(MIVASampler, model=model, mivas=motion("rise"), image=small, **SHORT)
    patchers, needed, options = comfyui.loads[-1]
    networks = [patcher.model.network for patcher in patchers]
    assert networks[:2] == list(model.base.networks)
    assert [type(network).__name__ for network in networks[2:]] == ["MIVAAdapter"]
    assert options == {"force_full_load": True}
    # At full size the base works at its own size and length, whatever those of the clip.
    run(MIVASampler, model=model, mivas=motion("rise"), image=small, **SHORT | {"frames": 10, "width": 128})
    assert comfyui.loads[-1][1] == needed
    # Decoding is the larger need of so few pixels, frame by frame: it grows with the picture, not with the clip.
    painted: list[int] = []
    for changed in ({}, {"frames": 10}, {"width": 128}):
        run(MIVASampler, model=model, mivas=motion("rise"), image=small, **SHORT | {"render": "latents"} | changed)
        painted.append(comfyui.loads[-1][1])
    assert painted == pytest.approx([painted[0], painted[0], 2 * painted[0]]) and 0 < painted[0] < needed
