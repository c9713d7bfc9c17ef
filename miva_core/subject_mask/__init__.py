"""Masks of subjects: found by words (Grounding DINO and SAM 2), pointed at, or cut out by colour (GrabCut)."""

from .detector import Detector
from .grabcut import grabcut
from .model_files import load_detector, load_segmenter
from .segmenter import Segmenter
from .subjects import Subjects, find_subjects, segment

__all__ = [
    "Detector",
    "Segmenter",
    "Subjects",
    "find_subjects",
    "grabcut",
    "load_detector",
    "load_segmenter",
    "segment",
]
