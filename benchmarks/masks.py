"""What masked adapters cost: precision and memory of guidance, operations and time of runs with masks.

    python -m benchmarks.masks [--rounds 3] [--out benchmarks/results]

Precision is that of attention at the three grids of 512x320 in Stable Diffusion 1.5, against an explicit additive mask
in float64. Operations are counted without weights on the real architectures, as in `overhead`; time is that of whole
runs on the built-in base, by the latent route, and of single steps of the real U-Net with random weights, variants
taking turns.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor, nn

from benchmarks.overhead import (
    ARCHITECTURES,
    STEPS,
    Architecture,
    Size,
    operations,
    random_model,
    seconds_of,
    time_heading,
)
from miva_core import Clip, MIVAAdapter, MIVAConfig, Motion, RunOptions, animate, describe, inject, load_base
from miva_core.attention.guidance import SoftmaxGuidance, halvings, prefers_codes, unify
from miva_core.attention.injection import Injection
from miva_core.attention.regions import RegionCodes, agreement_bias
from miva_core.attention.softmax_attention import Bias, Codes, attend
from miva_core.bases.tiny.spec import SHIPPED
from tools.procedural.backdrops import paint_backdrops

GRIDS = (((64, 40), 40), ((32, 20), 80), ((16, 10), 160))
"""Grid and channels per head."""
HEADS, FRAMES = 8, 16
PAPER = {"base": 40.04, "MIVA": 44.50, "M-MIVA, 50 mask steps": 114.25, "M-MIVA, 8 mask steps": 54.53}
"""Seconds of a run on a V100 at 512x320x16."""


def soft_discs(grid: tuple[int, int], frames: int) -> Tensor:
    """(F, h, w) masks of a moving disc with a soft edge, and some grey places such as a read-out leaves."""
    height, width = grid
    y, x = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    discs = [
        torch.sigmoid(60 * (0.25 - ((y - 0.4 - 0.01 * f) ** 2 + (x - 0.5 + 0.01 * f) ** 2).sqrt()))
        for f in range(frames)
    ]
    noise = torch.rand(frames, height, width, generator=torch.Generator().manual_seed(0))
    return torch.where(noise < 0.05, noise * 20, torch.stack(discs)).clamp(0, 1)


# --- precision and memory --------------------------------------------------------------------------------------------


def forms(query: Tensor, key: Tensor) -> dict[str, Callable[[torch.dtype], Bias]]:
    """Every form of the bias between masks (F, s) at the queries and at the keys."""

    def codes(rank: int, dtype: torch.dtype) -> Codes:
        table = RegionCodes(rank)
        return Codes(table.query(query).to(dtype), table.key(key).to(dtype))

    return {
        "additive mask": lambda dtype: agreement_bias(query, key).to(dtype),
        "codes, rank 16": partial(codes, 16),
        "codes, rank 24": partial(codes, 24),
    }


@torch.no_grad()
def precision() -> list[str]:
    lines = [
        "\n## Precision\n\nLargest errors of two frames against the additive mask in float64: of the bias, and of the "
        "output of attention (queries, keys and values are standard normal). Memory is what a mask of 16 frames needs "
        "for one reference frame in half precision.\n",
        "| tokens, channels a head | form | dtype | bias | output | memory |\n|---|---|---|---|---|---|",
    ]
    for grid, width in GRIDS:
        masks = soft_discs(grid, 2).flatten(1)
        q, k, v = torch.randn(3, 2, masks.shape[1], HEADS * width, generator=torch.Generator().manual_seed(1)).unbind()
        exact = agreement_bias(masks.double(), masks.flip(0).double())
        for dtype in (torch.float32, torch.bfloat16):
            values = [tokens.to(dtype) for tokens in (q, k, v)]
            expected = attend(*(tokens.double() for tokens in values), HEADS, exact)
            plain = attend(*values, HEADS).double() - attend(*(tokens.double() for tokens in values), HEADS)
            floor = plain.abs().max().item()
            lines.append(f"| {masks.shape[1]}, {width} | no guidance | {str(dtype)[6:]} | | {floor:.1e} | |")
            for name, form in forms(masks, masks.flip(0)).items():
                bias = form(dtype)
                product = bias.query.double() @ bias.key.double().mT if isinstance(bias, Codes) else bias.double()
                rest = exact - product
                error = (rest.amax(-1) - rest.amin(-1)).max().item() / 2
                output = (attend(*values, HEADS, bias).double() - expected).abs().max().item()
                memory = sum(t[0].numel() for t in (bias if isinstance(bias, Codes) else [bias])) * FRAMES * 2
                lines.append(f"| | {name} | {str(dtype)[6:]} | {error:.1e} | {output:.1e} | {memory / 1e6:.2f} MB |")
    return lines


def stored(thing: object) -> Iterator[Tensor]:
    """All tensors inside a guidance."""
    if isinstance(thing, Tensor):
        yield thing
    elif isinstance(thing, tuple | list):
        for part in thing:
            yield from stored(part)
    elif isinstance(thing, dict):
        yield from stored(list(thing.values()))
    elif is_dataclass(thing):
        yield from stored([getattr(thing, field.name) for field in fields(thing)])


def memory() -> list[str]:
    """Bytes that a guidance keeps at full size, as built, and as additive masks."""
    lines = ["\n## Memory of the guidance of one run, 64×40 latents, 16 frames, float16, one masked adapter\n"]
    lines.append("| form | kept |\n|---|---|")
    masks = soft_discs((64, 40), FRAMES)[None, None]
    for name, choose in (("codes where they fit", prefers_codes), ("additive masks at all grids", lambda *_: False)):
        with patch("miva_core.attention.guidance.prefers_codes", choose):
            grids, widths = halvings(64, 40)[:4], (40, 80, 160)
            guidance = SoftmaxGuidance(
                masks, unify(masks), 1, grids, widths, 16, spans_frames=False, dtype=torch.float16
            )
        blocks = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in stored(guidance._by_tokens)}
        lines.append(f"| {name} | {sum(blocks.values()) / 1e6:.2f} MB |")
    return lines


# --- operations ------------------------------------------------------------------------------------------------------


def masked_adapter(model: nn.Module) -> MIVAAdapter:
    with torch.device(next(model.parameters()).device):
        return MIVAAdapter(describe(model), MIVAConfig(mask=True))


def guide(miva: Injection, size: Size, device: torch.device) -> None:
    _, _, frames, height, width = size.latents
    miva.set_masks({"jump": soft_discs((height, width), frames)[None].to(device)})


def step_operations(architecture: Architecture) -> dict[str, int]:
    """Operations of every kind of step; with codes and with additive masks, which add none."""
    model, size, meta = architecture.build().eval(), architecture.full, torch.device("meta")
    step = partial(architecture.step, model, size, device=meta, dtype=torch.float32)
    double = partial(architecture.step, model, with_mask(size), True, meta, torch.float32)
    counts = {"base": operations(partial(step, adapted=False))}
    with inject(model, jump=masked_adapter(model)) as miva:
        counts["plain"] = operations(partial(step, adapted=True))
        miva.set_mask_streams(True)
        counts["masks, unguided"] = operations(double)
        guide(miva, size, meta)
        counts["masks, codes"] = operations(double)
        miva.set_mask_streams(False)
        counts["codes"] = operations(partial(step, adapted=True))
    return counts


def with_mask(size: Size) -> Size:
    """The size of a clip with one mask sequence."""
    return replace(size, latents=(2, *size.latents[1:]))


def operations_table(architecture: Architecture) -> list[str]:
    step, encode, decode = step_operations(architecture), architecture.encode(), architecture.decode()
    runs = {
        "base": STEPS * step["base"],
        "MIVA": STEPS * step["plain"],
        "M-MIVA, 8 mask steps": 42 * step["plain"] + 8 * step["masks, unguided"],
        "M-MIVA, 8 mask steps, and the work that codes add": 42 * step["codes"]
        + 7 * step["masks, codes"]
        + step["masks, unguided"],
        "M-MIVA, 50 mask steps": 50 * step["masks, unguided"],
    }
    # the picture, and the mask as a picture; the flat pictures that the read-out asks for are far smaller
    total = {name: count + decode + encode * (2 if name.startswith("M-") else 1) for name, count in runs.items()}
    return [
        f"\n### {architecture.name}\n",
        "| run of 50 steps and VAE | TFLOP | to the base |\n|---|---|---|",
        *(f"| {name} | {count / 1e12:.1f} | {count / total['base']:.3f} |" for name, count in total.items()),
    ]


# --- time ------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def step_times(architecture: Architecture, device: torch.device, rounds: int) -> list[str]:
    """Runs put together from the times of their steps, since whole ones would take an hour on a processor."""
    on_card = device.type == "cuda"
    size, dtype = (architecture.full, torch.bfloat16) if on_card else (architecture.small, torch.float32)
    model = random_model(architecture, device, dtype)
    finish = torch.cuda.synchronize if on_card else lambda: None
    adapter = masked_adapter(model)
    single = partial(architecture.step, model, size, device=device, dtype=dtype)
    double = partial(architecture.step, model, with_mask(size), True, device, dtype)
    measured = []
    for _ in range(rounds + 1):
        times = {"base": seconds_of(partial(single, adapted=False), finish)}
        with inject(model, jump=adapter) as miva:
            times["plain"] = seconds_of(partial(single, adapted=True), finish)
            times["guide"] = seconds_of(partial(guide, miva, size, device), finish)
            times["guided"] = seconds_of(partial(single, adapted=True), finish)
            miva.set_mask_streams(True)
            times["masks"] = seconds_of(double, finish)
        measured.append(
            {
                "base": STEPS * times["base"],
                "MIVA": STEPS * times["plain"],
                "M-MIVA, 50 mask steps": STEPS * (times["masks"] + times["guide"]),
                "M-MIVA, 8 mask steps": 42 * times["guided"] + 8 * (times["masks"] + times["guide"]),
            }
        )
    title = (
        f"\n### {architecture.name}, latents {'×'.join(map(str, size.latents[2:]))}, {str(dtype)[6:]}, steps alone\n"
    )
    return [title, *paired(measured[1:])]


def run_times(rounds: int) -> list[str]:
    """Whole runs of 50 steps on the built-in base."""
    base = load_base("tiny")
    adapters = {
        name: MIVAAdapter.load(SHIPPED / f"{name}.safetensors", base.backbone) for name in ("jump", "jump_masked")
    }
    picture = paint_backdrops(1, 64, 0)[0].permute(1, 2, 0).float() / 255
    mask = soft_discs(base.size, 1)[0]

    options = RunOptions(steps=STEPS, render="latents")

    def masked() -> Clip:
        return animate(base, picture, [Motion(adapters["jump_masked"], mask=mask, name="jump")], options)

    def at_all_steps() -> Clip:
        with patch("miva_core.animation.run.mask_steps", range):
            return masked()

    runs = {
        "base": lambda: animate(base, picture, [], options),
        "MIVA": lambda: animate(base, picture, [Motion(adapters["jump"], name="jump")], options),
        "M-MIVA, 50 mask steps": at_all_steps,
        "M-MIVA, 8 mask steps": masked,
    }
    measured = [{name: seconds_of(run, lambda: None) for name, run in runs.items()} for _ in range(rounds + 1)]
    return ["\n### The built-in base, whole runs by the latent route\n", *paired(measured[1:])]


def paired(measured: list[dict[str, float]]) -> list[str]:
    lines = [
        "| run of 50 steps | seconds (median) | to the base (least to most) | paper, to its base |\n|---|---|---|---|"
    ]
    for name, published in PAPER.items():
        ratios = [seconds[name] / seconds["base"] for seconds in measured]
        lines.append(
            f"| {name} | {statistics.median(seconds[name] for seconds in measured):.2f} "
            f"| {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}) "
            f"| {published / PAPER['base']:.3f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    start, device = time.time(), torch.device("cuda" if torch.cuda.is_available() else "cpu")
    lines = ["# What masked adapters cost", *precision(), *memory(), "\n## Operations"]
    for architecture in ARCHITECTURES:
        lines += operations_table(architecture)
    lines.append(time_heading(device, args.rounds))
    lines += run_times(args.rounds)
    for architecture in ARCHITECTURES:
        lines += step_times(architecture, device, args.rounds)
    print("\n".join(lines))
    (args.out / "masks.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"\n{time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
