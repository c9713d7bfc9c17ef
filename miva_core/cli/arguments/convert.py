"""The arguments of `convert`, `convert-sana` and `export-motion-lora`."""

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


def add_convert_sana(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `convert-sana`."""
    command.add_argument("file", type=Path, help="SANA 600M, as its authors or diffusers save it")
    command.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="made if it is not there")
    command.add_argument(
        "--latents",
        choices=("sd", "sana"),
        default="sd",
        help="of 4 channels at an eighth of the size, as MiraMo's code has them, whose layers in and out are new "
        "(default); or SANA's own, as its paper says",
    )
    command.add_argument(
        "--gate",
        choices=("closed", "copied"),
        default="closed",
        help="of attention over time: closed, so that each frame is SANA's at first (default), or that of space, as "
        "MiraMo begins",
    )


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
