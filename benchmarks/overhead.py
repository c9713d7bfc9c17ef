"""What adapters cost: operations on the real shapes, and time, each against the base of the same run.

    python -m benchmarks.overhead [--rounds 3] [--out benchmarks/results]

Operations are counted without weights (meta tensors): one denoising step, and a whole run of 50 steps with the VAE, at
512x320x16 for Stable Diffusion 1.5 with AnimateDiff v3 and at 832x480x17 for Wan 2.1 1.3B. Time is that of a step of
the whole networks with random weights, on a graphics card at the same size, on a processor on clips so small that it
takes under three minutes. Variants take turns in every round, each round beginning with another; a ratio is the median
over rounds. `released` is the authors' formulation (`benchmarks/released.py`). The paper's figure for one adapter is
1.111, in time on a V100 at 512x320x16.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderKLWan
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.released import released
from miva_core import MIVAAdapter, MIVAConfig, describe, inject
from miva_core.bases.animatediff import loading as animatediff
from miva_core.bases.wan import loading as wan
from miva_core.storage.json_files import read_json
from miva_core.storage.meta_device import on_meta

STEPS = 50
RELEASED = "released"
VARIANTS = {"base": 0, "1 adapter": 1, "2 adapters": 2, "4 adapters": 4, RELEASED: 0}
"""How many adapters of ours each has."""
LEAST_SECONDS = 1.0
"""A step is repeated for at least so long."""


@dataclass(frozen=True)
class Size:
    """What a step is measured on: latents (b, C, F, h, w), and the words that the base attends to without adapters."""

    latents: tuple[int, int, int, int, int]
    words: int


@dataclass(frozen=True)
class Architecture:
    """A base, how it is called, the operations of its VAE on a picture and on a clip, the sizes it is measured at, and
    the paper's ratio for one adapter at full size."""

    name: str
    build: Callable[[], nn.Module]
    step: Callable[[nn.Module, Size, bool, torch.device, torch.dtype], Tensor]
    encode: Callable[[], int]
    decode: Callable[[], int]
    full: Size
    small: Size
    paper: float | None


def unet_step(model: nn.Module, size: Size, adapted: bool, device: torch.device, dtype: torch.dtype) -> Tensor:
    latents = torch.zeros(size.latents, device=device, dtype=dtype)
    text = None if adapted else torch.zeros(size.latents[2], size.words, 768, device=device, dtype=dtype)
    return model(latents, torch.full((1,), 500, device=device), text).sample


def wan_step(model: nn.Module, size: Size, adapted: bool, device: torch.device, dtype: torch.dtype) -> Tensor:
    latents = torch.zeros(size.latents, device=device, dtype=dtype)
    rows = size.latents[0]
    text = torch.zeros(rows, 1 if adapted else size.words, 4096, device=device, dtype=dtype)
    return model(latents, torch.full((rows,), 500.0, device=device), text).sample


def image_vae() -> nn.Module:
    return on_meta(lambda: AutoencoderKL.from_config(read_json(animatediff.CONFIGS / "vae.json")))


def wan_vae() -> nn.Module:
    return on_meta(lambda: AutoencoderKLWan.from_config(read_json(wan.CONFIGS / "vae.json")))


def encoding(vae: Callable[[], nn.Module], *picture: int) -> int:
    model = vae()
    return operations(lambda: model.encode(torch.empty(picture, device="meta")))


def decoding(vae: Callable[[], nn.Module], *latents: int) -> int:
    model = vae()
    return operations(lambda: model.decode(torch.empty(latents, device="meta")))


ARCHITECTURES = (
    Architecture(
        "SD 1.5 + AnimateDiff v3",
        animatediff.meta_unet,
        unet_step,
        partial(encoding, image_vae, 1, 3, 320, 512),
        partial(decoding, image_vae, 16, 4, 40, 64),
        Size((1, 4, 16, 40, 64), 77),
        # The text as short in proportion, or it would be much of the base's work.
        Size((1, 4, 4, 16, 24), 12),
        1.111,
    ),
    Architecture(
        "Wan 2.1 1.3B",
        wan.meta_transformer,
        wan_step,
        partial(encoding, wan_vae, 1, 3, 1, 480, 832),
        partial(decoding, wan_vae, 1, 16, 5, 60, 104),
        Size((1, 16, 5, 60, 104), 512),
        Size((1, 16, 3, 12, 16), 10),
        None,
    ),
)


def operations(run: Callable[[], object]) -> int:
    """Floating-point operations, a multiply-add being two."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return counter.get_total_flops()


def adapters_of(model: nn.Module, count: int) -> dict[str, MIVAAdapter]:
    """So many adapters of the default config, where the model is."""
    device = next(model.parameters()).device
    with torch.device(device):
        return {f"a{k}": MIVAAdapter(describe(model), MIVAConfig.default()) for k in range(count)}


@contextmanager
def variant(model: nn.Module, name: str, adapters: dict[str, MIVAAdapter], frames: int) -> Iterator[bool]:
    """One of `VARIANTS` inside the model. Gives whether it replaces the text."""
    chosen = dict(list(adapters.items())[: VARIANTS[name]])
    with inject(model, **chosen) if chosen else released(model, frames) if name == RELEASED else nullcontext():
        yield bool(chosen) or name == RELEASED


def counted(architecture: Architecture, size: Size) -> dict[str, int]:
    """Operations of a step of every variant."""
    model = architecture.build().eval()
    adapters, meta = adapters_of(model, 4), torch.device("meta")
    counts = {}
    for name in VARIANTS:
        with variant(model, name, adapters, size.latents[2]) as adapted:
            counts[name] = operations(partial(architecture.step, model, size, adapted, meta, torch.float32))
    return counts


def random_model(architecture: Architecture, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The whole network with random weights, what it keeps in float32 being so."""
    model = architecture.build().eval()
    kept = model._keep_in_fp32_modules or ()
    state = {
        name: torch.randn(tensor.shape, device=device)
        .mul_(0.02)
        .to(torch.float32 if any(part in name for part in kept) else dtype)
        for name, tensor in model.state_dict().items()
    }
    model.load_state_dict(state, assign=True)
    if hasattr(model, "rope"):
        wan.place_rope(model, device)
    return model


@torch.no_grad()
def timed(architecture: Architecture, size: Size, device: torch.device, dtype: torch.dtype, rounds: int) -> list[dict]:
    """Seconds of a step of every variant, round by round, after one round to warm up."""
    model = random_model(architecture, device, dtype)
    adapters = adapters_of(model, 4)
    finish = torch.cuda.synchronize if device.type == "cuda" else nullcontext
    measured = []
    for number in range(rounds + 1):
        names = [*VARIANTS][number % len(VARIANTS) :] + [*VARIANTS][: number % len(VARIANTS)]
        measured.append({})
        for name in names:
            with variant(model, name, adapters, size.latents[2]) as adapted:
                step = partial(architecture.step, model, size, adapted, device, dtype)
                measured[-1][name] = seconds_of(step, finish)
    return measured[1:]


def seconds_of(step: Callable[[], object], finish: Callable[[], object]) -> float:
    """Seconds of one call, the mean of as many as `LEAST_SECONDS` need; `finish` waits for the device."""
    finish()
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < LEAST_SECONDS:
        step()
        finish()
        calls += 1
    return (time.perf_counter() - start) / calls


def operations_table(architecture: Architecture) -> list[str]:
    step, vae = counted(architecture, architecture.full), architecture.encode() + architecture.decode()
    run = {name: STEPS * count + vae for name, count in step.items()}
    return [
        f"\n### {architecture.name}, latents {shown(architecture.full)}, VAE {vae / 1e12:.1f} TFLOP\n",
        "| variant | TFLOP of a step | to the base | to one adapter | TFLOP of a run | to the base | paper (time) |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {name} | {step[name] / 1e12:.3f} | {step[name] / step['base']:.3f} "
            f"| {step[name] / step['1 adapter']:.3f} | {run[name] / 1e12:.0f} | {run[name] / run['base']:.3f} "
            f"| {published(architecture, name)} |"
            for name in VARIANTS
        ),
    ]


def time_table(architecture: Architecture, device: torch.device, rounds: int) -> list[str]:
    on_card = device.type == "cuda"
    size, dtype = (architecture.full, torch.bfloat16) if on_card else (architecture.small, torch.float32)
    counts, measured = counted(architecture, size), timed(architecture, size, device, dtype, rounds)
    lines = [
        f"\n### {architecture.name}, latents {shown(size)}, {str(dtype)[6:]}\n",
        "| variant | seconds of a step (median) | to the base (least to most) | operations to the base "
        "| time / operations | paper (time) |",
        "|---|---|---|---|---|---|",
    ]
    for name in VARIANTS:
        ratios = [seconds[name] / seconds["base"] for seconds in measured]
        ratio, expected = statistics.median(ratios), counts[name] / counts["base"]
        lines.append(
            f"| {name} | {statistics.median(seconds[name] for seconds in measured):.3f} "
            f"| {ratio:.3f} ({min(ratios):.3f} to {max(ratios):.3f}) | {expected:.3f} | {ratio / expected:.3f} "
            f"| {published(architecture, name) if on_card else ''} |"
        )
    return lines


def time_heading(device: torch.device, rounds: int) -> str:
    """What is timed below it, and how."""
    machine = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} cores, no card"
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    return f"\n## Time\n\n{machine}, {versions}, {rounds} rounds in which the variants take turns."


def shown(size: Size) -> str:
    return "×".join(map(str, size.latents[2:]))


def published(architecture: Architecture, name: str) -> str:
    return f"{architecture.paper}" if architecture.paper and name == "1 adapter" else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    start, device = time.time(), torch.device("cuda" if torch.cuda.is_available() else "cpu")
    lines = ["# What adapters cost", "\nThe default config; `released` is the authors' formulation.", "\n## Operations"]
    for architecture in ARCHITECTURES:
        lines += operations_table(architecture)
    lines.append(time_heading(device, args.rounds))
    for architecture in ARCHITECTURES:
        lines += time_table(architecture, device, args.rounds)
    print("\n".join(lines))
    (args.out / "overhead.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"\n{time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
