"""Grounding DINO: finds boxes of what phrases name."""

import inspect
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torchvision.ops import box_convert, nms

from ..errors import MIVAError
from .images import image_processor, to_planes

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

_CLS, _SEP, _STOP = 101, 102, 1012
_DUPLICATE_IOU = 0.7
"""Boxes whose intersection over union is larger count as one object."""

_log = logging.getLogger(__name__)


class NotFoundError(MIVAError):
    """What a phrase names is not in the picture, or the detector knows none of its words."""


@dataclass(frozen=True)
class Candidates:
    """Boxes in one picture that may show what a phrase names, best first.

    Attributes:
        boxes: (N, 4) corners x0, y0, x1, y1 in pixels.
        scores: (N,) in [0, 1].
        best_score: highest score of any box for the phrase, also of one that scores higher for another phrase.
    """

    boxes: Tensor
    scores: Tensor
    best_score: float

    def top(self, count: int, confidence: float) -> "Candidates":
        """Select the best boxes.

        Args:
            count: their largest number.
            confidence: their lowest score, in [0, 1].
        """
        selected = (self.scores >= confidence).nonzero()[:count, 0]
        return Candidates(self.boxes[selected], self.scores[selected], self.best_score)


class Detector:
    """Grounding DINO with its vocabulary, see `load_detector`.

    Args:
        model: a GroundingDinoForObjectDetection.
        tokenizer: with the vocabulary of bert-base-uncased.
        shorter: shorter side in pixels that pictures are scaled to.
        longer: largest other side in pixels that they may have then.
    """

    def __init__(self, model: "PreTrainedModel", tokenizer: "Tokenizer", shorter: int, longer: int) -> None:
        check_text_positions(inspect.getmodule(type(model)))
        processor = image_processor("grounding_dino", "GroundingDinoImageProcessor")
        self._prepare = processor(size={"shortest_edge": shorter, "longest_edge": longer})
        self.model, self._tokenizer = model, tokenizer

    @torch.no_grad()
    def __call__(self, picture: Tensor, phrases: Sequence[str]) -> list[Candidates]:
        """Find what phrases name in a picture.

        The score of a box for a phrase is the mean sigmoid of the logits of its tokens. Each box belongs to the phrase
        for which it scores highest.

        Args:
            picture: (H, W, 3) in [0, 1].
            phrases: lower-case nouns or short phrases, see `split_prompt`.

        Returns:
            The candidates of each phrase, in order.

        Raises:
            NotFoundError: the vocabulary holds no word of a phrase.
            MIVAError: the phrases are too long.
        """
        ids, spans = self.tokenize(phrases)
        device = self.model.device
        text = torch.tensor([ids], device=device)
        pixels = self._prepare(images=[to_planes(picture)], return_tensors="pt").to(device)
        output = self.model(
            pixel_values=pixels["pixel_values"],
            pixel_mask=pixels["pixel_mask"],
            input_ids=text,
            token_type_ids=torch.zeros_like(text),
            attention_mask=torch.ones_like(text),
        )
        token_scores = output.logits[0].float().sigmoid().cpu()
        scores = torch.stack([token_scores[:, span].mean(-1) for span in spans])
        boxes = _in_pixels(output.pred_boxes[0].float().cpu(), picture.shape[:2])
        return [_candidates(k, scores, boxes) for k in range(len(phrases))]

    def tokenize(self, phrases: Sequence[str]) -> tuple[list[int], list[slice]]:
        """Tokenize phrases, each ended by a full stop.

        Returns:
            The ids of all tokens, and the slice of them that belongs to each phrase.

        Raises:
            NotFoundError: the vocabulary holds no word of a phrase.
            MIVAError: the phrases are too long.
        """
        ids: list[int] = [_CLS]
        spans: list[slice] = []
        unknown = self._tokenizer.token_to_id("[UNK]")
        for phrase in phrases:
            tokens = self._tokenizer.encode(phrase, add_special_tokens=False).ids
            if set(tokens) <= {unknown}:
                raise NotFoundError(f"The detector knows no word of {phrase!r}: use a plain English noun.")
            spans.append(slice(len(ids), len(ids) + len(tokens)))
            ids += [*tokens, _STOP]
        ids.append(_SEP)
        longest = self.model.config.max_text_len
        if len(ids) > longest:
            raise MIVAError(
                f"The subject prompt is {len(ids)} tokens long; this detector reads at most {longest}. Use fewer or "
                "shorter phrases."
            )
        return ids, spans


def _candidates(phrase: int, scores: Tensor, boxes: Tensor) -> Candidates:
    """The boxes that belong to a phrase, given by its index; scores are (phrases, boxes)."""
    owned = (scores.argmax(0) == phrase).nonzero()[:, 0]
    distinct = owned[nms(boxes[owned], scores[phrase, owned], _DUPLICATE_IOU)]
    return Candidates(boxes[distinct], scores[phrase, distinct], scores[phrase].max().item())


def _in_pixels(boxes: Tensor, size: Sequence[int]) -> Tensor:
    """Convert boxes (N, 4) of relative centre and size to corners in pixels, inside a picture of (height, width)."""
    height, width = size
    scale = torch.tensor([width, height, width, height])
    return (box_convert(boxes, "cxcywh", "xyxy").clamp(0, 1) * scale).float()


@cache
def check_text_positions(library: ModuleType) -> None:
    """Warn once if the installed transformers computes wrong text positions, as 5.0 to 5.22 do.

    They give the full stop that ends a phrase position 0 instead of the length of the phrase.

    Args:
        library: the module of the model's class.
    """
    import transformers

    generate = library.generate_masks_with_special_tokens_and_transfer_map
    row = torch.tensor([[_CLS, 4937, 4938, _STOP, 3899, _STOP, _SEP]])
    arguments = [row, torch.tensor([_CLS, _SEP, _STOP, 1029])]
    positions = generate(*arguments[: len(inspect.signature(generate).parameters)])[1]
    if positions.tolist() != [[0, 0, 1, 2, 0, 1, 0]]:
        _log.warning(
            "transformers %s computes wrong text positions for Grounding DINO, scores are lower; 5.23 or newer, or "
            "4.57.6, fixes it",
            transformers.__version__,
        )
