"""Train the adapters that come with the built-in base, each on a few clips, the base frozen.

    python -m tools.train_adapters --base miva_core/tiny --out miva_core/tiny/adapters [pan_left zoom_in rise ...]

Camera motions learn from 100 clips, crops of 20 stills (MIVA, section D.2), subject motions from 20 drawn clips; beside
a jump the camera moves in some. Every clip is seen in several colours.
"""

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from miva_core import MIVAAdapter, MIVAConfig, inject
from miva_core.backdrops import paint_backdrops
from miva_core.base import Base
from miva_core.loading import load_tiny
from miva_core.loss import draw_steps, place_weights, rolled_out_losses
from miva_core.patch_codec import PATCH
from miva_core.pictures import read_picture
from miva_core.procedural import WORDS, SceneChoice, draw_scenes

STILLS = Path(__file__).parent / "stills"
PICTURE, SPEED = 112, 0.9
CAMERA = ("pan_left", "pan_right", "zoom_in", "zoom_out")
SUBJECT = ("rise", "jump", "sway")
CAMERAS_BESIDE = {"jump": ("still",) * 6 + ("pan_left", "pan_right", "zoom_in", "zoom_out")}
"""How the camera moves beside a subject motion, where not still: a steady one such as rising is too much like it."""
VARIANTS = 6
SYMMETRIC = ("rise", "jump")
"""Subject motions without a side, whose clips may be mirrored."""
SEEN = 0.8
"""How the camera moves shows below this share of the steps; above it, such a clip would only teach a blur."""
CONFIG = replace(MIVAConfig.default(), cfa_rank=16, ca_rank=64, ta_rank=16, ta_alpha=16.0)


def load_stills(seed: int) -> Tensor:
    """The stills beside this file, square crops: uint8 (20, 3, PICTURE, PICTURE)."""
    crops = []
    generator = torch.Generator().manual_seed(seed)
    for path in sorted(STILLS.glob("*.jpg")):
        picture = rearrange(read_picture(path), "h w c -> 1 c h w")
        factor = PICTURE * (1 + 0.3 * torch.rand(1, generator=generator).item()) / min(picture.shape[-2:])
        picture = F.interpolate(picture, scale_factor=factor, mode="bilinear", antialias=True)
        y, x = (int(torch.randint(0, n - PICTURE + 1, (1,), generator=generator)) for n in picture.shape[-2:])
        crops.append(picture[0, :, y : y + PICTURE, x : x + PICTURE])
    return (torch.stack(crops) * 255).round().to(torch.uint8)


class Clips(NamedTuple):
    """Training clips of one motion: latents (N, C, F, h, w), weights of their places (N, F, h, w), and in which of them
    the camera moves beside the subject, (N,) bool."""

    latents: Tensor
    weights: Tensor
    mixed: Tensor


@torch.no_grad()
def motion_clips(base: Base, motion: str, seed: int) -> Clips:
    """The few clips that one motion is learnt from."""
    stills, generator = load_stills(seed), torch.Generator().manual_seed(seed)
    if motion in CAMERA:
        choice, count = SceneChoice(moves=(motion,), speed=(SPEED, SPEED), motions=("still",), sprites=(1.0, 0.0)), 100
    else:
        choice = SceneChoice(
            moves=CAMERAS_BESIDE.get(motion, ("still",)),
            motions=(motion,),
            sprites=(0.0, 1.0),
            subject_speed=(SPEED, SPEED),
        )
        count = 20
        stills = torch.cat([stills, paint_backdrops(10, PICTURE, seed)])
    scenes = draw_scenes(count, generator, choice, len(stills), PICTURE, base.size[0], base.frames)
    frames, masks = scenes.render(stills, *base.size)
    frames, masks = varied(frames, masks, VARIANTS, motion in SYMMETRIC, generator)
    latents = base.codec.encode(rearrange(frames * 2 - 1, "b f c h w -> (b f) c h w"))
    latents = rearrange(latents, "(b f) c h w -> b c f h w", f=base.frames)
    mixed = scenes.words[:, 0] != WORDS.index("camera still")
    mixed = (mixed & (motion not in CAMERA)).repeat(VARIANTS)
    return Clips(latents, place_weights(masks, PATCH), mixed)


def varied(
    frames: Tensor, masks: Tensor, variants: int, mirror: bool, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Few clips seen in more colours, every second time mirrored where the motion has no side: (variants B, ...)."""
    seen, covered = [], []
    for k in range(variants):
        gain = 1 + 0.15 * torch.randn(len(frames), 1, 3, 1, 1, generator=generator)
        gamma = torch.exp(0.2 * torch.randn(len(frames), 1, 1, 1, 1, generator=generator))
        flipped = (lambda x: x.flip(-1)) if mirror and k % 2 else (lambda x: x)
        seen.append(flipped((frames.clamp(1e-4, 1) ** gamma * gain).clamp(0, 1)))
        covered.append(flipped(masks))
    return torch.cat(seen), torch.cat(covered)


def train(base: Base, motion: str, args: argparse.Namespace) -> MIVAAdapter:
    """One adapter from a fresh start."""
    torch.manual_seed(args.seed)
    clips = motion_clips(base, motion, args.seed)
    adapter = MIVAAdapter(base.backbone, CONFIG)
    optimiser = torch.optim.AdamW(adapter.parameters(), lr=args.lr, betas=(0.9, 0.98), weight_decay=0.01)
    alphas = base.scheduler.alphas_cumprod
    start, recent = time.time(), []
    with inject(base.model, motion=adapter):
        for step in range(args.steps):
            lr = args.lr * min(1.0, (step + 1) / 30) * (0.5 + 0.5 * math.cos(math.pi * step / args.steps))
            optimiser.param_groups[0]["lr"] = lr
            # Half-length clips cost half, so most steps take twice as many of them.
            frames, batch = (base.frames, args.batch) if step % 3 == 0 else (base.frames // 2, 2 * args.batch)
            rows = torch.randint(len(clips.latents), (batch,))
            latents, weights, mixed = clips.latents[rows, :, :frames], clips.weights[rows, :frames], clips.mixed[rows]
            t = draw_steps(batch, len(alphas), power=0.6)
            t = torch.where(mixed, (SEEN * t).long(), t)
            text = base.text.expand(batch, -1, -1)
            with (
                torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.bf16),
                # On a processor the fused attention is slow for 2 to 64 tokens.
                sdpa_kernel(SDPBackend.MATH),
            ):
                noise = torch.randn_like(latents)
                # The model's own step from pure noise knows nothing of the camera.
                own = torch.where(mixed, 0.0, 0.5)
                loss = rolled_out_losses(base.model, text, latents, noise, t, alphas, own, weights).mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(adapter.parameters(), 1.0)
            optimiser.step()
            recent.append(loss.item())
            if (step + 1) % 50 == 0:
                print(
                    f"{motion} {step + 1}/{args.steps} {time.time() - start:.0f} s loss {sum(recent) / 50:.4f}",
                    flush=True,
                )
                recent = []
    return adapter


def save(base: Base, adapter: MIVAAdapter, motion: str, path: Path, steps: int, args: argparse.Namespace) -> None:
    """Writes an adapter with its record."""
    info = adapter.info(
        motion=motion.replace("_", " "),
        frames=base.frames,
        size=(base.size[1], base.size[0]),
        fps=base.fps,
        subject="" if motion in CAMERA else "object",
        training={
            "steps": steps,
            "stills" if motion in CAMERA else "clips": 20,
            "lr": args.lr,
            "seed": args.seed,
        },
        licence="Apache-2.0",
        author="The ComfyUI-MIVA contributors",
    )
    adapter.save(path, info, dtype=torch.float16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("motions", nargs="*", default=[*CAMERA, *SUBJECT])
    parser.add_argument("--base", type=Path, default=Path("miva_core/tiny"))
    parser.add_argument("--out", type=Path, default=Path("miva_core/tiny/adapters"))
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action="store_true", help="faster on processors with bfloat16 units")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    base = load_tiny(args.base)
    for motion in args.motions:
        save(base, train(base, motion, args), motion, args.out / f"{motion}.safetensors", args.steps, args)


if __name__ == "__main__":
    main()
