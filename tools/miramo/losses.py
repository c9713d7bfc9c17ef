"""What a step of the built-in MiraMo's training sees, and how far from the truth it is."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import FlowMatchEulerDiscreteScheduler
from einops import rearrange
from torch import Tensor

from miva_core.bases.miramo.flowing_miramo import FlowingOutput
from miva_core.bases.tiny.linear_patches import PATCH
from miva_core.bases.tiny.patch_codec import PatchCodec
from miva_core.diffusion.noise_process import NoiseProcess
from tools.miramo.model import SCHEDULE, WordedMiraMo, words_of
from tools.motion_world.batch import WorldBatch
from tools.motion_world.clips import World

SIZES = ((64, 64), (64, 96), (96, 64))
SHARES = (0.5, 0.35, 0.15)
LAST = 15
"""Time of a clip's last frame."""
HIGH_NOISE = 0.15
"""Power of the draws of timesteps: five of six are above 750, since the first steps decide the motion."""
MOVING = 3.0
"""How much more a place counts where something moves by itself."""
STILL_SPEED = 0.2
"""Added to a clip's mean flow, by which its errors are divided, so that small motions count beside large ones."""
LATENT, MASK, NEARNESS, SPARSE = 0.15, 0.3, 1.0, 5e-4
"""How much the other losses count: of what is painted, of the mask, of the nearness, of the sum of what words do."""


@dataclass(frozen=True)
class Losses:
    """Of B clips each: `flow`, `latent`, `mask` and `nearness` (B,); `sparse` is one number."""

    flow: Tensor
    latent: Tensor
    mask: Tensor
    nearness: Tensor
    sparse: Tensor

    def total(self) -> Tensor:
        """What is to fall."""
        parts = self.flow + LATENT * self.latent + MASK * self.mask + NEARNESS * self.nearness
        return parts.mean() + SPARSE * self.sparse


@dataclass(frozen=True)
class Step:
    """Draws the batches of steps and computes their losses. Step k is the same whatever was before it.

    Attributes:
        world: of the clips.
        codec: that encodes them.
        seed: of all draws.
        clips: of 64 x 64 pixels in a batch; a third less of larger ones.
        frames: of each clip, the first one included.
    """

    world: World
    codec: PatchCodec
    seed: int = 0
    clips: int = 12
    frames: int = 5

    def batch(self, step: int) -> WorldBatch:
        """The clips of a step."""
        generator = self._generator(step)
        size = SIZES[int(torch.multinomial(torch.tensor(SHARES), 1, generator=generator))]
        later = torch.randperm(LAST, generator=generator)[: self.frames - 1].sort().values + 1
        count = self.clips if size == SIZES[0] else 2 * self.clips // 3
        times = torch.cat([torch.zeros(1), later.float()])
        return self.world.batch(self.seed * 1_000_003 + step, count, size, times)

    def losses(self, model: WordedMiraMo, step: int) -> tuple[WorldBatch, Losses]:
        """The clips of a step and their losses."""
        batch, generator = self.batch(step), self._generator(~step)
        clean = encode(self.codec, batch.frames)
        t = SCHEDULE["num_train_timesteps"] * torch.rand(len(clean), generator=generator) ** HIGH_NOISE
        noisy = noised(clean, t, torch.randn(clean.shape, generator=generator))
        # Processors with matrix units are a fifth faster so; the flow head computes in float32 all the same.
        with torch.autocast(noisy.device.type, dtype=torch.bfloat16):
            output = answer(model, batch, noisy, t)
        return batch, losses_of(output, batch, clean, model)

    def _generator(self, step: int) -> torch.Generator:
        return torch.Generator().manual_seed((self.seed * 1_000_003 + step) % 2**63)


@torch.no_grad()
def encode(codec: PatchCodec, frames: Tensor) -> Tensor:
    """Frames (B, F, 3, H, W) in [-1, 1] to latents (B, C, F, h, w)."""
    return rearrange(codec.encode(frames.flatten(0, 1)), "(b f) c h w -> b c f h w", b=len(frames))


def noised(clean: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """Clips with noise centred on their first frame, which stays clean."""
    process = NoiseProcess(FlowMatchEulerDiscreteScheduler(**SCHEDULE), centred=True)
    first = clean[:, :, :1]
    moving = first + process.noised(process.relative(clean), noise, t)
    return torch.cat([first, moving[:, :, 1:]], 2)


def answer(model: WordedMiraMo, batch: WorldBatch, noisy: Tensor, t: Tensor) -> FlowingOutput:
    """What the model makes of noisy latents (B, C, F, h, w) at steps t (B,)."""
    caption = model.caption(batch.words, batch.speeds)
    return model.model(noisy, t, caption, batch.guide, batch.guide_kind, batch.times, batch.shake)


def losses_of(output: FlowingOutput, batch: WorldBatch, clean: Tensor, model: WordedMiraMo) -> Losses:
    """The losses of an answer; frame 1 is known, and is not counted."""
    weight = 1 + MOVING * torch.maximum(batch.moving, batch.moving[:, :1])[:, 1:]
    true, trust = batch.flow[:, 1:], batch.trusted[:, 1:] * weight
    size = (true.norm(dim=2) * trust).sum((1, 2, 3)) / trust.sum((1, 2, 3)).clamp(min=1)
    error = ((output.flow[:, 1:] - true).abs().mean(2) * trust).mean((1, 2, 3))
    painted = (output.motion - (clean - clean[:, :, :1]))[:, :, 1:].square().mean(1)
    return Losses(
        flow=error / (STILL_SPEED + size),
        latent=(painted * F.avg_pool2d(weight, PATCH)).mean((1, 2, 3)),
        mask=_mask_loss(output, batch),
        nearness=_nearness_loss(output, batch),
        sparse=_sum_of_motions(model),
    )


def _mask_loss(output: FlowingOutput, batch: WorldBatch) -> Tensor:
    """Cross-entropy of the mask, above its least, where there is a true one."""
    scores, true = output.layers.mask_scores(), batch.region
    sure = torch.special.entr(true) + torch.special.entr(1 - true)
    entropy = F.binary_cross_entropy_with_logits(scores, true, reduction="none") - sure
    return entropy.mean((1, 2)) * (batch.words[:, 1] > 0)


def _nearness_loss(output: FlowingOutput, batch: WorldBatch) -> Tensor:
    """Mean error of the nearness, where there is a true one."""
    error = (output.layers.nearness() - batch.nearness).abs().mean((1, 2))
    return error * (batch.nearness.amax((1, 2)) > 0)


def _sum_of_motions(model: WordedMiraMo) -> Tensor:
    """How much all words together do at unit speed: what is not needed goes to zero."""
    layers, said = model.model.layers, model.vectors.chunk(2, -1)
    heard = [
        (layers.camera, 0, ("camera", "shake")),
        (layers.staying, 0, ("region",)),
        (layers.carried, 1, ("carried",)),
    ]
    maps = [(part, half, kinds) for layer, half, kinds in heard for part in (layer.generator, layer.amplitude)]
    maps.append((layers.depth, 1, ("depth",)))
    return torch.stack([part(said[half][words_of(kinds)]).abs().sum() for part, half, kinds in maps]).sum()
