"""Tells what a file is by looking inside, for error messages that name the mistake."""

from __future__ import annotations

import json
import os
from pathlib import Path

# parts of tensor names that give a model file away; the first match counts
_KEY_PATTERNS = (
    (".cfa.q.", "a MIVA adapter that has lost its metadata"),
    ("lora_", "a LoRA"),
    ("lora.", "a LoRA"),
    ("model.diffusion_model.", "a Stable Diffusion checkpoint"),
    ("motion_modules", "an AnimateDiff motion module"),
    ("temporal_transformer", "an AnimateDiff motion module"),
)
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
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return "a PyTorch checkpoint"
    return "a text file" if _is_text(head) else "a file of an unknown kind"


def _what_safetensors(header: bytes, data_size: int) -> str:
    if data_size < 0:
        return "a truncated safetensors file"
    try:
        entries = json.loads(header)
        metadata = entries.pop("__metadata__", {})
        expected_size = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    except (ValueError, TypeError, LookupError, AttributeError):
        return "a damaged safetensors file"
    if data_size < expected_size:
        return "a truncated safetensors file"
    if "miva" in metadata:
        return "a damaged MIVA adapter"
    return next(
        (name for pattern, name in _KEY_PATTERNS if any(pattern in key for key in entries)),
        "a safetensors file without MIVA metadata",
    )


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8", errors="ignore")
    # `head` may end inside a character, which takes up to four bytes
    whole = len(head) - len(text.encode()) < 4
    return whole and not any(character < " " and character not in "\t\n\r\f" for character in text)
