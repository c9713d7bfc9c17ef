"""The denoiser of a base, with everything it needs except the clips."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..diffusion.predictor import Answer
from .base import Base
from .guide import Guide


@dataclass(frozen=True)
class ModelPredictor:
    """A model of diffusers as a `Predictor`.

    Attributes:
        model: takes noisy clips, one step for each and a text.
        text: (1, W, D) caption for all clips, (B, W, D) for each its own, or (B, F, W, D) for each of its frames; None
            for models that run without.
        text_per_frame: whether the model wants the caption once for every frame, as U-Nets do, or once for every clip.
        dtype: what the model is given, where that is not the clips' own.
        guide: what the clips are guided by, of one clip for all; None for models that take none, and for nothing.

    Example:
        >>> ModelPredictor.of(base).predict(clips, torch.tensor(999)).output
    """

    model: nn.Module
    text: Tensor | None = None
    text_per_frame: bool = True
    dtype: torch.dtype | None = None
    guide: Guide | None = None

    @classmethod
    def of(cls, base: Base) -> "ModelPredictor":
        """Build the predictor of a base, under the base's own caption."""
        dtype: Any = base.model.dtype
        return cls(base.model, base.text, base.text_per_frame, dtype)

    def predict(self, clips: Tensor, t: Tensor, step: int = 0, /) -> Answer:
        """Call the model, see `Predictor`; all steps of a run are alike."""
        # Apple's graphics cards know no float64, which noise levels are computed in.
        t = t.to(clips) if t.is_floating_point() else t.to(clips.device)
        inputs = clips.to(self.dtype or clips.dtype)
        output = self.model(
            inputs, t.expand(len(clips)), encoder_hidden_states=self._text_of(inputs), **self._conditions(inputs)
        )
        flow: Tensor | None = getattr(output, "flow", None)
        layers = getattr(output, "layers", None)
        return Answer(output.sample.to(clips), None if flow is None else flow.to(clips), layers)

    def _conditions(self, clips: Tensor) -> dict[str, Tensor]:
        """What else the model is told of (B, C, F, h, w) clips, by the names of its arguments: here the guide."""
        if self.guide is None:
            return {}
        maps, kinds = self.guide.maps.to(clips), self.guide.numbers().to(clips.device)
        return {"guide": maps.expand(len(clips), -1, -1), "guide_kind": kinds.expand(len(clips))}

    def _text_of(self, clips: Tensor) -> Tensor | None:
        """The caption as often as the model wants it for (B, C, F, h, w) clips."""
        if self.text is None:
            return None
        text, copies = self.text.to(clips), clips.shape[2] if self.text_per_frame else 1
        if text.ndim == 4:
            each = text.expand(len(clips), -1, -1, -1)
            return each.flatten(0, 1) if self.text_per_frame else each
        if len(text) == 1:
            return text.expand(len(clips) * copies, -1, -1)
        return text.repeat_interleave(copies, dim=0)
