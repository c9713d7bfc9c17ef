"""Which positional encodings a motion module wants."""

import os
from collections.abc import Mapping

import torch
from diffusers.models.embeddings import SinusoidalPositionalEmbedding
from torch import Tensor, nn

from ...errors import MIVAError, MIVAWarning
from ...storage.weights import check_floating

_ROUNDING = 5e-3
"""Error of encodings, which lie in [-1, 1], that are stored in 16 bits."""


def motion_positions(
    model: nn.Module, tensors: Mapping[str, Tensor], path: str | os.PathLike[str]
) -> tuple[dict[str, Tensor], bool]:
    """The positional encodings that a motion module wants.

    Where the file's are the sinusoid, but for rounding, it is computed exactly; others are the file's.

    Args:
        model: a `UNetMotionModel`; the weights may be on the meta device.
        tensors: of the file, by AnimateDiff's names or those of diffusers.
        path: of the file, for messages.

    Returns:
        The encodings by the model's names, and whether all of them are the usual sinusoid.

    Raises:
        MIVAError: encodings are no numbers, or differ between the two attentions of one block, which share them here.
    """
    encodings = (
        (f"{block}.pe", module)
        for block, module in model.named_modules()
        if isinstance(module, SinusoidalPositionalEmbedding)
    )
    return block_positions(
        {name: (module.pe.shape[1], module.pe.shape[2]) for name, module in encodings}, tensors, path
    )


def block_positions(
    sizes: Mapping[str, tuple[int, int]], tensors: Mapping[str, Tensor], path: str | os.PathLike[str]
) -> tuple[dict[str, Tensor], bool]:
    """`motion_positions` of any network.

    Args:
        sizes: (frames, width) of the encoding of every block, by the names that diffusers gives these encodings, such
            as "down_blocks.0.motion_modules.0.transformer_blocks.0.pos_embed.pe".
        tensors: of the file, by AnimateDiff's names or those of diffusers.
        path: of the file, for messages.

    Returns:
        The encodings (1, frames, width) by the same names, and whether all of them are the usual sinusoid.

    Raises:
        MIVAError: see `motion_positions`.
    """
    of_file = _by_block(tensors)
    positions, usual = {}, True
    for name, (frames, width) in sizes.items():
        sinusoid = SinusoidalPositionalEmbedding(width, frames).pe
        stored = _stored(of_file.get(name, [sinusoid]), sinusoid.shape, name, path)
        same = stored.shape == sinusoid.shape and bool((stored.float() - sinusoid).abs().max() <= _ROUNDING)
        positions[name] = sinusoid if same else stored
        usual = usual and same
    return positions, usual


def own_positions(path: str | os.PathLike[str]) -> MIVAWarning:
    """The warning that a file has positional encodings of its own.

    Args:
        path: of the file.
    """
    text = f"{path} has positional encodings of its own, not the usual sinusoid: they are used."
    return MIVAWarning(f"{text} Motions learnt on the usual ones may move otherwise.")


def _by_block(tensors: Mapping[str, Tensor]) -> dict[str, list[Tensor]]:
    """The encodings that a file stores, by the names of a model."""
    found: dict[str, list[Tensor]] = {}
    for name, tensor in tensors.items():
        if name.endswith(".pos_embed.pe"):
            found.setdefault(name, []).append(tensor)
        elif name.endswith(".pos_encoder.pe"):
            block = name.replace(".temporal_transformer", "").partition(".attention_blocks.")[0]
            found.setdefault(f"{block}.pos_embed.pe", []).append(tensor)
    return found


def _stored(encodings: list[Tensor], shape: torch.Size, name: str, path: str | os.PathLike[str]) -> Tensor:
    """The encoding that all attentions of a block share."""
    first, *others = encodings
    for encoding in encodings:
        # Who fills the model refuses it; what a file claims may be too large to be looked at.
        if encoding.shape != shape:
            return encoding
        check_floating(name, encoding, str(path))
        if not encoding.float().isfinite().all():
            raise MIVAError(f"{path} holds positional encodings that are no numbers: it is damaged, get it again.")
    if any((other.float() - first.float()).abs().max() > _ROUNDING for other in others):
        raise MIVAError(
            f"{path} has two positional encodings that differ in one block, which is not supported: take another "
            "motion module."
        )
    return first
