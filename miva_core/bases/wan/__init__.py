"""Wan 2.1 text-to-video."""
