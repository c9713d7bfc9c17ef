"""Which base an adapter file belongs to, by its header alone."""

from collections.abc import Iterator

from ..adapters.backbone import Backbone
from ..adapters.info import AdapterInfo
from .registry import BASES
from .spec import BaseSpec

TRAINED_ON = "trained on"
"""Entry of `AdapterInfo.training`: `Base.release`, where several bases have one structure."""


def find_backbone(info: AdapterInfo) -> Backbone | None:
    """The structure of the base that an adapter was made for, without that base's weights.

    Returns:
        None if it is none of the bases that there are, or of another size.
    """
    return next((backbone for _, _, backbone in _releases() if _key(backbone) == _key(info)), None)


def find_specs(info: AdapterInfo) -> list[BaseSpec]:
    """The bases that an adapter fits, the one that it was trained on first, as far as its header tells.

    Returns:
        Empty if it is none of the bases that there are, or of another size.
    """
    fitting = [spec for spec, _, backbone in _releases() if _key(backbone) == _key(info)]
    return sorted(fitting, key=lambda spec: spec.menu != info.training.get(TRAINED_ON))


def word_for(info: AdapterInfo, spec: BaseSpec) -> str:
    """The word by which a base makes an adapter's motion without it, such as "pan left"; empty if it has none."""
    word = info.motion.replace("_", " ")
    return word if spec.words and word in spec.words() else ""


def name_base(info: AdapterInfo | Backbone) -> str:
    """What people call a base, or the base of an adapter, such as "Wan 2.1 1.3B"; empty if there is none.

    Bases of one structure are named together, as "Wan 2.1 14B or Wan 2.2 14B".
    """
    return " or ".join(dict.fromkeys(name for _, name, backbone in _releases() if _key(backbone) == _key(info)))


def say_trained_on(info: AdapterInfo) -> str:
    """Say which of several bases of one structure an adapter was trained on, and which others take it.

    Returns:
        A sentence; empty where its file does not record it, as for bases that share their structure with no other.
    """
    menus = [spec.menu for spec in find_specs(info)]
    trained_on = info.training.get(TRAINED_ON)
    if trained_on not in menus:
        return ""
    others = [menu for menu in menus if menu != trained_on]
    return f"It was trained on {trained_on}, and has not seen {' and '.join(others)}, which take it as well."


def _releases() -> Iterator[tuple[BaseSpec, str, Backbone]]:
    for spec in BASES.values():
        for name, backbone in spec.backbones():
            yield spec, name, backbone


def _key(info: AdapterInfo | Backbone) -> tuple[str, str]:
    return info.family, info.fingerprint
