"""Before any MIVA: ComfyUI's models and those of diffusers are one function, and what these helpers record is true."""

import sys
from pathlib import Path

import comfy.model_management
import pytest
import torch

from ..server import COMFYUI_PATH
from .adapters import random_adapter
from .real_comfyui import NODES
from .runs import error, ksampler, no_text, overridden, sample, sampler_custom_advanced, seeing, text
from .sd15_models import SmallSD15, as_rows
from .wan_models import VARIANTS, SmallWan, native_wan, network, random_state, wan_variant


def test_comfyuis_nodes_and_the_packs_are_two_modules_and_all_is_on_the_processor() -> None:
    assert Path(sys.modules["nodes"].__file__ or "").parent == Path(COMFYUI_PATH)
    assert "MIVASampler" in NODES and not hasattr(sys.modules["nodes"], "MIVASampler")
    assert comfy.model_management.get_torch_device() == torch.device("cpu")
    assert torch.get_num_threads() == 1


def test_wan_is_the_diffusers_model_at_every_call_of_a_run(wan: SmallWan) -> None:
    with seeing(wan.model) as seen:
        sample(wan.model, torch.zeros(1, 16, 3, 8, 12), text(1), text(2), cfg=3.0, steps=2)
    assert len(seen.x) == 2 and seen.x[0].shape == (2, 16, 3, 8, 12)
    for x, timestep, context, output in zip(seen.x, seen.timestep, seen.context, seen.output, strict=True):
        assert error(output, wan.reference(x, timestep, encoder_hidden_states=context).sample) < 2e-5
    assert overridden(network(wan.model)) == []


def test_three_ways_to_sample_are_one(wan: SmallWan) -> None:
    latent = {"samples": torch.zeros(1, 16, 2, 8, 8)}
    by_node = ksampler(wan.model, latent, no_text())["samples"]
    advanced = sampler_custom_advanced(wan.model, latent, no_text())[0]["samples"]
    assert torch.equal(by_node, sample(wan.model, latent["samples"], no_text()))
    assert torch.equal(by_node, advanced)


@pytest.mark.parametrize("name", [*VARIANTS, "causal"])
def test_other_wans_are_loaded_as_what_they_are(name: str) -> None:
    model = wan_variant(name)
    kinds = {"vace": "WAN21_Vace", "5b": "WAN22", "causal": "WAN21_CausalAR"}
    assert type(model.model).__name__ == kinds.get(name, "WAN21")
    if name != "causal":
        latent = torch.zeros(1, model.get_model_object("latent_format").latent_channels, 2, 8, 8)
        assert sample(model, latent, no_text(), steps=1).isfinite().all()


def test_weights_may_be_of_other_kinds() -> None:
    model = native_wan(random_state(), dtype=torch.float8_e4m3fn)
    assert network(model).blocks[0].self_attn.q.weight.dtype == torch.float8_e4m3fn


@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_motion_files_are_read_by_the_engine(sd15: SmallSD15, version: str) -> None:
    base = sd15.base(version)
    clip = torch.randn(1, 4, 3, 8, 8)
    assert base.model(clip, torch.tensor([500]), torch.randn(3, 77, 768)).sample.isfinite().all()


def test_the_u_net_without_motion_modules_is_that_of_diffusers(sd15: SmallSD15) -> None:
    model = sd15.base().model
    clip, words = torch.randn(1, 4, 3, 8, 8), torch.randn(3, 77, 768)
    for motion in [module for block in (*model.down_blocks, *model.up_blocks) for module in block.motion_modules]:
        motion.proj_out.weight.zero_()
        motion.proj_out.bias.zero_()
    expected = model(clip, torch.tensor([500]), words).sample
    net = sd15.model.get_model_object("diffusion_model")
    got = net(as_rows(clip), torch.full((3,), 500), context=words, transformer_options={})
    assert error(got, as_rows(expected)) < 2e-5


def test_vaes_are_of_both_families(wan_vae: object, sd15_vae: object) -> None:
    picture = torch.rand(1, 64, 96, 3)
    assert wan_vae.encode(picture).shape == (1, 16, 1, 8, 12)
    assert sd15_vae.encode(picture).shape == (1, 4, 8, 12)


def test_the_vae_of_a_checkpoint_is_the_engines(sd15: SmallSD15) -> None:
    picture = torch.rand(1, 64, 96, 3)
    expected = sd15.base().codec.encode(picture.movedim(-1, 1) * 2 - 1)
    assert error(sd15.model.get_model_object("latent_format").process_in(sd15.vae.encode(picture)), expected) < 2e-5


def test_every_parameter_of_a_random_adapter_speaks(wan: SmallWan) -> None:
    assert all(parameter.any() for parameter in random_adapter(wan.backbone).parameters())
