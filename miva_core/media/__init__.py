"""Pictures and videos as tensors, and back."""
