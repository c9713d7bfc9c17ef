"""Motions in models that ComfyUI itself has loaded. Its modules import ComfyUI's own, so import them in functions."""
