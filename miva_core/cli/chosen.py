"""The device and the models that the options of several commands name."""

import argparse
import os
from typing import TYPE_CHECKING

import torch

from ..bases.base import Base
from ..bases.loading import load_base
from ..errors import MIVAError
from ..subject_mask.model_files import load_detector, load_segmenter
from .arguments.shared import base_files

if TYPE_CHECKING:
    from ..subject_mask.detector import Detector
    from ..subject_mask.segmenter import Segmenter


def load_chosen_base(options: argparse.Namespace, where: torch.device, dtype: torch.dtype | None = None) -> Base:
    """The base that `add_base`'s options name; its dtype as in `load_base`."""
    files = {argument: getattr(options, argument) for argument in base_files()}
    return load_base(options.base, device=where, dtype=dtype, **files)


def device(name: str | None) -> torch.device:
    """The device a user names, or the graphics card if there is one: of several processes, each its own.

    Raises:
        MIVAError: nothing can be computed there.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
    try:
        # Reading back finds devices that cannot compute, such as "meta".
        probe = torch.zeros(1, device=name)
        probe.cpu()
    except (RuntimeError, AssertionError, ImportError) as error:
        raise MIVAError(f"The device {name!r} cannot be used here: leave --device out, or give cpu.") from error
    return probe.device


def chosen_confidence(options: argparse.Namespace) -> float:
    """The confidence that `add_models`'s options ask for, 0.3 by default."""
    return 0.3 if options.confidence is None else options.confidence


def load_chosen_detector(options: argparse.Namespace) -> "Detector":
    """The detector that `add_models`'s options name."""
    return load_detector(options.detector, options.vocabulary, str(device(options.device)))


def load_chosen_segmenter(options: argparse.Namespace) -> "Segmenter":
    """The segmenter that `add_models`'s options name."""
    return load_segmenter(options.segmenter, str(device(options.device)))
