"""The engine of ComfyUI-MIVA: a still picture animated by motions kept in small files."""

from .adapter import MIVAAdapter
from .animate import Clip, Progress, animate
from .backbones import describe
from .base import Base
from .config import MIVAConfig
from .errors import MIVAError
from .info import AdapterInfo, read_info
from .init_noise import NoiseInit
from .inject import inject
from .loading import load_base

__all__ = [
    "AdapterInfo",
    "Base",
    "Clip",
    "MIVAAdapter",
    "MIVAConfig",
    "MIVAError",
    "NoiseInit",
    "Progress",
    "animate",
    "describe",
    "inject",
    "load_base",
    "read_info",
]
