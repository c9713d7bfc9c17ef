"""Convert original SAM 2 checkpoints: their configuration, and tensors under transformers' names."""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import MIVAError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, Sam2Config, Sam2VideoConfig

Replacement = str | Callable[[re.Match[str]], str]

MARK = "image_encoder.trunk.patch_embed.proj.weight"
"""Name of a tensor that every original checkpoint has."""

# Settings by width and number of blocks: tiny, small, base plus, large.
_HIERA: dict[tuple[int, int], dict[str, Any]] = {
    (96, 12): {},
    (96, 16): {"blocks_per_stage": [1, 2, 11, 2], "global_attention_blocks": [7, 10, 13]},
    (112, 24): {
        "blocks_per_stage": [2, 3, 16, 3],
        "global_attention_blocks": [12, 16, 20],
        "num_attention_heads_per_stage": [2, 4, 8, 16],
        "window_positional_embedding_background_size": [14, 14],
    },
    (144, 48): {
        "blocks_per_stage": [2, 6, 36, 4],
        "global_attention_blocks": [23, 33, 43],
        "num_attention_heads_per_stage": [2, 4, 8, 16],
        "window_positional_embedding_background_size": [7, 7],
        "window_size_per_stage": [8, 4, 16, 8],
    },
}

# Multilayer perceptrons of two and of three layers.
_TWO = {"0": "proj_in", "1": "proj_out"}
_THREE = {"0": "proj_in", "1": "layers.0", "2": "proj_out"}
_HEADS = "output_hypernetworks_mlps.\\d+|iou_prediction_head|pred_obj_score_head|object_pointer_proj"
# Applied in turn; each replaces at most one place of a name.
_RENAMES: list[tuple[str, Replacement]] = [
    (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
    (r"^image_encoder\.neck\.(convs\.\d+)\.conv\.", r"vision_encoder.neck.\1."),
    (r"patch_embed\.proj\.", "patch_embed.projection."),
    (r"^maskmem_tpos_enc$", "memory_temporal_positional_encoding"),
    (r"^no_mem_embed$", "no_memory_embedding"),
    (r"^no_mem_pos_enc$", "no_memory_positional_encoding"),
    (r"^no_obj_ptr$", "no_object_pointer"),
    (r"^no_obj_embed_spatial$", "occlusion_spatial_embedding_parameter"),
    (r"^obj_ptr_proj\.", "object_pointer_proj."),
    (r"^obj_ptr_tpos_proj\.", "temporal_positional_encoding_projection_layer."),
    (r"^memory_encoder\.out_proj\.", "memory_encoder.projection."),
    (r"^memory_encoder\.pix_feat_proj\.", "memory_encoder.feature_projection."),
    (r"^memory_encoder\.fuser\.", "memory_encoder.memory_fuser."),
    (r"(memory_fuser\.layers\.\d+)\.gamma$", r"\1.scale"),
    (r"\.dwconv\.", ".depthwise_conv."),
    (r"\.pwconv(\d)\.", r".pointwise_conv\1."),
    (r"mask_downsampler\.encoder\.12\.", "mask_downsampler.final_conv."),
    (
        r"mask_downsampler\.encoder\.(\d+)\.",
        lambda m: f"mask_downsampler.layers.{int(m[1]) // 3}.{('conv', 'layer_norm')[int(m[1]) % 3]}.",
    ),
    (r"^sam_prompt_encoder\.", "prompt_encoder."),
    (r"pe_layer\.positional_encoding_gaussian_matrix$", "shared_embedding.positional_embedding"),
    (r"mask_downscaling\.0\.", "mask_embed.conv1."),
    (r"mask_downscaling\.1\.", "mask_embed.layer_norm1."),
    (r"mask_downscaling\.3\.", "mask_embed.conv2."),
    (r"mask_downscaling\.4\.", "mask_embed.layer_norm2."),
    (r"mask_downscaling\.6\.", "mask_embed.conv3."),
    (r"^sam_mask_decoder\.", "mask_decoder."),
    (r"output_upscaling\.0\.", "upscale_conv1."),
    (r"output_upscaling\.1\.", "upscale_layer_norm."),
    (r"output_upscaling\.3\.", "upscale_conv2."),
    (rf"({_HEADS})\.layers\.(\d)\.", lambda m: f"{m[1]}.{_THREE[m[2]]}."),
    (r"mlp\.layers\.(\d)\.", lambda m: f"mlp.{_TWO[m[1]]}."),
    (r"\.out_proj\.", ".o_proj."),
    (r"\.norm(\d?|_final_attn)\.", r".layer_norm\1."),
]
_POINTS = [f"prompt_encoder.point_embeddings.{k}.weight" for k in range(4)]


def rename(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of an original checkpoint."""
    renamed = {}
    for name, tensor in tensors.items():
        for pattern, new in _RENAMES:
            name = re.sub(pattern, new, name)
        renamed[name] = tensor
    if all(name in renamed for name in _POINTS):
        renamed["prompt_encoder.point_embed.weight"] = torch.cat([renamed.pop(name) for name in _POINTS])
    shared = renamed.get("prompt_encoder.shared_embedding.positional_embedding")
    if shared is not None:
        # Tensors that share memory are taken for tied weights.
        renamed["shared_image_embedding.positional_embedding"] = shared.clone()
    return renamed


def configuration(tensors: Mapping[str, Tensor], source: str) -> "Sam2VideoConfig":
    """Build the configuration of the model size and generation (2 or 2.1) that a checkpoint has.

    Args:
        tensors: of the original checkpoint.
        source: name of the file, for the message.

    Raises:
        MIVAError: no known size.
    """
    from transformers import (
        Sam2HieraDetConfig,
        Sam2VideoConfig,
        Sam2VideoMaskDecoderConfig,
        Sam2VideoPromptEncoderConfig,
        Sam2VisionConfig,
    )

    width = len(tensors[MARK])
    blocks = {m[1] for name in tensors if (m := re.match(r"image_encoder\.trunk\.blocks\.(\d+)\.", name))}
    if (width, len(blocks)) not in _HIERA:
        raise MIVAError(f"{source} is not a known SAM 2 image encoder: width {width}, {len(blocks)} blocks.")
    stages = [width * 2**k for k in range(4)]
    hiera = Sam2HieraDetConfig(hidden_size=width, embed_dim_per_stage=stages, **_HIERA[width, len(blocks)])
    is_2_1 = "no_obj_embed_spatial" in tensors
    return Sam2VideoConfig(
        vision_config=Sam2VisionConfig(backbone_config=hiera, backbone_channel_list=stages[::-1]),
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(),
        mask_decoder_config=Sam2VideoMaskDecoderConfig(),
        enable_occlusion_spatial_embedding=is_2_1,
        enable_temporal_pos_encoding_for_object_pointers=is_2_1,
    )


def image_configuration(config: "Sam2VideoConfig") -> "Sam2Config":
    """Build the configuration of the part of a model that works on single pictures."""
    from transformers import Sam2Config, Sam2MaskDecoderConfig, Sam2PromptEncoderConfig

    def plain(part: "PretrainedConfig") -> dict[str, Any]:
        return {name: value for name, value in part.to_dict().items() if name != "model_type"}

    return Sam2Config(
        vision_config=config.vision_config,
        prompt_encoder_config=Sam2PromptEncoderConfig(**plain(config.prompt_encoder_config)),
        mask_decoder_config=Sam2MaskDecoderConfig(**plain(config.mask_decoder_config)),
    )
