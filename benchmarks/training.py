"""What training needs: memory on the real shapes, and what it saves to encode every frame once.

    python -m benchmarks.training [--out benchmarks/results]

Memory is followed without weights (meta tensors): every tensor of one training step from its first to its last use,
with attention that keeps what the fast kernels keep. To it come the base in bfloat16 with its VAE, the adapter in
float32 and two moments for each of its parameters; what a graphics card's driver and kernels need for themselves does
not. Where there is a card, two steps are run on it, and its own count is given beside. Sizes are 512x320x16 for Stable
Diffusion 1.5 with AnimateDiff and 832x480x17 for Wan.
"""

import argparse
import platform
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderKLWan, DDIMScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode

from miva_core import MIVAAdapter, NoiseInit, describe, load_base
from miva_core.bases.animatediff import loading as animatediff
from miva_core.bases.animatediff.per_frame_norm import use_per_frame_norm
from miva_core.bases.base import Base
from miva_core.bases.recipe import Recipe
from miva_core.bases.wan import loading as wan
from miva_core.bases.wan.releases import WAN_2_1_1_3B, WAN_2_1_14B
from miva_core.storage.json_files import read_json
from miva_core.storage.meta_device import on_meta
from miva_core.training.draws import Draws
from miva_core.training.latent_clips import Batch, Pixels, encode
from miva_core.training.loop import train
from miva_core.training.options import TrainOptions
from miva_core.training.recipes import recipe
from miva_core.training.step import TrainStep

GB = 1e9
PAPER: dict[tuple[str, bool], float | None] = {
    ("animatediff", False): 9.8,
    ("animatediff", True): 11.0,
    ("wan", False): 10.4,
    ("wan", True): 22.2,
    ("wan-14b", False): None,
    ("wan-14b", True): None,
}
GOALS = {("animatediff", False): 6.5, ("animatediff", True): 9.0, ("wan", False): 7.0}
WANS = {"wan": WAN_2_1_1_3B, "wan-14b": WAN_2_1_14B}
LATENTS = {"animatediff": (4, 16, 40, 64), **dict.fromkeys(WANS, (16, 5, 60, 104))}


class FastAttention(torch.autograd.Function):
    """Attention that computes nothing, and keeps for its gradient what fast kernels do: q, k, v, the result and one
    number for each row."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = q.new_empty(*q.shape[:-1], v.shape[-1])
        ctx.save_for_backward(q, k, v, out, q.new_empty(q.shape[:-1], dtype=torch.float32))
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v, *_ = ctx.saved_tensors
        return torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)


@contextmanager
def fast_attention() -> Iterator[None]:
    original = nn.functional.scaled_dot_product_attention
    nn.functional.scaled_dot_product_attention = lambda q, k, v, *_, **__: FastAttention.apply(q, k, v)
    try:
        yield
    finally:
        nn.functional.scaled_dot_product_attention = original


class LiveBytes(TorchDispatchMode):
    """Bytes of the tensors that are alive, and the most there were; those known beforehand are left out."""

    def __init__(self, resident: list[Tensor]) -> None:
        super().__init__()
        self._seen = {tensor.untyped_storage()._cdata for tensor in resident}
        self._resident = resident
        self.now = self.peak = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_iter(result):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._seen:
            return
        self._seen.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


def real_base(name: str) -> tuple[Base, nn.Module]:
    """A base of the real shapes in bfloat16 without weights, and its VAE."""
    if name in WANS:
        model = wan.meta_transformer(WANS[name])
        kept = tuple(model._keep_in_fp32_modules)
        for path, parameter in model.named_parameters():
            if not any(part in path for part in kept):
                parameter.data = parameter.data.bfloat16()
        wan.place_rope(model, "meta")
        vae = on_meta(lambda: AutoencoderKLWan.from_config(read_json(wan.CONFIGS / "vae.json")))
    else:
        model = animatediff.meta_unet().bfloat16()
        use_per_frame_norm(model)
        vae = on_meta(lambda: AutoencoderKL.from_config(read_json(animatediff.CONFIGS / "vae.json")))
    model.eval().requires_grad_(False)
    flow = name in WANS
    base = Base(
        name=name,
        model=model,
        codec=None,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=5.0) if flow else DDIMScheduler(clip_sample=False),
        backbone=describe(model),
        frames=17 if flow else 16,
        longest=81,
        scale=8,
        stride=4 if flow else 1,
        size=(480, 832) if flow else (320, 512),
        multiple=16,
        fps=8,
        centred=False,
        text=torch.zeros(1, 1, 4096, device="meta") if flow else None,
        text_per_frame=not flow,
        steps=50,
        noise=NoiseInit(),
        adain=False,
    )
    return base, vae.bfloat16()


def inputs(name: str, masked: bool, device: str) -> tuple[Batch, Draws]:
    """One clip, and with masks its mask sequence."""
    channels, frames, height, width = LATENTS[name]
    streams = 2 if masked else 1
    latents = torch.zeros(streams, 1, channels, frames, height, width, device=device)
    flags = torch.zeros(1, dtype=torch.bool, device=device if masked else "cpu")
    steps = torch.tensor([700.0] if name in WANS else [700])
    return (
        Batch(
            latents,
            torch.zeros_like(latents),
            torch.ones(streams - 1, 1, frames, height, width, device=device),
            torch.zeros(streams - 1, 1, channels, device=device),
            torch.zeros(streams - 1, 1, device=device),
            torch.zeros(0, 1, frames, device=device),
        ),
        Draws(steps, steps, flags, flags, torch.stack([flags, flags])),
    )


@dataclass(frozen=True)
class Need:
    """Bytes: of base, VAE and adapter with its moments, and the most that a step adds."""

    resident: int
    step: int


def followed(name: str, masked: bool, checkpointing: bool = True) -> Need:
    """What a training of this base needs, followed on meta tensors."""
    base, vae = real_base(name)
    chosen = replace(recipe(name, masked=masked), checkpointing=checkpointing)
    with torch.device("meta"):
        adapter = MIVAAdapter(base.backbone, chosen.config)
    step = TrainStep(base, adapter, chosen)
    tensors = [*step.parameters(), *step.buffers()]
    resident = sum(t.nbytes for t in [*tensors, *vae.parameters()]) + 8 * adapter.num_parameters()
    with fast_attention(), LiveBytes(tensors) as live, step.injected():
        step(*inputs(name, masked, "meta")).backward()
    return Need(resident, live.peak)


@torch.no_grad()
def pictures_need(name: str) -> tuple[int, int]:
    """The most bytes that encoding a clip before the training adds, and decoding a sample during it."""
    base, vae = real_base(name)
    channels, frames, height, width = LATENTS[name]
    # Wan's autoencoder takes a clip as a whole, the other one frame after another.
    shown = (3, base.frames) if name in WANS else (3,)
    latent = (channels, frames) if name in WANS else (channels,)
    pictures = torch.zeros(1, *shown, *base.size, device="meta", dtype=torch.bfloat16)
    latents = torch.zeros(1, *latent, height, width, device="meta", dtype=torch.bfloat16)
    peaks = []
    for work, inputs in ((vae.encode, pictures), (vae.decode, latents)):
        with fast_attention(), LiveBytes([*vae.parameters(), *vae.buffers(), inputs]) as live:
            work(inputs)
        peaks.append(live.peak)
    return tuple(peaks)


def on_card(name: str, masked: bool) -> int:
    """The most bytes that a card's allocator gave out in two steps with random weights."""
    base, vae = real_base(name)
    for module in (base.model, vae):
        module.to_empty(device="cuda")
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.01)
    if name in WANS:
        wan.place_rope(base.model, "cuda")
        base = replace(base, text=torch.zeros(1, 1, 4096, device="cuda"))
    chosen = recipe(name, masked=masked)
    adapter = MIVAAdapter(base.backbone, chosen.config).cuda()
    optimiser = torch.optim.AdamW(adapter.parameters(), lr=1e-5)
    step = TrainStep(base, adapter, chosen)
    torch.cuda.reset_peak_memory_stats()
    for _ in range(2):
        optimiser.zero_grad(set_to_none=True)
        with step.injected():
            step(*inputs(name, masked, "cuda")).backward()
        optimiser.step()
    return torch.cuda.max_memory_allocated()


def encoding_share(name: str) -> float:
    """Operations to encode a clip, as a share of those of a training step with it (two thirds of which are the backward
    pass and what it computes again)."""
    base, vae = real_base(name)
    pictures = torch.zeros(base.frames, 3, *base.size, device="meta", dtype=torch.bfloat16)
    with FlopCounterMode(display=False) as counted:
        vae.encode(pictures.transpose(0, 1)[None] if name in WANS else pictures)
    encoding = counted.get_total_flops()
    chosen = recipe(name)
    with torch.device("meta"):
        adapter = MIVAAdapter(base.backbone, chosen.config)
    step = TrainStep(base, adapter, chosen)
    with FlopCounterMode(display=False) as counted, step.injected():
        step(*inputs(name, False, "meta")).backward()
    return encoding / counted.get_total_flops()


def tiny_rate(cached: bool, folder: Path, recipe_: Recipe) -> float:
    """Steps a second of the built-in base, its clips encoded once or in every step."""
    base = load_base("tiny", device="cuda" if torch.cuda.is_available() else "cpu")
    pixels = [
        Pixels(torch.rand(16, 3, 64, 64), torch.zeros(0, 16, 64, 64), torch.zeros(1, 16, 3, 64, 64)) for _ in range(10)
    ]
    clips = [encode(base, clip, masked=False) for clip in pixels]
    times = [time.perf_counter()]

    def next_step(progress: object) -> None:
        if not cached:
            # As many clips as the next step meets.
            for clip in pixels[: recipe_.batch if (progress.step % recipe_.short) == 0 else 2 * recipe_.batch]:
                encode(base, clip, masked=False)
        times.append(time.perf_counter())

    train(base, clips, recipe_, folder=folder, callback=next_step, options=TrainOptions(save_every=10_000))
    return (len(times) - 4) / (times[-1] - times[3])


def memory_table(card: bool) -> list[str]:
    names = {"animatediff": "Stable Diffusion 1.5 + AnimateDiff"} | {name: one.menu for name, one in WANS.items()}
    lines = [
        "| base | adapter | base, VAE, adapter, moments, GB | a step adds at most, GB | in all, GB | goal | paper "
        f"{'| counted on the card, GB ' * card}|",
        f"|---|---|---|---|---|---|---|{'---|' * card}",
    ]
    for (name, masked), paper in PAPER.items():
        need, goal = followed(name, masked), GOALS.get((name, masked))
        total = (need.resident + need.step) / GB
        met = "" if goal is None else f"≤ {goal:g}: {'met' if total <= goal else '**missed**'}"
        counted = f" {on_card(name, masked) / GB:.2f} |" if card else ""
        lines.append(
            f"| {names[name]} | {'masked' if masked else 'plain'} | {need.resident / GB:.2f} | {need.step / GB:.2f} | "
            f"**{total:.2f}** | {met} | {'' if paper is None else f'{paper:g}'} |{counted}"
        )
    without = followed("animatediff", False, checkpointing=False)
    lines += ["", f"Without gradient checkpointing a step of the first row adds {without.step / GB:.1f} GB."]
    # All Wans have one autoencoder.
    for name, label in list(names.items())[:2]:
        encoding, decoding = pictures_need(name)
        lines += [
            "",
            f"{label}: before the first step encoding the clips adds {encoding / GB:.2f} GB to what is resident, and "
            f"between steps decoding a sample {decoding / GB:.2f} GB.",
        ]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    card = torch.cuda.is_available()
    lines = ["# What training needs", "", "## Memory", "", *memory_table(card)]
    print("\n".join(lines), flush=True)
    shares = {name: encoding_share(name) for name in ("animatediff", "wan")}
    machine = torch.cuda.get_device_name() if card else f"{torch.get_num_threads()} cores, no card"
    quick = replace(recipe("tiny"), steps=24)
    with tempfile.TemporaryDirectory() as folder:
        rates = {cached: tiny_rate(cached, Path(folder), quick) for cached in (True, False)}
    lines += [
        "",
        "## Encoding every frame once",
        "",
        f"To encode a clip takes {shares['animatediff']:.0%} of the operations of a training step with it on Stable "
        f"Diffusion 1.5 and {shares['wan']:.0%} on Wan (counted on the real shapes): so much is saved in every step.",
        "",
        f"The built-in base made {rates[True]:.2f} steps a second with clips encoded once, {rates[False]:.2f} where "
        f"each step encodes its own ({machine}, torch {torch.__version__}, Python {platform.python_version()}).",
    ]
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "training.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines[-4:]))


if __name__ == "__main__":
    main()
