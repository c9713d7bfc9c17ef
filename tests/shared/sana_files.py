"""Files of SANA in the layout of its authors, by the rules of diffusers' conversion."""

import re

import torch
from torch import Tensor

_OUTSIDE = {
    "patch_embed.proj": "x_embedder.proj",
    "caption_projection.linear_1": "y_embedder.y_proj.fc1",
    "caption_projection.linear_2": "y_embedder.y_proj.fc2",
    "caption_norm": "attention_y_norm",
    "time_embed.emb.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_embed.emb.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_embed.linear": "t_block.1",
    "proj_out": "final_layer.linear",
    "scale_shift_table": "final_layer.scale_shift_table",
}
_IN_BLOCKS = {
    "attn1.to_out.0": "attn.proj",
    "attn2.to_q": "cross_attn.q_linear",
    "attn2.to_out.0": "cross_attn.proj",
    "ff.conv_inverted": "mlp.inverted_conv.conv",
    "ff.conv_depth": "mlp.depth_conv.conv",
    "ff.conv_point": "mlp.point_conv.conv",
    "scale_shift_table": "scale_shift_table",
}
_JOINED = {
    "attn.qkv.weight": [f"attn1.to_{part}.weight" for part in "qkv"],
    "cross_attn.kv_linear.weight": [f"attn2.to_{part}.weight" for part in "kv"],
    "cross_attn.kv_linear.bias": [f"attn2.to_{part}.bias" for part in "kv"],
}


def by_its_authors(sana: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by the names of diffusers as the authors' files have them, with what these hold beside."""
    file = {_renamed(name, _OUTSIDE): value for name, value in sana.items() if not name.startswith("transformer_")}
    blocks = {int(found[1]) for name in sana if (found := re.match(r"transformer_blocks\.(\d+)\.", name))}
    for i in blocks:
        prefix = f"transformer_blocks.{i}."
        inside = {name.removeprefix(prefix): value for name, value in sana.items() if name.startswith(prefix)}
        for joined, parts in _JOINED.items():
            file[f"blocks.{i}.{joined}"] = torch.cat([inside.pop(part) for part in parts])
        file |= {f"blocks.{i}.{_renamed(name, _IN_BLOCKS)}": value for name, value in inside.items()}
    return file | {"pos_embed": torch.zeros(1, 4, 8), "y_embedder.y_embedding": torch.zeros(300, 12)}


def _renamed(name: str, names: dict[str, str]) -> str:
    place, dot, kind = name.rpartition(".")
    return f"{names[place]}.{kind}" if dot and place in names else names[name]
