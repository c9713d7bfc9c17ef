"""What a run gives: the clip, and its state on the way."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from ..attention.injection import Injection
from ..bases.base import Base
from ..diffusion.loop import Sampled
from ..rendering.frame import SceneFrame
from .frame_source import FrameSource, StoredFrames
from .output import Output


@dataclass(frozen=True, eq=False)
class Clip:
    """What `animate` returns; all tensors are float32 on the CPU.

    A clip at full size is rendered as it is looked at. Going through it frame by frame keeps none of them; `frames` and
    `masks` render all at first use, and keep them.

    Attributes:
        source: its frames.
        fps: frames per second to show them at.
        flow: (F, 2, h, w) pixels of the size that the base works at, from bases that predict it: pixel p of its frame i
            is, as far as it can be seen there, pixel p + flow of frame 0. None from others.
        notes: what is odd about the run, in sentences.
        fitting: how the picture was brought to the size of the clip, as in "scaled 1920×1080 to 1024×576"; empty where
            it had that size.

    Example:
        >>> for frame in animate(base, picture, [Motion(pan)]):
        ...     show(frame.pixels, frame.masks)  # (H, W, 3), and (H, W) by the name of each masked motion
    """

    source: FrameSource
    fps: float
    flow: Tensor | None = None
    notes: tuple[str, ...] = ()
    fitting: str = ""

    @cached_property
    def _stored(self) -> StoredFrames:
        return StoredFrames.of(self.source)

    @property
    def frames(self) -> Tensor:
        """(F, H, W, 3) in [0, 1]; frame 0 is the picture, as far as it is shown."""
        return self._stored.frames

    @property
    def masks(self) -> dict[str, Tensor]:
        """(F, H, W) in [0, 1] by the name of the motion: where its subject is; the first is the given one."""
        return self._stored.masks

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of its frames."""
        return self.source.size

    def __len__(self) -> int:
        return len(self.source)

    def __iter__(self) -> Iterator[SceneFrame]:
        # What was rendered for `frames` is not rendered once more.
        source = self.__dict__.get("_stored", self.source)
        return (source.frame(i) for i in range(len(self)))


@dataclass(frozen=True, eq=False)
class Progress:
    """State of a run after one step.

    Attributes:
        step: steps done, from 1.
        steps: steps in all.
        sampled: the clip as the model predicts it now; of one in segments, or in parts, what is made now.
        miva: the adapters at work, by the names of their motions; `set_weights` and `set_spans` change the steps to
            come. None where there are none.
        base: that of the run.
        output: what the clip is made by.
    """

    step: int
    steps: int
    sampled: Sampled
    miva: Injection | None
    base: Base
    output: Output

    @property
    def latents(self) -> Tensor:
        """(1, C, F, h, w) of the clip, or of the first of those that are made at once."""
        return self.sampled.latents[:1]

    @property
    def flow(self) -> Tensor | None:
        """(1, F, 2, H, W) its flow into frame 1, see `Clip.flow`; None from most bases."""
        return None if self.sampled.flow is None else self.sampled.flow[:1]

    @property
    def frames(self) -> int:
        """Length of the clip, or of the segment that is made now."""
        return len(self.output)

    def preview(self, frame: int) -> Tensor:
        """Show one frame of the clip as it is predicted now.

        Args:
            frame: from 0 to `frames` - 1.

        Returns:
            (H, W, 3) in [0, 1], of the clip's size; at full size of at most 512 pixels along the longer side, and with
            subjects as the flow moves them, without layers of their own.
        """
        return self.output.preview(self.sampled, frame)
