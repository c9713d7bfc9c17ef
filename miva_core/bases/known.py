"""Which base an adapter file belongs to, by its header alone."""

from collections.abc import Iterator
from functools import cache

from ..adapters.backbone import Backbone
from ..adapters.info import AdapterInfo
from .registry import BASES


def find_backbone(info: AdapterInfo) -> Backbone | None:
    """The structure of the base that an adapter was made for, without that base's weights.

    Returns:
        None if it is none of the bases that there are, or of another size.
    """
    return next((backbone for _, backbone in _releases() if _key(backbone) == _key(info)), None)


def name_base(info: AdapterInfo | Backbone) -> str:
    """What people call a base, or the base of an adapter, such as "Wan 2.1 1.3B"; empty if there is none."""
    return _names().get(_key(info), "")


@cache
def _names() -> dict[tuple[str, str], str]:
    return {_key(backbone): name for name, backbone in _releases()}


def _releases() -> Iterator[tuple[str, Backbone]]:
    for spec in BASES.values():
        yield from spec.backbones()


def _key(info: AdapterInfo | Backbone) -> tuple[str, str]:
    return info.family, info.fingerprint
