"""The codec of the built-in base: fitted, then refined by a small network."""

import math
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from miva_core.bases.tiny.linear_patches import PATCH
from miva_core.bases.tiny.patch_codec import PatchCodec
from tools.tiny_base.clips import FRAMES, sample_clips


def fit_codec(pictures: Tensor, generator: torch.Generator, channels: int = 32) -> PatchCodec:
    """A codec with its linear part fitted; the network that refines its pictures starts at nothing."""
    codec = PatchCodec(latent_channels=channels).to(pictures.device)
    frames = torch.cat([sample_clips(pictures, 50, generator).frames[:, ::5] for _ in range(6)])
    patches = F.pixel_unshuffle(rearrange(frames, "b f c h w -> (b f) c h w"), PATCH)
    codec.patches.fit(rearrange(patches, "n c h w -> (n h w) c"))
    return codec


def train_codec(pictures: Tensor, out: Path, minutes: float, batch: int, seed: int) -> None:
    """Train a codec on drawn clips and write it in half precision.

    Args:
        pictures: from `load_pictures`, on the device to train on.
        out: folder that the codec is written into.
        minutes: how long it is trained.
        batch: clips in a step.
        seed: of the clips.
    """
    generator, device = torch.Generator().manual_seed(seed), pictures.device
    codec = fit_codec(pictures, generator)
    codec.save_pretrained(out / "codec")
    learned = [p for p in codec.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learned, weight_decay=0.0)
    start, step = time.time(), 0
    while (progress := (time.time() - start) / (60 * minutes)) < 1:
        optimiser.param_groups[0]["lr"] = 1.5e-3 * 0.5 * (1 + math.cos(math.pi * progress)) + 1e-5
        clip = sample_clips(pictures, batch, generator).frames
        frames = rearrange(clip[:, :: FRAMES // 4], "b f c h w -> (b f) c h w")
        latents = codec.encode(frames)
        # The sampler's latents are never quite clean: the decoder learns to look past a little noise.
        noisy = latents + torch.rand(len(latents), 1, 1, 1, device=device) * 0.12 * torch.randn_like(latents)
        error = codec.decode(noisy) - frames
        loss = error.abs().mean() + 2 * error.square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimiser.step()
        step += 1
        if step % 200 == 0:
            with torch.no_grad():
                clean = (codec.decode(latents).clamp(-1, 1) - frames).square().mean()
            print(f"codec {step} loss {loss.item():.4f} psnr {10 * math.log10(4 / clean.item()):.2f}", flush=True)
    codec.to(torch.float16).save_pretrained(out / "codec")
