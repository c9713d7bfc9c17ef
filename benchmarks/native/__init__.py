"""What motions cost on ComfyUI's own models, and how near they are to the engine's path by diffusers."""
