"""The text-to-video models of Wan that adapters are made for. One way of loading serves them all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...adapters.backbone import Backbone
from ...storage.json_files import read_json
from .sites import config_backbone

CONFIGS = Path(__file__).parent / "configs"

_BOUNDARY: Final = 0.875
"""Share of the timesteps at which one expert of Wan 2.2 hands over to the other: `boundary` in its authors'
wan_t2v_A14B.py. The high-noise one has t >= 875 of 1000, the low-noise one what is below."""


@dataclass(frozen=True)
class Release:
    """A Wan whose weights people have.

    Args:
        name: `BaseSpec.name`.
        menu: what people call it, `BaseSpec.menu`.
        known_as: what people call all models that are released with it, its other expert among them.
        config: name of its file in configs.
        kind: what its file is, see `identify_model`.
        file: name of the file that most people have.
        repository: where that is, on huggingface.co.
        levels: `Base.levels`; those of an expert are a part.
        expert: "high" or "low", of an expert; it is in the names of files alone, their shapes are the same.
    """

    name: str
    menu: str
    known_as: str
    config: str
    kind: str
    file: str
    repository: str
    levels: tuple[float, float] = (0.0, 1.0)
    expert: str = ""

    @property
    def backbone(self) -> Backbone:
        """Its attention sites; no weights are needed."""
        return config_backbone(read_json(CONFIGS / f"{self.config}.json"))


_14B: Final = "a Wan 14B text-to-video model"

WAN_2_1_1_3B = Release(
    name="wan",
    menu="Wan 2.1 1.3B",
    known_as="Wan 2.1 1.3B",
    config="transformer",
    kind="a Wan 2.1 1.3B text-to-video model",
    file="wan2.1_t2v_1.3B_fp16.safetensors",
    repository="Comfy-Org/Wan_2.1_ComfyUI_repackaged",
)
WAN_2_1_14B = Release(
    name="wan-14b",
    menu="Wan 2.1 14B",
    known_as="Wan 2.1 14B",
    config="transformer_14b",
    kind=_14B,
    file="wan2.1_t2v_14B_bf16.safetensors",
    repository="Comfy-Org/Wan_2.1_ComfyUI_repackaged",
)
WAN_2_2_HIGH = Release(
    name="wan-2.2-high",
    menu="Wan 2.2 14B, high noise",
    known_as="Wan 2.2 14B",
    config="transformer_14b",
    kind=_14B,
    file="wan2.2_t2v_high_noise_14B_fp16.safetensors",
    repository="Comfy-Org/Wan_2.2_ComfyUI_Repackaged",
    levels=(_BOUNDARY, 1.0),
    expert="high",
)
WAN_2_2_LOW = Release(
    name="wan-2.2-low",
    menu="Wan 2.2 14B, low noise",
    known_as="Wan 2.2 14B",
    config="transformer_14b",
    kind=_14B,
    file="wan2.2_t2v_low_noise_14B_fp16.safetensors",
    repository="Comfy-Org/Wan_2.2_ComfyUI_Repackaged",
    levels=(0.0, _BOUNDARY),
    expert="low",
)
