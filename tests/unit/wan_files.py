"""Small files of Wan in the layout of its authors, written from the layout's own rules."""

import re

from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import Tensor

WAN_VAE = {
    "base_dim": 8,
    "z_dim": 4,
    "num_res_blocks": 2,
    "latents_mean": [0.1, -0.2, 0.3, 0.0],
    "latents_std": [1.5, 2, 1, 3],
}


def original(model: WanTransformer3DModel) -> dict[str, Tensor]:
    """The names of the authors' own file."""
    file = {}
    for name, tensor in model.state_dict().items():
        name = re.sub(r"\.norm2\.", ".norm3.", name)  # theirs count the norm without parameters as the second
        name = name.replace("attn1.", "self_attn.").replace("attn2.", "cross_attn.")
        name = re.sub(r"_attn\.to_([qkv])\.", r"_attn.\1.", name).replace("_attn.to_out.0.", "_attn.o.")
        name = name.replace("ffn.net.0.proj.", "ffn.0.").replace("ffn.net.2.", "ffn.2.")
        name = name.replace("condition_embedder.time_embedder.linear_1", "time_embedding.0")
        name = name.replace("condition_embedder.time_embedder.linear_2", "time_embedding.2")
        name = name.replace("condition_embedder.text_embedder.linear_1", "text_embedding.0")
        name = name.replace("condition_embedder.text_embedder.linear_2", "text_embedding.2")
        name = name.replace("condition_embedder.time_proj", "time_projection.1")
        name = "head.modulation" if name == "scale_shift_table" else name.replace("scale_shift_table", "modulation")
        file[name.replace("proj_out.", "head.head.")] = tensor
    return file


def original_wan_vae(vae: AutoencoderKLWan) -> dict[str, Tensor]:
    """The names of the authors' own VAE: blocks are counted through all levels, layers by their place in a sequence."""
    file = {}
    starts = [k * (WAN_VAE["num_res_blocks"] + 2) for k in range(4)]  # blocks of a level, then its upsampler
    for name, tensor in vae.state_dict().items():
        name = re.sub(r"^quant_conv\.", "conv1.", name)
        name = re.sub(r"^post_quant_conv\.", "conv2.", name)
        name = name.replace("coder.conv_in.", "coder.conv1.")
        name = name.replace("coder.norm_out.", "coder.head.0.").replace("coder.conv_out.", "coder.head.2.")
        name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"middle.{2 * int(m[1])}", name)
        name = name.replace("mid_block.attentions.0", "middle.1").replace("down_blocks.", "downsamples.")
        name = re.sub(r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"upsamples.{starts[int(m[1])] + int(m[2])}", name)
        name = re.sub(
            r"up_blocks\.(\d)\.upsamplers\.0",
            lambda m: f"upsamples.{starts[int(m[1])] + WAN_VAE['num_res_blocks'] + 1}",
            name,
        )
        for ours, theirs in (
            ("norm1.", "residual.0."),
            ("conv1.", "residual.2."),
            ("norm2.", "residual.3."),
            ("conv2.", "residual.6."),
            ("conv_shortcut.", "shortcut."),
        ):
            name = re.sub(rf"(middle|samples)\.(\d+)\.{ours}", rf"\1.\2.{theirs}", name)
        file[name] = tensor
    return file
