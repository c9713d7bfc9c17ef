"""Noise and the denoising loop, without any model or mask."""
