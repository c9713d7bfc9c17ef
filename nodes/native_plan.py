"""What Apply MIVA attaches to a MODEL: motions, and the first frame and its masks as latents of the model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from ..miva_core.animation.masks import fit_masks, picture_masks
from ..miva_core.animation.motion import adapters_among, named
from ..miva_core.errors import MIVAError
from ..miva_core.media.pictures import fit_picture
from .comfy_bridge.native.mask_preparation import prepare_mask
from .comfy_bridge.native.mask_record import MaskRecord
from .comfy_bridge.native.plan import Plan, PlannedMotion
from .comfy_bridge.native_vae import encode_picture, last_picture
from .kept_adapters import KeptAdapters
from .masks import pictures_of
from .native_clip import NativeClip
from .stacks import files_in, motions_of

if TYPE_CHECKING:
    from ..miva_core.adapters.backbone import Backbone
    from .stacks import MivaStack

Fit = Literal["crop", "pad"]
_ADAPTERS = KeptAdapters()


@dataclass(frozen=True, eq=False)
class FirstFrame:
    """What a clip begins with.

    Attributes:
        latent: (1, C, 1, h, w) as the VAE gives it.
        picture: (height, width) of the picture that masks belong to.
        notes: what was done to that picture, or in place of it.
    """

    latent: Tensor
    picture: tuple[int, int]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, image: Tensor, vae: Any, clip: NativeClip, fit: Fit) -> FirstFrame:
        """Fit a picture to the clip, and encode it.

        Args:
            image: (1, H, W, 1 to 4) in [0, 1].
            vae: one of ComfyUI's.
            clip: that is to begin with it.
            fit: how a picture of another aspect is fitted.

        Raises:
            MIVAError: there are several pictures, or as from `pictures_of`.
        """
        pictures = pictures_of(image)
        if len(pictures) > 1:
            raise MIVAError(
                f"`image` is a batch of {len(pictures)} pictures, and a clip begins with one: choose it by Get Image "
                "from Batch."
            )
        fitted, fitting = fit_picture(pictures[0], clip.size, fit)
        notes = (f"The picture was {fitting}.",) if fitting else ()
        return cls(encode_picture(vae, fitted), (pictures.shape[1], pictures.shape[2]), notes)

    @classmethod
    def after(cls, before: Tensor, vae: Any, clip: NativeClip) -> FirstFrame:
        """Take the last frame of the clip before.

        Args:
            before: (1, C, F, h, w) as the sampler gave it.
            vae: one of ComfyUI's.
            clip: that is to go on from it.
        """
        # Where a latent frame is one frame, decoding would only lose detail.
        whole = clip.host.stride == 1
        latent = before[:, :, -1:].clone() if whole else encode_picture(vae, last_picture(vae, before))
        return cls(latent, clip.size, ("The clip goes on from `previous`, in place of `image`.",))


def plan_run(
    mivas: MivaStack, backbone: Backbone, first: FirstFrame, clip: NativeClip, model: Any, vae: Any, fit: Fit
) -> Plan:
    """Put together what runs of a MODEL are to do.

    A `MIVAWarning` tells what was done to a mask of another size than the picture.

    Args:
        mivas: the motions.
        backbone: of the MODEL.
        first: what the clip begins with.
        clip: it.
        model: the MODEL.
        vae: its VAE.
        fit: how masks are fitted, as the picture is.

    Raises:
        MIVAError: a file of a motion is gone or damaged.
    """
    files = files_in(mivas)
    adapters = _ADAPTERS.of([entry.file_now for entry in files], backbone)
    motions = adapters_among(named(motions_of(files, [loaded.adapter for loaded in adapters], 0)))
    fitted = fit_masks(picture_masks(motions, first.picture), clip.size, fit)
    masks = {name: prepare_mask(model, partial(encode_picture, vae), mask) for name, mask in fitted.items()}
    planned = tuple(
        PlannedMotion(
            *(name, motion.adapter, loaded.patcher, motion.strength, motion.span, masks.get(name)),
            words=entry.text,
            degree=motion.degree,
        )
        for (name, motion), loaded, entry in zip(motions.items(), adapters, files, strict=True)
    )
    return Plan(planned, first.latent, clip.latent_frames, record=MaskRecord() if masks else None)
