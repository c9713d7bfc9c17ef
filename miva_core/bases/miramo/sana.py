"""The files of SANA 600M, from whose weights a training of MiraMo starts."""

import os
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import SanaTransformer2DModel
from diffusers.loaders.single_file_utils import convert_sana_transformer_to_diffusers
from torch import Tensor

from ...checks import printable
from ...errors import MIVAError
from ...storage.meta_device import check_tensors, on_meta
from ...storage.weights import identify_weights, open_weights
from .transformer import SANA_600M

_KIND = "a SANA 600M model"
_WHERE = (
    "transformer/diffusion_pytorch_model.safetensors of huggingface.co/Efficient-Large-Model/Sana_600M_512px_diffusers"
)
_UNUSED = ("pos_embed", "y_embedder.y_embedding")
"""Of the authors' files: no part of the network, and in some of them missing, but diffusers asks for them."""


def read_sana(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors of SANA 600M by the names of diffusers, of its authors' file or diffusers', mapped where possible.

    Raises:
        MIVAError: the file is missing, damaged, incomplete, or another model; the message says which.
    """
    tensors = open_weights(path, _KIND.removeprefix("a "))
    kind = identify_weights(tensors)
    if kind != _KIND:
        raise MIVAError(f"{path} is {kind}, but {_KIND} was expected, such as {_WHERE}.")
    return named_by_diffusers(tensors, SANA_600M, str(path))


def named_by_diffusers(tensors: dict[str, Tensor], config: Mapping[str, Any], source: str) -> dict[str, Tensor]:
    """Rename the tensors of a SANA, and check that they are all that it has.

    Args:
        tensors: by the authors' names or those of diffusers; emptied on the way.
        config: of the SANA, as diffusers has it.
        source: the file they come from, for messages.

    Raises:
        MIVAError: one is missing, unexpected, or of another shape.
    """
    if any(name.endswith("mlp.inverted_conv.conv.weight") for name in tensors):
        nothing = {name: torch.zeros(0) for name in _UNUSED}
        try:
            tensors = convert_sana_transformer_to_diffusers({**nothing, **tensors})
        except KeyError as error:
            raise MIVAError(
                f"{source} lacks {printable(str(error.args[0]))}: it is damaged, or of a version that is not supported."
            ) from error
    sana = on_meta(lambda: SanaTransformer2DModel(**config))
    check_tensors(tensors, {name: tuple(tensor.shape) for name, tensor in sana.state_dict().items()}, source)
    return tensors
