"""Classifier-free guidance: a model led further away from what it answers without a text."""

from dataclasses import dataclass

from torch import Tensor

from .predictor import Answer, Predictor


@dataclass(frozen=True)
class ClassifierFree:
    """A `Predictor` that goes from one answer through another one, and beyond it.

    Both are given the same clips, frame 1 among them.

    Attributes:
        without: the model under an empty text.
        under: the model under a text, all else as in `without`.
        scale: 0 is the one answer, 1 the other, above it goes beyond.

    Source: arXiv 2207.12598, in the form u + s (c - u).
    """

    without: Predictor
    under: Predictor
    scale: float

    def predict(self, clips: Tensor, t: Tensor, step: int, /) -> Answer:
        """Call both, see `Predictor`; a flow is extrapolated like the rest, and has no layers then."""
        start, end = (predictor.predict(clips, t, step) for predictor in (self.without, self.under))
        flow = None
        if start.flow is not None and end.flow is not None:
            flow = start.flow + self.scale * (end.flow - start.flow)
        return Answer(start.output + self.scale * (end.output - start.output), flow)
