"""The bases that there are. A new one is a folder and a line here."""

from ..errors import MIVAError
from .animatediff.spec import ANIMATEDIFF
from .miramo.spec import MIRAMO_TINY
from .spec import Architecture, BaseSpec
from .tiny.spec import TINY
from .wan.spec import WAN, WAN_14B, WAN_HIGH, WAN_LOW

BASES: dict[str, BaseSpec] = {
    spec.name: spec for spec in (MIRAMO_TINY, TINY, ANIMATEDIFF, WAN, WAN_14B, WAN_HIGH, WAN_LOW)
}
"""By name, in the order of menus."""
DEFAULT = next(iter(BASES))
"""The base that runs if neither people nor motions' files name one."""
DEFAULT_TO_TRAIN = TINY.name
"""The base that learns if none is named: it learns a subject's motion without a mask."""


def find_base(name: str) -> BaseSpec:
    """The base of a name.

    Raises:
        MIVAError: there is none; the message names those that there are.
    """
    if not isinstance(name, str) or name not in BASES:
        raise MIVAError(f"There is no base {name!r}; known are {', '.join(BASES)}.")
    return BASES[name]


def no_guide(name: str) -> str:
    """Say that a base takes no guide.

    Args:
        name: of the base.
    """
    others = " or ".join(spec.name for spec in BASES.values() if spec.guided)
    return f"The {name} base takes no mask or depth map as a guide: leave it out, or choose the base {others}."


def find_architecture(family: str) -> Architecture:
    """The architecture of a `Backbone.family` that `describe` gave.

    Raises:
        KeyError: there is none.
    """
    return {spec.architecture.family: spec.architecture for spec in BASES.values()}[family]
