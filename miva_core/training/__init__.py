"""Clips of one motion in, an adapter out."""
