"""Wan files: the layouts people have, at a small size, and what is not one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanTransformer3DModel
from safetensors.torch import save_file
from single_files import WAN
from torch import Tensor
from wan_files import WAN_VAE as VAE
from wan_files import original, original_wan_vae

from miva_core import MIVAAdapter, MIVAConfig, Motion, RunOptions, animate
from miva_core.bases.base import Base
from miva_core.bases.wan import loading
from miva_core.bases.wan.loading import CONFIGS, load_wan
from miva_core.errors import MIVAError


@pytest.fixture(scope="module")
def model() -> WanTransformer3DModel:
    torch.manual_seed(0)
    return WanTransformer3DModel(**WAN).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def vae() -> AutoencoderKLWan:
    torch.manual_seed(1)
    return AutoencoderKLWan(**VAE).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, model: WanTransformer3DModel, vae: AutoencoderKLWan) -> Path:
    folder = tmp_path_factory.mktemp("wan")
    for name, small in (("transformer", WAN), ("vae", VAE)):
        (folder / f"{name}.json").write_text(json.dumps(json.loads((CONFIGS / f"{name}.json").read_text()) | small))
    save_file(original(model), folder / "original.safetensors")
    save_file({f"model.diffusion_model.{k}": v for k, v in original(model).items()}, folder / "comfyui.safetensors")
    save_file(model.state_dict(), folder / "diffusers.safetensors")
    save_file(vae.state_dict(), folder / "vae.safetensors")
    save_file(original_wan_vae(vae), folder / "original_vae.safetensors")
    return folder


@pytest.fixture(autouse=True)
def small_configs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loaders expect models of the sizes here."""
    monkeypatch.setattr(loading, "CONFIGS", folder)


def load(folder: Path, layout: str = "original", dtype: torch.dtype = torch.float32) -> Base:
    return load_wan(folder / f"{layout}.safetensors", folder / "vae.safetensors", dtype=dtype)


def output(model: WanTransformer3DModel, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    latents, text = (torch.randn(shape, generator=generator) for shape in ((1, 4, 2, 4, 6), (1, 3, 8)))
    return model(latents.to(dtype), torch.tensor([300.0]), text.to(dtype)).sample.float()


@pytest.mark.parametrize("layout", ["original", "comfyui", "diffusers"])
def test_every_layout_gives_the_model_it_was_saved_from(
    folder: Path, model: WanTransformer3DModel, layout: str
) -> None:
    base = load(folder, layout)
    state = model.state_dict()
    assert base.model.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in base.model.state_dict().items())
    torch.testing.assert_close(output(base.model), output(model))


def test_the_vae_in_its_original_layout(folder: Path, vae: AutoencoderKLWan) -> None:
    names = original_wan_vae(vae)
    assert {"conv1.weight", "encoder.conv1.weight", "decoder.upsamples.3.time_conv.weight"} < names.keys()
    assert {"encoder.downsamples.2.resample.1.weight", "decoder.middle.1.to_qkv.bias"} < names.keys()
    base = load_wan(folder / "original.safetensors", folder / "original_vae.safetensors", dtype=torch.float32)
    state = base.codec.vae.state_dict()
    assert state.keys() == vae.state_dict().keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in vae.state_dict().items())


def test_the_islands_of_float32_stay(folder: Path, model: WanTransformer3DModel) -> None:
    base = load(folder, dtype=torch.bfloat16)
    dtypes = {name: parameter.dtype for name, parameter in base.model.named_parameters()}
    for name, dtype in dtypes.items():
        island = any(part in name for part in ("time_embedder", "scale_shift_table", "norm2"))
        assert dtype == (torch.float32 if island else torch.bfloat16), name
    torch.testing.assert_close(output(base.model, torch.bfloat16), output(model), rtol=0.1, atol=0.1)
    with pytest.raises(MIVAError, match=r"Wan cannot run in float16"):
        load(folder, dtype=torch.float16)


def test_a_picture_is_a_clip_of_one_frame(folder: Path, vae: AutoencoderKLWan) -> None:
    base = load(folder)
    picture = torch.rand(16, 32, 3)
    latents = base.encode(picture)
    mean, std = (torch.tensor(VAE[name])[:, None, None] for name in ("latents_mean", "latents_std"))
    moments = vae.encode(picture.permute(2, 0, 1)[None, :, None] * 2 - 1).latent_dist.mean[0, :, 0]
    torch.testing.assert_close(latents[0, :, 0], (moments - mean) / std)
    clip = torch.randn(1, 4, 3, 2, 4)
    frames = base.decode(clip)
    assert frames.shape == (9, 16, 32, 3)
    expected = vae.decode(clip * std[:, None] + mean[:, None]).sample[0].permute(1, 2, 3, 0) / 2 + 0.5
    torch.testing.assert_close(frames, expected.clamp(0, 1), rtol=0, atol=1e-5)


def test_a_picture_moves_with_an_adapter(folder: Path) -> None:
    base = load(folder, dtype=torch.bfloat16)
    adapter = MIVAAdapter(base.backbone, MIVAConfig(cfa_rank=2, ca_rank=2))
    shown: list[Tensor] = []
    clip = animate(
        base,
        torch.rand(40, 40, 3),
        [Motion(adapter)],
        RunOptions(steps=2, size=(32, 32), frames=9),
        callback=lambda progress: shown.append(progress.latents),
    )
    assert clip.frames.shape == (9, 32, 32, 3) and clip.frames.isfinite().all()
    assert len(shown) == 2 and shown[0].shape == (1, 4, 3, 4, 4)
    assert torch.equal(shown[0][:, :, 0], shown[1][:, :, 0])
    with pytest.raises(MIVAError, match=r"10 cannot be made"):
        animate(base, torch.rand(32, 32, 3), [], RunOptions(frames=10))


def test_the_schedule_is_shifted_by_five(folder: Path) -> None:
    scheduler = load(folder).scheduler
    assert isinstance(scheduler, FlowMatchEulerDiscreteScheduler)
    sigma = torch.linspace(1, 0.001, 1000)
    torch.testing.assert_close(scheduler.sigmas, 5 * sigma / (1 + 4 * sigma), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("tensors", "kind"),
    [
        ({"blocks.0.self_attn.q.weight": (5120, 1)}, "a Wan 14B text-to-video model"),
        ({"blocks.0.self_attn.q.weight": (1536, 1), "patch_embedding.weight": (1, 36, 1)}, "an image-to-video Wan"),
        ({"encoder.conv1.weight": (1,), "decoder.conv1.weight": (1,)}, "a Wan VAE"),
    ],
)
def test_another_model_is_named(folder: Path, tmp_path: Path, tensors: dict[str, tuple[int, ...]], kind: str) -> None:
    path = tmp_path / "wan.safetensors"
    save_file({name: torch.zeros(shape) for name, shape in tensors.items()}, path)
    with pytest.raises(MIVAError, match=rf"is {kind}.* text-to-video"):
        load_wan(path, folder / "vae.safetensors")


def test_a_model_offered_as_vae(folder: Path, make_unet: Callable) -> None:
    with pytest.raises(MIVAError, match=r"text-to-video model, .* Wan VAE"):
        load_wan(folder / "original.safetensors", folder / "original.safetensors")
