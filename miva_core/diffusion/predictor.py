"""The model as sampling calls it: noisy clips and a step in, its answer out."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from .flow_layers import FlowLayers


@dataclass(frozen=True)
class Answer:
    """What a model answers of B clips.

    Attributes:
        output: (B, C, F, h, w) its prediction: noise, velocity or clean latents, see `NoiseProcess.prediction`. Frame 1
            is of no meaning.
        flow: (B, F, 2, H, W) pixels, where the model also predicts it: pixel p of frame i is, as far as it can be seen
            there, pixel p + flow of frame 1.
        layers: the same flow layer by layer, where the model answers it so.
    """

    output: Tensor
    flow: Tensor | None = None
    layers: FlowLayers | None = None

    @property
    def is_finite(self) -> bool:
        """Whether none of it is NaN or infinite."""
        return all(bool(part.isfinite().all()) for part in (self.output, self.flow) if part is not None)

    def __getitem__(self, rows: slice) -> "Answer":
        """The answer of some of the clips."""
        flow = None if self.flow is None else self.flow[rows]
        return Answer(self.output[rows], flow, None if self.layers is None else self.layers[rows])


class Predictor(Protocol):
    """A model with everything it needs except the clips: its text, its precision, the adapters in it.

    What acts on a model while it samples wraps one predictor in another.
    """

    def predict(self, clips: Tensor, t: Tensor, step: int, /) -> Answer:
        """Denoise clips once.

        Args:
            clips: (B, C, F, h, w) noisy latents, frame 1 clean.
            t: () or (B,) steps of the noise process.
            step: number of this step within the run, from 0.

        Returns:
            The answer, of the dtype and device of `clips`.
        """
