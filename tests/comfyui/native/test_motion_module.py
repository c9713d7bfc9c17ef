"""AnimateDiff's motion modules in ComfyUI's own U-Net: the same function as in the engine's base of the same files."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.model_sampling
import comfy.supported_models
import pytest
import torch
from comfyui_miva.miva_core import MIVAError
from comfyui_miva.miva_core.errors import MIVAWarning
from comfyui_miva.nodes.comfy_bridge.native.motion_module import (
    ScaledLinearSampling,
    apply_motion_module,
    load_motion_module,
)
from comfyui_miva.nodes.comfy_bridge.native.motion_network import load_motion_network
from diffusers import DDIMScheduler
from safetensors.torch import load_file, save_file
from torch import Tensor

from .runs import error, overridden, sample, seeing, text
from .sd15_models import VERSIONS, SmallSD15, as_rows
from .wan_models import SmallWan

WORDS, WIDTH = 77, 768


@pytest.fixture(autouse=True)
def _unloaded() -> Iterator[None]:
    yield
    comfy.model_management.unload_all_models()


def expected(base: Any, x: Tensor, timestep: Tensor, words: Tensor) -> Tensor:
    """What the engine's base answers to a call of the network, of one clip."""
    return as_rows(base.model(x.transpose(0, 1)[None], timestep[:1], words).sample)


@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_the_engines_base(sd15: SmallSD15, version: str) -> None:
    model = apply_motion_module(sd15.model, load_motion_module(sd15.motion(version)))
    with seeing(model) as seen:
        sample(model, torch.zeros(6, 4, 8, 12), text(1, WORDS, WIDTH), text(2, WORDS, WIDTH), cfg=3.0, steps=2)
    base = sd15.base(version)
    assert [len(x) for x in seen.x] == [12, 12]
    for x, timestep, words, output in zip(seen.x, seen.timestep, seen.context, seen.output, strict=True):
        for clip in (slice(0, 6), slice(6, 12)):
            assert error(output[clip], expected(base, x[clip], timestep[clip], words[clip])) < 1e-5


def test_v1_pools_the_frames_of_each_clip_and_v3_does_not(sd15: SmallSD15) -> None:
    """A change of the last frame at a level of its own reaches the first one through the norms, even with no motion."""
    answers = {}
    for version in ("v1", "v3"):
        motion = load_motion_module(sd15.motion(version))
        for level in (*motion.model.down_blocks, *motion.model.up_blocks):
            for module in level.motion_modules:
                module.temporal_transformer.proj_out.weight.zero_()
                module.temporal_transformer.proj_out.bias.zero_()
        model = apply_motion_module(sd15.model, motion)
        with seeing(model) as seen:
            for last in (1.0, 2.0):
                noise = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
                noise[2] *= last
                sample(model, torch.zeros_like(noise), text(1, WORDS, WIDTH), noise=noise, steps=1)
        answers[version] = error(seen.output[0][0], seen.output[1][0])
    assert answers["v1"] > 1e-2 and answers["v3"] < 1e-5


def test_positions_of_the_file_are_used(sd15: SmallSD15, tmp_path: Path) -> None:
    tensors = load_file(sd15.motion("v3"))
    stretched = {name: value.flip(1).contiguous() if name.endswith(".pe") else value for name, value in tensors.items()}
    save_file(stretched, tmp_path / "flipped.safetensors")
    with pytest.warns(MIVAWarning, match="positional encodings of its own"):
        motion = load_motion_module(tmp_path / "flipped.safetensors")
    attention = motion.model.up_blocks[2].motion_modules[1].temporal_transformer.transformer_blocks[0]
    name = "up_blocks.2.motion_modules.1.temporal_transformer.transformer_blocks.0.attention_blocks.1.pos_encoder.pe"
    assert torch.equal(attention.attention_blocks[1].pos_encoder.pe, stretched[name])


def test_a_file_by_the_names_of_diffusers_is_the_same(sd15: SmallSD15, tmp_path: Path) -> None:
    state = {k: v for k, v in sd15.base("v2").model.state_dict().items() if "motion_modules" in k}
    save_file(state, tmp_path / "diffusers.safetensors")
    one, other = (load_motion_module(path).model for path in (tmp_path / "diffusers.safetensors", sd15.motion("v2")))
    assert one.state_dict().keys() == other.state_dict().keys()
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_betas_are_those_of_the_engine(sd15: SmallSD15) -> None:
    evolved = sd15.model.clone()
    linear = comfy.model_sampling.ModelSamplingDiscrete()
    linear.set_sigmas(((1 - (a := (1 - torch.linspace(0.00085, 0.012, 1000)).cumprod(0))) / a) ** 0.5)
    evolved.add_object_patch("model_sampling", linear)
    model = apply_motion_module(evolved, load_motion_module(sd15.motion("v3")))
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    sigmas = ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod) ** 0.5
    assert error(model.get_model_object("model_sampling").sigmas, sigmas) < 1e-5
    assert evolved.get_model_object("model_sampling") is linear
    assert linear.sigma_max > 25 and math.isclose(sigmas[-1].item(), 14.61, rel_tol=1e-3)


def test_a_schedule_with_these_betas_stays(sd15: SmallSD15) -> None:
    """Such as that of a distilled model, which has a few of their levels and answers another thing."""

    class Distilled(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.X0):
        pass

    distilled, of_another = Distilled(), sd15.model.clone()
    distilled.set_sigmas(ScaledLinearSampling().sigmas[19::20])
    of_another.add_object_patch("model_sampling", distilled)
    model = apply_motion_module(of_another, load_motion_module(sd15.motion("v3")))
    assert model.get_model_object("model_sampling") is distilled


def test_the_model_stays_as_it_was(sd15: SmallSD15) -> None:
    net, latent, words = sd15.model.model.diffusion_model, torch.zeros(3, 4, 8, 8), text(1, WORDS, WIDTH)
    modules, before = len(list(net.modules())), sample(sd15.model, latent, words)
    motion = load_motion_module(sd15.motion("v1"))
    model = apply_motion_module(sd15.model, motion)
    first = sample(model, latent, words)
    assert error(first, before) > 1e-2
    assert overridden(net) == []
    assert torch.equal(sample(sd15.model, latent, words), before)
    assert len(list(net.modules())) == modules
    assert torch.equal(sample(model, latent, words), first)


def test_two_motion_modules_in_turn_do_not_meet(sd15: SmallSD15) -> None:
    latent, words = torch.zeros(3, 4, 8, 8), text(1, WORDS, WIDTH)
    one, other = (apply_motion_module(sd15.model, load_motion_module(sd15.motion(version))) for version in ("v2", "v3"))
    first, second = sample(one, latent, words), sample(other, latent, words)
    assert error(first, second) > 1e-2
    assert torch.equal(sample(one, latent, words), first) and torch.equal(sample(other, latent, words), second)


def test_a_copy_for_a_second_card_has_a_network_of_its_own(sd15: SmallSD15) -> None:
    motion = load_motion_module(sd15.motion("v2"))
    copy = motion.deepclone_multigpu(new_load_device=torch.device("cpu"))
    assert copy.model is not motion.model
    assert all(torch.equal(v, motion.model.state_dict()[name]) for name, v in copy.model.state_dict().items())
    model = apply_motion_module(sd15.model, motion)
    model.set_additional_models("miva_motion", [copy])
    latent, words = torch.zeros(3, 4, 8, 8), text(1, WORDS, WIDTH)
    with seeing(model) as seen:
        sample(model, latent, words, steps=1)
        inside = [layer for layer in model.model.diffusion_model.middle_block if hasattr(layer, "temporal_transformer")]
    assert inside == [copy.model.mid_block.motion_modules[0]] and seen.output


def test_weights_of_half_precision_are_cast_where_they_are_used(sd15: SmallSD15) -> None:
    network = load_motion_network(sd15.motion("v3"), torch.float16, torch.device("cpu"))
    block, x = network.up_blocks[1].motion_modules[0], torch.randn(4, 128, 2, 3)
    exact = load_motion_network(sd15.motion("v3"), torch.float32, torch.device("cpu")).up_blocks[1].motion_modules[0]
    assert network.up_blocks[1].motion_modules[0].temporal_transformer.proj_in.weight.dtype == torch.float16
    assert 0 < error(block(x, 4, {}), exact(x, 4, {})) < 5e-3


def test_an_error_in_the_middle_leaves_nothing(sd15: SmallSD15) -> None:
    model = apply_motion_module(sd15.model, load_motion_module(sd15.motion("v1")))
    broken = model.clone()

    def fail(h: Tensor, options: dict[str, Any]) -> Tensor:
        raise KeyboardInterrupt

    broken.set_model_input_block_patch(fail)
    with pytest.raises(KeyboardInterrupt):
        sample(broken, torch.zeros(3, 4, 8, 8), text(1, WORDS, WIDTH))
    assert overridden(sd15.model.model.diffusion_model) == []


def test_more_frames_than_positions_are_refused(sd15: SmallSD15) -> None:
    model = apply_motion_module(sd15.model, load_motion_module(sd15.motion("v1")))
    with pytest.raises(MIVAError, match="latent has 25 frames, but the motion module reaches 24"):
        sample(model, torch.zeros(25, 4, 8, 8), text(1, WORDS, WIDTH), steps=1)


def test_another_file_is_named(sd15: SmallSD15, tmp_path: Path) -> None:
    with pytest.raises(MIVAError, match=r"is a Stable Diffusion 1.5 checkpoint, but an AnimateDiff motion module"):
        load_motion_module(sd15.checkpoint)
    with pytest.raises(MIVAError, match="There is no motion module of AnimateDiff"):
        load_motion_module(tmp_path / "none.safetensors")


@pytest.mark.parametrize(("lost", "message"), [("up_blocks.1.", "lacks up_blocks.1"), ("down_blocks.2.", "no fitting")])
def test_a_damaged_file_is_named(sd15: SmallSD15, tmp_path: Path, lost: str, message: str) -> None:
    tensors = {name: value for name, value in load_file(sd15.motion("v3")).items() if not name.startswith(lost)}
    save_file(tensors, tmp_path / "half.safetensors")
    with pytest.raises(MIVAError, match=message):
        load_motion_module(tmp_path / "half.safetensors")


def test_a_model_of_another_kind_is_named(sd15: SmallSD15, wan: SmallWan) -> None:
    with pytest.raises(MIVAError, match=r"The MODEL is WAN21_T2V, but motion modules need Stable Diffusion 1.5"):
        apply_motion_module(wan.model, load_motion_module(sd15.motion("v3")))


def test_a_second_motion_module_is_refused(sd15: SmallSD15) -> None:
    motion = load_motion_module(sd15.motion("v3"))
    with pytest.raises(MIVAError, match="has a motion module already"):
        apply_motion_module(apply_motion_module(sd15.model, motion), motion)
