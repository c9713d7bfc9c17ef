"""The command `convert`: makes an adapter file of a research checkpoint."""

import argparse

from ..convert.official import convert_official
from ..storage.files import check_new


def run_convert(options: argparse.Namespace) -> None:
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
