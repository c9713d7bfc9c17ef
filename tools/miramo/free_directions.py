"""Directions of captions that no word has, given to adapters: each is a plain motion of a layer, which words lack."""

import torch
from torch import Tensor, nn

from miva_core.bases.miramo.flowing_miramo import UNIT_WORD, FlowingMiraMo
from miva_core.bases.miramo.motion_basis import REGION_PLACES, TIME_FUNCTIONS, WAVES

_SWINGS, _OFF_CENTRE = 2, (1, 2)
"""Of the functions of time the first ones, sine and cosine of 16 frames; of those of place x and y off the centre."""


def unused_directions(words: Tensor) -> Tensor:
    """An orthonormal basis (K, D) of what no combination of the words (N, D) has anything of."""
    _, sizes, directions = torch.linalg.svd(words.double(), full_matrices=True)
    return directions[int((sizes > 1e-3 * sizes[0]).sum()) :].to(words)


@torch.no_grad()
def free_directions(model: FlowingMiraMo, words: Tensor) -> None:
    """Let a trained model do plain motions of its layers in the directions of a caption that its words leave unused.

    Whatever its words say it answers as before. These directions move each layer by the entries of an affine velocity,
    and let the staying layer swing in 16 frames; all else is deaf to them. A vector as long as a word's moves about a
    pixel a frame. In training what they do is random, and far too small for an adapter to learn what no word does.

    Args:
        model: as it was trained.
        words: (N, D) all vectors that captions are made of.

    Raises:
        ValueError: the words leave too few directions.
    """
    layers = model.layers
    first, second = (unused_directions(half) for half in words.chunk(2, -1))
    swings = layers.staying.amplitude.weight.view(TIME_FUNCTIONS, 2, REGION_PLACES + WAVES, -1)
    swinging = [swings[time, axis, place] for time in range(_SWINGS) for axis in range(2) for place in _OFF_CENTRE]
    _forget([*layers.camera.modules(), *layers.staying.modules()], first)
    _forget([layers.depth, *layers.carried.modules()], second)
    _forget([model.caption_embed, model.caption_projection], torch.block_diag(first, second))
    _give([*layers.staying.generator.weight, *swinging], first)
    _give([*layers.camera.generator.weight], first)
    _give([*layers.carried.generator.weight], second)
    _give([*layers.depth.weight], second)


def _forget(modules: list[nn.Module], unused: Tensor) -> None:
    """Make linear maps among modules deaf to directions (K, D)."""
    for module in modules:
        if isinstance(module, nn.Linear):
            module.weight -= module.weight @ unused.T @ unused


def _give(rows: list[Tensor], unused: Tensor) -> None:
    """Let each row of a map hear a direction of its own."""
    if len(rows) > len(unused):
        raise ValueError(f"The words leave {len(unused)} directions, but {len(rows)} are needed: widen the captions.")
    for row, direction in zip(rows, unused, strict=False):
        row += direction / UNIT_WORD
