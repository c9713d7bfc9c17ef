"""GrabCut: a mask from a box or a rough mask by colours alone, which needs no weights."""

import cv2
import numpy as np
import torch
from torch import Tensor

from ..errors import MIVAError
from ..media.pixel_values import to_bytes
from .images import check_images
from .pointing import check_boxes, check_rough

_LONGEST_SIDE = 640
_ITERATIONS = 5


def grabcut(
    image: Tensor, *, box: tuple[float, float, float, float] | None = None, rough: Tensor | None = None
) -> Tensor:
    """Cut a subject out by its colours (Rother et al. 2004, OpenCV's implementation); the result is deterministic.

    It runs at no more than 640 pixels a side. It does well where subject and background differ in colour.

    Args:
        image: (H, W, C) or (1, H, W, C) float in [0, 1].
        box: x0, y0, x1, y1 in pixels, around the whole subject.
        rough: (H, W) in [0, 1], above 0.5 roughly on the subject; either this or a box.

    Returns:
        (H, W) float32 of 0 and 1.

    Raises:
        MIVAError: bad image, box or mask; it covers nothing or all of the picture; or no subject is found there.
    """
    frames = check_images(image)
    if len(frames) > 1:
        raise MIVAError(f"GrabCut works on one picture, but {len(frames)} frames are given: choose one of them.")
    picture = to_bytes(frames[0]).numpy()
    size = height, width = picture.shape[0], picture.shape[1]
    scale = min(1.0, _LONGEST_SIDE / max(size))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture
    small_size = small.shape[0], small.shape[1]
    if box is not None and rough is None:
        marks = _mark_box(box, size, small_size)
    elif rough is not None and box is None:
        marks = _mark_rough(rough, size, small_size)
    else:
        raise MIVAError("GrabCut needs either a box around the subject or a rough mask of it.")
    subject = marks == cv2.GC_PR_FGD
    for part, covered in ((subject, "nothing of the picture"), (~subject, "the whole picture")):
        if not part.any():
            raise MIVAError(
                f"The box or rough mask covers {covered}: GrabCut needs some of it inside and some outside."
            )
    cv2.setRNGSeed(0)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    bgr, unused = np.ascontiguousarray(small[..., ::-1]), (0, 0, 1, 1)
    cv2.grabCut(bgr, marks, unused, background, foreground, _ITERATIONS, cv2.GC_INIT_WITH_MASK)
    inside = np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    if not inside.any():
        raise MIVAError("GrabCut found no subject there by its colours: draw the box or rough mask larger.")
    full = cv2.resize(inside, (width, height), interpolation=cv2.INTER_LINEAR) if scale < 1 else inside
    return torch.from_numpy(full > 0.5).float()


def _mark_box(box: tuple[float, ...], size: tuple[int, int], small: tuple[int, int]) -> np.ndarray:
    """Mark definite background outside a box and probable foreground inside, as GrabCut's labels of size `small`."""
    x0, y0, x1, y1 = check_boxes([box], size)[0].tolist()
    rows, columns = small[0] / size[0], small[1] / size[1]
    marks = np.full(small, cv2.GC_BGD, np.uint8)
    inside = slice(round(y0 * rows), round(y1 * rows)), slice(round(x0 * columns), round(x1 * columns))
    marks[inside] = cv2.GC_PR_FGD
    return marks


def _mark_rough(rough: Tensor, size: tuple[int, int], small: tuple[int, int]) -> np.ndarray:
    """Mark probable foreground on a rough mask, probable background near it, definite background elsewhere."""
    masks = check_rough(rough, size)
    if len(masks) > 1:
        raise MIVAError(f"GrabCut takes one rough mask at a time, but {len(masks)} are given: choose one of them.")
    mask = cv2.resize((masks[0] > 0.5).byte().numpy(), small[::-1], interpolation=cv2.INTER_NEAREST)
    reach = 2 * max(1, round(max(small) / 16)) + 1
    near = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    marks = np.where(near > 0, cv2.GC_PR_BGD, cv2.GC_BGD).astype(np.uint8)
    marks[mask > 0] = cv2.GC_PR_FGD
    return marks
