"""The engine of ComfyUI-MIVA: a still picture animated by motions kept in small files.

Names are loaded when they are first used, so that importing the package costs nothing and the command line can answer
Ctrl-C from its first moment.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .adapters.adapter import MIVAAdapter
    from .adapters.config import MIVAConfig
    from .adapters.info import AdapterInfo, read_info
    from .animation.animate import animate
    from .animation.clip import Clip, Progress
    from .animation.motion import Motion
    from .animation.options import RunOptions
    from .animation.said import Said
    from .attention.curve import Curve
    from .attention.strength import Strength
    from .bases.base import Base
    from .bases.describe import describe
    from .bases.inject import inject
    from .bases.loading import load_base
    from .diffusion.init_noise import NoiseInit
    from .errors import MIVAError, MIVAWarning
    from .rendering.timing import Timing

__all__ = [
    "AdapterInfo",
    "Base",
    "Clip",
    "Curve",
    "MIVAAdapter",
    "MIVAConfig",
    "MIVAError",
    "MIVAWarning",
    "Motion",
    "NoiseInit",
    "Progress",
    "RunOptions",
    "Said",
    "Strength",
    "Timing",
    "animate",
    "describe",
    "inject",
    "load_base",
    "read_info",
]

_MODULES = {
    "AdapterInfo": "adapters.info",
    "Base": "bases.base",
    "Clip": "animation.clip",
    "Curve": "attention.curve",
    "MIVAAdapter": "adapters.adapter",
    "MIVAConfig": "adapters.config",
    "MIVAError": "errors",
    "MIVAWarning": "errors",
    "Motion": "animation.motion",
    "NoiseInit": "diffusion.init_noise",
    "Progress": "animation.clip",
    "RunOptions": "animation.options",
    "Said": "animation.said",
    "Strength": "attention.strength",
    "Timing": "rendering.timing",
    "animate": "animation.animate",
    "describe": "bases.describe",
    "inject": "bases.inject",
    "load_base": "bases.loading",
    "read_info": "adapters.info",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
