"""Tells what a file is by looking inside, for error messages that name the mistake."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

Shapes = Mapping[str, Sequence[int]]


_LOST = "a MIVA adapter that has lost its metadata"
_DAMAGED = "a damaged MIVA adapter"
BROKEN = ("an empty file", "a truncated safetensors file", "a damaged safetensors file", _DAMAGED, _LOST)
"""Phrases for files that were whole once."""

# the first 8 bytes of a safetensors file are the length of its header, and the format allows no more than this
_HEADER_LIMIT = 100_000_000


def what_is(path: str | os.PathLike[str]) -> str:
    """A phrase such as "an empty file", to stand after "is". Reads the beginning of the file and never raises."""
    path = Path(path)
    if not os.path.exists(path):  # unlike Path.exists, it does not raise where a folder may not be entered
        return "not there"
    if os.path.isdir(path):
        return "a folder"
    try:
        with path.open("rb") as file:
            head = file.read(512)
            header_size = int.from_bytes(head[:8], "little")
            if head[8:9] == b"{" and header_size <= _HEADER_LIMIT:
                file.seek(8)
                return _what_safetensors(file.read(header_size), path.stat().st_size - 8 - header_size)
    except OSError as error:
        return f"a file that cannot be read ({error.strerror})"
    if not head:
        return "an empty file"
    # A zip, or a pickle: its protocol, then an instruction, where the length of a safetensors header has zeros.
    if re.match(rb"PK\x03\x04|\x80[\x02-\x05][^\x00]", head, re.DOTALL):
        return "a PyTorch checkpoint"
    return "a text file" if _is_text(head) else "a file of an unknown kind"


def _what_safetensors(header: bytes, data_size: int) -> str:
    if data_size < 0:
        return "a truncated safetensors file"
    try:
        entries = json.loads(header)
        metadata = entries.pop("__metadata__", None) or {}
        has_header = "miva" in metadata
        expected_size = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
        shapes = {key: tuple(entry["shape"]) for key, entry in entries.items()}
        dtypes = {str(entry["dtype"]) for entry in entries.values()}
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return "a damaged safetensors file"
    if data_size < expected_size:
        return "a truncated safetensors file"
    if has_header:
        return _DAMAGED
    kind = what_model(shapes, dtypes)
    return _LOST if kind == _ADAPTER else kind


def what_model(shapes: Mapping[str, Sequence[int]], dtypes: Collection[str] = ()) -> str:
    """A phrase such as "an SDXL checkpoint" for the model that tensors of these names and shapes belong to.

    Args:
        shapes: shape of every tensor by name, as the file has them.
        dtypes: names of their dtypes as safetensors writes them.
    """
    kind = next((name for name, fits in _MODELS.items() if fits(shapes)), "a model file of an unknown kind")
    fp8 = any(dtype.startswith("F8") for dtype in dtypes) or any("scaled_fp8" in key for key in shapes)
    return f"{kind} in fp8" if fp8 else kind


def _has(*parts: str) -> Callable[[Shapes], bool]:
    """Whether each part occurs in some tensor name."""
    return lambda shapes: all(any(part in key for key in shapes) for part in parts)


def _size(shapes: Shapes, ending: str, axis: int) -> int:
    """Length of an axis of the first tensor whose name ends so, 0 without one."""
    return next((shape[axis] for key, shape in shapes.items() if key.endswith(ending) and len(shape) > axis), 0)


def _is_wan(width: int) -> Callable[[Shapes], bool]:
    def fits(shapes: Shapes) -> bool:
        return width in (
            _size(shapes, "blocks.0.self_attn.q.weight", 0),
            _size(shapes, "blocks.0.attn1.to_q.weight", 0) if _has("condition_embedder.")(shapes) else 0,
        )

    return fits


def _is_image_to_video_wan(shapes: Shapes) -> bool:
    return _has("patch_embedding.weight")(shapes) and _size(shapes, "patch_embedding.weight", 1) == 36


def _is_wan_vae(shapes: Shapes) -> bool:
    """Its convolutions span time; the original and the diffusers layout name the first differently."""
    first = next((shape for key, shape in shapes.items() if key.endswith("encoder.conv_in.weight")), ())
    return _has("encoder.conv1.weight", "decoder.conv1.weight")(shapes) or len(first) == 5


def _is_stable_diffusion(context: int, channels: int) -> Callable[[Shapes], bool]:
    return lambda shapes: (
        _size(shapes, "attn2.to_k.weight", 1) == context and _size(shapes, "input_blocks.0.0.weight", 1) == channels
    )


_ADAPTER = "a MIVA adapter"

# The first that fits counts, so what is more special stands first.
_MODELS: dict[str, Callable[[Shapes], bool]] = {
    _ADAPTER: _has(".cfa.q."),
    "an official MIVA research checkpoint": _has("i2v_adapter."),
    "a motion LoRA": lambda shapes: _has("motion_modules")(shapes) and (_has("lora_")(shapes) or _has("lora.")(shapes)),
    "a LoRA": lambda shapes: _has("lora_")(shapes) or _has("lora.")(shapes),
    "an image-to-video Wan model": _is_image_to_video_wan,
    "a Wan 2.1 1.3B text-to-video model": _is_wan(1536),
    "a Wan 2.2 5B model": _is_wan(3072),
    "a Wan 14B model": _is_wan(5120),
    "an SDXL checkpoint": lambda shapes: _has("label_emb.0.0.weight")(shapes) or _has("conditioner.embedders.")(shapes),
    "a Flux checkpoint": _has("double_blocks.0."),
    "a Stable Diffusion 3 checkpoint": _has("joint_blocks.0."),
    "a Stable Diffusion 1.5 checkpoint": _is_stable_diffusion(768, 4),
    "a Stable Diffusion 1.5 inpainting checkpoint": _is_stable_diffusion(768, 9),
    "a Stable Diffusion 2 checkpoint": _is_stable_diffusion(1024, 4),
    "a U-Net with motion modules in the diffusers layout": _has("motion_modules", "down_blocks.0.resnets"),
    "a U-Net in the diffusers layout": _has("down_blocks.0.resnets", "time_embedding.linear_1"),
    "an AnimateDiff motion module": _has("motion_modules", "down_blocks.3."),
    "an SDXL motion module": _has("motion_modules"),
    "a Wan VAE": _is_wan_vae,
    "a VAE": _has("encoder.conv_in.weight", "decoder.conv_in.weight"),
    "a Grounding DINO checkpoint": _has("transformer.level_embed", "feat_map."),
    "Grounding DINO in the transformers layout": _has("model.level_embed", "model.text_backbone."),
    "a SAM 2 checkpoint": _has("image_encoder.trunk."),
    "SAM 2 in the transformers layout": _has("vision_encoder.backbone.", "mask_decoder.upscale_conv1."),
    "a checkpoint of the first SAM": _has("image_encoder.patch_embed.", "mask_decoder."),
    "a text encoder": _has("text_model.encoder"),
}


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8", errors="ignore")
    # `head` may end inside a character, which takes up to four bytes
    whole = len(head) - len(text.encode()) < 4
    return whole and not any(character < " " and character not in "\t\n\r\f" for character in text)
