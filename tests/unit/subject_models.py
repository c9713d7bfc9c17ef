"""The small Grounding DINO and SAM 2 that tests run, and scenes they know."""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from miva_core.subject_mask.detector import Detector
from miva_core.subject_mask.model_files import load_detector, load_segmenter
from miva_core.subject_mask.segmenter import Segmenter
from miva_core.subject_mask.shape_models import SHAPES
from tools.shapes import Scene, draw_scene

DETECTOR, SEGMENTER = SHAPES / "grounding-dino", SHAPES / "sam2"


@cache
def detector() -> Detector:
    return load_detector(DETECTOR)


@cache
def segmenter() -> Segmenter:
    return load_segmenter(SEGMENTER)


def scene(seed: int, shapes: int = 2, frames: int = 1, gone: int | None = None) -> Scene:
    """A scene the models were not trained on."""
    return draw_scene(np.random.default_rng(2_000_000 + seed), (96, 128), shapes, frames, gone)


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of masks (…, H, W); 1 where both are empty."""
    a, b = a > 0.5, b > 0.5
    union = (a | b).sum((-1, -2))
    return torch.where(union > 0, (a & b).sum((-1, -2)) / union.clamp(min=1), 1.0)
