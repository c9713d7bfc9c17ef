"""Nothing is left on the CPU where it is needed on a card: animating, training and SAM 2 on a make-believe one."""

import json
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from diffusers import AutoencoderKL, AutoencoderKLWan, UNetMotionModel, WanTransformer3DModel
from make_believe_card import CARD, OnCard, make_believe_card
from safetensors.torch import save_file
from single_files import UNET, VAE, motion_module, stable_diffusion
from subject_models import SEGMENTER, scene
from torch import Tensor

from miva_core import MIVAAdapter, Motion, RunOptions, animate, describe, load_base
from miva_core.bases.animatediff import loading
from miva_core.bases.animatediff.loading import CONFIGS, load_animatediff
from miva_core.bases.base import Base
from miva_core.bases.recipe import Recipe
from miva_core.bases.tiny.spec import SHIPPED
from miva_core.bases.wan.loading import WanVAE
from miva_core.subject_mask.model_files import load_segmenter
from miva_core.training.latent_clips import LatentClip, Pixels, encode
from miva_core.training.loop import train
from miva_core.training.options import TrainOptions
from miva_core.training.recipes import recipe
from tools.shapes import boxes_of

SIZE = (32, 32)


@pytest.fixture
def wan(make_base: Callable[..., Base], make_wan: Callable[..., WanTransformer3DModel]) -> Base:
    """A small Wan with its own kind of autoencoder."""
    model = make_wan(in_channels=16, out_channels=16)
    vae = AutoencoderKLWan(base_dim=8, z_dim=16, num_res_blocks=1).eval().requires_grad_(False)
    changed = {"model": model, "backbone": describe(model), "codec": WanVAE(vae), "scale": 8}
    return replace(make_base("wan"), **changed, size=SIZE, multiple=16, adain=True)


@pytest.fixture(scope="module")
def animatediff(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """A small base from files as people have them."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("animatediff")
    for name, widths in (("unet", UNET["block_out_channels"]), ("vae", VAE["block_out_channels"]), ("scheduler", None)):
        config = json.loads((CONFIGS / f"{name}.json").read_text())
        (folder / f"{name}.json").write_text(json.dumps(config | ({"block_out_channels": widths} if widths else {})))
    unet = UNetMotionModel(**UNET, use_motion_mid_block=False)
    save_file(stable_diffusion(unet, AutoencoderKL(**VAE)), folder / "sd15.safetensors")
    save_file(motion_module(unet), folder / "motion.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "CONFIGS", folder)
        return load_animatediff(folder / "sd15.safetensors", folder / "motion.safetensors")


@pytest.fixture
def no_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training goes its way by gradients of zero, since the make-believe card takes none."""
    learning: list[Tensor] = []
    make = torch.optim.AdamW.__init__

    def remember(optimiser: torch.optim.AdamW, groups: list[dict[str, Any]], **options: Any) -> None:
        learning[:] = [parameter for group in groups for parameter in group["params"]]
        make(optimiser, groups, **options)

    def backward(_: Accelerator, loss: Tensor) -> None:
        assert loss.requires_grad
        for parameter in learning:
            parameter.grad = torch.zeros_like(parameter)

    monkeypatch.setattr(torch.optim.AdamW, "__init__", remember)
    monkeypatch.setattr(Accelerator, "backward", backward)


def square() -> Tensor:
    mask = torch.zeros(SIZE)
    mask[8:20, 8:20] = 1
    return mask


def agree(base: Base, motions: list[Motion], frames: int, **options: Any) -> None:
    """A clip made on the card is the one made on the CPU."""
    picture = torch.rand(*SIZE, 3, generator=torch.Generator().manual_seed(0))
    usual = {"render": "latents"} | ({} if "sigmas" in options else {"steps": 2})
    chosen = RunOptions(size=SIZE, frames=frames, **(usual | options))
    clips = []
    for where in (nullcontext(), make_believe_card()):
        with where as card:
            if card:  # as it comes to a card in ComfyUI: the networks move, and nothing else
                for network in (*base.networks, *(motion.adapter for motion in motions)):
                    network.to(card)
                assert base.device == CARD
            seen = []
            clip = animate(
                base,
                picture,
                motions,
                chosen,
                callback=lambda progress: seen.append(progress.preview(1)),  # noqa: B023
            )
            # At full size the plain motion and the masked one are denoised apart.
            assert len(seen) == (4 if options.get("render") == "full" else 2)
            assert {shown.device.type for shown in (clip.frames, *clip.masks.values())} == {"cpu"}
            clips.append(clip)
    torch.testing.assert_close(clips[1].frames, clips[0].frames, atol=1e-3, rtol=0)
    assert clips[1].masks.keys() == clips[0].masks.keys()


def test_the_card_refuses_what_lies_on_the_cpu() -> None:
    here = torch.ones(3)
    with make_believe_card() as card:
        there = here.to(card)
        assert isinstance(there, OnCard) and there.device == card and torch.zeros(2, device="cuda").is_cuda
        assert torch.tensor([1, 2], device=card).is_cuda and not there.cpu().is_cuda
        assert (there + torch.tensor(2.0)).sum().item() == 9  # single numbers may be mixed in
        assert there[torch.tensor([0, 2])].shape == (2,)  # and places
        with pytest.raises(RuntimeError, match="on the same device"):
            there + here
        with pytest.raises(RuntimeError, match="on the same device"):
            here[torch.tensor([0, 2], device=card)]
    assert not torch.zeros(2).is_cuda


@pytest.mark.parametrize("case", ["plain", "masked", "decoded masks", "two", "sigmas", "start", "caption", "full size"])
def test_animating_on_a_card(case: str) -> None:
    base = load_base("tiny")
    pan, jump = (
        MIVAAdapter.load(SHIPPED / f"{name}.safetensors", base.backbone) for name in ("pan_left", "jump_masked")
    )
    plain, masked = [Motion(pan)], [Motion(jump, mask=square())]
    start = torch.randn(base.latent_shape(3, SIZE))
    if case == "caption":
        base = replace(base, text=torch.randn(1, 3, base.text.shape[-1]))
    motions, options = {
        "plain": (plain, {}),
        "masked": (masked, {"readout": "linear"}),
        "decoded masks": (masked, {"readout": "decoder"}),
        "two": (plain + masked, {}),
        "sigmas": (plain, {"sigmas": torch.tensor([14.6, 1.0, 0.0])}),
        "start": (plain, {"start": start}),
        "caption": ([], {}),
        "full size": (plain + masked, {"render": "full"}),
    }[case]
    agree(base, motions, frames=3, **options)


@pytest.mark.parametrize("masked", [False, True])
def test_animating_by_wan_on_a_card(
    wan: Base, masked: bool, make_adapter: Callable[..., MIVAAdapter], small: Any
) -> None:
    adapter = make_adapter(wan.model, replace(small, mask=masked)).requires_grad_(False)
    agree(wan, [Motion(adapter, mask=square() if masked else None)], frames=5)


@pytest.mark.parametrize("name", ["animatediff", "wan"])
@pytest.mark.parametrize("masked", [False, True])
def test_training_on_a_card(
    name: str,
    masked: bool,
    make_base: Callable[..., Base],
    make_clips: Callable[..., list[list[LatentClip]]],
    make_recipe: Callable[..., Recipe],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    base, recipe = make_base(name), make_recipe(steps=3, rolled_out=0.5)
    if base.text is None:
        base = replace(base, text=torch.randn(1, 2, 16))
    recipe = replace(recipe, config=replace(recipe.config, mask=masked))
    clips = make_clips(base, subjects=int(masked))
    full = train(base, clips, recipe, folder=tmp_path)
    request.getfixturevalue("no_gradients")
    with make_believe_card() as card:
        base.model.to(card)
        outcome = train(base, clips, recipe, folder=tmp_path)
        assert {parameter.device for parameter in outcome.adapter.parameters()} == {card}
        resumed = train(base, clips, replace(recipe, steps=4), folder=tmp_path, options=TrainOptions(resume=True))
    assert outcome.losses[0] == pytest.approx(full.losses[0], rel=1e-4)
    assert len(resumed.losses) == 4 and all(math.isfinite(loss) for loss in resumed.losses)


@pytest.mark.parametrize("masked", [False, True])
def test_training_the_built_in_base_on_a_card(masked: bool, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """It is told the flow of its clips, too."""
    base, chosen = load_base("tiny"), replace(recipe("tiny", masked=masked), steps=2, batch=1)
    masks, flow = torch.zeros(1, 16, 64, 64), torch.ones(1, 16, 3, 64, 64)
    masks[..., 16:40, 16:40] = 1
    clips = [encode(base, Pixels(torch.rand(16, 3, 64, 64), masks, flow), masked=masked)]
    full = train(base, clips, chosen, folder=tmp_path)
    request.getfixturevalue("no_gradients")
    with make_believe_card() as card:
        for network in base.networks:
            network.to(card)
        outcome = train(base, clips, chosen, folder=tmp_path)
        assert {parameter.device for parameter in outcome.adapter.parameters()} == {card}
    assert outcome.losses[0] == pytest.approx(full.losses[0], rel=1e-4)


def test_sam_2_on_a_card() -> None:
    shown = scene(11, frames=3)
    masks = shown.masks[:, 0] > 0.5
    boxes = boxes_of(shown.masks[:, 0])
    points = [[((x0 + x1) / 2, (y0 + y1) / 2, 1)] for x0, y0, x1, y1 in boxes.tolist()]
    found = []
    for where in (nullcontext(), make_believe_card()):
        with where as card:
            segmenter = load_segmenter(SEGMENTER)
            if card:
                segmenter.model.to(card)
            hints = {"points": points}, {"boxes": boxes}, {"boxes": boxes, "rough": masks}
            logits = [segmenter(shown.frames[0], **prompts) for prompts in hints]
            logits += segmenter.track(shown.frames, masks)
            assert not any(each.is_cuda for each in logits)
            found.append(torch.stack(logits))
    torch.testing.assert_close(found[1], found[0], atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("name", ["tiny", "animatediff", "wan"])
def test_the_shape_of_latents_is_known_beforehand(name: str, request: pytest.FixtureRequest) -> None:
    base = load_base("tiny") if name == "tiny" else request.getfixturevalue(name)
    for count, size in ((5, (32, 64)), (9, (64, 32))):
        batch, channels, frames, height, width = base.latent_shape(count, size)
        first = base.encode(torch.rand(*size, 3))
        assert first.shape == (batch, channels, 1, height, width)
        clip, _ = base.encode_clip(torch.rand(count, 3, *size))
        assert clip.shape == (channels, frames, height, width)
        assert base.noise.start_latents(first, frames, torch.Generator()).shape == (1, *clip.shape)
