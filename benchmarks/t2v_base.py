"""A base that never saw a clean first frame, to tell what MIVA itself brings.

    python -m benchmarks.t2v_base --photos PHOTOS --out OUT [--minutes 60]

The built-in base always had a clean first frame beside the noise, so following a picture is nothing that its adapters
have to teach. This one is as large, with the same codec, captions and clips, but noise lies on all frames, centred on
nothing, and it is a `UNetMotionModel` as AnimateDiff's is, which answers no flow. As there, single frames are learnt
before clips. PHOTOS as for `tools.train_tiny`; `torchrun --nproc-per-node 2 -m benchmarks.t2v_base …`
uses two processes. `benchmarks.t2v_arm` trains adapters on it.
"""

import argparse
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
from tools.tiny_base.clips import FRAMES, ClipPool
from tools.tiny_base.model import SCHEDULE, CaptionedModel, load_halves, unet_config
from tools.tiny_base.training import RENEWED, ClipLosses, Objective, hide_words
from tools.train_tiny import add_training_options, check_pool, train_on_clips

STEPS = 15
"""Denoising steps that its clips take."""


def scheduler() -> DDIMScheduler:
    """Stable Diffusion's own noise levels: DCTInit answers that even its last step is not all noise."""
    return DDIMScheduler(**SCHEDULE | {"rescale_betas_zero_snr": False})


def build(codec: PatchCodec) -> CaptionedModel:
    unet = UNetMotionModel(**unet_config(codec))
    use_per_frame_norm(unet)
    return CaptionedModel(unet)


class NoisyLosses(ClipLosses):
    """Losses of a pool's clips with noise on all frames; at first of single frames alone.

    Args:
        model: what learns.
        process: how clips are noised.
        pool: the clips.
        objective: which of them a step meets, none of them rolled out.
        generator: of the draws.
        single: share of the work on single frames.
    """

    def __init__(
        self,
        model: CaptionedModel,
        process: NoiseProcess,
        pool: ClipPool,
        objective: Objective,
        generator: torch.Generator,
        single: float,
    ) -> None:
        super().__init__(model)
        self._process, self._pool, self._objective = process, pool, objective
        self._generator, self._single = generator, single

    def forward(self, step: int, progress: float) -> tuple[Tensor, Tensor]:
        """Draw a batch; its timesteps (B,) and losses (B,)."""
        frames = 1 if progress < self._single else self._objective.frames_at(step)
        count = self._objective.clips_of(frames)
        self._pool.renew(RENEWED)
        drawn = self._pool.draw(count)
        device = drawn.latents.device
        start = int(torch.randint(FRAMES - frames + 1, (), generator=self._generator))
        text = self.model.caption(hide_words(drawn.words.to(device)), drawn.speeds.to(device))
        shares = stratified(count, self._generator) ** self._objective.high_noise
        t = self._process.steps_at(shares).to(device)
        latents = drawn.latents[:, :, start : start + frames]
        return t, errors(self.model.unet, self._process, text, latents, t)


def errors(unet: nn.Module, process: NoiseProcess, text: Tensor, latents: Tensor, t: Tensor) -> Tensor:
    """Mean squared errors (B,) of clips (B, C, F, h, w), told from their noisy selves at steps t (B,)."""
    words = text.repeat_interleave(latents.shape[2], dim=0)
    noisy = process.noised(latents, torch.randn_like(latents), t)
    answer = unet(noisy, t, encoder_hidden_states=words).sample
    return (answer - latents).square().mean(dim=(1, 2, 3, 4))


def train(args: argparse.Namespace) -> None:
    process, objective = NoiseProcess(scheduler()), Objective(args.batch, args.short, args.high_noise, rolled_out=0.0)

    def make_losses(model: CaptionedModel, pool: ClipPool, generator: torch.Generator) -> ClipLosses:
        return NoisyLosses(model, process, pool, objective, generator, args.single)

    train_on_clips(args, WEIGHTS / "codec", build, make_losses)


def load(folder: Path) -> tuple[Base, nn.Embedding]:
    """The base that was trained into a folder, and the words of its captions."""
    like = load_base("tiny")
    model = build(like.codec)
    load_halves(folder / "ema.pt", model)
    unet, words = model.unet, model.words
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
    add_training_options(parser)
    parser.add_argument("--single", type=float, default=0.4, help="share of the time on single frames, at first")
    args = parser.parse_args()
    check_pool(parser, args)
    args.out.mkdir(parents=True, exist_ok=True)
    train(args)


if __name__ == "__main__":
    main()
