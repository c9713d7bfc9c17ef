"""The nodes of this pack, and the extension through which ComfyUI loads them."""

from comfy_api.v0_0_2 import ComfyExtension, io

from .apply import MIVAApply
from .clip_masks import MIVAMasks
from .comfy_bridge import comfy_folders
from .files import MIVAInfo, MIVASave
from .filming import MIVAFilm, MIVAFilmMotion
from .inversion_noise import MIVAInversionNoise
from .loading import MIVALoad, MIVALoadBase
from .measuring import MIVAMeasureMotion
from .motion_clips import MIVACameraClips
from .motion_module import MIVAMotionModule
from .motion_transfer import MIVATransferMotion
from .noise import MIVADCTInitNoise
from .sampling import MIVASampler
from .saying import MIVASay
from .stacking import MIVABindMask, MIVAStack
from .strength import MIVAStrength
from .subject_mask import MIVASubjectMask
from .training import MIVATrain
from .training_clips import MIVADataset

NODES: list[type[io.ComfyNode]] = [
    MIVALoadBase,
    MIVALoad,
    MIVASay,
    MIVAStrength,
    MIVAStack,
    MIVABindMask,
    MIVASubjectMask,
    MIVADCTInitNoise,
    MIVASampler,
    MIVAApply,
    MIVAMotionModule,
    MIVAMasks,
    MIVATransferMotion,
    MIVAMeasureMotion,
    MIVAInfo,
    MIVASave,
    MIVACameraClips,
    MIVADataset,
    MIVATrain,
    MIVAInversionNoise,
    MIVAFilmMotion,
    MIVAFilm,
]


class MIVAExtension(ComfyExtension):
    """The pack as ComfyUI loads it."""

    async def on_load(self) -> None:
        """Register the folders of models, and copy the pictures of the example workflows."""
        comfy_folders.register_folders()
        comfy_folders.copy_example_pictures()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Give all nodes."""
        return NODES


async def comfy_entrypoint() -> MIVAExtension:
    """Make the extension; ComfyUI calls this when it loads the pack."""
    return MIVAExtension()
