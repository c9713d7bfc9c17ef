"""What adapters cost in floating-point operations, against the base of the same run.

    python -m benchmarks.overhead [--out benchmarks/results]

Counted without weights (meta tensors) at 512x320x16 for Stable Diffusion 1.5 with AnimateDiff v3 and at 832x480x17 for
Wan 2.1 1.3B. The paper's figure for one adapter is 1.111, in time on a V100.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from miva_core import MIVAAdapter, MIVAConfig, describe, inject
from miva_core.animatediff import meta_unet
from miva_core.json_files import read_json
from miva_core.meta import on_meta
from miva_core.wan import CONFIGS as WAN_CONFIGS

ADAPTERS = (0, 1, 2, 4)


def unet_step(model: nn.Module, adapted: bool) -> None:
    latents = torch.empty(1, 4, 16, 40, 64, device="meta")
    # The base attends to a prompt of 77 tokens; adapters take the place of that.
    text = None if adapted else torch.empty(16, 77, 768, device="meta")
    model(latents, torch.empty(1, device="meta"), text)


def wan_step(model: nn.Module, adapted: bool) -> None:
    latents = torch.empty(1, 16, 5, 60, 104, device="meta")
    text = torch.empty(1, 1 if adapted else 512, 4096, device="meta")
    model(latents, torch.empty(1, device="meta"), text)


def step_operations(model: nn.Module, step: Callable[[nn.Module, bool], None], adapters: int) -> int:
    """Operations of one denoising step with so many adapters of the default config in parallel."""
    with torch.device("meta"):
        chosen = {f"a{k}": MIVAAdapter(describe(model), MIVAConfig.default()) for k in range(adapters)}
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        if chosen:
            with inject(model, **chosen):
                step(model, adapted=True)
        else:
            step(model, adapted=False)
    return counter.get_total_flops()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    lines = [
        "# Operations of one denoising step",
        "\nDefault config, counted on the real shapes; multiply-adds count as two operations.\n",
        "| model | adapters | TFLOP | to the base | to one adapter |",
        "|---|---|---|---|---|",
    ]
    models = {
        "SD 1.5 + AnimateDiff v3, 512×320×16": (meta_unet().eval(), unet_step),
        "Wan 2.1 1.3B, 832×480×17": (
            on_meta(lambda: WanTransformer3DModel.from_config(read_json(WAN_CONFIGS / "transformer.json"))).eval(),
            wan_step,
        ),
    }
    for name, (model, step) in models.items():
        counts = {n: step_operations(model, step, n) for n in ADAPTERS}
        for n, count in counts.items():
            to_one = f"{count / counts[1]:.3f}" if n else ""
            lines.append(f"| {name} | {n} | {count / 1e12:.3f} | {count / counts[0]:.3f} | {to_one} |")
    print("\n".join(lines))
    (args.out / "overhead.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
