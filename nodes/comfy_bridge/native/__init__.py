"""Motions on ComfyUI's own MODELs. These modules import ComfyUI's at their top: import them inside functions."""
