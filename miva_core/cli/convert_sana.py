"""The command `convert-sana`: makes the weights that a training of MiraMo starts from."""

import argparse

from ..convert.sana import convert_sana
from .file_checks import check_new_folder


def run_convert_sana(options: argparse.Namespace) -> None:
    check_new_folder(options.out)
    convert_sana(options.file, options.out, options.latents, options.gate)
    print(f"Wrote {options.out}: MiraMo before its training, for MiraMoTransformer.from_pretrained.")
