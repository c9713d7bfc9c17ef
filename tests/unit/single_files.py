"""Small model files in the layouts that people have on disk, written from the layouts' own rules."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from diffusers import AutoencoderKL, UNetMotionModel
from torch import Tensor

UNET = {
    "block_out_channels": (32, 64, 128, 128),
    "down_block_types": ("CrossAttnDownBlockMotion",) * 3 + ("DownBlockMotion",),
    "up_block_types": ("UpBlockMotion",) + ("CrossAttnUpBlockMotion",) * 3,
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "num_attention_heads": 8,
    "motion_num_attention_heads": 8,
}
VAE = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (32, 32, 32, 64),
    "layers_per_block": 2,
    "latent_channels": 4,
    "scaling_factor": 0.18215,
}
WAN = {
    # The width tells the 1.3B model from others; few and thin blocks keep the file small.
    "num_attention_heads": 12,
    "attention_head_dim": 128,
    "num_layers": 1,
    "ffn_dim": 32,
    "text_dim": 8,
    "freq_dim": 16,
    "in_channels": 4,
    "out_channels": 4,
    "rope_max_seq_len": 64,
}


def write_configs(folder: Path, package: Path) -> None:
    """The package's own configs of Stable Diffusion 1.5, the widths apart."""
    for name, small in (("unet", UNET), ("vae", VAE), ("scheduler", {})):
        config = json.loads((package / f"{name}.json").read_text())
        if small:
            config |= {"block_out_channels": small["block_out_channels"]}
        (folder / f"{name}.json").write_text(json.dumps(config))


_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def _ldm_places() -> Iterator[tuple[str, str]]:
    """diffusers block -> place in the original U-Net: twelve blocks down, a middle, twelve up."""
    for level in range(4):
        for layer in range(2):
            block = 1 + 3 * level + layer
            yield f"down_blocks.{level}.resnets.{layer}.", f"input_blocks.{block}.0."
            yield f"down_blocks.{level}.attentions.{layer}.", f"input_blocks.{block}.1."
        yield f"down_blocks.{level}.downsamplers.0.conv.", f"input_blocks.{3 * level + 3}.0.op."
        for layer in range(3):
            block = 3 * level + layer
            yield f"up_blocks.{level}.resnets.{layer}.", f"output_blocks.{block}.0."
            yield f"up_blocks.{level}.attentions.{layer}.", f"output_blocks.{block}.1."
        # An upsampler comes after what else its block has; the lowest level has no attention.
        yield f"up_blocks.{level}.upsamplers.0.conv.", f"output_blocks.{3 * level + 2}.{1 if level == 0 else 2}.conv."
    yield "mid_block.resnets.0.", "middle_block.0."
    yield "mid_block.attentions.0.", "middle_block.1."
    yield "mid_block.resnets.1.", "middle_block.2."
    yield "time_embedding.linear_1.", "time_embed.0."
    yield "time_embedding.linear_2.", "time_embed.2."
    yield "conv_in.", "input_blocks.0.0."
    yield "conv_norm_out.", "out.0."
    yield "conv_out.", "out.2."


def stable_diffusion(unet: UNetMotionModel, vae: AutoencoderKL | None) -> dict[str, Tensor]:
    """A Stable Diffusion 1.x single file, with something else in it as the real ones have."""
    places = dict(_ldm_places())
    file = {}
    for name, tensor in unet.state_dict().items():
        if "motion_modules" in name:
            continue
        here = next(place for place in places if name.startswith(place))
        rest = name[len(here) :]
        if ".resnets." in here:
            part, kind = rest.rsplit(".", 1)
            rest = f"{_RESNET[part]}.{kind}"
        file[f"model.diffusion_model.{places[here]}{rest}"] = tensor
    if vae:
        file |= {f"first_stage_model.{name}": tensor for name, tensor in original_vae(vae).items()}
    file["cond_stage_model.transformer.text_model.embeddings.position_ids"] = tensor.new_zeros(1, 77)
    return file


def original_vae(vae: AutoencoderKL) -> dict[str, Tensor]:
    file = {}
    for name, tensor in vae.state_dict().items():
        name = re.sub(r"encoder\.down_blocks\.(\d)\.resnets\.", r"encoder.down.\1.block.", name)
        name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0\.", r"down.\1.downsample.", name)
        name = re.sub(r"up_blocks\.(\d)\.resnets\.", lambda m: f"up.{3 - int(m[1])}.block.", name)
        name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0\.", lambda m: f"up.{3 - int(m[1])}.upsample.", name)
        name = re.sub(r"mid_block\.resnets\.(\d)\.", lambda m: f"mid.block_{int(m[1]) + 1}.", name)
        name = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
        if "mid_block.attentions.0" in name:
            name = name.replace("mid_block.attentions.0", "mid.attn_1").replace("group_norm", "norm")
            for new, old in (("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out")):
                name = name.replace(f".{new}.", f".{old}.")
            if tensor.ndim == 2:  # they were 1x1 convolutions
                tensor = tensor[:, :, None, None]
        file[name] = tensor
    return file


def motion_module(unet: UNetMotionModel) -> dict[str, Tensor]:
    """An AnimateDiff motion module, its positional encodings included."""
    file = {}
    for name, tensor in unet.state_dict().items():
        if "motion_modules" not in name:
            continue
        name = re.sub(r"(motion_modules\.\d+)\.", r"\1.temporal_transformer.", name)
        name = re.sub(r"\.attn([12])\.", lambda m: f".attention_blocks.{int(m[1]) - 1}.", name)
        name = re.sub(r"\.norm([12])\.", lambda m: f".norms.{int(m[1]) - 1}.", name)
        name = name.replace(".norm3.", ".ff_norm.")
        if name.endswith("pos_embed.pe"):
            stem = name.removesuffix("pos_embed.pe")
            file |= {f"{stem}attention_blocks.{k}.pos_encoder.pe": tensor.clone() for k in (0, 1)}
        else:
            file[name] = tensor
    return file
