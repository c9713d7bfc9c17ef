"""MiraMo as a predictor: under the tokens of a text, with a degree of motion."""

from dataclasses import dataclass

from torch import Tensor

from ..model_predictor import ModelPredictor


@dataclass(frozen=True)
class MiraMoPredictor(ModelPredictor):
    """A `MiraMoTransformer` as a `Predictor`; its text, (1, W, D) or (B, W, D), is the same for all frames.

    Attributes:
        degree: (1,) or (B,) how much motion, from 0 to 19 in MiraMo; None for a model that takes none.
        text_mask: (1, W) or (B, W) 1 for words that count; None for all.

    Example:
        >>> under = MiraMoPredictor(model, text, degree=torch.tensor([15.0]))
        >>> guided = ClassifierFree(replace(under, text=empty), under, 4.5)
    """

    text_per_frame: bool = False
    degree: Tensor | None = None
    text_mask: Tensor | None = None

    def _conditions(self, clips: Tensor) -> dict[str, Tensor]:
        conditions = {}
        if self.degree is not None:
            conditions["degree"] = self.degree.to(clips).expand(len(clips))
        if self.text_mask is not None:
            conditions["encoder_attention_mask"] = self.text_mask.to(clips.device).expand(len(clips), -1)
        return conditions
