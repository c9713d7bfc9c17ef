"""The arguments of `convert` and `export-motion-lora`."""

import argparse
from pathlib import Path


def add_convert(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `convert`."""
    command.add_argument("official", type=Path, help="adapter.pt, or checkpoint_step_….ckpt")
    command.add_argument("out", type=Path, help="the adapter file, ending in .safetensors")
    command.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="the Stable Diffusion 1.5 or Wan 2.1 1.3B file it was trained on (after PEFT only needed to compare)",
    )
    command.add_argument("--alpha", type=float, help="after training by PEFT: its lora_alpha, which no file tells")
    command.add_argument("--motion", help="name of the motion (default: the name of the new file)")
    command.add_argument("--subject", default="", help="what moves, in a word or two; nothing for a camera move")


def add_export(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `export-motion-lora`."""
    command.add_argument("adapter", help="its name or file")
    command.add_argument("out", type=Path, help="the LoRA file, ending in .safetensors")
    command.add_argument(
        "--layout",
        choices=("motion-lora", "peft"),
        default="motion-lora",
        help="names as in AnimateDiff's MotionLoRA files (default), or as diffusers and peft read them",
    )
