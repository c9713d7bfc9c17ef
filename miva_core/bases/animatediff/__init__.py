"""Stable Diffusion 1.5 with an AnimateDiff motion module."""
