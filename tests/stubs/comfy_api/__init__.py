"""Stands in for ComfyUI's node API where there is no ComfyUI."""
