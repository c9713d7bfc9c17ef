"""Compute DINO and CLIP features of frames with weights from local folders; nothing is downloaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..errors import MIVAError

_MEAN = {"dino": (0.485, 0.456, 0.406), "clip": (0.48145466, 0.4578275, 0.40821073)}
_STD = {"dino": (0.229, 0.224, 0.225), "clip": (0.26862954, 0.26130258, 0.27577711)}
_TYPES = {"dino": ("vit",), "clip": ("clip", "clip_vision_model")}
_REPOSITORIES = {"dino": "facebook/dino-vitb16", "clip": "openai/clip-vit-base-patch32"}


def load_features(kind: Literal["dino", "clip"], folder: Path) -> Callable[[Tensor], Tensor]:
    """Load a feature extractor.

    Args:
        kind: of features.
        folder: as transformers saves a model, with config.json and model.safetensors.

    Returns:
        A function that computes features (F, D) of frames (F, H, W, 3) in [0, 1].

    Raises:
        MIVAError: the folder holds no such model.
    """
    from transformers import AutoConfig, CLIPVisionModelWithProjection, ViTModel

    try:
        found = AutoConfig.from_pretrained(folder, local_files_only=True).model_type
        if found not in _TYPES[kind]:
            raise MIVAError(f"{folder} holds a model of type {found}, but {_REPOSITORIES[kind]} was expected.")
        model_class = {"dino": ViTModel, "clip": CLIPVisionModelWithProjection}[kind]
        model = model_class.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except MIVAError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        raise MIVAError(
            f"{folder} holds no {kind.upper()} model that can be read: name a local copy of {_REPOSITORIES[kind]} with "
            "its config.json and model.safetensors."
        ) from error
    model.eval().requires_grad_(False)
    side = model.config.image_size
    mean, std = (torch.tensor(table[kind])[:, None, None] for table in (_MEAN, _STD))

    @torch.no_grad()
    def dino(pictures: Tensor) -> Tensor:
        pictures = (_scale_shorter_side(pictures, side, "bilinear") - mean) / std
        return model(pictures, interpolate_pos_encoding=True).last_hidden_state[:, 0]

    @torch.no_grad()
    def clip(pictures: Tensor) -> Tensor:
        pictures = _scale_shorter_side(pictures, side, "bicubic")
        top, left = ((n - side) // 2 for n in pictures.shape[-2:])
        return model((pictures[..., top : top + side, left : left + side] - mean) / std).image_embeds

    return lambda frames: {"dino": dino, "clip": clip}[kind](rearrange(frames.float(), "f h w c -> f c h w"))


def _scale_shorter_side(pictures: Tensor, side: int, mode: str) -> Tensor:
    """Scale pictures (F, 3, H, W) to a shorter side in pixels, without antialiasing, as VBench does."""
    height, width = pictures.shape[-2:]
    factor = side / min(height, width)
    size = [max(side, round(n * factor)) for n in (height, width)]
    return F.interpolate(pictures, size, mode=mode).clamp(0, 1)
