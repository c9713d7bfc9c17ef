"""Grounding DINO: boxes of what phrases name."""

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
# Boxes that overlap more are taken for the same thing.
_SAME = 0.7

_log = logging.getLogger(__name__)


class NotFoundError(MIVAError):
    """What was looked for is not in the picture, or is nothing that the detector knows."""


@dataclass(frozen=True)
class Candidates:
    """Boxes in one picture that may be what a phrase names, best first.

    Attributes:
        boxes: (N, 4) corners x0, y0, x1, y1 in pixels.
        scores: (N,) in [0, 1].
        best: score of the box that fits the phrase best, also where it fits another one better.
    """

    boxes: Tensor
    scores: Tensor
    best: float

    def above(self, confidence: float, count: int) -> "Candidates":
        """The best `count` of those that score at least `confidence`."""
        kept = (self.scores >= confidence).nonzero()[:count, 0]
        return Candidates(self.boxes[kept], self.scores[kept], self.best)


class Detector:
    """Grounding DINO with its vocabulary, see `load_detector`."""

    def __init__(self, model: "PreTrainedModel", tokenizer: "Tokenizer", shorter: int, longer: int) -> None:
        """
        Args:
            shorter: side in pixels that pictures are scaled to.
            longer: what their other side may be at most.
        """
        check_text_positions(inspect.getmodule(type(model)))
        processor = image_processor("grounding_dino", "GroundingDinoImageProcessor")
        self._prepare = processor(size={"shortest_edge": shorter, "longest_edge": longer})
        self.model, self._tokenizer = model, tokenizer

    @torch.no_grad()
    def __call__(self, picture: Tensor, phrases: Sequence[str]) -> list[Candidates]:
        """Find what the phrases name.

        A phrase's score is the mean over its tokens of the sigmoid of their logits, and a box belongs to the phrase
        that it scores highest on.

        Args:
            picture: (H, W, 3) in [0, 1].
            phrases: see `split_prompt`.

        Returns:
            One for each phrase, in order.

        Raises:
            MIVAError: the phrases are too long, or the vocabulary holds none of a phrase's words.
        """
        ids, spans = self.read(phrases)
        device = self.model.device
        text = torch.tensor([ids], device=device)
        pixels = self._prepare(images=[to_planes(picture)], return_tensors="pt").to(device)
        found = self.model(
            pixel_values=pixels["pixel_values"],
            pixel_mask=pixels["pixel_mask"],
            input_ids=text,
            token_type_ids=torch.zeros_like(text),
            attention_mask=torch.ones_like(text),
        )
        chances = found.logits[0].float().sigmoid().cpu()
        scores = torch.stack([chances[:, span].mean(-1) for span in spans])
        boxes = _in_pixels(found.pred_boxes[0].float().cpu(), picture.shape[:2])
        return [self._of(k, scores, boxes) for k in range(len(phrases))]

    def _of(self, phrase: int, scores: Tensor, boxes: Tensor) -> Candidates:
        mine = (scores.argmax(0) == phrase).nonzero()[:, 0]
        kept = mine[nms(boxes[mine], scores[phrase, mine], _SAME)]
        return Candidates(boxes[kept], scores[phrase, kept], scores[phrase].max().item())

    def read(self, phrases: Sequence[str]) -> tuple[list[int], list[slice]]:
        """Token ids of all phrases, each ended by a full stop, and where each phrase stands among them."""
        ids, spans = [_CLS], []
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


def _in_pixels(boxes: Tensor, size: Sequence[int]) -> Tensor:
    """Boxes (N, 4) of centre and size, relative to a picture, as corners inside it."""
    height, width = size
    scale = torch.tensor([width, height, width, height])
    return (box_convert(boxes, "cxcywh", "xyxy").clamp(0, 1) * scale).float()


@cache
def check_text_positions(library: ModuleType) -> None:
    """Warn, once, where the installed transformers counts text positions wrongly, as 5.0 to 5.22 do.

    They give the full stop that ends a phrase the position 0 in place of the phrase's length.

    Args:
        library: the module of the model's class.
    """
    import transformers

    read = library.generate_masks_with_special_tokens_and_transfer_map
    row = torch.tensor([[_CLS, 4937, 4938, _STOP, 3899, _STOP, _SEP]])
    given = [row, torch.tensor([_CLS, _SEP, _STOP, 1029])]
    positions = read(*given[: len(inspect.signature(read).parameters)])[1]
    if positions.tolist() != [[0, 0, 1, 2, 0, 1, 0]]:
        _log.warning(
            "transformers %s computes wrong text positions for Grounding DINO, scores are lower; 5.23 or newer, or "
            "4.57.6, fixes it",
            transformers.__version__,
        )
