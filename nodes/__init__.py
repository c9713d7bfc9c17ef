"""The nodes, and where ComfyUI asks for them."""

from comfy_api.v0_0_2 import ComfyExtension, io

from . import comfy_bridge
from .files import MIVAInfo, MIVASave
from .loading import MIVALoad, MIVALoadBase
from .noise import MIVADCTInitNoise
from .sampling import MIVASampler
from .stacking import MIVABindMask, MIVAStack
from .subject_mask import MIVASubjectMask
from .training import MIVATrain
from .training_clips import MIVACameraClips, MIVADataset

NODES: list[type[io.ComfyNode]] = [
    MIVALoadBase,
    MIVALoad,
    MIVAStack,
    MIVABindMask,
    MIVASubjectMask,
    MIVADCTInitNoise,
    MIVASampler,
    MIVAInfo,
    MIVASave,
    MIVACameraClips,
    MIVADataset,
    MIVATrain,
]


class MIVAExtension(ComfyExtension):
    """What ComfyUI loads."""

    async def on_load(self) -> None:
        comfy_bridge.register_folders()
        comfy_bridge.lay_out_examples()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES


async def comfy_entrypoint() -> MIVAExtension:
    """ComfyUI's entry to this pack."""
    return MIVAExtension()
