"""What a file is, by its content, for error messages that name the mistake."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

Shapes = Mapping[str, Sequence[int]]


FORMAT_VERSION = 2
"""The newest version of adapter files that can be read. What older code can use is written as version 1."""

_LOST = "a MIVA adapter that has lost its metadata"
_DAMAGED = "a damaged MIVA adapter"
NEWER = "a MIVA adapter of a newer format version"
BROKEN_SAFETENSORS = (
    "a truncated safetensors file",
    "a damaged safetensors file",
    "a safetensors file with a header of absurd length",
)
_BLOATED = "a MIVA adapter with a header of absurd length"
BROKEN = ("an empty file", *BROKEN_SAFETENSORS, _DAMAGED, _LOST, _BLOATED)
"""Phrases for files that were whole once."""

LONGEST_HEADER = 10_000_000
"""Bytes. The largest models and the notes of the most talkative trainers need a few MB; each is 25 bytes when read."""
LONGEST_ADAPTER_HEADER = 1_000_000
"""Bytes; those of adapters are some kB."""


def identify_file(path: str | os.PathLike[str]) -> str:
    """Identify a file by its beginning. It never raises.

    Args:
        path: of the file, which may be missing.

    Returns:
        A phrase to stand after "is", such as "an empty file" or "a Wan VAE".
    """
    path = Path(path)
    if not os.path.exists(path):  # unlike Path.exists, it does not raise where a folder may not be entered
        return "not there"
    if os.path.isdir(path):
        return "a folder"
    if not os.path.isfile(path):  # reading would wait for what another program writes
        return "a pipe, a socket or a device"
    try:
        header_size = header_length(path)
        with path.open("rb") as file:
            head = file.read(512)
            if header_size is not None and header_size > LONGEST_HEADER:
                return BROKEN_SAFETENSORS[-1]
            if header_size is not None:
                file.seek(8)
                return _identify_safetensors(file.read(header_size), path.stat().st_size - 8 - header_size)
    except OSError as error:
        return f"a file that cannot be read ({error.strerror})"
    if not head:
        return "an empty file"
    # A zip, or a pickle: its protocol, then an instruction, where the length of a safetensors header has zeros.
    if re.match(rb"PK\x03\x04|\x80[\x02-\x05][^\x00]", head, re.DOTALL):
        return "a PyTorch checkpoint"
    return "a text file" if _is_text(head) else "a file of an unknown kind"


def header_length(path: str | os.PathLike[str]) -> int | None:
    """Bytes of the header of a safetensors file, as the file claims; None for any other file.

    Raises:
        OSError: it cannot be read.
    """
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        head = file.read(9)
    length = int.from_bytes(head[:8], "little")
    # Longer than the format allows is no length, but the beginning of something else.
    return length if head[8:] == b"{" and length <= 100_000_000 else None


def _identify_safetensors(header: bytes, data_size: int) -> str:
    if data_size < 0:
        return "a truncated safetensors file"
    try:
        entries = json.loads(header)
        metadata = entries.pop("__metadata__", None) or {}
        adapter = metadata.get("miva")
        expected_size = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
        shapes = {key: tuple(entry["shape"]) for key, entry in entries.items()}
        dtypes = {str(entry["dtype"]) for entry in entries.values()}
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return "a damaged safetensors file"
    if data_size < expected_size:
        return "a truncated safetensors file"
    if adapter is not None and len(header) > LONGEST_ADAPTER_HEADER:
        return _BLOATED
    if adapter is not None:
        return NEWER if _is_newer(adapter) else _DAMAGED
    kind = identify_model(shapes, dtypes)
    return _LOST if kind == _ADAPTER else kind


def _is_newer(adapter: Any) -> bool:
    """Whether an adapter's header is of a later format version, of which nothing but the version can be relied on."""
    try:
        version = json.loads(adapter)["format_version"]
        return isinstance(version, int) and version > FORMAT_VERSION
    except (ValueError, TypeError, LookupError, RecursionError):
        return False


def identify_model(shapes: Mapping[str, Sequence[int]], dtypes: Collection[str] = ()) -> str:
    """Identify a model by the names and shapes of its tensors.

    Args:
        shapes: shape of every tensor by name, as the file has them.
        dtypes: names of their dtypes as safetensors writes them.

    Returns:
        A phrase to stand after "is", such as "an SDXL checkpoint".
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


def _is_wan_5b_vae(shapes: Shapes) -> bool:
    """It makes latents of 48 channels, of pixels in blocks of 2 x 2."""
    return _size(shapes, "encoder.conv1.weight", 1) == 12 or _size(shapes, "encoder.conv_in.weight", 1) == 12


def _is_sana(width: int, blocks: int) -> Callable[[Shapes], bool]:
    """A SANA of some size, by the names of its authors or those of diffusers."""

    def fits(shapes: Shapes) -> bool:
        last = any(f"blocks.{blocks - 1}.{part}" in key for key in shapes for part in _SANA_PERCEPTRON)
        further = any(f"blocks.{blocks}." in key for key in shapes)
        return last and not further and _size(shapes, "blocks.0.scale_shift_table", 1) == width

    return fits


def _is_of_sana(*parts: str) -> Callable[[Shapes], bool]:
    """Whether it is built like SANA, and any of the parts occurs in some tensor name."""
    return lambda shapes: (
        any(_has(part)(shapes) for part in _SANA_PERCEPTRON) and any(_has(part)(shapes) for part in parts)
    )


_SANA_PERCEPTRON = ("ff.conv_inverted.", "mlp.inverted_conv.")


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
    "a Wan VACE model": _has("vace_blocks.0.", "patch_embedding."),
    "a Wan 2.1 1.3B text-to-video model": _is_wan(1536),
    "a Wan 2.2 5B model": _is_wan(3072),
    "a Wan 14B text-to-video model": _is_wan(5120),
    "a MiraMo model": _is_of_sana("scale_shift_table_attn3d"),
    "a SANA-Video model": _is_of_sana("ff.conv_temp.", "mlp.t_conv."),
    "a SANA-Sprint model": _is_of_sana("guidance_embedder.", "cfg_embedder."),
    "a SANA 600M model": _is_sana(1152, 28),
    "a SANA 1.6B model": _is_sana(2240, 20),
    "a SANA 4.8B model": _is_sana(2240, 60),
    "a SANA model of another size": _is_of_sana(*_SANA_PERCEPTRON),
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
    "the VAE of Wan 2.2 5B": _is_wan_5b_vae,
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
