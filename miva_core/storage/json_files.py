"""JSON files: those that come with the package, and those of strangers."""

import json
from pathlib import Path
from typing import Any

from ..errors import MIVAError

_LARGEST = 10_000_000
"""Bytes; the files that tell how a model is built have some kB."""


def read_json(path: Path) -> dict[str, Any]:
    """The object in a UTF-8 JSON file of the package."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_foreign_json(path: Path) -> dict[str, Any]:
    """The object in a UTF-8 JSON file that anyone may have written.

    Raises:
        MIVAError: it cannot be read, is no JSON object, or is nested or long beyond reason.
    """
    try:
        # A pipe or device would be waited for.
        content = read_json(path) if path.is_file() and path.stat().st_size <= _LARGEST else None
    except (OSError, ValueError, RecursionError) as error:
        raise MIVAError(f"{path} is damaged: get its folder again.") from error
    if not isinstance(content, dict):
        raise MIVAError(f"{path} is damaged: get its folder again.")
    return content
