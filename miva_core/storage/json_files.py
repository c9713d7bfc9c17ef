"""Read JSON files: those of the package, and those of users."""

import json
from pathlib import Path
from typing import Any

from ..errors import MIVAError

_LARGEST = 10_000_000
"""Bytes; configurations of models have some kB."""


def read_json(path: Path) -> dict[str, Any]:
    """Read the object in a UTF-8 JSON file of the package."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_foreign_json(path: Path) -> dict[str, Any]:
    """Read the object in a UTF-8 JSON file that anyone may have written.

    Raises:
        MIVAError: the file cannot be read, is no JSON object, is nested too deeply, or is longer than 10 MB.
    """
    try:
        # Reading a pipe or device could wait for ever.
        content = read_json(path) if path.is_file() and path.stat().st_size <= _LARGEST else None
    except (OSError, ValueError, RecursionError) as error:
        raise MIVAError(f"{path} is damaged: get its folder again.") from error
    if not isinstance(content, dict):
        raise MIVAError(f"{path} is damaged: get its folder again.")
    return content
