"""JSON files that come with the package."""

import json
from pathlib import Path
from typing import Any


def read_json(path: Path) -> dict[str, Any]:
    """The object in a UTF-8 JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
