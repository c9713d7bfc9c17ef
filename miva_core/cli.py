"""The command line: animate a picture, list what there is, say what a file is."""

import argparse
import contextlib
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from .checks import LARGEST
from .errors import MIVAError
from .motion_text import parse_motion, weight_sums

if TYPE_CHECKING:
    import torch

    from .init_noise import NoiseInit

PROGRAM = "python -m miva_core"


class OneLineParser(argparse.ArgumentParser):
    """A parser whose mistakes are told in one sentence, like all others."""

    def error(self, message: str) -> NoReturn:
        raise MIVAError(f"{message[:1].upper()}{message[1:]} (`{self.prog} --help` shows the usage).")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit code: 0, or 2 after one sentence on what is wrong."""
    try:
        options = _parser().parse_args(arguments)
        options.run(options)
    except MIVAError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough. Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("\nStopped: no unfinished file is left.", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(prog=PROGRAM, description="Animate a still picture by motions kept in small files.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_animate(commands)

    text = "show the bases and adapters that are found"
    listing = commands.add_parser("list", help=text, description=text)
    _add_folders(listing)
    listing.set_defaults(run=_list)

    _add_convert(commands)
    _add_export(commands)

    text = "say what a file is, and what an adapter was trained on"
    info = commands.add_parser("info", help=text, description=text)
    info.add_argument("file", type=Path)
    info.set_defaults(run=_info)
    return parser


def _add_folders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--adapters", type=Path, action="append", default=[], metavar="FOLDER", help="look for adapters here too"
    )


def _add_animate(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("animate", help="turn a picture into a clip")
    command.add_argument("picture", type=Path)
    command.add_argument(
        "--miva",
        action="append",
        default=[],
        metavar="NAME[:WEIGHT][@START-END]",
        help="a motion by name or file; repeat it to run several at once (weights that sum to 1 are the most stable); "
        "@0-0.4 lets it act during the first 40 %% of the steps alone",
    )
    command.add_argument("--out", type=Path, required=True, metavar="CLIP", help="the clip: .mp4, .gif, .webp")
    command.add_argument("--sheet", type=Path, metavar="PNG", help="also write a contact sheet of the frames")
    command.add_argument("--base", default="tiny", help="the video model: tiny (default), animatediff or wan")
    command.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="for animatediff a Stable Diffusion 1.5 file, for wan Wan 2.1"
    )
    command.add_argument("--motion-module", type=Path, metavar="FILE", help="for animatediff: its motion module")
    command.add_argument(
        "--vae", type=Path, metavar="FILE", help="for wan its VAE; for animatediff one other than the checkpoint's"
    )
    command.add_argument("--seed", type=_whole(0, 2**64 - 1), default=0, help="another seed, another clip (default: 0)")
    command.add_argument("--steps", type=_whole(1, 1000), help="denoising steps (default: the base's own)")
    command.add_argument("--frames", type=_whole(2, LARGEST), help="length of the clip (default: the base's own)")
    command.add_argument("--size", metavar="WIDTHxHEIGHT", help="size of the clip (default: the base's own)")
    command.add_argument("--fit", choices=("crop", "pad"), default="crop", help="how another aspect is met")
    command.add_argument("--no-dct", action="store_true", help="start from plain noise in the low band, too")
    command.add_argument(
        "--dct-strength",
        type=_share,
        metavar="A",
        help="share of the picture in the low band, 0 to 1 (the tiny base hardly heeds it)",
    )
    command.add_argument("--no-shared-noise", action="store_true", help="draw every frame's noise by itself")
    command.add_argument(
        "--adain",
        action=argparse.BooleanOptionalAction,
        help="match the frames' statistics to the picture's at the end (default: as the base wants it)",
    )
    command.add_argument("--device", help="cpu, cuda … (default: the graphics card if there is one)")
    _add_folders(command)
    command.set_defaults(run=_animate)


def _add_convert(commands: argparse._SubParsersAction) -> None:
    text = "make an adapter file of a research checkpoint by MIVA's authors (AnimateDiff or Wan)"
    command = commands.add_parser("convert", help=text, description=text)
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


def _add_export(commands: argparse._SubParsersAction) -> None:
    text = "write the temporal part of an AnimateDiff adapter as a LoRA file that other programs load at strength 1"
    command = commands.add_parser("export-motion-lora", help=text, description=text)
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
    from .adapter import MIVAAdapter
    from .files import check_writable
    from .library import resolve_adapter
    from .loading import known_backbone
    from .motion_lora import export_motion_lora

    check_writable(options.out, (".safetensors",))
    path = resolve_adapter(options.adapter)
    _check_distinct([options.out], [path])
    adapter = MIVAAdapter.load(path, known_backbone(path))
    export_motion_lora(adapter, options.out, options.layout)
    print(f"Wrote {options.out}.")


def _convert(options: argparse.Namespace) -> None:
    from .files import check_writable
    from .official import convert_official

    check_writable(options.out, (".safetensors",))
    _check_distinct([options.out], [options.official, *filter(None, [options.checkpoint])])
    adapter, rest = convert_official(options.official, options.checkpoint, options.alpha)
    is_wan = adapter.backbone.family == "wan"
    info = adapter.info(
        motion=options.motion or options.out.stem.replace("_", " "),
        frames=17 if is_wan else 16,
        size=(832, 480) if is_wan else (512, 320),
        fps=8,
        subject=options.subject,
        training={"converted from": options.official.name} | ({"gate temperature": "assumed"} if is_wan else {}),
    )
    adapter.save(options.out, info)
    print(f"Wrote {options.out}: {adapter.num_parameters():,} parameters.")
    if is_wan:
        print(
            "It will move otherwise than in the authors' code, which runs its attention on the raw residual: here it "
            "stands beside self-attention, inside the gate, with a gate temperature of 0.2, which no Wan file tells."
        )
    if rest:
        print(f"{len(rest)} tensors have no place in this adapter, as those of a mask stream have none: {rest[0]} …")


def _animate(options: argparse.Namespace) -> None:
    # Everything that can be wrong is found before the model is loaded.
    from . import files
    from .info import read_info
    from .library import resolve_adapter
    from .pictures import fit_picture, parse_size, read_picture
    from .video import check_writable, contact_sheet, write_png, write_video

    check_writable(options.out)
    if options.sheet:
        files.check_writable(options.sheet, (".png",))
    chosen = [parse_motion(text) for text in options.miva]
    paths = [resolve_adapter(motion.name, options.adapters) for motion in chosen]
    for path in paths:
        read_info(path)
    _check_distinct([options.out, options.sheet], [options.picture, *paths])
    size = parse_size(options.size) if options.size is not None else None
    picture = read_picture(options.picture)

    from tqdm import tqdm

    from .adapter import MIVAAdapter
    from .animation import animate
    from .loading import load_base

    base = load_base(
        options.base,
        device=_device(options.device),
        checkpoint=options.checkpoint,
        motion_module=options.motion_module,
        vae=options.vae,
    )
    names = [f"{path.stem} ({k})" for k, path in enumerate(paths, start=1)]
    adapters = {
        name: (MIVAAdapter.load(path, base.backbone), motion.weight)
        for name, path, motion in zip(names, paths, chosen, strict=True)
    }
    picture, note = fit_picture(picture, size or base.size, options.fit)
    # The delay keeps the bar away until the first step, and a refusal alone on its line.
    with tqdm(total=options.steps or base.steps, unit="step", desc="Animating", delay=1e-3) as bar:
        clip = animate(
            base,
            picture,
            adapters,
            spans={name: motion.span for name, motion in zip(names, chosen, strict=True)},
            steps=options.steps,
            seed=options.seed,
            size=size,
            frames=options.frames,
            noise=_noise(base.noise, options),
            adain=options.adain,
            callback=lambda _: bar.update(),
        )
    if note:
        print(f"The picture was {note}.")
    odd = [total for total in weight_sums(chosen) if not math.isclose(total, 1)]
    if len(chosen) > 1 and odd:
        print(f"The weights sum to {' and '.join(f'{total:g}' for total in odd)}; a sum of 1 is the most stable.")
    write_video(clip.frames, options.out, clip.fps)
    print(f"Wrote {options.out}: {len(clip.frames)} frames at {clip.fps} a second.")
    if options.sheet:
        label = " + ".join(f"{path.stem} {motion.weight:g}" for path, motion in zip(paths, chosen, strict=True))
        write_png(contact_sheet([(label or "no motion", clip.frames)]), options.sheet)
        print(f"Wrote {options.sheet}.")


def _whole(low: int, high: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        with contextlib.suppress(ValueError):
            if low <= int(text) <= high:
                return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")

    return whole


def _share(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")


def _check_distinct(written: Sequence[Path | None], read: Sequence[Path]) -> None:
    """Nothing that is read is to be replaced, nor one result by another."""
    taken = list(read)
    for path in filter(None, written):
        for other in taken:
            if os.path.realpath(path) == os.path.realpath(other):
                raise MIVAError(f"{path} would be written over {other}: name another file.")
        taken.append(path)


def _noise(default: "NoiseInit", options: argparse.Namespace) -> "NoiseInit":
    from dataclasses import replace

    changes = {}
    if options.no_dct:
        changes["dct"] = False
    if options.dct_strength is not None:
        changes["strength"] = options.dct_strength
    if options.no_shared_noise:
        changes["shared_ratio"] = 0.0
    return replace(default, **changes)


def _device(name: str | None) -> "torch.device":
    import torch

    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        # Reading back finds devices that cannot compute, such as "meta".
        probe = torch.zeros(1, device=name)
        probe.cpu()
    except (RuntimeError, AssertionError, ImportError) as error:
        raise MIVAError(f"The device {name!r} cannot be used here: leave --device out, or give cpu.") from error
    return probe.device


def _list(options: argparse.Namespace) -> None:
    from .info import read_info
    from .library import find_adapters
    from .loading import BASES

    print("Bases:")
    for name in BASES:
        print(f"  {name}")
    print("Adapters:")
    for name, path in find_adapters(options.adapters).items():
        try:
            info = read_info(path)
            print(f"  {name:<16} {info.motion} ({info.frames} frames, {info.size[0]}×{info.size[1]}, {info.family})")
        except MIVAError as error:
            print(f"  {name:<16} cannot be used: {error}")


def _info(options: argparse.Namespace) -> None:
    from .adapter import MIVAAdapter
    from .files import require_file
    from .info import count_parameters, read_info
    from .loading import find_backbone
    from .weights import open_weights

    path = require_file(options.file, "file")
    try:
        info = read_info(path)
        counts = count_parameters({name: tensor.shape for name, tensor in open_weights(path, "adapter").items()})
        backbone = find_backbone(info)
        if backbone:
            MIVAAdapter.load(path, backbone)
    except MIVAError as error:
        _tell_of_another_file(path, error)
        return
    print(f"{path} is a MIVA adapter.")
    rows = {
        "motion": info.motion,
        "subject": info.subject or "none",
        "base": f"{info.family}, fingerprint {info.fingerprint}",
        "clips": f"{info.frames} frames of {info.size[0]}×{info.size[1]} at {info.fps:g} a second",
        "trained": ", ".join(f"{key} {value}" for key, value in info.training.items()) or "not recorded",
        "licence": info.licence or "not recorded",
        "author": info.author or "not recorded",
        "structure": ", ".join(f"{key} {value}" for key, value in vars(info.config).items()),
        "parameters": f"{sum(counts.values()):,}: " + ", ".join(f"{part} {count:,}" for part, count in counts.items()),
    }
    for name, value in rows.items():
        print(f"  {name:<10} {value}")


def _tell_of_another_file(path: Path, error: MIVAError) -> None:
    from .files import looks_like
    from .weights import open_weights, what_weights

    kind = looks_like(path)
    if "MIVA adapter" in kind:
        print(f"{path} is {kind}.\n{error}")
        return
    try:
        tensors = open_weights(path, "model file")
    except MIVAError as broken:
        print(broken if kind == "a PyTorch checkpoint" else f"{path} is {kind}.")
        return
    if not tensors:
        print(f"{path} is a model file without tensors.")
        return
    print(f"{path} is {what_weights(tensors)}:")
    dtypes = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()})
    count = sum(tensor.numel() for tensor in tensors.values())
    print(f"{count:,} parameters in {len(tensors):,} tensors of {' and '.join(dtypes)}.")
