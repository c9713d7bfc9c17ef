"""The command `export-motion-lora`: writes the temporal part of an adapter as a LoRA file."""

import argparse

from ..adapters.adapter import MIVAAdapter
from ..adapters.info import read_info
from ..bases.known import find_backbone
from ..bases.library import resolve_adapter
from ..checks import printable
from ..convert.motion_lora import export_motion_lora
from ..errors import MIVAError
from ..storage.files import check_new


def run_export(options: argparse.Namespace) -> None:
    check_new(options.out, (".safetensors",))
    path = resolve_adapter(options.adapter)
    info = read_info(path)
    backbone = find_backbone(info)
    if backbone is None:
        base = f"{printable(info.family)}, {printable(info.fingerprint)}"
        raise MIVAError(f"{path} was made for a base ({base}) that is not known here.")
    export_motion_lora(MIVAAdapter.load(path, backbone), options.out, options.layout)
    print(f"Wrote {options.out}.")
