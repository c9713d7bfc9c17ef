"""What an artist can mend in a training before anything is encoded."""

from ..miva_core.bases.base import Base
from ..miva_core.bases.guide import GuideKind
from ..miva_core.bases.registry import BASES
from ..miva_core.errors import MIVAError
from .sockets import Dataset
from .stacks import MivaStack, files_in, words_in

GUIDES: dict[str, GuideKind] = {"off": "", "mask": "mask", "depth": "nearness"}
"""What may guide a base, by what Train MIVA calls it."""


def check_training(base: Base, dataset: Dataset, masked: bool, start: MivaStack) -> None:
    """Check that a base, clips and settings go together.

    Args:
        base: that is to learn.
        dataset: what it learns from.
        masked: whether a masked motion is learnt.
        start: motions, the last of which is begun with.

    Raises:
        MIVAError: they do not.
    """
    if dataset.base != base.name:
        raise MIVAError(
            f"The dataset was made for the {dataset.base} base, but {base.name} is to learn: connect the same Load "
            "MIVA Base to both."
        )
    if masked and dataset.filmed and not dataset.masked:
        raise MIVAError("What moves the whole picture has no subject: switch `masked` off.")
    if masked and not dataset.masked:
        raise MIVAError(
            "A masked motion is learnt from clips with masks, which these do not all have: connect masks in MIVA "
            "Dataset, put them beside the clips, or switch `masked` off."
        )
    if said := words_in(start):
        raise MIVAError(f"{said[0].name} is said in words, which nothing can be learnt on from: connect Load MIVA.")
    if (files := files_in(start)) and files[-1].info.config.mask != masked:
        kind = "is not a masked motion: switch `masked` off" if masked else "is a masked motion: switch `masked` on"
        raise MIVAError(f"{files[-1].name}, to begin with, {kind}, or connect another one to `start`.")


def check_guide(base: Base, dataset: Dataset, masked: bool, start: MivaStack, guide: GuideKind) -> None:
    """Check that a motion can be learnt with a guide, or without one.

    Args:
        base: that is to learn.
        dataset: what it learns from.
        masked: whether a masked motion is learnt.
        start: motions, the last of which is begun with.
        guide: what guides the base.

    Raises:
        MIVAError: it cannot.
    """
    if guide and not base.guided:
        others = " or ".join(spec.menu for spec in BASES.values() if spec.guided)
        raise MIVAError(
            f"The {base.name} base takes no guide: switch `guide` off, or choose {others} in Load MIVA Base."
        )
    if guide and masked:
        raise MIVAError("A motion is guided by a mask, or makes one itself: switch `guide` or `masked` off.")
    if guide == "nearness" and any(clip.nearness is None for clip in dataset.clips):
        raise MIVAError("These clips have no depth maps: film truck or dolly by Motion Clips, or switch `guide` off.")
    if guide == "mask" and dataset.filmed and not dataset.masked:
        raise MIVAError("What moves the whole picture has no mask to be guided by: switch `guide` off.")
    if guide == "mask" and not dataset.masked:
        raise MIVAError(
            "A motion that a mask guides is learnt from clips with masks, which these do not all have: connect masks "
            "in MIVA Dataset, put them beside the clips, or switch `guide` off."
        )
    if (files := files_in(start)) and files[-1].info.config.guide != guide:
        theirs = next(name for name, kind in GUIDES.items() if kind == files[-1].info.config.guide)
        raise MIVAError(
            f"{files[-1].name}, to begin with, has learnt with `guide` {theirs}: choose that, or connect another one "
            "to `start`."
        )
