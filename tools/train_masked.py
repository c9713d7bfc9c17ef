"""Train the masked adapters that come with the built-in base (section 3.4), the base frozen.

    torchrun --nproc-per-node 2 -m tools.train_masked --out miva_core/tiny/adapters [--start-from FOLDER] [jump sway]

Each of two learns from 20 drawn clips, in most of which a second sprite stands or moves; and both together from clips
with a subject for each, so that neither holds what the other is to move. Every clip is seen in several colours.
Processes share each step: their gradients are averaged.
"""

import argparse
import math
import os
import time
from collections.abc import Iterable
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from miva_core import MIVAAdapter, inject, read_info
from miva_core.backdrops import paint_backdrops
from miva_core.base import Base
from miva_core.loading import load_tiny
from miva_core.loss import draw_steps, place_weights
from miva_core.mask_loss import ground_truth_share, masked_losses
from miva_core.patch_codec import PATCH
from miva_core.procedural import SceneChoice, Scenes, draw_scenes
from miva_core.readout import fit_readout
from miva_core.sprites import SUBJECT_MOTIONS
from tools.train_adapters import CONFIG, PICTURE, SPEED, SYMMETRIC, VARIANTS, load_stills, save, varied

COUNT = 20
OTHERS = (*SUBJECT_MOTIONS, *("still",) * 4)
"""How a second sprite moves that no adapter belongs to; it must not be held."""
TURNS = 4
"""Of a round: each of two adapters alone, and both together, either of them on top."""
SUBJECT = 3.0
"""How much more a place counts where the subject is: less than for plain adapters, since the rest is to keep still."""


class Clips(NamedTuple):
    """Training clips with K masked subjects: latents (N, C, F, h, w), those of the masks as pictures
    (K, N, C, F, h, w), the masks (K, N, F, h, w), weights of the places (N, F, h, w), and the linear read-outs,
    (K, N, C) and (K, N)."""

    latents: Tensor
    mask_latents: Tensor
    masks: Tensor
    weights: Tensor
    readout_weight: Tensor
    readout_bias: Tensor


@torch.no_grad()
def masked_clips(base: Base, motions: tuple[str, ...], seed: int) -> Clips:
    """The clips that one motion is learnt from, or several at once; later motions lie on top."""
    generator = torch.Generator().manual_seed(seed)
    stills = torch.cat([load_stills(seed), paint_backdrops(10, PICTURE, seed)])
    alone = len(motions) == 1
    choice = SceneChoice(
        moves=("still",),
        motions=motions[:1],
        others=OTHERS if alone else motions[1:],
        sprites=(0.0, 0.3, 0.7) if alone else (0.0,) * len(motions) + (1.0,),
        subject_speed=(SPEED, SPEED),
    )
    scenes = draw_scenes(COUNT, generator, choice, len(stills), PICTURE, base.size[0], base.frames)
    return _encode(base, scenes, stills, motions, generator)


def _encode(base: Base, scenes: Scenes, stills: Tensor, motions: tuple[str, ...], generator: torch.Generator) -> Clips:
    frames, _ = scenes.render(stills, *base.size)
    masks = scenes.sprite_masks(*base.size)[:, : len(motions)]
    mirror = all(motion in SYMMETRIC for motion in motions)
    # masks travel as channels, so that they are mirrored with their clip
    frames, masks = varied(frames, masks.transpose(1, 2), VARIANTS, mirror, generator)
    masks = masks.movedim(2, 0)
    pictures = torch.cat([frames[None], masks[:, :, :, None].expand(-1, *frames.shape)])
    latents = base.codec.encode(rearrange(pictures * 2 - 1, "k n f c h w -> (k n f) c h w"))
    latents = rearrange(latents, "(k n f) c h w -> k n c f h w", k=len(pictures), f=base.frames)
    readouts = [
        [fit_readout(base, z[None, :, :1], mask[0]) for z, mask in zip(*of, strict=True)]
        for of in zip(latents[1:], masks, strict=True)
    ]
    return Clips(
        latents[0],
        latents[1:],
        F.avg_pool2d(masks.flatten(0, 1), PATCH).unflatten(0, masks.shape[:2]),
        place_weights(masks.amax(0), PATCH, SUBJECT),
        torch.stack([torch.stack([readout.weight for readout in row]) for row in readouts]),
        torch.stack([torch.stack([readout.bias for readout in row]) for row in readouts]),
    )


def step_loss(
    base: Base, adapters: dict[str, MIVAAdapter], clips: Clips, step: int, args: argparse.Namespace
) -> Tensor:
    """The loss of one batch of clips with a subject for each of the adapters."""
    alphas = base.scheduler.alphas_cumprod
    # Half-length clips cost half, so most steps take twice as many of them.
    frames, batch = (base.frames, args.batch) if step // TURNS % 3 == 0 else (base.frames // 2, 2 * args.batch)
    rows = torch.randint(len(clips.latents), (batch,))
    latents = torch.cat([clips.latents[None, rows, :, :frames], clips.mask_latents[:, rows, :, :frames]]).flatten(0, 1)
    weight, bias = clips.readout_weight[:, rows].flatten(0, 1), clips.readout_bias[:, rows].flatten()

    def read_out(z: Tensor) -> Tensor:
        return (torch.einsum("bc,bcfhw->bfhw", weight, z) + bias[:, None, None, None]).clamp(0, 1)

    with (
        inject(base.model, **adapters) as miva,
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.bf16),
        # On a processor the fused attention is slow for 2 to 64 tokens.
        sdpa_kernel(SDPBackend.MATH),
    ):
        loss = masked_losses(
            miva,
            base.model,
            base.text.expand(batch, -1, -1),
            latents,
            torch.randn_like(latents),
            draw_steps(batch, len(alphas), power=0.6),
            alphas,
            clips.masks[:, rows, :frames],
            clips.weights[rows, :frames],
            read_out=read_out,
            truth=ground_truth_share(step, args.steps),
            rolled_out=0.5,
        ).mean()
        loss.backward()
    return loss.detach()


def train(base: Base, adapters: dict[str, MIVAAdapter], args: argparse.Namespace) -> None:
    """All adapters, in turns alone and together."""
    alone = [(name,) for name in adapters]
    together = list(permutations(adapters))
    clips = {names: masked_clips(base, names, args.seed) for names in alone + together}
    turns = alone + together
    parameters = [p for adapter in adapters.values() for p in adapter.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=args.lr, betas=(0.9, 0.98), weight_decay=0.01)
    torch.manual_seed(args.seed + (dist.get_rank() if dist.is_initialized() else 0))
    start, recent = time.time(), []
    for step in range(args.steps):
        lr = args.lr * min(1.0, (step + 1) / 30) * (0.5 + 0.5 * math.cos(math.pi * step / args.steps))
        optimiser.param_groups[0]["lr"] = lr
        optimiser.zero_grad(set_to_none=True)
        names = turns[step % len(turns)]
        loss = step_loss(base, {name: adapters[name] for name in names}, clips[names], step, args)
        average_gradients(parameters)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        recent.append(loss.item())
        if (step + 1) % (10 * len(turns)) == 0 and _is_first():
            means = " ".join(
                f"{'+'.join(names)} {sum(recent[k :: len(turns)]) / 10:.4f}" for k, names in enumerate(turns)
            )
            print(f"{step + 1}/{args.steps} {time.time() - start:.0f} s loss {means}", flush=True)
            recent = []


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Over the processes, those of parameters that had a part in this step."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not dist.is_initialized():
        return
    joint = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(joint)
    joint /= dist.get_world_size()
    for gradient, mean in zip(gradients, joint.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("motions", nargs=2, default=["jump", "sway"])
    parser.add_argument("--base", type=Path, default=Path("miva_core/tiny"))
    parser.add_argument("--out", type=Path, default=Path("miva_core/tiny/adapters"))
    parser.add_argument("--start-from", type=Path, metavar="FOLDER", help="start from the adapters found there")
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action="store_true", help="faster on processors with bfloat16 units")
    args = parser.parse_args()
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group("gloo")
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    base = load_tiny(args.base)
    adapters = {
        motion: MIVAAdapter.load(_file(args.start_from, motion), base.backbone)
        if args.start_from
        else MIVAAdapter(base.backbone, replace(CONFIG, mask=True))
        for motion in args.motions
    }
    train(base, adapters, args)
    if _is_first():
        for motion, adapter in adapters.items():
            earlier = read_info(_file(args.start_from, motion)).training["steps"] if args.start_from else 0
            save(base, adapter, motion, _file(args.out, motion), args.steps + earlier, args)
    if dist.is_initialized():
        dist.destroy_process_group()


def _is_first() -> bool:
    return not dist.is_initialized() or dist.get_rank() == 0


def _file(folder: Path, motion: str) -> Path:
    return folder / f"{motion}_masked.safetensors"


if __name__ == "__main__":
    main()
