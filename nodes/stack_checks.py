"""What an artist can mend in a stack of motions before anything is loaded."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..miva_core.checks import printable
from ..miva_core.errors import MIVAError
from .stacks import MivaStack, StackedMiva, files_in, words_in

if TYPE_CHECKING:
    from ..miva_core.adapters.backbone import Backbone
    from ..miva_core.adapters.info import AdapterInfo
    from ..miva_core.bases.base import Base


def check_base(mivas: MivaStack, backbone: "Backbone", advise: "Callable[[AdapterInfo], str]") -> None:
    """Check that motions were trained on the base at hand.

    Args:
        mivas: the motions.
        backbone: of the base.
        advise: says what to do about a motion that was not, to end the message with.

    Raises:
        MIVAError: one was not.
    """
    for entry in files_in(mivas):
        try:
            entry.info.check(backbone)
        except MIVAError as error:
            from ..miva_core.bases.known import name_base

            theirs, ours = (name_base(one) or f"{one.family}, {one.fingerprint}" for one in (entry.info, backbone))
            raise MIVAError(
                f"{entry.name} was trained on another base ({theirs}) than the one that is connected ({ours}): "
                f"{advise(entry.info)}."
            ) from error


def advise_base(info: "AdapterInfo", or_else: str = "another motion") -> str:
    """Say where to choose the base that a motion was trained on.

    Args:
        info: the header of the motion's file.
        or_else: what else there is to do.
    """
    from ..miva_core.bases.known import find_specs

    menu = next((spec.menu for spec in find_specs(info)), "its base")
    return f"choose {menu} in Load MIVA Base, or {or_else}"


def advise_base_or_words(info: "AdapterInfo", base: "Base") -> str:
    """Say the same for a motion that is to move a picture, or how to say it to the base at hand.

    Args:
        info: the header of the motion's file.
        base: that is connected.
    """
    from ..miva_core.bases.known import word_for
    from ..miva_core.bases.registry import find_base

    word = word_for(info, find_base(base.name))
    return advise_base(info, f"say {word} by Motion by Words" if word else "another motion")


def check_words(mivas: MivaStack, base: "Base") -> None:
    """Check that a base that is told something moves by words.

    Args:
        mivas: the motions.
        base: that is connected.

    Raises:
        MIVAError: it does not.
    """
    from ..miva_core.bases.registry import BASES

    said = words_in(mivas)
    if said and (base.vocabulary is None or not base.vocabulary.speeds):
        others = " or ".join(spec.menu for spec in BASES.values() if spec.words)
        raise MIVAError(
            f"The {base.name} base does not move by words such as {printable(said[0].name)!r}: choose {others} in Load "
            "MIVA Base, or connect Load MIVA in place of Motion by Words."
        )


def check_masks(mivas: MivaStack, pictures: int) -> None:
    """Check that masked motions have masks, as many as there are pictures.

    Args:
        mivas: the motions.
        pictures: how many they are to move.

    Raises:
        MIVAError: they have not.
    """
    for entry in mivas:
        if isinstance(entry, StackedMiva) and entry.takes_mask and entry.mask is None:
            raise MIVAError(
                f"{entry.name} is a masked motion without its mask: put Bind Mask to MIVA behind its Load MIVA, "
                "and connect a mask of its subject."
            )
        if entry.mask is not None and len(entry.mask) not in (1, pictures):
            raise MIVAError(
                f"{entry.name} has {len(entry.mask)} masks, and the batch has {pictures} "
                f"picture{'s' if pictures > 1 else ''}: connect one mask for each picture, or one for all."
            )
