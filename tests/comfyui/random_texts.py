"""Put into a test's ComfyUI as a node pack: prompts without their text encoder, of which ComfyUI makes no small one."""

from typing import Any

import torch


class RandomText:
    """CONDITIONING of Wan's 4096 channels, another one for each text."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("CONDITIONING",), "encode", "tests"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"text": ("STRING", {})}}

    def encode(self, text: str) -> tuple[list[Any]]:
        generator = torch.Generator().manual_seed(len(text))
        return ([[torch.randn(1, 8, 4096, generator=generator), {}]],)


NODE_CLASS_MAPPINGS: dict[str, Any] = {"RandomText": RandomText}
