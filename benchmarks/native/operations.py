"""Operations of a step, counted without weights."""

from __future__ import annotations

import torch
from comfyui_miva.nodes.comfy_bridge.native.host import find_host

from .networks import META, DueRows, Network, operations, sd15_network, wan_network
from .tables import table

STEPS, MASK_STEPS = 50, 8
"""Of a run, and those at which masks are denoised beside the clip."""


def operations_tables() -> str:
    return (
        "Wan 2.1 1.3B, 832×480×17, 30 blocks; the plain model hears 512 words, as it is used:\n\n"
        + operations_table(wan_network(META, 30, (1, 16, 5, 60, 104)), 512, 1)
        + "\n\nStable Diffusion 1.5 with motion module v3, 512×320×16; 77 words:\n\n"
        + operations_table(sd15_network(META, (16, 4, 40, 64)), 77, 77)
    )


def operations_table(network: Network, words: int, empty: int) -> str:
    """Args: words: of a prompt. empty: of the prompt that Apply MIVA gives where none is connected."""
    count = {
        "plain, a prompt": operations(network.step((), words)),
        "plain, no prompt": operations(network.step((), empty)),
    }
    one, two = network.motions([1.0]), network.motions([0.5, 0.5])
    rest, masked, both = network.motions([0.7]), network.motions([1.0], 1), network.motions([1.0, 1.0], 2)
    count["one motion, no prompt"] = operations(network.step(one, empty))
    count["one motion, a prompt that is not heard"] = operations(network.step(one, words))
    count["one motion of weight 0.7, a prompt"] = operations(network.step(rest, words))
    count["two motions of 0.5"] = operations(network.step(two, empty))
    for name, motions in (("one masked motion", masked), ("two masked motions", both)):
        guided, due = (
            operations(network.step(motions, empty, rows, guided=True)) for rows in (None, _rows(network, len(motions)))
        )
        count[f"{name}, a step with masks known"] = guided
        count[f"{name}, a step with mask rows"] = due
        count[f"{name}, mean of {STEPS} steps, {MASK_STEPS} with rows"] = (
            MASK_STEPS * due + (STEPS - MASK_STEPS) * guided
        ) // STEPS
    plain = count["plain, a prompt"]
    return table(
        ("one step", "TFLOP", "to the plain model"),
        [(name, f"{value / 1e12:.2f}", f"{value / plain:.3f}") for name, value in count.items()],
    )


def _rows(network: Network, masks: int) -> DueRows:
    clip = find_host(network.model).to_clips(torch.zeros(network.latent, device=network.device), 1)
    return DueRows(clip.repeat(masks, 1, 1, 1, 1))
