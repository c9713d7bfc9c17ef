"""Processes that begin with slow imports behind them: a server, which has imported all and done nothing, forks them."""

import multiprocessing
import os
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "pytest",
        "matplotlib.figure",
        "accelerate",
        "miva_core.cli.train",
        "miva_core.bases.tiny.loading",
        "miva_core.training.run",
        "miva_core.media.video",
    ]
)


def start(
    program: Callable[..., Any], *arguments: Any, output: Path, environment: Mapping[str, str] | None = None
) -> BaseProcess:
    """Run a function in a process of its own, on one processor core and no graphics card.

    Args:
        program: a function of a module that can be imported.
        arguments: of the function.
        output: the file that takes what it prints; an older one is replaced.
        environment: variables beside the usual ones.

    Returns:
        The process, which has begun.
    """
    more = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **(environment or {})}
    process = _CONTEXT.Process(target=_run, args=(program, arguments, str(output), more))
    process.start()
    return process


def _run(program: Callable[..., Any], arguments: tuple[Any, ...], output: str, environment: Mapping[str, str]) -> None:
    import torch

    os.environ.update(environment)
    # The server has read OMP_NUM_THREADS earlier, whatever it was. On more threads sums may be taken in another order.
    torch.set_num_threads(1)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    program(*arguments)
