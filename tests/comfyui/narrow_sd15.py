"""Put into a test's ComfyUI as a node pack: Stable Diffusion 1.5 may be 32 channels wide, its VAE as well.

ComfyUI tells that model by its 320 channels, and takes a VAE's encoder to have 128.
"""

from typing import Any

import comfy.sd
import comfy.supported_models

NODE_CLASS_MAPPINGS: dict[str, Any] = {}
_SHAPE = {"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 32}
_SHAPE |= {"ch_mult": [1, 1, 1, 2], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0}
_make_vae = comfy.sd.VAE.__init__


class NarrowSD15(comfy.supported_models.SD15):
    unet_config = comfy.supported_models.SD15.unet_config | {"model_channels": 32}


def _make(self: comfy.sd.VAE, sd: dict[str, Any], *args: Any, **more: Any) -> None:
    first = sd.get("encoder.conv_in.weight")
    if first is not None and len(first) == _SHAPE["ch"]:
        more["config"] = {"params": {"ddconfig": _SHAPE, "embed_dim": 4}}
    _make_vae(self, sd, *args, **more)


comfy.supported_models.models.append(NarrowSD15)
comfy.sd.VAE.__init__ = _make
