"""Small random Wan models: ComfyUI's own, and those of diffusers with the same weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import comfy.ldm.wan.model
import comfy.ops
import comfy.sd
import torch
from comfyui_miva.miva_core import describe
from comfyui_miva.miva_core.adapters.backbone import Backbone
from diffusers import WanTransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from torch import Tensor, nn

DIM, HEADS, BLOCKS, HIDDEN, WORDS = 256, 2, 3, 512, 4096
VARIANTS: dict[str, dict[str, Any]] = {
    "vace": {"vace_layers": 1, "vace_in_dim": 96},
    "i2v 2.1": {"in_dim": 36, "model_type": "i2v"},
    "i2v 2.2": {"in_dim": 36},
    "5b": {"in_dim": 48, "out_dim": 48},
    "ref_conv": {"in_dim": 48, "in_dim_ref_conv": 16, "model_type": "i2v"},
}
"""What each differs in from text-to-video; "causal" has the weights of text-to-video and is another class."""


@dataclass(frozen=True)
class SmallWan:
    """A model of three blocks, two heads of 128 channels, texts of 4096 channels.

    Attributes:
        state: weights by ComfyUI's names. model: MODEL. reference: the diffusers model. backbone: of both.
    """

    state: dict[str, Tensor]
    model: Any
    reference: WanTransformer3DModel
    backbone: Backbone

    @classmethod
    def make(cls, seed: int = 0) -> SmallWan:
        state = random_state(seed)
        reference = diffusers_wan(state)
        return cls(state, native_wan(state), reference, describe(reference))


def random_state(seed: int = 0, **config: Any) -> dict[str, Tensor]:
    """Weights of a Wan model by ComfyUI's names, such that every part is heard in the output.

    Args:
        **config: what differs from text-to-video, see `VARIANTS`.
    """
    kind = comfy.ldm.wan.model.VaceWanModel if "vace_layers" in config else comfy.ldm.wan.model.WanModel
    shape = {"dim": DIM, "ffn_dim": HIDDEN, "num_heads": HEADS, "num_layers": BLOCKS, "text_dim": WORDS}
    net = kind(**shape | config, device="meta", dtype=torch.float32, operations=comfy.ops.disable_weight_init)
    generator = torch.Generator().manual_seed(seed)
    return {name: _random(name, value, generator) for name, value in net.state_dict().items()}


def _random(name: str, like: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(like.shape, generator=generator)
    if name.endswith("modulation"):
        return 0.5 * noise
    if name.endswith("bias"):
        return 0.05 * noise
    if "norm" in name or like.ndim == 1:
        return 1 + 0.2 * noise
    return 1.2 * noise / like[0].numel() ** 0.5


def native_wan(state: dict[str, Tensor], *, causal: bool = False, **model_options: Any) -> Any:
    """MODEL, as Load Diffusion Model makes it.

    Args:
        causal: whether the file says that these are the weights of an autoregressive model.
        **model_options: as that node passes them on, such as dtype=torch.float8_e4m3fn.
    """
    metadata = {"config": json.dumps({"transformer": {"causal_ar": True}})} if causal else None
    with torch.inference_mode():
        return comfy.sd.load_diffusion_model_state_dict(dict(state), model_options=model_options, metadata=metadata)


def wan_variant(name: str, seed: int = 0) -> Any:
    """MODEL of one of `VARIANTS`, or "causal"."""
    return native_wan(random_state(seed, **VARIANTS.get(name, {})), causal=name == "causal")


def diffusers_wan(state: dict[str, Tensor]) -> WanTransformer3DModel:
    """The diffusers model of text-to-video weights."""
    model = WanTransformer3DModel(
        num_attention_heads=HEADS,
        attention_head_dim=DIM // HEADS,
        num_layers=BLOCKS,
        ffn_dim=HIDDEN,
        text_dim=WORDS,
        freq_dim=256,
        in_channels=16,
        out_channels=16,
        patch_size=(1, 2, 2),
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        eps=1e-6,
        rope_max_seq_len=1024,
    )
    model.load_state_dict(convert_wan_transformer_to_diffusers(dict(state)))
    return model.eval().requires_grad_(False)


def network(model: Any) -> nn.Module:
    """The network in a MODEL."""
    return model.get_model_object("diffusion_model")
