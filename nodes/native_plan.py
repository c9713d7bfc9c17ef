"""What Apply MIVA attaches to a MODEL: motions, and the first frame and its masks as latents of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from ..miva_core.animation.masks import fit_masks, picture_masks
from ..miva_core.animation.motion import Motion, named
from ..miva_core.errors import MIVAError
from ..miva_core.media.pictures import fit_picture
from .comfy_bridge.native.mask_preparation import prepare_mask
from .comfy_bridge.native.plan import PlannedMask, PlannedMotion
from .comfy_bridge.native_vae import encode_picture, last_picture
from .kept_adapters import KeptAdapters, LoadedAdapter
from .masks import pictures_of
from .native_clip import NativeClip

if TYPE_CHECKING:
    from ..miva_core.adapters.backbone import Backbone
    from .sockets import MivaStack

Fit = Literal["crop", "pad"]
_ADAPTERS = KeptAdapters()


@dataclass(frozen=True, eq=False)
class FirstFrame:
    """What a clip begins with.

    Attributes:
        latent: (1, C, 1, h, w) as the VAE gives it.
        picture: (height, width) of the picture that masks belong to.
        fitting: what was done to that picture; empty if nothing was.
    """

    latent: Tensor
    picture: tuple[int, int]
    fitting: str = ""

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
        return cls(encode_picture(vae, fitted), (pictures.shape[1], pictures.shape[2]), fitting)

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
        return cls(before[:, :, -1:] if whole else encode_picture(vae, last_picture(vae, before)), clip.size)


def load_motions(mivas: MivaStack, backbone: Backbone) -> tuple[dict[str, Motion], list[LoadedAdapter]]:
    """Load what a stack does to one picture.

    Args:
        mivas: the motions.
        backbone: of the MODEL that they are to act in.

    Returns:
        Motions by names of their own, and their adapters in the same order.

    Raises:
        MIVAError: as from `KeptAdapters.of`.
    """
    adapters = _ADAPTERS.of([entry.file_now for entry in mivas], backbone)
    motions = [entry.motion(loaded.adapter, 0) for entry, loaded in zip(mivas, adapters, strict=True)]
    return named(motions), adapters


def plan_motions(
    motions: Mapping[str, Motion], adapters: Sequence[LoadedAdapter], masks: Mapping[str, PlannedMask]
) -> tuple[PlannedMotion, ...]:
    """Put together what is to act.

    Args:
        motions: by name, from `load_motions`.
        adapters: from there, too.
        masks: of the masked motions, by name.
    """
    return tuple(
        PlannedMotion(name, motion.adapter, loaded.patcher, motion.strength, motion.span, masks.get(name))
        for (name, motion), loaded in zip(motions.items(), adapters, strict=True)
    )


def plan_masks(
    motions: Mapping[str, Motion], first: FirstFrame, clip: NativeClip, model: Any, vae: Any, fit: Fit
) -> dict[str, PlannedMask]:
    """Prepare the masks of motions.

    A `MIVAWarning` tells what was done to a mask of another size than the picture.

    Args:
        motions: by name.
        first: the first frame, whose subjects they show.
        clip: that begins with it.
        model: the MODEL.
        vae: its VAE.
        fit: how masks are fitted, as the picture is.

    Returns:
        Those of the masked motions, by name.
    """
    fitted = fit_masks(picture_masks(motions, first.picture), clip.size, fit)
    return {name: prepare_mask(model, partial(encode_picture, vae), mask) for name, mask in fitted.items()}
