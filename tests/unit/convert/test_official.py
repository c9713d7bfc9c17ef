"""Research checkpoints in the layout of the authors' code: written by its rules, read back as adapters."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import UNetMotionModel
from safetensors.torch import save_file
from single_files import UNET, stable_diffusion
from torch import Tensor

from miva_core import MIVAAdapter, describe, inject
from miva_core.adapters.config import MIVAConfig
from miva_core.bases.animatediff import loading
from miva_core.bases.animatediff.loading import CONFIGS
from miva_core.convert.official import convert_official
from miva_core.errors import MIVAError


@pytest.fixture
def unet() -> UNetMotionModel:
    return UNetMotionModel(**UNET, use_motion_mid_block=False).eval().requires_grad_(False)


@pytest.fixture
def folder(unet: UNetMotionModel, tmp_path: Path) -> Path:
    """The package's config with small widths, and the base as a single file."""
    config = json.loads((CONFIGS / "unet.json").read_text()) | {"block_out_channels": UNET["block_out_channels"]}
    (tmp_path / "unet.json").write_text(json.dumps(config))
    save_file(stable_diffusion(unet, None), tmp_path / "sd15.safetensors")
    return tmp_path


@pytest.fixture(autouse=True)
def small_configs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loaders expect models of the sizes here."""
    monkeypatch.setattr(loading, "CONFIGS", folder)


def official_tensors(
    masked: bool = False, ca: str = "sCA.", widths: tuple[int, ...] = (32, 64, 128)
) -> dict[str, Tensor]:
    """All tensors of an adapter.pt, random: 16 blocks with a spatial part, 20 motion modules of two attentions."""
    small, middle, large = widths
    blocks = [(f"down_blocks.{i}.attentions.{j}", widths[i]) for i in range(3) for j in range(2)]
    blocks += [("mid_block.attentions.0", large)]
    blocks += [(f"up_blocks.{i}.attentions.{j}", (large, middle, small)[i - 1]) for i in (1, 2, 3) for j in range(3)]
    modules = [(f"down_blocks.{i}.motion_modules.{j}", (*widths, large)[i]) for i in range(4) for j in range(2)]
    modules += [
        (f"up_blocks.{i}.motion_modules.{j}", (large, large, middle, small)[i]) for i in range(4) for j in range(3)
    ]
    time = 4 * small
    file = {}
    for block, c in blocks:
        a = f"{block}.transformer_blocks.0"
        file[f"{a}.i2v_adapter.to_q.weight"] = torch.randn(c, c) / c**0.5
        file[f"{a}.i2v_adapter.to_out.0.weight"] = torch.randn(c, c) / c**0.5
        file[f"{a}.i2v_adapter.to_out.0.bias"] = torch.randn(c)
        file[f"{a}.i2v_adapter.processor.weight_module.linear.weight"] = torch.randn(2, time) / time**0.5
        file[f"{a}.i2v_adapter.processor.weight_module.linear.bias"] = torch.randn(2)
        file[f"{a}.{ca}CA2.weight"] = torch.randn(64, c) / c**0.5
        file[f"{a}.{ca}CA_norm.weight"] = torch.randn(64)
        file[f"{a}.{ca}CA_norm.bias"] = torch.randn(64)
        file[f"{a}.{ca}CA3.weight"] = torch.randn(c, 64) / 8
        if masked:
            file[f"{a}.i2v_adapter.processor.to_q_mask.weight"] = torch.randn(c, c)
            file[f"{a}.i2v_adapter.processor.to_out_mask.0.weight"] = torch.randn(c, c)
            file[f"{a}.i2v_adapter.processor.to_out_mask.0.bias"] = torch.randn(c)
    for module, c in modules:
        for k in (0, 1):
            t = f"{module}.temporal_transformer.transformer_blocks.0.attention_blocks.{k}.processor"
            for part in ("q", "k", "v", "out"):
                file[f"{t}.to_{part}_lora.down.weight"] = torch.randn(32, c) / c**0.5
                file[f"{t}.to_{part}_lora.up.weight"] = torch.randn(c, 32)
    return file


def test_the_layout_has_the_published_number_of_tensors() -> None:
    assert len(official_tensors()) == 464 and len(official_tensors(masked=True)) == 512


def test_every_tensor_finds_its_place(unet: UNetMotionModel, folder: Path) -> None:
    file = official_tensors()
    torch.save(file, folder / "adapter.pt")
    converted = convert_official(folder / "adapter.pt", folder / "sd15.safetensors")
    adapter, unused = converted.adapter, converted.unused
    assert not unused and adapter.config == MIVAConfig.official_animatediff()
    assert adapter.backbone == describe(unet)
    assert adapter.num_parameters() == sum(tensor.numel() for tensor in file.values())
    block = "up_blocks.2.attentions.1.transformer_blocks.0"
    spatial, prompt = (adapter.sites[f"{block}.{name}".replace(".", "/")] for name in ("attn1", "attn2"))
    # W_Q as the layer computes with it is the file's own
    query = unet.get_submodule(f"{block}.attn1").to_q.weight + spatial["cfa"].q.up
    torch.testing.assert_close(query, file[f"{block}.i2v_adapter.to_q.weight"])
    assert torch.equal(spatial["cfa"].out.up, file[f"{block}.i2v_adapter.to_out.0.weight"])
    assert torch.equal(spatial["cfa"].bias, file[f"{block}.i2v_adapter.to_out.0.bias"])
    assert torch.equal(spatial["gate"].weight, file[f"{block}.i2v_adapter.processor.weight_module.linear.weight"])
    assert torch.equal(prompt["ca"].first, file[f"{block}.sCA.CA2.weight"])
    assert torch.equal(prompt["ca"].norm_bias, file[f"{block}.sCA.CA_norm.bias"])
    assert torch.equal(prompt["ca"].second, file[f"{block}.sCA.CA3.weight"])
    temporal = adapter.sites["down_blocks/3/motion_modules/1/transformer_blocks/0/attn2"]["ta"]
    place = "down_blocks.3.motion_modules.1.temporal_transformer.transformer_blocks.0.attention_blocks.1.processor"
    assert torch.equal(temporal.v.down, file[f"{place}.to_v_lora.down.weight"])
    assert torch.equal(temporal.out.up, file[f"{place}.to_out_lora.up.weight"])
    latents = torch.randn(1, 4, 3, 8, 8)
    with inject(unet, official=adapter):
        assert unet(latents, torch.tensor(400), None).sample.isfinite().all()


@pytest.mark.parametrize(
    "write",
    [
        lambda path: torch.save({"state_dict": official_tensors()}, path),
        lambda path: torch.save({f"module.{k}": v for k, v in official_tensors().items()}, path),
        lambda path: torch.save(official_tensors(ca=""), path),
    ],
    ids=["wrapped", "several GPUs", "older names"],
)
def test_every_way_they_were_written(folder: Path, write: Callable[[Path], None]) -> None:
    torch.manual_seed(3)
    expected = official_tensors()
    torch.manual_seed(3)
    write(folder / "adapter.pt")
    converted = convert_official(folder / "adapter.pt", folder / "sd15.safetensors")
    adapter, unused = converted.adapter, converted.unused
    prompt = adapter.sites["mid_block/attentions/0/transformer_blocks/0/attn2"]["ca"]
    assert not unused
    assert torch.equal(prompt.first, expected["mid_block.attentions.0.transformer_blocks.0.sCA.CA2.weight"])


def test_a_mask_stream_comes_along(unet: UNetMotionModel, folder: Path) -> None:
    file = official_tensors(masked=True)
    torch.save(file, folder / "adapter.pt")
    converted = convert_official(folder / "adapter.pt", folder / "sd15.safetensors")
    adapter, unused = converted.adapter, converted.unused
    assert not unused and adapter.config == replace(MIVAConfig.official_animatediff(), mask=True)
    assert adapter.num_parameters() == sum(tensor.numel() for tensor in file.values())
    block = "up_blocks.2.attentions.1.transformer_blocks.0"
    masked = adapter.sites[f"{block}.attn1".replace(".", "/")]["cfa_mask"]
    query = unet.get_submodule(f"{block}.attn1").to_q.weight + masked.q.up
    torch.testing.assert_close(query, file[f"{block}.i2v_adapter.processor.to_q_mask.weight"])
    assert torch.equal(masked.out.up, file[f"{block}.i2v_adapter.processor.to_out_mask.0.weight"])
    assert torch.equal(masked.bias, file[f"{block}.i2v_adapter.processor.to_out_mask.0.bias"])


def test_half_a_mask_stream_is_refused(folder: Path) -> None:
    lost = "mid_block.attentions.0.transformer_blocks.0.i2v_adapter.processor.to_q_mask.weight"
    file = {name: tensor for name, tensor in official_tensors(masked=True).items() if name != lost}
    torch.save(file, folder / "less.pt")
    with pytest.raises(MIVAError, match=f"lacks {lost}"):
        convert_official(folder / "less.pt", folder / "sd15.safetensors")


def test_a_converted_adapter_is_a_file_like_any_other(folder: Path) -> None:
    torch.save(official_tensors(), folder / "adapter.pt")
    adapter = convert_official(folder / "adapter.pt", folder / "sd15.safetensors").adapter
    adapter.save(folder / "rain.safetensors", adapter.info(motion="rain", frames=16, size=(512, 320), fps=8))
    again = MIVAAdapter.load(folder / "rain.safetensors", adapter.backbone)
    for one, other in zip(adapter.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_what_is_wrong_is_named(folder: Path) -> None:
    sd = folder / "sd15.safetensors"
    with pytest.raises(MIVAError, match="but an official MIVA"):
        convert_official(sd, sd)
    file = official_tensors()
    torch.save(file, folder / "adapter.pt")
    with pytest.raises(MIVAError, match=r"Diffusion 1\.5 checkpoint was expected"):
        convert_official(folder / "adapter.pt", folder / "adapter.pt")
    lost = "mid_block.attentions.0.transformer_blocks.0.sCA.CA3.weight"
    torch.save({name: tensor for name, tensor in file.items() if name != lost}, folder / "less.pt")
    with pytest.raises(MIVAError, match=f"lacks {lost}"):
        convert_official(folder / "less.pt", sd)
    torch.save(official_tensors(widths=(32, 64, 96)), folder / "narrow.pt")
    with pytest.raises(MIVAError, match="trained on another base"):
        convert_official(folder / "narrow.pt", sd)
