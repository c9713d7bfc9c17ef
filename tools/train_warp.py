"""A trial for the next built-in base: one that also warps its first frame along a flow that it predicts.

    python -m tools.train_warp --photos PHOTOS --out OUT --minutes 35

Starts from the shipped base. Its last convolution gets eight more channels, a flow of 2 by 2 vectors to a latent place,
and its first one five that tell where and when a place is; all of them begin at zero, so that nothing has changed then.
The answer x - x^1 is what it was, plus the first frame warped along the flow, minus the first frame. The flow learns
from the exact one of the drawn clips, too. Camera motions only, no subjects yet. Writes OUT/warp.pt, and prints how
captioned clips compare with ideal ones; what came of it is in benchmarks/results/base_trials.md.
"""

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, UNetMotionModel
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.tiny_quality import SPEED, camera_ideal, camera_speed, held_out_pictures
from miva_core import animate, load_base
from miva_core.camera import UNIT_MOVES, apply_affine, pixel_grid
from miva_core.denoiser import Denoiser
from miva_core.draws import draw
from miva_core.loading import TINY_FOLDER
from miva_core.metrics import psnr
from miva_core.patch_codec import PATCH, PatchCodec
from miva_core.per_frame_norm import use_per_frame_norm
from miva_core.procedural import WORDS, draw_scenes
from tools import train_tiny
from tools.train_tiny import CHOICE, FRAMES, PICTURE, SCHEDULE, SIZE, TEXT_DIM

MOVES = tuple(name for name in UNIT_MOVES if name != "still")
PLACE, FINE = 5, 2
"""Channels that tell where and when; flow vectors a side of a latent place."""
REACH = 4.0
"""Pixels of flow to a unit of what the network answers, so that they are learnt as fast as the rest."""
FLOW_WEIGHT = 0.1
POOL = 500


class WarpingUNet(UNetMotionModel):
    """The base's network with that head; clips must begin with their clean first frame.

    Attributes:
        codecs: the codec, in a tuple, since it is no part of the network.
        flow: (B, F, 2, H, W) of the last call: where in the first frame a pixel comes from, pixels off its own place.
    """

    codecs: tuple[PatchCodec]
    flow: Tensor

    def forward(self, sample: Tensor, t: Tensor, encoder_hidden_states: Tensor) -> Any:
        batch, channels, frames, height, width = sample.shape
        told = torch.cat([sample, _places(batch, frames, height, width).to(sample)], dim=1)
        answer = super().forward(told, t, encoder_hidden_states=encoder_hidden_states).sample
        with torch.autocast(sample.device.type, enabled=False):
            first = sample[:, :, 0].float()
            rest, flow = answer.float().split([channels, 2 * FINE**2], dim=1)
            fine = F.pixel_shuffle(REACH * flow.transpose(1, 2).flatten(0, 1), FINE)
            full = F.interpolate(fine, size=(PATCH * height, PATCH * width), mode="bilinear", align_corners=False)
            self.flow = full.unflatten(0, (batch, frames))
            warped = self._warp(first, full).unflatten(0, (batch, frames)).transpose(1, 2)
        return SimpleNamespace(sample=rest + warped - first[:, :, None])

    def _warp(self, first: Tensor, flow: Tensor) -> Tensor:
        """First frames (B, C, h, w) along a flow (B F, 2, H, W), both ways by the linear part of the codec alone."""
        (codec,) = self.codecs
        patches = F.conv2d(first, codec.synthesis[:, :, None, None]) + codec.mean[:, None, None]
        pictures = F.pixel_shuffle(patches, PATCH).repeat_interleave(len(flow) // len(first), dim=0)
        height, width = pictures.shape[-2:]
        y, x = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
        places = torch.stack([(2 * (x + flow[:, 0]) + 1) / width - 1, (2 * (y + flow[:, 1]) + 1) / height - 1], dim=-1)
        return codec.encode(F.grid_sample(pictures, places, padding_mode="border", align_corners=False))


def _places(batch: int, frames: int, height: int, width: int) -> Tensor:
    """(B, 5, F, h, w): x, y, the frame's time, and both products."""
    time_, y, x = torch.meshgrid(
        torch.arange(frames) / (FRAMES - 1), torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    return torch.stack([x, y, time_, time_ * x, time_ * y]).expand(batch, -1, -1, -1, -1)


def grafted(saved: Tensor, shape: torch.Size) -> Tensor:
    """A parameter of the shipped base in a larger one, the rest zeros."""
    larger = torch.zeros(shape)
    larger[tuple(slice(0, side) for side in saved.shape)] = saved
    return larger


def start() -> tuple[WarpingUNet, nn.Embedding]:
    """The shipped base with a head that does nothing yet."""
    shipped, words = train_tiny.build_unet(32), nn.Embedding(len(WORDS), TEXT_DIM)
    train_tiny.load_halves(TINY_FOLDER, shipped, words)
    larger = {"in_channels": 32 + PLACE, "out_channels": 32 + 2 * FINE**2}
    unet = WarpingUNet.from_config({**shipped.config, **larger})
    use_per_frame_norm(unet)
    state = unet.state_dict()
    unet.load_state_dict({name: grafted(value, state[name].shape) for name, value in shipped.state_dict().items()})
    unet.codecs = (PatchCodec.from_pretrained(TINY_FOLDER / "codec").float().requires_grad_(False),)
    return unet, words


def draw_clips(count: int, codec: PatchCodec, pictures: Tensor, generator: torch.Generator) -> list[Tensor]:
    """Latents, exact flows (B, F, 2, H, W), captions and speeds of drawn clips."""
    choice = replace(CHOICE, moves=MOVES, sprites=(1.0, 0.0))
    scenes = draw_scenes(count, generator, choice, len(pictures), PICTURE, SIZE, FRAMES)
    frames, _ = scenes.render(pictures, SIZE, SIZE)
    grid = pixel_grid(SIZE, SIZE, "cpu")
    flow = (apply_affine(scenes.camera, grid) - grid).movedim(-1, 2).half()
    return [train_tiny.encode_clips(codec, frames.clamp(0, 1) * 2 - 1), flow, scenes.words, scenes.speeds]


def train(model: WarpingUNet, words: nn.Embedding, args: argparse.Namespace) -> None:
    pictures, generator = train_tiny.load_pictures(args.photos), torch.Generator().manual_seed(args.seed)
    made = [draw_clips(50, model.codecs[0], pictures, generator) for _ in range(POOL // 50)]
    pool = [torch.cat(parts) for parts in zip(*made, strict=True)]
    optimisers = train_tiny.make_optimisers(model, words, args.lr)
    parameters = [*model.parameters(), *words.parameters()]
    average = [parameter.detach().clone() for parameter in parameters]
    denoiser = Denoiser(model, DDIMScheduler(**SCHEDULE), centred=True)
    began, step, errors = time.time(), 0, []
    while (progress := (time.time() - began) / (60 * args.minutes)) < 1:
        rate = args.lr * min(1.0, (step + 1) / 30) * (0.02 + 0.98 * min(1.0, (1 - progress) / 0.4))
        for group in [group for optimiser in optimisers for group in optimiser.param_groups]:
            group["lr"] = rate
        rows = (torch.arange(4) + 4 * step) % POOL
        for part, new in zip(pool, draw_clips(4, model.codecs[0], pictures, generator), strict=True):
            part[rows] = new
        frames = FRAMES if step % 3 == 0 else FRAMES // 2
        chosen = torch.randint(POOL, (args.batch * FRAMES // frames,), generator=generator)
        latents, flow, shown, speeds = (part[chosen] for part in pool)
        latents, flow = latents[:, :, :frames], flow[:, :frames].float()
        text = train_tiny.caption(words, train_tiny.hide_words(shown), speeds)
        t = draw(len(chosen), denoiser.scheduler, generator, power=0.6, rolled_out=0.0, truth=0.0).t
        noise = torch.randn_like(latents)
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            answer = denoiser.answer(text, latents, noise, t)
        off = (model.flow - flow)[:, 1:].abs().mean()
        loss = denoiser.squared_errors(answer, latents, noise, t)[:, :, 1:].mean() + FLOW_WEIGHT * off
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        for optimiser in optimisers:
            optimiser.step()
        torch._foreach_lerp_(average, [p.detach() for p in parameters], 1 - min(0.99, (step + 1) / (step + 10)))
        step, errors = step + 1, [*errors[-24:], off.item()]
        if step == 1 or step % 25 == 0:
            print(f"step {step} loss {loss.item():.4f} flow off by {statistics.mean(errors):.3f} pixels", flush=True)
    with torch.no_grad():
        for parameter, mean in zip(parameters, average, strict=True):
            parameter.copy_(mean)


@torch.no_grad()
def measure(model: WarpingUNet, words: nn.Embedding) -> None:
    """Captioned clips of ten held-out pictures against the ideal ones."""
    base, pictures = replace(load_base("tiny"), model=model), held_out_pictures(40)[::4]
    for move in MOVES:
        ideal, speed = camera_ideal(pictures, move, base), camera_speed(move)
        text = words.weight[[WORDS.index(f"camera {move}"), WORDS.index("no subject")]].clone()
        text[0] *= SPEED
        captioned, ratios, levels = replace(base, text=text[None]), [], []
        for truth in ideal.frames:
            clip = animate(captioned, truth[0], {}, seed=0).frames
            ratios.append(speed(clip) / speed(truth))
            levels.append([psnr(clip[k - 1], truth[k - 1]) for k in (2, 8, 16)])
            levels[-1].append(levels[-1][1] - psnr(truth[0], truth[7]))
        *shown, gain = torch.tensor(levels).mean(0).tolist()
        told = " / ".join(f"{level:.1f}" for level in shown)
        print(f"{move}: speed {statistics.median(ratios):.2f}, PSNR at 2 / 8 / 16 {told}, above a still {gain:+.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=35)
    parser.add_argument("--batch", type=int, default=5, help="clips of 16 frames in a step")
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=5)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    model, words = start()
    train(model, words, args)
    kept = {name: value.half() for name, value in train_tiny.named(model, words).items()}
    torch.save(kept, args.out / "warp.tmp")
    (args.out / "warp.tmp").replace(args.out / "warp.pt")
    measure(model, words)


if __name__ == "__main__":
    main()
