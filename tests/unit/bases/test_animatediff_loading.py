"""Stable Diffusion 1.5 and AnimateDiff files: the layouts people have, at a small size, and what is not one."""

import pickle
import socket
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from diffusers import AutoencoderKL, UNetMotionModel
from safetensors.torch import save_file
from single_files import UNET, VAE, motion_module, original_vae, stable_diffusion, write_configs
from torch import Tensor

from miva_core import MIVAAdapter, MIVAConfig, Motion, RunOptions, animate, load_base
from miva_core.bases.animatediff import loading
from miva_core.bases.animatediff.loading import CONFIGS, load_animatediff
from miva_core.bases.animatediff.per_frame_norm import use_per_frame_norm
from miva_core.bases.animatediff.pooled_norm import use_pooled_norm
from miva_core.bases.base import Base
from miva_core.errors import MIVAError


@pytest.fixture(scope="module")
def unet() -> UNetMotionModel:
    torch.manual_seed(0)
    return UNetMotionModel(**UNET, use_motion_mid_block=False).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def vae() -> AutoencoderKL:
    torch.manual_seed(1)
    return AutoencoderKL(**VAE).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("configs")
    write_configs(folder, CONFIGS)
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, unet: UNetMotionModel, vae: AutoencoderKL) -> Path:
    folder = tmp_path_factory.mktemp("files")
    save_file(stable_diffusion(unet, vae), folder / "sd15.safetensors")
    torch.save({"state_dict": motion_module(unet)}, folder / "v3_sd15_mm.ckpt")
    return folder


@pytest.fixture(autouse=True)
def small_configs(configs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loaders expect models of the sizes here."""
    monkeypatch.setattr(loading, "CONFIGS", configs)


def load(files: Path, checkpoint: str = "sd15.safetensors", motion: str = "v3_sd15_mm.ckpt") -> Base:
    return load_animatediff(files / checkpoint, files / motion)


def output(model: UNetMotionModel) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    latents, text = (torch.randn(shape, generator=generator) for shape in ((1, 4, 3, 8, 8), (3, 2, 768)))
    return model(latents, torch.tensor(300), text).sample


def test_the_model_computes_what_the_one_it_was_saved_from_does(
    files: Path, unet: UNetMotionModel, vae: AutoencoderKL
) -> None:
    base = load(files)
    state = unet.state_dict()
    assert base.model.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in base.model.state_dict().items())
    reference = UNetMotionModel(**UNET, use_motion_mid_block=False).eval().requires_grad_(False)
    reference.load_state_dict(state)
    assert not torch.allclose(output(base.model), output(reference), atol=1e-4)  # statistics over all frames
    use_per_frame_norm(reference)
    assert torch.equal(output(base.model), output(reference))

    picture = torch.rand(32, 64, 3)
    latents = base.encode(picture)
    expected = vae.encode(picture.permute(2, 0, 1)[None] * 2 - 1).latent_dist.mean * 0.18215
    torch.testing.assert_close(latents[:, :, 0], expected)
    decoded = vae.decode(expected / 0.18215).sample[0].permute(1, 2, 0) / 2 + 0.5
    torch.testing.assert_close(base.decode(latents)[0], decoded.clamp(0, 1))


def test_the_noise_schedule_is_stable_diffusions(files: Path) -> None:
    alphas = load(files).scheduler.alphas_cumprod
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    torch.testing.assert_close(alphas.double(), (1 - betas).cumprod(0), rtol=1e-4, atol=1e-7)
    assert alphas[975].sqrt().item() == pytest.approx(0.0787, abs=1e-4)  # published with the method


@pytest.mark.parametrize("version", [(24, False), (32, True), (32, False)], ids=["v1", "v2", "v3"])
def test_every_version_of_the_motion_module(
    files: Path, vae: AutoencoderKL, tmp_path: Path, version: tuple[int, bool]
) -> None:
    reach, middle = version
    unet = (
        UNetMotionModel(**UNET, motion_max_seq_length=reach, use_motion_mid_block=middle).eval().requires_grad_(False)
    )
    save_file(motion_module(unet), tmp_path / "mm.safetensors")
    save_file(stable_diffusion(unet, vae), tmp_path / "sd15.safetensors")
    base = load(tmp_path, motion="mm.safetensors")
    assert base.longest == reach and base.frames == 16
    use_per_frame_norm(unet)
    if reach == 24:
        use_pooled_norm(unet)
    assert torch.equal(output(base.model), output(unet))


def with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    "write",
    [
        lambda tensors, path: torch.save(tensors, path),
        lambda tensors, path: torch.save({"state_dict": tensors, "epoch": 3}, path),
        lambda tensors, path: torch.save({"state_dict": with_prefix(tensors, "module.")}, path),
        lambda tensors, path: torch.save(tensors, path, _use_new_zipfile_serialization=False),
        lambda tensors, path: save_file({k: v.half() for k, v in tensors.items()}, path),
        lambda tensors, path: save_file({k: v.bfloat16() for k, v in tensors.items()}, path),
    ],
    ids=["ckpt", "wrapped", "multi-GPU", "before 1.6", "fp16", "bf16"],
)
def test_every_way_a_file_is_written(
    files: Path, unet: UNetMotionModel, tmp_path: Path, write: Callable[[dict[str, Tensor], Path], None]
) -> None:
    write(motion_module(unet), tmp_path / "mm")
    base = load_animatediff(files / "sd15.safetensors", tmp_path / "mm")
    assert base.model.dtype == torch.float32
    torch.testing.assert_close(output(base.model), output(load(files).model), rtol=0.1, atol=0.02)


def test_a_trainers_own_object_in_a_checkpoint_is_forgotten(
    files: Path,
    unet: UNetMotionModel,
    vae: AutoencoderKL,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first release of Stable Diffusion carries its trainer's callback beside the weights."""
    name = "pytorch_lightning.callbacks.model_checkpoint"
    module = types.ModuleType(name)

    class ModelCheckpoint:
        def __init__(self) -> None:
            self.best = 1.0

    ModelCheckpoint.__module__, ModelCheckpoint.__qualname__ = name, "ModelCheckpoint"
    module.ModelCheckpoint = ModelCheckpoint
    for parent in ("pytorch_lightning", "pytorch_lightning.callbacks"):
        monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
    monkeypatch.setitem(sys.modules, name, module)
    content = {"state_dict": stable_diffusion(unet, vae), "callbacks": {"one": ModelCheckpoint()}}
    torch.save(content, tmp_path / "sd.ckpt")
    monkeypatch.delitem(sys.modules, name)
    base = load_animatediff(tmp_path / "sd.ckpt", files / "v3_sd15_mm.ckpt")
    assert torch.equal(output(base.model), output(load(files).model))


def of_a_trainer(file: dict[str, Tensor]) -> dict[str, Tensor]:
    """With what trainers leave in a file: averaged weights, their schedule, the VAE's critic, whole numbers."""
    averages = {
        f"model_ema.{name.removeprefix('model.').replace('.', '')}": torch.randn_like(tensor)
        for name, tensor in file.items()
        if name.startswith("model.")
    }
    rest = {
        "model_ema.decay": torch.tensor(0.9999),
        "model_ema.num_updates": torch.tensor(7, dtype=torch.int32),
        "alphas_cumprod": torch.rand(1000),
        "first_stage_model.loss.discriminator.main.0.weight": torch.randn(2, 2),
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77)[None],
    }
    return file | averages | rest


def pruned(file: dict[str, Tensor]) -> dict[str, Tensor]:
    """In half precision, without a text encoder."""
    return {name: tensor.half() for name, tensor in file.items() if not name.startswith("cond_stage_model.")}


@pytest.mark.parametrize("tune", [of_a_trainer, pruned])
def test_a_fine_tune_is_read_whatever_else_its_file_holds(
    files: Path,
    unet: UNetMotionModel,
    vae: AutoencoderKL,
    tmp_path: Path,
    tune: Callable[[dict[str, Tensor]], dict[str, Tensor]],
) -> None:
    tuned = tune(stable_diffusion(unet, vae))
    if tune is pruned:
        save_file(tuned, tmp_path / "tuned")
    else:
        torch.save({"state_dict": tuned, "global_step": 840_000}, tmp_path / "tuned")
    base = load_animatediff(tmp_path / "tuned", files / "v3_sd15_mm.ckpt")
    for network, source in zip(base.networks, (unet, vae), strict=True):
        for name, tensor in network.state_dict().items():
            expected = source.state_dict()[name]
            kept = expected if tune is of_a_trainer or "motion_modules" in name else expected.half().float()
            assert torch.equal(tensor, kept), name
    assert base.backbone == load(files).backbone


class Harmful:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return print, ("this ran",)


def test_code_in_a_checkpoint_is_not_run(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": {"x": Harmful()}}, tmp_path / "evil.ckpt")
    (tmp_path / "old.ckpt").write_bytes(pickle.dumps(Harmful(), protocol=2))
    for name in ("evil.ckpt", "old.ckpt"):
        with pytest.raises(MIVAError, match=r"holds more than tensors"):
            load_animatediff(tmp_path / name, files / "v3_sd15_mm.ckpt")
    assert "this ran" not in capsys.readouterr().out


def alone(unet: UNetMotionModel) -> dict[str, Tensor]:
    """The U-Net of a checkpoint, as files of models/diffusion_models have it."""
    prefix = "model.diffusion_model."
    parts = stable_diffusion(unet, None).items()
    return {name.removeprefix(prefix): tensor for name, tensor in parts if name.startswith(prefix)}


@pytest.mark.parametrize(
    ("names", "write"),
    [(original_vae, alone), (AutoencoderKL.state_dict, lambda unet: stable_diffusion(unet, None))],
    ids=["original", "diffusers"],
)
def test_another_vae_takes_the_place_of_the_checkpoints(
    files: Path, unet: UNetMotionModel, tmp_path: Path, names: Callable, write: Callable
) -> None:
    other = AutoencoderKL(**VAE).eval()
    save_file(names(other), tmp_path / "vae.safetensors")
    save_file(write(unet), tmp_path / "pruned.safetensors")
    with pytest.raises(MIVAError, match=r"pruned.safetensors has no VAE"):
        load_animatediff(tmp_path / "pruned.safetensors", files / "v3_sd15_mm.ckpt")
    base = load_animatediff(tmp_path / "pruned.safetensors", files / "v3_sd15_mm.ckpt", tmp_path / "vae.safetensors")
    assert all(torch.equal(tensor, base.model.state_dict()[name]) for name, tensor in unet.state_dict().items())
    picture = torch.rand(16, 16, 3)
    expected = other.encode(picture.permute(2, 0, 1)[None] * 2 - 1).latent_dist.mean * 0.18215
    torch.testing.assert_close(base.encode(picture)[:, :, 0], expected)


def test_positions_of_several_lengths_are_damage(files: Path, tmp_path: Path) -> None:
    motion = torch.load(files / "v3_sd15_mm.ckpt", weights_only=True)["state_dict"]
    name = next(name for name in motion if name.endswith(".pe"))
    torch.save(motion | {name: motion[name][:, :7]}, tmp_path / "mm.ckpt")
    with pytest.raises(MIVAError, match="positional encodings of one length"):
        load_animatediff(files / "sd15.safetensors", tmp_path / "mm.ckpt")


def test_a_picture_moves_with_an_adapter(files: Path) -> None:
    base = load(files)
    adapter = MIVAAdapter(base.backbone, MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=2))
    clip = animate(base, torch.rand(40, 40, 3), [Motion(adapter)], RunOptions(steps=2, size=(64, 64), frames=3))
    assert clip.frames.shape == (3, 64, 64, 3) and clip.frames.isfinite().all()
    first = base.decode(base.encode(torch.rand(64, 64, 3)))
    assert first.shape == (1, 64, 64, 3)
    with pytest.raises(MIVAError, match=r"animatediff .* without its text encoder"):
        animate(base, torch.rand(64, 64, 3))


def test_nothing_goes_online(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("something wanted to go online")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert load(files).name == "animatediff"


def shaped(**shapes: tuple[int, ...]) -> dict[str, Tensor]:
    return {name.replace("__", "."): torch.zeros(shape) for name, shape in shapes.items()}


SD = {"model__diffusion_model__input_blocks__0__0__weight": (8, 4, 3, 3)}
ATTN = "model__diffusion_model__input_blocks__1__1__transformer_blocks__0__attn2__to_k__weight"
WRONG: dict[str, tuple[dict[str, Tensor], str]] = {
    "SDXL": (shaped(**SD, model__diffusion_model__label_emb__0__0__weight=(8, 2816)), "an SDXL checkpoint"),
    "SD 2": (shaped(**SD, **{ATTN: (8, 1024)}), "a Stable Diffusion 2 checkpoint"),
    "inpainting": (
        shaped(**{"model__diffusion_model__input_blocks__0__0__weight": (8, 9, 3, 3), ATTN: (8, 768)}),
        "a Stable Diffusion 1.5 inpainting checkpoint",
    ),
    "LoRA": (shaped(lora_unet_x__lora_up__weight=(2, 2)), "a LoRA"),
    "Wan 14B": (shaped(model__diffusion_model__blocks__0__self_attn__q__weight=(5120, 1)), "a Wan 14B text"),
    "Wan I2V": (
        shaped(blocks__0__self_attn__q__weight=(1536, 1), patch_embedding__weight=(1, 36, 1, 2, 2)),
        "an image-to-video Wan model",
    ),
    "Wan": (shaped(blocks__0__attn1__to_q__weight=(1536, 1), condition_embedder__x=(1,)), "a Wan 2.1 1.3B"),
    "motion module": (
        shaped(down_blocks__0__motion_modules__0__x=(1,), down_blocks__3__motion_modules__0__x=(1,)),
        "an AnimateDiff motion module",
    ),
    "SDXL motion module": (shaped(down_blocks__0__motion_modules__0__x=(1,)), "an SDXL motion module"),
    "VAE": (shaped(encoder__conv_in__weight=(1,), decoder__conv_in__weight=(1,)), "a VAE"),
    "diffusers U-Net": (
        shaped(down_blocks__0__resnets__0__x=(1,), time_embedding__linear_1__x=(1,)),
        "a U-Net in the diffusers layout",
    ),
    "text encoder": (shaped(text_model__encoder__x=(1,)), "a text encoder"),
    "Flux": (shaped(double_blocks__0__x=(1,)), "a Flux checkpoint"),
    "fp8": (
        {name: tensor.to(torch.float8_e4m3fn) for name, tensor in shaped(**SD, **{ATTN: (8, 768)}).items()},
        "a Stable Diffusion 1.5 checkpoint in fp8",
    ),
    "anything": (shaped(x=(1,)), "a model file of an unknown kind"),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("ending", ["safetensors", "ckpt"])
def test_a_file_of_another_kind_is_named(tmp_path: Path, kind: str, ending: str) -> None:
    tensors, name = WRONG[kind]
    path = tmp_path / f"model.{ending}"
    save_file(tensors, path) if ending == "safetensors" else torch.save(tensors, path)
    with pytest.raises(MIVAError) as error:
        load_animatediff(path, tmp_path / "mm.ckpt")
    said = str(error.value)
    assert said.startswith(f"{path} is {name}") and "a Stable Diffusion 1.5 checkpoint was expected, such as" in said
    assert "\n" not in said


def test_a_checkpoint_offered_as_motion_module(files: Path) -> None:
    with pytest.raises(MIVAError, match=r"1\.5 checkpoint, .* motion module was"):
        load(files, motion="sd15.safetensors")


@pytest.mark.parametrize("name", ["sd15.safetensors", "v3_sd15_mm.ckpt"])
def test_a_truncated_download(files: Path, tmp_path: Path, name: str) -> None:
    for file in files.iterdir():
        content = file.read_bytes()
        (tmp_path / file.name).write_bytes(content[: len(content) // 2] if file.name == name else content)
    with pytest.raises(MIVAError, match=rf"{name} is a .*truncated .*compare its"):
        load(tmp_path)


@pytest.mark.parametrize(("content", "found"), [(b"", "is empty"), (b"hello, world\n", "is a text file, but a")])
def test_no_model_file_at_all(files: Path, tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "sd.safetensors").write_bytes(content)
    with pytest.raises(MIVAError, match=found):
        load_animatediff(tmp_path / "sd.safetensors", files / "v3_sd15_mm.ckpt")
    with pytest.raises(MIVAError, match=r"no Stable Diffusion 1\.5 checkpoint"):
        load_animatediff(tmp_path / "not there", files / "v3_sd15_mm.ckpt")


def test_a_missing_or_misshapen_tensor_is_named(
    files: Path, unet: UNetMotionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    motion = motion_module(unet)
    lost = next(iter(motion))
    save_file({name: tensor for name, tensor in motion.items() if name != lost}, tmp_path / "mm.safetensors")
    with pytest.raises(MIVAError, match=r"lacks down_blocks\.0\.motion_modules\.0\."):
        load_animatediff(files / "sd15.safetensors", tmp_path / "mm.safetensors")
    with pytest.raises(MIVAError, match=r"of shape .* was expected"):
        monkeypatch.setattr(loading, "CONFIGS", CONFIGS)  # of the real widths
        load(files)


@pytest.mark.parametrize(
    ("name", "files", "message"),
    [
        ("animatediff", {}, "needs a checkpoint and a motion module: name the checkpoint, too"),
        ("animatediff", {"checkpoint": "x"}, "name the motion module, too"),
        ("tiny", {"checkpoint": "x"}, "The base tiny takes no checkpoint"),
    ],
)
def test_files_that_are_missing_or_too_many(name: str, files: dict[str, str], message: str) -> None:
    with pytest.raises(MIVAError, match=message):
        load_base(name, **files)
