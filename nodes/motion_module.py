"""Stable Diffusion 1.5 that makes clips."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from comfy_api.v0_0_2 import io

from .loading import find_file, menu, stamp_in
from .messages import friendly_errors
from .stacks import stamp_of

_FOLDER = "animatediff_models"


class MIVAMotionModule(io.ComfyNode):
    """A motion module of AnimateDiff, put into a clone of a MODEL."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIVAMotionModule",
            display_name="Load Motion Module",
            category="MIVA",
            description="Puts an AnimateDiff motion module into Stable Diffusion 1.5, so that it makes clips; for "
            "Apply MIVA. No other pack is needed for that.",
            search_aliases=["motion model", "animatediff loader", "mm_sd", "sd 1.5 video"],
            inputs=[
                io.Model.Input("model", tooltip="Stable Diffusion 1.5, from Load Checkpoint, also with LoRAs."),
                io.Combo.Input(
                    "motion_module",
                    options=menu(_FOLDER),
                    tooltip="The AnimateDiff motion module, in models/animatediff_models: v3_sd15_mm.ckpt is the best "
                    "one. Take the one that your motions were trained with.",
                ),
            ],
            outputs=[io.Model.Output("model", tooltip="The same model, which makes clips: for Apply MIVA.")],
        )

    @classmethod
    def fingerprint_inputs(cls, motion_module: str, **rest: Any) -> Any:
        return stamp_in(_FOLDER, motion_module)

    @classmethod
    @friendly_errors
    def execute(cls, model: Any, motion_module: str) -> io.NodeOutput:
        from .comfy_bridge.native.motion_module import apply_motion_module

        path = find_file(_FOLDER, motion_module, "motion module")
        return io.NodeOutput(apply_motion_module(model, _patcher(path, stamp_of(path))))


@lru_cache(maxsize=1)
def _patcher(path: Path, stamp: tuple[int, int]) -> Any:
    """Kept, since a second ModelPatcher of it makes ComfyUI load it twice."""
    from .comfy_bridge.native.motion_module import load_motion_module

    return load_motion_module(path)
