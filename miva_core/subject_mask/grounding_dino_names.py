"""Convert original Grounding DINO checkpoints: their configuration, and tensors under transformers' names.

The names are those of transformers 4; later releases rename them by themselves when they load.
"""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..errors import MIVAError

if TYPE_CHECKING:
    from transformers import GroundingDinoConfig

Replacement = str | Callable[[re.Match[str]], str]

MARK = "transformer.level_embed"
"""Name of a tensor that every original checkpoint has."""

_SWIN: dict[int, dict[str, Any]] = {
    96: {"window_size": 7, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "image_size": 224},
    128: {"window_size": 12, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32], "image_size": 384},
}
"""Settings of Swin-T and Swin-B by their width."""

# Computed from the configuration, or used in training alone.
_UNUSED = re.compile(r"label_enc\.|bert\.pooler\.|bert\.embeddings\.position_ids$|.*\.relative_position_index$")

_SWIN_MODEL = "model.backbone.conv_encoder.model"
# Applied in turn; each replaces at most one place of a name.
_RENAMES: list[tuple[str, Replacement]] = [
    (r"^backbone\.0\.patch_embed\.proj\.", f"{_SWIN_MODEL}.embeddings.patch_embeddings.projection."),
    (r"^backbone\.0\.patch_embed\.norm\.", f"{_SWIN_MODEL}.embeddings.norm."),
    (r"^backbone\.0\.norm(\d)\.", lambda m: f"{_SWIN_MODEL}.hidden_states_norms.stage{int(m[1]) + 1}."),
    (r"^backbone\.0\.layers\.", f"{_SWIN_MODEL}.encoder.layers."),
    (r"(blocks\.\d+)\.norm1\.", r"\1.layernorm_before."),
    (r"(blocks\.\d+)\.norm2\.", r"\1.layernorm_after."),
    (r"(blocks\.\d+)\.attn\.relative", r"\1.attention.self.relative"),
    (r"(blocks\.\d+)\.attn\.qkv\.", r"\1.attention.self.{}."),
    (r"(blocks\.\d+)\.attn\.proj\.", r"\1.attention.output.dense."),
    (r"(blocks\.\d+)\.mlp\.fc1\.", r"\1.intermediate.dense."),
    (r"(blocks\.\d+)\.mlp\.fc2\.", r"\1.output.dense."),
    (r"^bert\.", "model.text_backbone."),
    (r"^feat_map\.", "model.text_projection."),
    (r"^input_proj\.", "model.input_proj_vision."),
    (r"^transformer\.enc_out_bbox_embed\.", "model.encoder_output_bbox_embed."),
    (r"^transformer\.tgt_embed\.", "model.query_position_embeddings."),
    (r"^transformer\.decoder\.ref_point_head\.", "model.decoder.reference_points_head."),
    (r"^transformer\.decoder\.norm\.", "model.decoder.layer_norm."),
    (r"^transformer\.encoder\.fusion_layers\.(\d+)", r"model.encoder.layers.\1.fusion_layer"),
    (r"^transformer\.encoder\.text_layers\.(\d+)", r"model.encoder.layers.\1.text_enhancer_layer"),
    (r"^transformer\.encoder\.layers\.(\d+)", r"model.encoder.layers.\1.deformable_layer"),
    (r"^transformer\.", "model."),
    (r"fusion_layer\.gamma_v$", "fusion_layer.vision_param"),
    (r"fusion_layer\.gamma_l$", "fusion_layer.text_param"),
    (r"fusion_layer\.(.*)layer_norm_v\.", r"fusion_layer.\1layer_norm_vision."),
    (r"fusion_layer\.(.*)layer_norm_l\.", r"fusion_layer.\1layer_norm_text."),
    (r"(fusion_layer\.attn\.(?:values_|out_)?)v_proj\.", r"\1vision_proj."),
    (r"(fusion_layer\.attn\.(?:values_|out_)?)l_proj\.", r"\1text_proj."),
    (r"(text_enhancer_layer)\.norm1\.", r"\1.layer_norm_before."),
    (r"(text_enhancer_layer)\.norm2\.", r"\1.layer_norm_after."),
    (r"(deformable_layer)\.norm1\.", r"\1.self_attn_layer_norm."),
    (r"(deformable_layer)\.norm2\.", r"\1.final_layer_norm."),
    (r"(decoder\.layers\.\d+)\.norm1\.", r"\1.encoder_attn_layer_norm."),
    (r"(decoder\.layers\.\d+)\.norm2\.", r"\1.self_attn_layer_norm."),
    (r"(decoder\.layers\.\d+)\.norm3\.", r"\1.final_layer_norm."),
    (r"(decoder\.layers\.\d+)\.catext_norm\.", r"\1.encoder_attn_text_layer_norm."),
    (r"(decoder\.layers\.\d+)\.ca_text\.", r"\1.encoder_attn_text."),
    (r"(decoder\.layers\.\d+)\.cross_attn\.", r"\1.encoder_attn."),
    (r"(_layer|decoder\.layers\.\d+)\.linear(\d)\.", r"\1.fc\2."),
    (r"\.in_proj_(weight|bias)$", r".{}.\1"),
]
_PARTS = ("query", "key", "value")


def rename(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of an original checkpoint, and split joint query, key and value projections."""
    renamed = {}
    for name, tensor in tensors.items():
        if _UNUSED.match(name):
            continue
        for pattern, new in _RENAMES:
            name = re.sub(pattern, new, name)
        if "{}" in name:
            # Parts that share memory are taken for tied weights.
            for part, piece in zip(_PARTS, tensor.chunk(3), strict=True):
                renamed[name.format(part)] = piece.clone()
        else:
            renamed[name] = tensor
    return renamed


def configuration(tensors: Mapping[str, Tensor], source: str) -> "GroundingDinoConfig":
    """Build the configuration of the model size that a checkpoint has.

    Args:
        tensors: of the original checkpoint.
        source: name of the file, for the message.

    Raises:
        MIVAError: neither Swin-T nor Swin-B.
    """
    from transformers import GroundingDinoConfig, SwinConfig

    first = tensors.get("backbone.0.patch_embed.proj.weight")
    width = None if first is None else len(first)
    if width is None or width not in _SWIN:
        raise MIVAError(
            f"{source} is not a known Grounding DINO: width {width}, known are 96 (Swin-T) and 128 (Swin-B)."
        )
    swin = SwinConfig(embed_dim=width, out_indices=[2, 3, 4], **_SWIN[width])
    return GroundingDinoConfig(backbone_config=swin)
