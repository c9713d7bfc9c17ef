"""The two small models of subjects that come with the package."""

from pathlib import Path

SHAPES = Path(__file__).parent / "shapes"
"""A small Grounding DINO and a small SAM 2 that know drawn coloured shapes, in folders called so."""
