"""Train the built-in base: its codec, then its video model.

    python -m tools.train_tiny codec --photos PHOTOS --out OUT
    python -m tools.train_tiny base  --photos PHOTOS --out OUT --minutes 60 [--resume miva_core/bases/tiny/weights]
    python -m tools.train_tiny export --codec OUT/codec --resume OUT/ema.pt --out miva_core/bases/tiny/weights

PHOTOS is a folder of photographs (any size above 112 pixels a side), see `tools.training_photographs`. Runs on CUDA
when there is a card; `torchrun --nproc-per-node 2 -m tools.train_tiny base …` uses two processes, each with its own
clips. The averaged weights are written every two minutes; `export` puts them where the package loads them.

The base never sees a clip without a clean first frame, and its noise is centred on that frame: frames 2..F are
x_t = x^1 + alpha (x - x^1) + sigma eps. It predicts x - x^1, so a network that answers nothing holds the picture still,
and all training goes into motion. It also answers where in the first frame each pixel comes from; the exact flow of the
drawn clips is its second target, without which it hardly learns to use that.
"""

import argparse
import json
import math
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from diffusers import DDIMScheduler
from einops import rearrange
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from miva_core.bases.animatediff.per_frame_norm import use_per_frame_norm
from miva_core.bases.model_predictor import ModelPredictor
from miva_core.bases.tiny.linear_patches import PATCH
from miva_core.bases.tiny.patch_codec import PatchCodec
from miva_core.bases.tiny.warping_unet import WarpingUNet
from miva_core.clips.camera import UNIT_MOVES
from miva_core.diffusion.noise_process import NoiseProcess
from miva_core.training.denoiser import Denoiser, NoisedClips
from miva_core.training.draws import Draws, draw_timesteps
from miva_core.training.loss import place_weights, rolled_out_losses
from tools.procedural.backdrops import paint_backdrops
from tools.procedural.scenes import SLOTS, WORDS, SceneChoice, draw_scenes

SIZE, FRAMES, PICTURE = 64, 16, 112
TEXT_DIM = 64
ROUND = 50
"""Clips that are drawn at a time when a pool is filled."""
SUBJECT_WEIGHT = 6.0
"""How much more a place counts where a subject is."""
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


def load_pictures(folder: Path, seed: int = 0, crops: int = 8, painted: int = 600) -> Tensor:
    """Photograph crops at several scales and painted backdrops: uint8 (T, 3, PICTURE, PICTURE)."""
    rng = np.random.default_rng(seed)
    tiles = []
    for path in sorted(folder.glob("*.jpg")):
        photo = cv2.imread(str(path))[..., ::-1]
        for _ in range(crops):
            short = rng.uniform(PICTURE, min(220, min(photo.shape[:2])) + 1)
            factor = short / min(photo.shape[:2])
            scaled = cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            y = rng.integers(0, scaled.shape[0] - PICTURE + 1)
            x = rng.integers(0, scaled.shape[1] - PICTURE + 1)
            tiles.append(torch.from_numpy(scaled[y : y + PICTURE, x : x + PICTURE].copy()).permute(2, 0, 1))
    return torch.cat([torch.stack(tiles), paint_backdrops(painted, PICTURE, seed)])


CHOICE = SceneChoice(
    # Nothing is learnt as slowly as zooming out.
    moves=("still", "still", "zoom_out", *UNIT_MOVES),
    motions=("still", "slide_left", "slide_right", "rise", "jump", "sway"),
    sprites=(0.25, 0.75),
    speed=(0.5, 1.2),
    subject_speed=(0.5, 1.2),
)
"""What the base sees. Cameras and subjects move at once or by themselves."""


class Drawn(NamedTuple):
    """Drawn clips: frames (B, F, 3, H, W) in [-1, 1], the colours of each clip varied, masks of the subjects
    (B, F, H, W), flow to the first frame and where it is known (B, F, 3, H, W), captions (B, W) and their speeds
    (B, W)."""

    frames: Tensor
    masks: Tensor
    flow: Tensor
    words: Tensor
    speeds: Tensor


def sample_clips(pictures: Tensor, count: int, generator: torch.Generator, choice: SceneChoice = CHOICE) -> Drawn:
    scenes = draw_scenes(count, generator, choice, len(pictures), PICTURE, SIZE, FRAMES).to(pictures.device)
    frames, masks = scenes.render(pictures, SIZE, SIZE)
    gain = 1 + 0.15 * torch.randn(count, 1, 3, 1, 1, generator=generator).to(frames.device)
    gamma = torch.exp(0.2 * torch.randn(count, 1, 1, 1, 1, generator=generator)).to(frames.device)
    frames = (frames.clamp(1e-4, 1) ** gamma * gain).clamp(0, 1) * 2 - 1
    return Drawn(frames, masks, scenes.flow_to_first(SIZE, SIZE), scenes.words, scenes.speeds)


@torch.no_grad()
def encode_clips(codec: PatchCodec, frames: Tensor) -> Tensor:
    """Frames (B, F, 3, H, W) in [-1, 1] to latents (B, C, F, h, w)."""
    latents = codec.encode(rearrange(frames, "b f c h w -> (b f) c h w"))
    return rearrange(latents, "(b f) c h w -> b c f h w", b=len(frames))


class ClipPool:
    """Encoded clips that are drawn many times and replaced one batch after another, since drawing them is slow."""

    def __init__(
        self,
        codec: PatchCodec,
        pictures: Tensor,
        size: int,
        generator: torch.Generator,
        choice: SceneChoice = CHOICE,
    ) -> None:
        self.codec, self.pictures, self.generator, self.choice = codec, pictures, generator, choice
        made = [self.encode(ROUND) for _ in range(size // ROUND)]
        self.parts = [torch.cat(part) for part in zip(*made, strict=True)]
        self.oldest = 0

    def encode(self, count: int) -> tuple[Tensor, ...]:
        drawn = sample_clips(self.pictures, count, self.generator, self.choice)
        weights = place_weights(F.avg_pool2d(drawn.masks, PATCH), SUBJECT_WEIGHT)
        return encode_clips(self.codec, drawn.frames), weights, drawn.flow.half(), drawn.words, drawn.speeds

    def renew(self, count: int) -> None:
        """Replace the `count` oldest clips."""
        size = len(self.parts[0])
        rows = (torch.arange(count) + self.oldest) % size
        for part, new in zip(self.parts, self.encode(count), strict=True):
            part[rows] = new
        self.oldest = (self.oldest + count) % size

    def draw(self, count: int) -> tuple[Tensor, ...]:
        """Latents (B, C, F, h, w), weights of their places (B, F, h, w), flow, captions and speeds, see `Drawn`."""
        rows = torch.randint(len(self.parts[0]), (count,), generator=self.generator)
        return tuple(part[rows] for part in self.parts)


def fit_codec(pictures: Tensor, generator: torch.Generator, channels: int = 32) -> PatchCodec:
    """A codec with its linear part fitted; the network that refines its pictures starts at nothing."""
    codec = PatchCodec(latent_channels=channels).to(pictures.device)
    frames = torch.cat([sample_clips(pictures, 50, generator).frames[:, ::5] for _ in range(6)])
    patches = F.pixel_unshuffle(rearrange(frames, "b f c h w -> (b f) c h w"), PATCH)
    codec.patches.fit(rearrange(patches, "n c h w -> (n h w) c"))
    return codec


def train_codec(args: argparse.Namespace, device: torch.device) -> None:
    pictures, generator = load_pictures(args.photos).to(device), torch.Generator().manual_seed(args.seed)
    codec = fit_codec(pictures, generator)
    codec.save_pretrained(args.out / "codec")
    learned = [p for p in codec.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learned, weight_decay=0.0)
    start, step = time.time(), 0
    while (progress := (time.time() - start) / (60 * args.minutes)) < 1:
        optimiser.param_groups[0]["lr"] = 1.5e-3 * 0.5 * (1 + math.cos(math.pi * progress)) + 1e-5
        clip = sample_clips(pictures, args.batch, generator).frames
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
    codec.to(torch.float16).save_pretrained(args.out / "codec")


def caption(words: nn.Embedding, shown: Tensor, speeds: Tensor) -> Tensor:
    """Caption embeddings (B, W, D): each word as long as its motion is fast, so that no speed need be guessed.

    Where the speed is unknown the best guess is a blur of all speeds, and a base that has only ever made blurs cannot
    lend an adapter a sharp motion.
    """
    length = torch.where(shown == 0, 1.0, speeds)
    return words(shown) * length[..., None]


def hide_words(words: Tensor) -> Tensor:
    """Empty the whole caption of an eighth of the clips and single words of the others."""
    whole = torch.rand(len(words), 1, device=words.device) < 1 / 8
    single = torch.rand(words.shape, device=words.device) < 0.05
    return words.masked_fill(whole | single, 0)


def make_optimisers(unet: nn.Module, words: nn.Embedding, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices, AdamW for convolutions, norms, biases, the embeddings and the time network."""
    matrices, rest = [], []
    for name, parameter in named(unet, words).items():
        hidden = parameter.ndim == 2 and "time_emb" not in name and not name.startswith("words.")
        (matrices if hidden else rest).append(parameter)
    return [
        torch.optim.Muon(matrices, lr=lr, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def elapsed_share(start: float, seconds: float, ranks: int) -> float:
    """Share of the time that has passed, the same number in every process, so that all stop at the same step."""
    share = torch.tensor((time.time() - start) / seconds)
    if ranks > 1:
        dist.all_reduce(share, dist.ReduceOp.MAX)
    return share.item()


def average_gradients(parameters: list[nn.Parameter], ranks: int) -> None:
    """Mean of the gradients over all processes, in one message."""
    gradients = torch.cat([p.grad.flatten() for p in parameters])
    dist.all_reduce(gradients)
    for parameter, mean in zip(parameters, gradients.split([p.numel() for p in parameters]), strict=True):
        parameter.grad.copy_(mean.view_as(parameter) / ranks)


def join_processes() -> tuple[int, int]:
    """This process's number and how many there are, all of them told of each other."""
    rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if ranks > 1:
        dist.init_process_group("gloo")
    return rank, ranks


def train_base(args: argparse.Namespace, device: torch.device) -> None:
    rank, ranks = join_processes()
    pictures = load_pictures(args.photos).to(device)
    generator = torch.Generator().manual_seed(args.seed + rank)
    codec = PatchCodec.from_pretrained(args.codec).float().to(device)
    torch.manual_seed(args.seed)
    # The empty word stays zero: an adapter starts from a base whose text cross-attention adds nothing.
    unet, words = build_unet(codec).to(device), nn.Embedding(len(WORDS), TEXT_DIM, padding_idx=0).to(device)
    if args.resume:
        load_halves(args.resume, unet, words)
    pool = ClipPool(codec, pictures, args.pool, generator)
    torch.manual_seed(args.seed + 1 + rank)
    denoiser = Denoiser(ModelPredictor(unet), NoiseProcess(DDIMScheduler(**SCHEDULE), centred=True))
    start = time.time()
    learn(
        unet,
        words,
        lambda step, _: batch_losses(denoiser, words, pool, step, args, generator),
        lambda _: elapsed_share(start, 60 * args.minutes, ranks),
        args,
        rank,
        ranks,
    )


def batch_losses(
    denoiser: Denoiser,
    words: nn.Embedding,
    pool: ClipPool,
    step: int,
    args: argparse.Namespace,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Steps t (B,) and losses (B,) of a batch of the pool's clips."""
    # Half-length clips cost half; the last frames are met often enough.
    frames = FRAMES // 2 if step % 10 < 10 * args.short else FRAMES
    batch = args.batch * FRAMES // frames
    pool.renew(2)
    latents, weights, flow, shown, speeds = pool.draw(batch)
    latents, weights, flow = latents[:, :, :frames], weights[:, :frames], flow[:, :frames]
    text = caption(words, hide_words(shown.to(latents.device)), speeds.to(latents.device))
    chances = {"power": args.high_noise, "rolled_out": args.own, "truth": 0.0}
    drawn = draw_timesteps(batch, denoiser.process, generator, **chances)
    draws = Draws(*(part.to(latents.device) for part in drawn))
    clips = NoisedClips(latents, torch.randn_like(latents), text, weights, flow)
    return draws.t, rolled_out_losses(denoiser, clips, draws)


def learn(
    unet: nn.Module,
    words: nn.Embedding,
    losses_at: Callable[[int, float], tuple[Tensor, Tensor]],
    done: Callable[[int], float],
    args: argparse.Namespace,
    rank: int,
    ranks: int,
) -> None:
    """Train until all is done; the averaged weights are in `args.out` / ema.pt.

    Args:
        losses_at: takes the step and the share of the work that is done; gives the steps t (B,) and the losses
            (B,) of a batch.
        done: takes the step and gives that share, the same in all processes.
    """
    optimisers = make_optimisers(unet, words, args.lr)
    parameters = list(named(unet, words).values())
    ema = [p.detach().clone() for p in parameters]
    start = saved = time.time()
    step, clips, curve = 0, 0, {}
    while (progress := done(step)) < 1:
        lr = args.lr * min(1.0, (step + 1) / 50) * (0.02 + 0.98 * min(1.0, (1 - progress) / args.decay))
        for group in [g for optimiser in optimisers for g in optimiser.param_groups]:
            group["lr"] = lr
        t, losses = losses_at(step, progress)
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        losses.mean().backward()
        if ranks > 1:
            average_gradients(parameters, ranks)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        for optimiser in optimisers:
            optimiser.step()
        torch._foreach_lerp_(ema, [p.detach() for p in parameters], 1 - min(args.ema, (step + 1) / (step + 10)))
        step, clips = step + 1, clips + len(t) * ranks
        for bucket, value in zip((t // 200).tolist(), losses.tolist(), strict=True):
            curve.setdefault(bucket, []).append(value)
        if rank == 0 and (step in (1, 20) or step % 100 == 0):
            means = " ".join(f"{k * 200}:{sum(v) / len(v):.4f}" for k, v in sorted(curve.items()))
            curve = {}
            print(f"step {step} {clips} clips {time.time() - start:.0f} s lr {lr:.1e} loss {means}", flush=True)
        if rank == 0 and time.time() - saved > 120:
            save_halves(args.out / "ema.pt", ema, parameters, unet, words)
            saved = time.time()
    if rank == 0:
        save_halves(args.out / "ema.pt", ema, parameters, unet, words)
    print(f"done: {step} steps, {clips} clips, {time.time() - start:.0f} s", flush=True)


def named(unet: nn.Module, words: nn.Module) -> dict[str, Tensor]:
    """What is learnt, all but the copy of the codec's patches."""
    learnt = {f"unet.{name}": p for name, p in unet.named_parameters() if p.requires_grad}
    return learnt | {f"words.{name}": p for name, p in words.named_parameters()}


def save_halves(path: Path, ema: list[Tensor], parameters: list[Tensor], unet: nn.Module, words: nn.Module) -> None:
    """Write the averaged weights in half precision, whole or not at all."""
    average = dict(zip(map(id, parameters), ema, strict=True))
    torch.save({k: average[id(v)].half() for k, v in named(unet, words).items()}, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


def load_halves(path: Path, unet: nn.Module, words: nn.Module) -> None:
    """Read a checkpoint, or the folder that `export` wrote."""
    if path.is_dir():
        saved = {f"unet.{k}": v for k, v in load_file(path / "unet" / "diffusion_pytorch_model.safetensors").items()}
        saved |= {f"words.{k}": v for k, v in load_file(path / "words.safetensors").items()}
    else:
        saved = torch.load(path, weights_only=True, map_location="cpu")
    with torch.no_grad():
        for name, parameter in named(unet, words).items():
            parameter.copy_(saved[name])


def export(args: argparse.Namespace) -> None:
    """Write the shipped parts from a checkpoint, all of them beside their places first: a mixed base would load."""
    trained = PatchCodec.from_pretrained(args.codec)
    # A fresh object: one that was loaded writes the folder it came from into its config.
    codec = PatchCodec(latent_channels=trained.config.latent_channels)
    codec.load_state_dict(trained.state_dict())
    unet, words = build_unet(codec), nn.Embedding(len(WORDS), TEXT_DIM)
    load_halves(args.resume, unet, words)
    new = args.out / "new"
    unet.half().save_pretrained(new / "unet")
    codec.half().save_pretrained(new / "codec")
    DDIMScheduler(**SCHEDULE).save_pretrained(new / "scheduler")
    save_file({"weight": words.weight.detach().half()}, new / "words.safetensors", {"words": json.dumps(WORDS)})
    (new / "settings.json").write_text(json.dumps(SETTINGS, indent=2) + "\n", encoding="utf-8")
    for path in [path for path in new.rglob("*") if path.is_file()]:
        place = args.out / path.relative_to(new)
        place.parent.mkdir(exist_ok=True)
        path.chmod(0o644)
        path.replace(place)
    shutil.rmtree(new)


def learning_options(parser: argparse.ArgumentParser) -> None:
    """What every training of a video model here is told."""
    parser.add_argument("--photos", type=Path, default=Path("tools/photos"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=6, help="clips of 16 frames in a step")
    parser.add_argument("--pool", type=int, default=600, help="encoded clips kept for drawing")
    parser.add_argument("--short", type=float, default=0.7, help="share of steps on twice as many clips of 8 frames")
    parser.add_argument("--high-noise", type=float, default=0.6, help="power below 1 prefers late diffusion steps")
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--decay", type=float, default=0.4, help="share of the time over which the rate falls")
    parser.add_argument("--ema", type=float, default=0.995)
    parser.add_argument("--seed", type=int, default=0)


def check_pool(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End with a sentence where the pool of clips is too small."""
    if args.pool < ROUND:
        parser.error(f"--pool is {args.pool}, expected at least {ROUND}: clips are drawn so many at a time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("codec", "base", "export"))
    learning_options(parser)
    parser.add_argument("--codec", type=Path, help="folder of the trained codec")
    parser.add_argument("--resume", type=Path, help="checkpoint to start from, or an exported folder")
    parser.add_argument("--own", type=float, default=0.2, help="share of clips noised by way of the model's own step")
    args = parser.parse_args()
    for name in {"codec": (), "base": ("codec",), "export": ("codec", "resume")}[args.stage]:
        if getattr(args, name) is None:
            parser.error(f"{args.stage} needs --{name}")
    check_pool(parser, args)
    args.out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if args.stage == "export":
        export(args)
    else:
        {"codec": train_codec, "base": train_base}[args.stage](args, device)


if __name__ == "__main__":
    main()
