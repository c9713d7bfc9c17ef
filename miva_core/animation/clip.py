"""What a run gives: the clip, and its state on the way."""

from dataclasses import dataclass, field

from torch import Tensor

from ..attention.injection import Injection
from ..bases.base import Base


@dataclass(frozen=True, eq=False)
class Clip:
    """What `animate` returns; all tensors are float32 on the CPU.

    Attributes:
        frames: (F, H, W, 3) in [0, 1]; frame 0 is the decoded picture.
        fps: frames per second to show them at.
        masks: (F, H, W) in [0, 1] by the name of the motion: where its subject is, as generated with the clip; the
            first is the given one.
        flow: (F, 2, H, W) pixels, from bases that predict it: pixel p of frame i is, as far as it can be seen there,
            pixel p + flow of frame 0. None from others.
        notes: what is odd about the run, in sentences.
        fitting: how the picture was brought to the size of the clip, as in "scaled 384×384 to 64×64"; empty where it
            had that size.
    """

    frames: Tensor
    fps: int
    masks: dict[str, Tensor] = field(default_factory=dict)
    flow: Tensor | None = None
    notes: tuple[str, ...] = ()
    fitting: str = ""


@dataclass(frozen=True, eq=False)
class Progress:
    """State of a run after one step.

    Attributes:
        step: steps done, from 1.
        steps: steps in all.
        latents: (1, C, F, h, w) the clip as the model predicts it now.
        flow: (1, F, 2, H, W) the flow into frame 1 that it predicts now, see `Clip.flow`; None from most bases.
        miva: the adapters at work, by the names of their motions; `set_weights` and `set_spans` change the steps to
            come. None where there are none.
        base: that of the run.
    """

    step: int
    steps: int
    latents: Tensor
    flow: Tensor | None
    miva: Injection | None
    base: Base

    def preview(self) -> Tensor:
        """Decode the predicted clip: (F, H, W, 3) in [0, 1]."""
        return self.base.decode(self.latents)
