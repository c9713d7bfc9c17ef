"""Time of one block of Wan at its full width, on the processor."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch
from comfyui_miva.miva_core import MIVAAdapter, MIVAConfig, describe, inject
from comfyui_miva.miva_core.bases.wan import loading
from comfyui_miva.miva_core.storage.json_files import read_json
from diffusers import WanTransformer3DModel

from .networks import CPU, operations, wan_network
from .tables import table

LATENT = (1, 16, 5, 24, 32)
Call = Callable[[], object]


def times_table(pairs: int) -> str:
    network = wan_network(CPU, 1, LATENT)
    plain, one = network.step((), 512), network.step(network.motions([1.0]), 1)
    variants = {
        "one motion, no prompt": (one, plain),
        "one motion, a prompt that is not heard": (network.step(network.motions([1.0]), 512), plain),
        "one motion of weight 0.7, a prompt": (network.step(network.motions([0.7]), 512), plain),
        "two motions of 0.5, no prompt": (network.step(network.motions([0.5, 0.5]), 1), plain),
    }
    bare, moved = pack_steps()
    of_pack = {"plain, a prompt": (plain, bare), "one motion, no prompt": (one, moved)}
    return "\n\n".join(
        (
            f"Medians of {pairs} pairs; one block, 256×192×17.",
            _table("to the plain model with a prompt", variants, pairs),
            _table("to the pack's own copy", of_pack, pairs),
        )
    )


def pack_steps() -> tuple[Callable[[], object], Callable[[], object]]:
    """A call of the same block by diffusers, with a prompt, and with a motion of the engine and none."""
    config = read_json(loading.CONFIGS / "transformer.json") | {"num_layers": 1}
    with torch.inference_mode(False):
        plain, moved = (WanTransformer3DModel.from_config(config).eval().requires_grad_(False) for _ in range(2))
    inject(moved, miva=MIVAAdapter(describe(moved), MIVAConfig.default()).requires_grad_(False))
    x, time_ = torch.zeros(LATENT), torch.full((1,), 700.0)
    return lambda: plain(x, time_, torch.zeros(1, 512, 4096)), lambda: moved(x, time_, torch.zeros(1, 1, 4096))


def _table(what: str, variants: Mapping[str, tuple[Call, Call]], pairs: int) -> str:
    rows = []
    for name, (call, base) in variants.items():
        for warm in (base, call, call):
            warm()
        ratios = sorted(_ratio(call, base, bool(number % 2)) for number in range(pairs))
        counted = operations(call) / operations(base)
        spread = f"{ratios[0]:.2f} … {ratios[-1]:.2f}"
        rows.append((name, f"{statistics.median(ratios):.3f}", spread, f"{counted:.3f}"))
    return table((f"time {what}", "ratio", "spread", "operations"), rows)


def _ratio(call: Call, base: Call, base_first: bool) -> float:
    """Of times; which comes first takes turns, since the second finds a warmer processor."""
    order = (base, call) if base_first else (call, base)
    seconds = {one: _seconds(one) for one in order}
    return seconds[call] / seconds[base]


def _seconds(call: Callable[[], object]) -> float:
    """Of the processor, so that others on the machine are not counted."""
    began = time.process_time()
    call()
    return time.process_time() - began
