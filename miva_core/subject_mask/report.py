"""What was found, to be looked at: masks and boxes drawn over a frame, and boxes as JSON."""

import json
from itertools import cycle

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import masks_to_boxes

from ..media.contact_sheet import MASK_COLOURS, label_font
from ..media.pixel_values import to_bytes
from .subjects import Subjects

_COVER = 0.45
"""How much of a mask's colour covers the picture."""
_COLOURS = MASK_COLOURS[1:]


def overlay(frame: Tensor, found: Subjects, index: int) -> Tensor:
    """A frame under its subjects' masks, each in a colour of its own, with boxes, names and scores.

    Args:
        frame: (H, W, 3) in [0, 1]. index: of it in the clip.

    Returns:
        (H, W, 3) in [0, 1].
    """
    from PIL import Image, ImageDraw

    shown = frame
    for mask, colour in zip(found.masks[:, index], cycle(_COLOURS)):
        # Of masks that overlap the later one is seen, as in a stack of MIVAs.
        shown = torch.lerp(shown, torch.lerp(frame, torch.tensor(colour).expand_as(frame), _COVER), mask[..., None])
    image = Image.fromarray(to_bytes(shown).numpy())
    draw = ImageDraw.Draw(image)
    size = max(11, round(min(image.size) / 36))
    font = label_font(size)
    subjects = zip(found.labels, found.masks[:, index], found.boxes, found.scores, strict=True)
    for (label, mask, boxes, scores), colour in zip(subjects, cycle(_COLOURS)):
        paint = tuple(round(255 * channel) for channel in colour)
        named = [(box, f"{label} {score:.2f}") for box, score in _pairs(boxes[index], scores[index])]
        for box, _ in named:
            draw.rectangle(box, outline=paint, width=max(1, size // 8))
        for box, text in named or [(box, label) for box in _around(mask)]:
            # Above the box, unless the picture ends there.
            place = max(0, min(box[0], image.width - font.getlength(text))), max(0, box[1] - 1.4 * size)
            draw.rectangle(draw.textbbox(place, text, font=font), fill=paint)
            draw.text(place, text, fill="black", font=font)
    return torch.from_numpy(np.array(image)).float() / 255


def _around(mask: Tensor) -> list[list[float]]:
    """The box around a mask (H, W), if it is not empty."""
    return masks_to_boxes(mask[None] > 0.5).tolist() if (mask > 0.5).any() else []


def boxes_json(found: Subjects) -> str:
    """What was found as JSON: a list of subjects, each with its label and, for frames in which it was looked for, boxes
    as left, top, right, bottom in pixels, with their scores."""
    subjects = []
    for label, boxes, scores in zip(found.labels, found.boxes, found.scores, strict=True):
        looked = [(k, _pairs(boxes[k], scores[k])) for k in range(len(boxes)) if boxes[k] is not None]
        frames = [
            {
                "frame": k,
                "boxes": [{"box": [round(n, 2) for n in box], "score": round(score, 4)} for box, score in pairs],
            }
            for k, pairs in looked
        ]
        subjects.append({"label": label, "frames": frames})
    return json.dumps({"subjects": subjects}, indent=1)


def _pairs(boxes: Tensor | None, scores: Tensor | None) -> list[tuple[list[float], float]]:
    """Boxes of one frame with their scores."""
    return [] if boxes is None or scores is None else list(zip(boxes.tolist(), scores.tolist(), strict=True))
