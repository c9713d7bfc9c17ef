"""Show what was found: masks and boxes drawn over a frame, and boxes as JSON."""

import json
from itertools import cycle

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import masks_to_boxes

from ..media.contact_sheet import MASK_COLOURS, label_font
from ..media.pixel_values import to_bytes
from .subjects import Subjects

_MASK_OPACITY = 0.45
"""How strongly the colour of a mask covers the picture."""
_COLOURS = MASK_COLOURS[1:]


def overlay(frame: Tensor, found: Subjects, index: int) -> Tensor:
    """Draw the masks of subjects over a frame, each in another colour, with boxes, labels and scores.

    Args:
        frame: (H, W, 3) in [0, 1].
        found: the subjects.
        index: of the frame in the clip.

    Returns:
        (H, W, 3) in [0, 1].
    """
    from PIL import Image, ImageDraw

    shown = frame
    for mask, colour in zip(found.masks[:, index], cycle(_COLOURS)):
        # Where masks overlap the last one is seen, as in a stack of motions.
        painted = torch.lerp(frame, torch.tensor(colour).expand_as(frame), _MASK_OPACITY)
        shown = torch.lerp(shown, painted, mask[..., None])
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
    """Write what was found as JSON.

    It is a list of subjects, each with its label and a list of the frames in which it was looked for: boxes as left,
    top, right and bottom in pixels, with their scores.
    """
    subjects = []
    for label, boxes, scores in zip(found.labels, found.boxes, found.scores, strict=True):
        searched = [(k, _pairs(boxes[k], scores[k])) for k in range(len(boxes)) if boxes[k] is not None]
        frames = [
            {
                "frame": k,
                "boxes": [{"box": [round(n, 2) for n in box], "score": round(score, 4)} for box, score in pairs],
            }
            for k, pairs in searched
        ]
        subjects.append({"label": label, "frames": frames})
    return json.dumps({"subjects": subjects}, indent=1)


def _pairs(boxes: Tensor | None, scores: Tensor | None) -> list[tuple[list[float], float]]:
    """Pair the boxes of one frame with their scores."""
    return [] if boxes is None or scores is None else list(zip(boxes.tolist(), scores.tolist(), strict=True))
