"""ComfyUI's own VAEs: latents of pictures for its own models, and the last picture of a clip."""

from typing import Any

from torch import Tensor

from ...miva_core.errors import MIVAError


def check_vae(vae: Any, channels: int, of_clips: bool) -> None:
    """Check that a VAE is there, and makes latents of the kind that a model takes.

    Args:
        vae: what is connected.
        channels: of the model's latents.
        of_clips: whether its latent frames stand for several frames each.

    Raises:
        MIVAError: it does not.
    """
    if not hasattr(vae, "latent_channels"):
        raise MIVAError(
            f"`vae` was given a {type(vae).__name__}, which is no VAE: connect Load VAE, or the VAE of Load Checkpoint."
        )
    if getattr(vae, "first_stage_model", None) is None:
        raise MIVAError("What is connected to `vae` holds no VAE, as a checkpoint without one: connect Load VAE.")
    if vae.latent_channels != channels:
        raise MIVAError(
            f"The VAE makes latents of {vae.latent_channels} channels, but this model takes {channels}: connect the "
            "VAE that belongs to the model."
        )
    if (vae.latent_dim == 3) != of_clips:
        made, wanted = ("pictures", "video") if of_clips else ("video", "pictures")
        raise MIVAError(
            f"The VAE makes latents of {made}, but this model takes those of {wanted}: connect the VAE that belongs to "
            "the model."
        )


def encode_picture(vae: Any, picture: Tensor) -> Tensor:
    """Encode a picture as a clip of one frame.

    Args:
        vae: one of ComfyUI's.
        picture: (H, W, 3) in [0, 1].

    Returns:
        (1, C, 1, h, w) as the VAE gives it, not scaled for a model.
    """
    latent: Tensor = vae.encode(picture[None])
    return latent if latent.ndim == 5 else latent[:, :, None]


def last_picture(vae: Any, clip: Tensor) -> Tensor:
    """Decode the last frame of a clip whose latent frames stand for several frames each.

    Args:
        vae: one of ComfyUI's.
        clip: (1, C, F, h, w) as the sampler gave it.

    Returns:
        (H, W, 3) in [0, 1].
    """
    # The whole clip, since a frame depends on all before it: so it is the one that VAE Decode shows.
    frames: Tensor = vae.decode(clip)
    return frames.flatten(0, -4)[-1].float().clamp(0, 1)
