"""The commands that turn adapter files into other files, and research checkpoints into adapter files."""

import argparse
from pathlib import Path

from ..adapters.adapter import MIVAAdapter
from ..adapters.info import read_info
from ..bases.known import find_backbone
from ..bases.library import resolve_adapter
from ..checks import printable
from ..convert.motion_lora import export_motion_lora
from ..convert.official import convert_official
from ..errors import MIVAError
from ..storage.files import check_new


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
    command.set_defaults(run=_convert)


def _convert(options: argparse.Namespace) -> None:
    check_new(options.out, (".safetensors",))
    converted = convert_official(options.official, options.checkpoint, options.alpha)
    adapter, training = converted.adapter, converted.training
    info = adapter.info(
        motion=options.motion or options.out.stem.replace("_", " "),
        frames=training.frames,
        size=training.size,
        fps=training.fps,
        subject=options.subject,
        training={"converted from": options.official.name, **training.assumed},
    )
    adapter.save(options.out, info, new=True)
    print(f"Wrote {options.out}: {adapter.num_parameters():,} parameters.")
    if training.difference:
        print(training.difference)
    if unused := converted.unused:
        text = "tensors, of a prompt for the background alone, have no place in an adapter"
        print(f"{len(unused)} {text}: {unused[0]} …")


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
    command.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> None:
    check_new(options.out, (".safetensors",))
    path = resolve_adapter(options.adapter)
    info = read_info(path)
    backbone = find_backbone(info)
    if backbone is None:
        base = f"{printable(info.family)}, {printable(info.fingerprint)}"
        raise MIVAError(f"{path} was made for a base ({base}) that is not known here.")
    export_motion_lora(MIVAAdapter.load(path, backbone), options.out, options.layout)
    print(f"Wrote {options.out}.")
