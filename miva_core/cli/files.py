"""The commands that list what is found and say what a file is."""

import argparse
from pathlib import Path

from ..adapters.adapter import MIVAAdapter
from ..adapters.info import AdapterInfo, count_parameters, read_info
from ..animation.degree_notes import describe_range
from ..bases.known import find_backbone, name_base, say_trained_on
from ..bases.library import find_adapters
from ..bases.registry import BASES, DEFAULT
from ..checks import printable
from ..errors import MIVAError
from ..storage.files import looks_like, require_file
from ..storage.weights import identify_weights, open_weights

_LONGEST_ROW = 2000
"""Characters; names of clips may fill some lines, but texts of a foreign file must not fill the screen."""


def run_list(options: argparse.Namespace) -> None:
    print("Bases:")
    for name, spec in BASES.items():
        known = " or ".join(dict.fromkeys(known for known, _ in spec.backbones()))
        words = f", by the words {', '.join(spec.words())}" if spec.words else ""
        print(f"  {name:<16} {known}{' (default)' * (name == DEFAULT)}{words}")
    print("Adapters:")
    for name, path in find_adapters(options.adapters).items():
        try:
            info = read_info(path)
            masked = ", with a mask of its subject" if info.config.mask else ""
            words = f", by the words {printable(', '.join(info.words))}" if info.words else ""
            size = f"{info.frames} frames, {info.size[0]}×{info.size[1]}"
            print(
                f"  {name:<16} {printable(info.motion)} ({size}, {name_base(info) or 'an unknown base'}{masked}{words})"
            )
        except MIVAError as error:
            print(f"  {name:<16} cannot be used: {error}")


def run_info(options: argparse.Namespace) -> None:
    path = require_file(_named(options.file), "file")
    try:
        info = read_info(path)
        counts = count_parameters({name: tensor.shape for name, tensor in open_weights(path, "adapter").items()})
        backbone = find_backbone(info)
        if backbone:
            MIVAAdapter.load(path, backbone)
    except MIVAError as error:
        _print_other_file(path, error)
        return
    print(f"{path} is a MIVA adapter.")
    rows = {
        "motion": info.motion,
        "subject": info.subject or "none",
        **({"words": ", ".join(info.words)} if info.config.words else {}),
        **({"degree": describe_range(info.degree, (info.size[1], info.size[0]))} if info.degree else {}),
        "base": _base_of(info),
        "clips": f"{info.frames} frames of {info.size[0]}×{info.size[1]} at {info.fps:g} a second",
        "trained": ", ".join(f"{key} {value}" for key, value in info.training.items()) or "not recorded",
        "licence": info.licence or "not recorded",
        "author": info.author or "not recorded",
        "structure": ", ".join(f"{key} {value if value != '' else 'none'}" for key, value in vars(info.config).items()),
        "parameters": f"{sum(counts.values()):,}: " + ", ".join(f"{part} {count:,}" for part, count in counts.items()),
    }
    for name, value in rows.items():
        print(f"  {name:<10} {printable(value, _LONGEST_ROW)}")


def _named(file: Path) -> Path:
    """The file itself, or the shipped motion of that name where there is no such file."""
    return file if file.exists() else find_adapters().get(str(file), file)


def _base_of(info: AdapterInfo) -> str:
    named = f"{name_base(info) or 'unknown'} ({info.family}, fingerprint {info.fingerprint})"
    said = say_trained_on(info)
    return f"{named}. {said}" if said else named


def _print_other_file(path: Path, error: MIVAError) -> None:
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
    print(f"{path} is {identify_weights(tensors)}:")
    dtypes = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()})
    count = sum(tensor.numel() for tensor in tensors.values())
    print(f"{count:,} parameters in {len(tensors):,} tensors of {' and '.join(dtypes)}.")
