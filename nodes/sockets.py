"""What travels along the wires between nodes of this pack; everything else is a type of ComfyUI's own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_api.v0_0_2 import io

from . import comfy_bridge
from .kept_adapters import KeptAdapters, LoadedAdapter
from .stack_checks import advise_base, check_base
from .stacks import MivaStack, files_in, stamp_of

if TYPE_CHECKING:
    from ..miva_core.bases.base import Base
    from ..miva_core.clips.training_clip import TrainingClip

ModelSocket = io.Custom("MIVA_MODEL")
StackSocket = io.Custom("MIVA_STACK")
StrengthSocket = io.Custom("MIVA_STRENGTH")
"""Its values are `Strength`s of the engine."""
FilmSocket = io.Custom("MIVA_FILM")
"""Its values are tuples of `FilmedMotion`s of the engine."""
DatasetSocket = io.Custom("MIVA_DATASET")


@dataclass(frozen=True, eq=False)
class MivaModel:
    """MIVA_MODEL: a base whose networks ComfyUI moves between memories."""

    base: "Base"
    files: tuple[tuple[str, tuple[int, int]], ...]
    """Names and stamps of what it was loaded from, which tell it from a base of the same structure."""
    _patchers: Sequence[Any]
    remarks: tuple[str, ...] = ()
    """What is odd about it, for who runs it."""
    _kept: KeptAdapters = field(default_factory=KeptAdapters)

    @classmethod
    def of(cls, base: "Base", files: Iterable[Path] = (), remarks: Iterable[str] = ()) -> "MivaModel":
        stamps = tuple((path.name, stamp_of(path)) for path in files)
        return cls(base, stamps, [comfy_bridge.make_patcher(network) for network in base.networks], tuple(remarks))

    def adapters(self, stack: MivaStack) -> list[LoadedAdapter]:
        """Load the adapters of a stack, or take those that are in memory.

        Args:
            stack: the motions.

        Returns:
            One for each motion from a file, in the same order.

        Raises:
            MIVAError: one was trained on another base, or its file is gone or damaged.
        """
        check_base(stack, self.base.backbone, advise_base)
        return self._kept.of([entry.file_now for entry in files_in(stack)], self.base.backbone)

    def load_to_device(self, needed: int, adapters: Iterable[LoadedAdapter] = ()) -> None:
        """Have the base and adapters on the device they compute on, with memory to work in.

        Args:
            needed: bytes that are to be free there.
            adapters: those that are meant, from `adapters`.
        """
        patchers = dict.fromkeys(loaded.patcher for loaded in adapters)
        comfy_bridge.load_to_device([*self._patchers, *patchers], needed)


@dataclass(frozen=True)
class Dataset:
    """MIVA_DATASET: clips at the size of a base.

    Attributes:
        clips: see `TrainingClip`.
        base: name of the base whose size they have.
        filmed: the name of the motion that was filmed, empty for clips that people have.
        masked: whether all clips have masks.
        source: where they come from, for the record.
    """

    clips: "Sequence[TrainingClip]"
    base: str
    filmed: str
    masked: bool
    source: Mapping[str, str | int | float | bool]
