"""Small random models and files, the same in every run, whatever is built before them.

Every tensor is drawn by its own name, so that neither the order in which modules are made nor their number matters.
"""

import json
import math
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, AutoencoderKLWan, UNetMotionModel, WanTransformer3DModel
from einops import rearrange
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from miva_core import MIVAAdapter, MIVAConfig
from miva_core.adapters.backbone import Backbone
from miva_core.bases.animatediff import loading as animatediff
from miva_core.bases.base import Base
from miva_core.bases.wan import loading as wan

TESTS = Path(__file__).parents[1] / "tests"
TINY_UNET = {
    "sample_size": 8,
    "down_block_types": ("CrossAttnDownBlockMotion",) * 2,
    "up_block_types": ("CrossAttnUpBlockMotion",) * 2,
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "cross_attention_dim": 16,
    "num_attention_heads": (2, 4),
    "motion_num_attention_heads": (2, 4),
    "motion_max_seq_length": 16,
    "use_motion_mid_block": False,
}
TINY_WAN = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 4,
    "out_channels": 4,
    "text_dim": 16,
    "freq_dim": 32,
    "ffn_dim": 40,
    "num_layers": 2,
    "rope_max_seq_len": 32,
}
WAN_VAE = {"base_dim": 8, "z_dim": 4, "latents_mean": [0.1, -0.2, 0.3, 0.0], "latents_std": [1.5, 2, 1, 3]}


def from_tests(folder: str, name: str) -> ModuleType:
    """A module beside the tests, for what only they have: files as other programs write them, a stub of ComfyUI."""
    sys.path.insert(0, str(TESTS / folder))
    return import_module(name)


def drawn(name: str, *shape: int) -> Tensor:
    """Standard normal numbers that depend on the name and the shape alone."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))


def matrix(name: str, *shape: int) -> Tensor:
    """Drawn weights that keep the size of what goes through them."""
    return drawn(name, *shape) / math.sqrt(math.prod(shape[1:]))


def fill_randomly(model: nn.Module) -> nn.Module:
    """Frozen, every parameter drawn by its name; what scales stays near 1."""
    for name, parameter in model.named_parameters():
        scales = parameter.ndim == 1 and name.endswith("weight")
        values = 1 + drawn(name, *parameter.shape) / 10 if scales else matrix(name, *parameter.shape)
        parameter.data.copy_(values if parameter.ndim > 1 or scales else drawn(name, *parameter.shape) / 10)
    return model.eval().requires_grad_(False)


def random_adapter(backbone: Backbone, config: MIVAConfig, path: Path) -> MIVAAdapter:
    """An adapter far from its neutral start, written and read; its tensors are drawn by the names in its file."""
    adapter = MIVAAdapter(backbone, config)
    adapter.save(path, adapter.info(motion=path.stem, frames=5, size=(64, 48), fps=8))
    with safe_open(path, framework="pt") as file:
        header, shapes = file.metadata(), {name: file.get_tensor(name).shape for name in file.keys()}  # noqa: SIM118
    save_file({name: matrix(f"{path.stem} {name}", *shape) for name, shape in shapes.items()}, path, header)
    return MIVAAdapter.load(path, backbone)


# --- pictures --------------------------------------------------------------------------------------------------------


def picture(name: str, height: int = 96, width: int = 96) -> Tensor:
    """(H, W, 3) in [0, 1]: colours that run into each other, and a square that stands out."""
    coarse = torch.sigmoid(drawn(name, 1, 3, 6, 6))
    colours = F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    shown = rearrange(colours, "1 c h w -> h w c").clone()
    shown[height // 3 : 2 * height // 3, width // 4 : width // 2] = torch.tensor([0.9, 0.1, 0.2])
    return shown


def square(height: int, width: int, top: float, left: float, side: float = 0.35) -> Tensor:
    """(H, W) mask of a rectangle; places and sides are shares of the height and the width."""
    mask = torch.zeros(height, width)
    mask[int(top * height) : int((top + side) * height), int(left * width) : int((left + side) * width)] = 1
    return mask


def write_picture(path: Path, values: Tensor) -> None:
    """(H, W, 3) or (H, W) in [0, 1] as a PNG; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((values * 255).round().to(torch.uint8).numpy()).save(path)


def write_clips(folder: Path, names: str = "ab", frames: int = 18, side: int = 64) -> None:
    """Folders of frames over which two squares slide, with the masks of either."""
    for name in names:
        backdrop = picture(f"clip {name}", side, side)
        for i in range(frames):
            first, second = (
                square(side, side, 0.1, 0.02 * i, 0.3),
                square(side, side, 0.6 - 0.01 * i, 0.6, 0.3),
            )
            shown = torch.where(first[..., None] > 0, torch.tensor([0.1, 0.8, 0.3]), backdrop)
            shown = torch.where(second[..., None] > 0, torch.tensor([0.9, 0.8, 0.1]), shown)
            for ending, values in (("", shown), ("_masks", first), ("_beside_masks", second)):
                write_picture(folder / f"{name}{ending}" / f"{i:02d}.png", values)


# --- bases -----------------------------------------------------------------------------------------------------------


@cache
def tiny_unet() -> UNetMotionModel:
    """A U-Net with motion modules in memory, two levels 16 and 32 wide."""
    return fill_randomly(UNetMotionModel(**TINY_UNET))


@cache
def tiny_wan() -> WanTransformer3DModel:
    """Wan's transformer in memory, two blocks 24 wide."""
    return fill_randomly(WanTransformer3DModel(**TINY_WAN))


@contextmanager
def expected_configs(folder: Path) -> Iterator[None]:
    """In which files are loaded as those of models of the sizes that the configs in a folder give."""
    with patch.object(animatediff, "CONFIGS", folder), patch.object(wan, "CONFIGS", folder):
        yield


def animatediff_files(folder: Path) -> None:
    """A thin Stable Diffusion 1.5 checkpoint and a motion module as people have them, and configs of their widths."""
    folder.mkdir(exist_ok=True)
    files = from_tests("unit", "single_files")
    unet = fill_randomly(UNetMotionModel(**files.UNET, use_motion_mid_block=False))
    vae = fill_randomly(AutoencoderKL(**files.VAE))
    files.write_configs(folder, animatediff.CONFIGS)
    save_file(files.stable_diffusion(unet, vae), folder / "sd15.safetensors")
    torch.save({"state_dict": files.motion_module(unet)}, folder / "v3_sd15_mm.ckpt")


def animatediff_base(folder: Path) -> Base:
    """The base of `animatediff_files`."""
    animatediff_files(folder)
    with expected_configs(folder):
        return animatediff.load_animatediff(folder / "sd15.safetensors", folder / "v3_sd15_mm.ckpt")


def wan_files(folder: Path) -> None:
    """A transformer of a single block, as wide as Wan 2.1 1.3B is, a thin VAE, and their configs."""
    folder.mkdir(exist_ok=True)
    small = from_tests("unit", "single_files").WAN
    for name, changes in (("transformer", small), ("vae", WAN_VAE)):
        config = json.loads((wan.CONFIGS / f"{name}.json").read_text()) | changes
        (folder / f"{name}.json").write_text(json.dumps(config))
    save_file(fill_randomly(WanTransformer3DModel(**small)).state_dict(), folder / "wan.safetensors")
    save_file(fill_randomly(AutoencoderKLWan(**WAN_VAE)).state_dict(), folder / "vae.safetensors")


def wan_base(folder: Path) -> Base:
    """The base of `wan_files`."""
    wan_files(folder)
    with expected_configs(folder):
        return wan.load_wan(folder / "wan.safetensors", folder / "vae.safetensors", dtype=torch.float32)


# --- research checkpoints --------------------------------------------------------------------------------------------


def official_animatediff(widths: tuple[int, int, int] = (32, 64, 128)) -> dict[str, Tensor]:
    """All tensors of an adapter.pt: 16 blocks with a spatial part, masks too, and 20 motion modules; with a prompt for
    the background, which is not converted."""
    levels = (*widths, widths[-1])
    blocks = {f"down_blocks.{i}.attentions.{j}": levels[i] for i in range(3) for j in range(2)}
    blocks |= {f"up_blocks.{i}.attentions.{j}": levels[3 - i] for i in (1, 2, 3) for j in range(3)}
    blocks["mid_block.attentions.0"] = widths[-1]
    modules = {f"down_blocks.{i}.motion_modules.{j}": levels[i] for i in range(4) for j in range(2)}
    modules |= {f"up_blocks.{i}.motion_modules.{j}": levels[3 - i] for i in range(4) for j in range(3)}
    shapes: dict[str, tuple[int, ...]] = {}
    for block, c in blocks.items():
        place = f"{block}.transformer_blocks.0"
        for part in ("to_q", "to_out.0", "processor.to_q_mask", "processor.to_out_mask.0"):
            shapes[f"{place}.i2v_adapter.{part}.weight"] = (c, c)
            shapes |= {f"{place}.i2v_adapter.{part}.bias": (c,)} if "out" in part else {}
        shapes[f"{place}.i2v_adapter.processor.weight_module.linear.weight"] = (2, 4 * widths[0])
        shapes[f"{place}.i2v_adapter.processor.weight_module.linear.bias"] = (2,)
        shapes |= {f"{place}.sCA.CA2.weight": (64, c), f"{place}.sCA.CA3.weight": (c, 64)}
        shapes[f"{place}.sCA_b.CA2.weight"] = (64, c)
        shapes |= {f"{place}.sCA.CA_norm.{part}": (64,) for part in ("weight", "bias")}
    for module, c in modules.items():
        for k in (0, 1):
            place = f"{module}.temporal_transformer.transformer_blocks.0.attention_blocks.{k}.processor"
            for part in ("q", "k", "v", "out"):
                shapes |= {f"{place}.to_{part}_lora.down.weight": (32, c), f"{place}.to_{part}_lora.up.weight": (c, 32)}
    return {name: matrix(name, *shape) for name, shape in shapes.items()}


def official_wan(width: int = 1536, rank: int = 4) -> dict[str, Tensor]:
    """All tensors of a checkpoint of the Wan code, of a single block; with a prompt for the background."""
    shapes: dict[str, tuple[int, ...]] = {}
    for part in ("q", "k", "o"):
        shapes |= {f"i2v_adapter.{part}.weight": (width, width), f"i2v_adapter.{part}.bias": (width,)}
    shapes |= {"i2v_adapter.weight_module.linear.weight": (2, width), "i2v_adapter.weight_module.linear.bias": (2,)}
    shapes |= {"cross_attn.CA2.weight": (rank, width), "cross_attn.CA3.weight": (width, rank)}
    shapes["cross_attn_b.CA2.weight"] = (rank, width)
    shapes |= {f"cross_attn.CA_norm.{part}": (rank,) for part in ("weight", "bias")}
    return {f"blocks.0.{name}": matrix(name, *shape) for name, shape in shapes.items()}
