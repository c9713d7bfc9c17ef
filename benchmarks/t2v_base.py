"""A base that never saw a clean first frame, to tell what MIVA itself brings.

    python -m benchmarks.t2v_base --photos PHOTOS --out OUT [--minutes 60]

The built-in base always had a clean first frame beside the noise, so following a picture is nothing that its adapters
have to teach. This one is as large, with the same codec, captions and clips, but noise lies on all frames, centred on
nothing, and it is a `UNetMotionModel` as AnimateDiff's is, which answers no flow. As there, single frames are learnt
before clips. PHOTOS as for `tools.train_tiny`; `torchrun --nproc-per-node 2 -m benchmarks.t2v_base …`
uses two processes. `benchmarks.t2v_arm` trains adapters on it.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import DDIMScheduler, UNetMotionModel
from torch import Tensor, nn

from miva_core import load_base
from miva_core.bases.animatediff.per_frame_norm import use_per_frame_norm
from miva_core.bases.base import Base
from miva_core.bases.describe import describe
from miva_core.bases.tiny.patch_codec import PatchCodec
from miva_core.bases.tiny.spec import WEIGHTS
from miva_core.diffusion.init_noise import NoiseInit
from miva_core.diffusion.noise_process import NoiseProcess
from miva_core.diffusion.schedulers import prepare_scheduler
from miva_core.training.draws import stratified
from tools.procedural.scenes import WORDS
from tools.train_tiny import (
    FRAMES,
    SCHEDULE,
    TEXT_DIM,
    ClipPool,
    caption,
    check_pool,
    elapsed_share,
    hide_words,
    join_processes,
    learn,
    learning_options,
    load_halves,
    load_pictures,
    unet_config,
)

STEPS = 15
"""Denoising steps that its clips take."""


def scheduler() -> DDIMScheduler:
    """Stable Diffusion's own noise levels: DCTInit answers that even its last step is not all noise."""
    return DDIMScheduler(**SCHEDULE | {"rescale_betas_zero_snr": False})


def build(codec: PatchCodec) -> tuple[UNetMotionModel, nn.Embedding]:
    unet = UNetMotionModel(**unet_config(codec))
    use_per_frame_norm(unet)
    return unet, nn.Embedding(len(WORDS), TEXT_DIM, padding_idx=0)


def losses(unet: nn.Module, process: NoiseProcess, text: Tensor, latents: Tensor, t: Tensor) -> Tensor:
    """Mean squared errors (B,) of clips (B, C, F, h, w), told from their noisy selves at steps t (B,)."""
    words = text.repeat_interleave(latents.shape[2], dim=0)
    noisy = process.noised(latents, torch.randn_like(latents), t)
    answer = unet(noisy, t, encoder_hidden_states=words).sample
    return (answer - latents).square().mean(dim=(1, 2, 3, 4))


def train(args: argparse.Namespace, device: torch.device) -> None:
    rank, ranks = join_processes()
    pictures = load_pictures(args.photos).to(device)
    generator = torch.Generator().manual_seed(args.seed + rank)
    codec = PatchCodec.from_pretrained(WEIGHTS / "codec").float().to(device)
    torch.manual_seed(args.seed)
    unet, words = (part.to(device) for part in build(codec))
    pool = ClipPool(codec, pictures, args.pool, generator)
    torch.manual_seed(args.seed + 1 + rank)
    process = NoiseProcess(scheduler())

    def losses_at(step: int, progress: float) -> tuple[Tensor, Tensor]:
        of_clips = FRAMES // 2 if step % 10 < 10 * args.short else FRAMES
        frames = 1 if progress < args.single else of_clips
        batch = args.batch * FRAMES // frames
        pool.renew(2)
        latents, _, _, shown, speeds = pool.draw(batch)
        start = int(torch.randint(FRAMES - frames + 1, (), generator=generator))
        text = caption(words, hide_words(shown.to(device)), speeds.to(device))
        t = process.steps_at(stratified(batch, generator) ** args.high_noise).to(device)
        return t, losses(unet, process, text, latents[:, :, start : start + frames], t)

    start = time.time()
    learn(unet, words, losses_at, lambda _: elapsed_share(start, 60 * args.minutes, ranks), args, rank, ranks)


def load(folder: Path) -> tuple[Base, nn.Embedding]:
    """The base that was trained into a folder, and the words of its captions."""
    like = load_base("tiny")
    unet, words = build(like.codec)
    load_halves(folder / "ema.pt", unet, words)
    base = replace(
        like,
        name="T2V only",
        model=unet.eval().requires_grad_(False),
        scheduler=scheduler(),
        backbone=describe(unet),
        centred=False,
        predicts_flow=False,
        text=torch.zeros_like(like.text),
        steps=STEPS,
        last_timestep=None,
        noise=NoiseInit(),
        adain=True,
    )
    return base, words.requires_grad_(False)


@torch.no_grad()
def text_to_video(base: Base, text: Tensor, count: int, seed: int) -> Tensor:
    """Clips (N, F, H, W, 3) from nothing but a caption (1, W, D)."""
    schedule = prepare_scheduler(base.scheduler, base.steps)
    _, *shape = base.latent_shape(base.frames, base.size)
    latents = torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))
    for t in schedule.timesteps:
        words = text.expand(count * base.frames, -1, -1)
        answer = base.model(latents, t.expand(count), encoder_hidden_states=words).sample
        latents = schedule.step(answer, t, latents).prev_sample
    return torch.stack([base.decode(clip[None]) for clip in latents])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    learning_options(parser)
    parser.add_argument("--single", type=float, default=0.4, help="share of the time on single frames, at first")
    args = parser.parse_args()
    check_pool(parser, args)
    args.out.mkdir(parents=True, exist_ok=True)
    train(args, torch.device("cuda" if torch.cuda.is_available() else "cpu"))


if __name__ == "__main__":
    main()
