"""Run by ComfyUI's Python: writes small random models, under the names by which workflows ask for them.

    python -m tests.comfyui.small_model_files FOLDER

The layouts are those of the real files; ComfyUI tells Wan's size by what is in the file, and `narrow_sd15` and
`narrow_svd` tell it those of Stable Diffusion and Stable Video Diffusion.
"""

import sys
from pathlib import Path

from .native import real_comfyui  # isort: skip (its import starts ComfyUI)

import comfy.ldm.modules.diffusionmodules.openaimodel
import comfy.ldm.wan.vae
import comfy.ops
import torch
from comfyui_miva.miva_core import describe
from comfyui_miva.miva_core.adapters.backbone import Backbone
from diffusers import AutoencoderKL, UNetMotionModel
from safetensors.torch import save_file
from torch import Tensor

from tests.unit.single_files import UNET, VAE, motion_module, stable_diffusion
from tools.workflow_graphs.model_files import CHECKPOINT, MOTION_MODULE, SVD, SVD_XT, WAN, WAN_TEXTS, WAN_VAE

from .narrow_svd import NarrowSVD
from .native.adapters import MASKED, SMALL, random_adapter
from .native.sd15_models import SHAPE
from .native.wan_models import diffusers_wan, random_state

assert real_comfyui.NODES


def _save(state: dict[str, Tensor], folder: Path, link: dict[str, str]) -> None:
    path = folder / link["directory"] / link["name"]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in state.items()}, path)


def _save_motions(backbone: Backbone, folder: Path, plain: str, masked: str) -> None:
    (folder / "miva").mkdir(exist_ok=True)
    for name, config in ((plain, SMALL), (masked, MASKED)):
        adapter = random_adapter(backbone, config)
        info = adapter.info(motion=name, frames=16, size=(64, 96), fps=8.0)
        adapter.save(folder / "miva" / f"{name}.safetensors", info)


def _save_lora(weights: dict[str, tuple[int, int]], names: tuple[str, str], folder: Path, name: str) -> None:
    """A LoRA of rank 2 on linear maps, by the names of their weights and (outputs, inputs)."""
    down, up = names
    state = {}
    for place, (outputs, inputs) in weights.items():
        state[f"{place}.{down}.weight"] = torch.randn(2, inputs)
        state[f"{place}.{up}.weight"] = torch.randn(outputs, 2)
    (folder / "loras").mkdir(exist_ok=True)
    save_file(state, folder / "loras" / f"{name}.safetensors")


def _wan_vae() -> dict[str, Tensor]:
    """Weights that let a picture through, unlike those of `vaes`, which are for shapes."""
    generator = torch.Generator().manual_seed(2)
    shapes = comfy.ldm.wan.vae.WanVAE(dim=8, z_dim=16, temperal_downsample=[False, True, True]).state_dict()
    return {
        name: torch.ones(like.shape)
        if name.endswith("gamma")
        else torch.randn(like.shape, generator=generator) / max(like[0].numel(), 16) ** 0.5
        for name, like in shapes.items()
    }


def _svd(seed: int) -> dict[str, Tensor]:
    """The U-Net of Stable Video Diffusion by the names of its checkpoints."""
    shape = SHAPE | NarrowSVD.unet_config | NarrowSVD.unet_extra_config
    more = {"num_classes": "sequential", "extra_ff_mix_layer": True, "use_spatial_context": True}
    more |= {"merge_strategy": "learned_with_images", "merge_factor": 0.0, "video_kernel_size": [3, 1, 1]}
    more |= {"operations": comfy.ops.disable_weight_init, "device": "meta"}
    net = comfy.ldm.modules.diffusionmodules.openaimodel.UNetModel(**shape | more)
    generator = torch.Generator().manual_seed(seed)
    return {
        f"model.diffusion_model.{name}": torch.randn(like.shape, generator=generator)
        * (like[0].numel() ** -0.5 if like.ndim > 1 else 0.1)
        + (like.ndim == 1 and "norm" in name and name.endswith("weight"))
        for name, like in net.state_dict().items()
    }


def main(folder: Path) -> None:
    torch.manual_seed(0)
    state = random_state()
    _save(state, folder, WAN)
    _save(_wan_vae(), folder, WAN_VAE)
    # Prompts are made by `random_texts`; the file is there for the menu.
    _save({}, folder, WAN_TEXTS)
    _save_motions(describe(diffusers_wan(state)), folder, "wan_zoom_in", "wan_masked")
    width = len(state["blocks.0.ffn.0.weight"])
    places = {f"diffusion_model.blocks.{k}.ffn.0": (width, state["blocks.0.ffn.0.weight"].shape[1]) for k in range(3)}
    _save_lora(places, ("lora_A", "lora_B"), folder, "wan_lora")
    unet = UNetMotionModel(**UNET, motion_max_seq_length=32, use_motion_mid_block=False)
    checkpoint = stable_diffusion(unet, AutoencoderKL(**VAE))
    vae = {name: one for name, one in checkpoint.items() if name.startswith("first_stage_model")}
    for seed, link in enumerate((SVD, SVD_XT)):
        _save(_svd(seed) | vae, folder, link)
    # Without a text encoder, which no workflow needs: ComfyUI would make one of full size.
    _save({name: one for name, one in checkpoint.items() if not name.startswith("cond_stage")}, folder, CHECKPOINT)
    _save(motion_module(unet), folder, MOTION_MODULE)
    _save_motions(describe(unet), folder, "sd15_zoom_in", "sd15_masked")
    places = {}
    for name, module in unet.named_modules():
        if name.endswith("ff.net.2") and "motion" not in name:
            places["lora_unet_" + name.replace(".", "_")] = (module.out_features, module.in_features)
    _save_lora(places, ("lora_down", "lora_up"), folder, "sd15_lora")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
