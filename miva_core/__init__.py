"""The engine of ComfyUI-MIVA: a still picture animated by motions kept in small files.

Names are loaded when they are first used, so that importing the package costs nothing and the command line can answer
Ctrl-C from its first moment.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .adapter import MIVAAdapter
    from .animation import Clip, Progress, animate
    from .backbones import describe
    from .base import Base
    from .config import MIVAConfig
    from .errors import MIVAError, MIVAWarning
    from .info import AdapterInfo, read_info
    from .init_noise import NoiseInit
    from .injection import inject
    from .loading import load_base

__all__ = [
    "AdapterInfo",
    "Base",
    "Clip",
    "MIVAAdapter",
    "MIVAConfig",
    "MIVAError",
    "MIVAWarning",
    "NoiseInit",
    "Progress",
    "animate",
    "describe",
    "inject",
    "load_base",
    "read_info",
]

_MODULES = {
    "AdapterInfo": "info",
    "Base": "base",
    "Clip": "animation",
    "MIVAAdapter": "adapter",
    "MIVAConfig": "config",
    "MIVAError": "errors",
    "MIVAWarning": "errors",
    "NoiseInit": "init_noise",
    "Progress": "animation",
    "animate": "animation",
    "describe": "backbones",
    "inject": "injection",
    "load_base": "loading",
    "read_info": "info",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
