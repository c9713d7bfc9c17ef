"""The video model of the built-in base: what it is made of, its half-precision files, and its export."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, UNetMotionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from miva_core.bases.animatediff.per_frame_norm import use_per_frame_norm
from miva_core.bases.tiny.linear_patches import PATCH
from miva_core.bases.tiny.patch_codec import PatchCodec
from miva_core.bases.tiny.warping_unet import WarpingUNet
from tools.procedural.scenes import SLOTS, WORDS
from tools.tiny_base.clips import FRAMES, SIZE

TEXT_DIM = 64
SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "sample",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "clip_sample": False,
    "set_alpha_to_one": True,
}
SETTINGS = {
    # To be changed with the weights: adapters fit only the base they were trained on.
    "revision": "tiny-5",
    "frames": FRAMES,
    "size": [SIZE, SIZE],
    "multiple": 2 * PATCH,
    "fps": 8,
    "centred": True,
    "caption_words": len(SLOTS),
    # The lower the noise, the more the model takes its own blur for what is there, and subjects lag (base_trials.md).
    "steps": 4,
    "last_timestep": 800,
    # Where the noise is centred on the picture no drift of colours is to be undone, and AdaIN sharpens what is blurred
    # (claims.md).
    "adain": False,
    "noise": {"shared_ratio": 0.05, "dct": True, "strength": 0.0787, "cutoff": 0.23},
}


def unet_config(codec: PatchCodec) -> dict[str, Any]:
    """Of the video model: two levels, spatial and temporal attention at both."""
    return {
        "sample_size": SIZE // PATCH,
        "in_channels": codec.config.latent_channels,
        "out_channels": codec.config.latent_channels,
        "down_block_types": ("CrossAttnDownBlockMotion", "CrossAttnDownBlockMotion"),
        "up_block_types": ("CrossAttnUpBlockMotion", "CrossAttnUpBlockMotion"),
        "block_out_channels": (64, 96),
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "cross_attention_dim": TEXT_DIM,
        "use_linear_projection": True,
        "num_attention_heads": (2, 3),
        "motion_max_seq_length": FRAMES,
        "motion_num_attention_heads": (2, 3),
        "use_motion_mid_block": True,
    }


def build_unet(codec: PatchCodec, **changed: Any) -> WarpingUNet:
    """The video model, its patches those of the codec, with settings that differ from `unet_config`."""
    unet = WarpingUNet(**unet_config(codec) | changed)
    use_per_frame_norm(unet)
    unet.patches.load_state_dict(codec.patches.state_dict())
    return unet


class CaptionedModel(nn.Module):
    """A video model with the words of its captions.

    Args:
        unet: the video model.
    """

    def __init__(self, unet: UNetMotionModel) -> None:
        super().__init__()
        self.unet = unet
        # The empty word stays zero: an adapter starts from a base whose text cross-attention adds nothing.
        self.words = nn.Embedding(len(WORDS), TEXT_DIM, padding_idx=0)

    @property
    def learnt(self) -> dict[str, nn.Parameter]:
        """What is learnt, by name: all but the copy of the codec's patches."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def caption(self, shown: Tensor, speeds: Tensor) -> Tensor:
        """Caption embeddings (B, W, D): each word as long as its motion is fast, so that no speed need be guessed.

        Where the speed is unknown the best guess is a blur of all speeds, and a base that has only ever made blurs
        cannot lend an adapter a sharp motion.

        Args:
            shown: (B, W) words, 0 for the empty one.
            speeds: (B, W) of what they say.
        """
        length = torch.where(shown == 0, 1.0, speeds)
        return self.words(shown) * length[..., None]


def load_halves(path: Path, model: CaptionedModel) -> None:
    """Read a checkpoint, or the folder that `export` wrote, into a model."""
    if path.is_dir():
        saved = {f"unet.{k}": v for k, v in load_file(path / "unet" / "diffusion_pytorch_model.safetensors").items()}
        saved |= {f"words.{k}": v for k, v in load_file(path / "words.safetensors").items()}
    else:
        saved = torch.load(path, weights_only=True, map_location="cpu")
    with torch.no_grad():
        for name, parameter in model.learnt.items():
            parameter.copy_(saved[name])


def export(codec_folder: Path, checkpoint: Path, out: Path) -> None:
    """Write the shipped parts from a checkpoint, all of them beside their places first: a mixed base would load.

    Args:
        codec_folder: of the trained codec.
        checkpoint: see `load_halves`.
        out: folder that the package loads the base from.
    """
    trained = PatchCodec.from_pretrained(codec_folder)
    # A fresh object: one that was loaded writes the folder it came from into its config.
    codec = PatchCodec(latent_channels=trained.config.latent_channels)
    codec.load_state_dict(trained.state_dict())
    model = CaptionedModel(build_unet(codec))
    load_halves(checkpoint, model)
    new = out / "new"
    model.unet.half().save_pretrained(new / "unet")
    codec.half().save_pretrained(new / "codec")
    DDIMScheduler(**SCHEDULE).save_pretrained(new / "scheduler")
    words = model.words.weight.detach().half()
    save_file({"weight": words}, new / "words.safetensors", {"words": json.dumps(WORDS)})
    (new / "settings.json").write_text(json.dumps(SETTINGS, indent=2) + "\n", encoding="utf-8")
    for path in [path for path in new.rglob("*") if path.is_file()]:
        place = out / path.relative_to(new)
        place.parent.mkdir(exist_ok=True)
        path.chmod(0o644)
        path.replace(place)
    shutil.rmtree(new)
