"""The sections of the report, and what they are made of."""

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from miva_core.storage.files import replacing

PARTS = ("cameras", "aspects", "subjects", "times", "sheets")
_HEADING = re.compile(r"^## ", re.MULTILINE)


def header(*names: str) -> str:
    return f"{row(names)}\n{'|---' * len(names)}|"


def row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def span(values: Sequence[float]) -> str:
    """The median, and how far the values reach."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def seeded(count: int) -> str:
    return f"{count} seed{'s' if count > 1 else ''} a picture"


def gates(met: Mapping[str, bool]) -> str:
    """Which gates are met, in one line."""
    return "Gates: " + "; ".join(f"{name}: {'met' if is_met else '**missed**'}" for name, is_met in met.items()) + "."


def write_section(path: Path, introduction: str, part: str, lines: Sequence[str], parts: Sequence[str] = PARTS) -> None:
    """Put a part's section in its place, and keep those of the other parts, in the order of `parts`."""
    kept = sections(path.read_text(encoding="utf-8")) if path.exists() else {}
    kept[part] = "\n".join(lines) + "\n"
    body = "".join(f"\n## {name}\n\n{kept[name]}" for name in parts if name in kept)
    with replacing(path) as draft:
        draft.write_text(introduction + body, encoding="utf-8")


def sections(text: str) -> dict[str, str]:
    """The sections of a report by the names of their parts."""
    return {
        name: body.strip("\n") + "\n" for name, body in (section.split("\n", 1) for section in _HEADING.split(text)[1:])
    }
