"""MIVA Sampler moves the picture itself with the built-in base: clips of its size, or of any other."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from comfyui_miva.nodes import MIVADCTInitNoise, MIVASampler
from fake_comfyui import FakeComfyUI, Interrupted
from node_runs import bound, motion, run, shown
from torch import Tensor
from torch.nn import functional

from miva_core import MIVAAdapter, Motion, RunOptions, Timing, animate
from miva_core.bases.base import Base
from miva_core.bases.tiny.spec import SHIPPED

QUICK: dict[str, Any] = {"steps": 2, "fps": 4.0}


@pytest.fixture
def wide(shapes: Tensor) -> Tensor:
    """IMAGE (1, 96, 160, 3)."""
    return shapes[:, 100:196, 80:240].contiguous()


@pytest.fixture
def disc() -> Tensor:
    """MASK (1, 96, 160)."""
    y, x = torch.meshgrid(torch.arange(96), torch.arange(160), indexing="ij")
    return ((y - 40) ** 2 + (x - 100) ** 2 < 20**2).float()[None]


def of_engine(engine: Base, picture: Tensor, name: str, mask: Tensor | None = None, **options: Any) -> Any:
    adapter = MIVAAdapter.load(SHIPPED / f"{name}.safetensors", engine.backbone)
    chosen = RunOptions(**{"steps": 2, "timing": Timing(fps=4)} | options)
    return animate(engine, picture[0], [Motion(adapter, mask=mask, name=name)], chosen)


def test_a_clip_has_the_size_of_the_picture_and_lasts_two_seconds(model: Any, engine: Base, wide: Tensor) -> None:
    output = run(MIVASampler, model=model, mivas=motion(), image=wide, steps=2)
    frames, masks, fps = output
    assert frames.shape == (48, 96, 160, 3) and frames.dtype == torch.float32
    assert masks.shape == (48, 96, 160) and not masks.any()
    assert fps == 24
    assert torch.equal(frames, of_engine(engine, wide, "pan_left", timing=Timing()).frames)
    note, summary = shown(output).splitlines()
    assert "% of the picture's width and height" in note and summary == "48 frames of 160×96, 24 a second."


def test_what_is_set_comes_to_the_engine(model: Any, engine: Base, wide: Tensor) -> None:
    clip, _, fps = run(
        MIVASampler,
        model=model,
        mivas=motion("zoom_out"),
        image=wide,
        steps=2,
        width=64,
        height=100,
        fit="pad",
        fps=10.0,
        duration=1.2,
        easing="ease-in",
        loop=True,
        edges="mirror",
        render="full",
    )
    assert clip.shape == (12, 100, 64, 3) and fps == 10
    timing = Timing(10, 1.2, "ease-in", True)
    same = of_engine(engine, wide, "zoom_out", size=(100, 64), fit="pad", edges="mirror", timing=timing)
    assert torch.equal(clip, same.frames)


def test_the_first_frame_is_the_picture_where_all_of_it_is_shown(model: Any, wide: Tensor) -> None:
    clip = run(MIVASampler, model=model, mivas=motion(), image=wide, edges="mirror", **QUICK)[0]
    assert torch.equal(clip[0], wide[0])


@pytest.mark.parametrize(("asked", "size"), [({"width": 80}, (48, 80)), ({"height": 32}, (32, 52))])
def test_a_side_that_is_left_free_follows_the_picture(
    model: Any, wide: Tensor, asked: dict[str, int], size: tuple[int, int]
) -> None:
    clip = run(MIVASampler, model=model, mivas=motion(), image=wide, **QUICK, **asked)[0]
    assert clip.shape[1:3] == size  # 53.3 pixels are 53, and even are 52


def test_a_length_in_frames_takes_the_place_of_seconds(model: Any, wide: Tensor) -> None:
    by_frames = run(MIVASampler, model=model, mivas=motion(), image=wide, frames=6, **QUICK)[0]
    assert torch.equal(by_frames, run(MIVASampler, model=model, mivas=motion(), image=wide, duration=1.5, **QUICK)[0])


def test_masks_are_of_the_size_of_the_clip(model: Any, engine: Base, wide: Tensor, disc: Tensor) -> None:
    frames, masks, _ = run(MIVASampler, model=model, mivas=bound("jump_masked", disc), image=wide, **QUICK)
    same = of_engine(engine, wide, "jump_masked", disc[0])
    assert frames.shape == (8, 96, 160, 3) and masks.shape == (8, 96, 160)
    assert torch.equal(frames, same.frames) and torch.equal(masks, same.masks["jump_masked"])
    # The subject is moved, and where neither it nor its mask is, the picture stays.
    middle = [float((mask * torch.arange(96)[:, None]).sum() / mask.sum()) for mask in masks]
    assert max(middle) - min(middle) > 4
    far = functional.max_pool2d(masks.amax(0)[None], 31, stride=1, padding=15)[0] == 0
    assert far.float().mean() > 0.1 and (frames[:, far] == frames[0, far]).all()


def test_previews_of_a_small_clip_have_its_size(model: Any, wide: Tensor, comfyui: FakeComfyUI) -> None:
    run(MIVASampler, model=model, mivas=motion(), image=wide, **QUICK)
    assert [(kind, picture.size, largest) for kind, picture, largest in comfyui.previews] == [
        ("JPEG", (160, 96), 512)
    ] * 2


def test_a_stop_between_two_frames_is_met(model: Any, wide: Tensor, comfyui: FakeComfyUI) -> None:
    comfyui.stop_at = (2 + 3, 2 + 8)
    comfyui.modules["comfy.cli_args"].args.preview_method = "none"
    with pytest.raises(Interrupted):
        run(MIVASampler, model=model, mivas=motion(), image=wide, **QUICK)
    assert comfyui.progress[-1] == (5, 10)


def test_dctinit_noise_is_of_the_picture_as_the_base_sees_it(model: Any, engine: Base, wide: Tensor) -> None:
    """All of the first frame, squashed; here on a base whose noise has the picture in it."""
    straight = replace(model, base=replace(model.base, centred=False))
    noise = run(MIVADCTInitNoise, model=straight, image=wide, strength=1.0, cutoff=1.0)[0]
    made: list[Tensor] = []
    generate = noise.generate_noise
    noise.generate_noise = lambda latent: made.append(generate(latent)) or made[0]
    run(MIVASampler, model=straight, mivas=motion(), image=wide, noise=noise, **QUICK)
    planes = wide[0].movedim(-1, 0)[None]
    squashed = functional.interpolate(planes, (64, 64), mode="bicubic", antialias=True).clamp(0, 1)
    latent = engine.encode(squashed[0].movedim(0, -1))
    assert made[0].shape == (1, latent.shape[1], 16, 8, 8)
    assert (made[0][:, :, 1:] - latent).abs().max() < 1e-4


def test_prompts_from_before_there_were_such_clips_still_run(model: Any, wide: Tensor) -> None:
    """They name neither a rate nor edges."""
    old = {"steps": 2, "seed": 0, "width": 0, "height": 0, "frames": 8, "fit": "crop", "adain": "as the base needs"}
    with torch.inference_mode():
        output = MIVASampler.execute(model=model, image=wide, mivas=motion(), **old)
    assert torch.equal(output[0], run(MIVASampler, model=model, mivas=motion(), image=wide, steps=2, frames=8)[0])


@pytest.mark.parametrize("render", ["full", "latents"])
def test_clips_that_the_memory_cannot_hold_are_refused_before_they_are_made(
    model: Any, wide: Tensor, monkeypatch: pytest.MonkeyPatch, render: str
) -> None:
    monkeypatch.setattr("comfyui_miva.nodes.comfy_bridge.free_intermediate_memory", lambda: 1000)
    watch = model.base.model.register_forward_pre_hook(lambda *_: pytest.fail("the base was run"))
    try:
        with pytest.raises(ValueError, match="of memory are free"):
            run(MIVASampler, model=model, mivas=motion(), image=wide, render=render)
    finally:
        watch.remove()
