"""Motions as formulas: where, at any time, what is seen at a place of a clip was in its first frame."""
