"""MiraMo's network, which adapters can be put into, of any size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...adapters.backbone import Backbone, Kind
from ..spec import Architecture
from .sites import describe_miramo

if TYPE_CHECKING:
    from torch import nn

    from ...attention.installer import Installer
    from ...attention.processor import Processor

_PLAIN = ("SpatialLinearProcessor", "TemporalLinearProcessor", "SanaLinearAttnProcessor2_0", "SanaAttnProcessor2_0")
"""Class names of the attention processors that it has by itself."""


def _processors() -> Mapping[Kind, type[Processor]]:
    from ...attention.self_attention import SelfAttention
    from ...attention.temporal_attention import TemporalAttention
    from .processors import MiraMoCrossAttention

    return {"sa": SelfAttention, "ca": MiraMoCrossAttention, "ta": TemporalAttention}


def _installer(model: nn.Module, backbone: Backbone) -> Installer:
    from ..diffusers_installer import DiffusersInstaller
    from .ports import SpatialPort, TemporalPort

    return DiffusersInstaller(model, backbone, _PLAIN, {"sa": SpatialPort, "ta": TemporalPort})


def _grids(height: int, width: int) -> list[tuple[int, int]]:
    """All its attention runs on one grid: that of the latents, or of patches of 2 x 2 of them."""
    return [(height, width), (height // 2, width // 2)]


MIRAMO = Architecture(
    family="miramo",
    model_class="MiraMoTransformer",
    describe=describe_miramo,
    processors=_processors,
    installer=_installer,
    attention_spans_frames=False,
    attention_grids=_grids,
    attention_is_linear=True,
)
