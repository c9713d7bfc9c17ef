"""What motions cost on ComfyUI's own models, and how near they are to the engine's path by diffusers.

    COMFYUI_PATH=…/ComfyUI python -m benchmarks.native [--only operations times parity dtypes] [--pairs 8]

Operations are counted without weights (meta tensors), of one step at 832x480x17 for Wan 2.1 1.3B and at 512x320x16 for
Stable Diffusion 1.5 with a motion module. Times are those of one block of Wan at its full width on 960 tokens, in pairs
of plain model and motions that take turns, on one thread; a ratio is the median over pairs. Parity and fewer bits are
measured on small random models, see tests/comfyui/native. Parts that are left out by `--only` stay as they were in
benchmarks/results/native.md. On two cores without other work all of it takes about four minutes, `--only times` two.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results" / "native.md"
OPENING = """# Motions on ComfyUI's own models

`python -m benchmarks.native`: Wan 2.1 1.3B and Stable Diffusion 1.5 by ComfyUI's own code with Apply MIVA. What the
same motions cost on the pack's own copies of these models is in [overhead.md](overhead.md), and what importing the pack
costs in [comfyui.md](comfyui.md)."""
TITLES = {
    "operations": "Operations of a step",
    "times": "Time of a block on a processor",
    "parity": "Distance from the engine's path by diffusers",
    "dtypes": "Weights and activations of fewer bits",
}
NOTES = {
    "operations": "The goal for one motion on Wan is 1.07. On Stable Diffusion 1.5 the maps of a text are asked as\n"
    "layers, since they may hold a LoRA; the pack's own copy merges them with a motion's.",
    "times": "In so few tokens the maps of a text weigh more than in a whole clip, so look at time beside operations\n"
    "of the same block. The pack's own copy is the block of diffusers with the same motion.",
    "parity": "Of small random models: the largest difference in what the network answers, as a share of its largest\n"
    "value, over the calls of a run beside a prompt. The goal is 2e-5.",
    "dtypes": "Distance from the same in float32, rms to spread. Motions are to add no error of their own.",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=TITLES, default=[*TITLES])
    parser.add_argument("--pairs", type=int, default=8)
    options = parser.parse_args()
    texts = earlier()
    for part in options.only:
        texts[part] = f"{NOTES[part]}\n\n{measured(part, options.pairs)}"
        print(f"{part}\n{texts[part]}\n", flush=True)
    sections = [f"## {TITLES[part]}\n\n{texts[part]}" for part in TITLES if part in texts]
    RESULTS.write_text(f"{OPENING}\n\n" + "\n\n".join(sections) + "\n", encoding="utf-8")


def earlier() -> dict[str, str]:
    """What was measured before, by part."""
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    found = {}
    for part, title in TITLES.items():
        if match := re.search(rf"## {re.escape(title)}\n\n(.*?)(?=\n\n## |\Z)", text, re.S):
            found[part] = match[1].strip()
    return found


def measured(part: str, pairs: int) -> str:
    """A part of the results; the first one starts ComfyUI."""
    import torch

    from tests.comfyui.native import real_comfyui  # noqa: F401

    with torch.inference_mode():
        if part == "operations":
            from .operations import operations_tables

            return operations_tables()
        if part == "times":
            from .times import times_table

            return times_table(pairs)
        from . import parity

        return parity.parity_table() if part == "parity" else parity.dtypes_table()


if __name__ == "__main__":
    main()
