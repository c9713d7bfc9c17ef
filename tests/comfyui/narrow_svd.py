"""Put into a test's ComfyUI as a node pack: Stable Video Diffusion may be 32 channels wide, and see without a network.

ComfyUI tells that model by its 320 channels, and makes what looks at the picture as large as it is, 632 M numbers.
"""

from types import SimpleNamespace
from typing import Any

import comfy.clip_vision
import comfy.supported_models
from torch import Tensor, nn

NODE_CLASS_MAPPINGS: dict[str, Any] = {}
_load = comfy.clip_vision.load_clipvision_from_sd


class NarrowSVD(comfy.supported_models.SVD_img2vid):
    unet_config = comfy.supported_models.SVD_img2vid.unet_config | {"model_channels": 32}
    unet_extra_config = comfy.supported_models.SVD_img2vid.unet_extra_config | {"num_head_channels": 8}


class ColoursAlone:
    """CLIP_VISION that sees a picture as 1024 of its colours."""

    def encode_image(self, image: Tensor) -> Any:
        return SimpleNamespace(image_embeds=nn.functional.adaptive_avg_pool1d(image[:1].flatten(1), 1024))


def _see(sd: dict[str, Any], prefix: str = "", convert_keys: bool = False) -> Any:
    return _load(sd, prefix, convert_keys) or (ColoursAlone() if prefix == NarrowSVD.clip_vision_prefix else None)


comfy.supported_models.models.append(NarrowSVD)
comfy.clip_vision.load_clipvision_from_sd = _see
