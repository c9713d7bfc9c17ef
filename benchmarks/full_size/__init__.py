"""Clips at the picture's own size, measured."""
