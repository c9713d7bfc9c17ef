"""What the documentation names is there: modules and names in its examples, and files and classes in its text."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PLACES = (ROOT, ROOT / "miva_core", ROOT / "miva_core" / "attention")
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda path: path.name)
def test_examples_import_what_there_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for module, names in re.findall(r"^from (miva_core\S*) import (.+)$", "\n".join(CODE.findall(text)), re.MULTILINE):
        for name in names.split(", "):
            assert hasattr(importlib.import_module(module), name), f"{module} has no {name}"
    for dotted in re.findall(r"\b(miva_core(?:\.\w+)+)\(", text):
        module, _, name = dotted.rpartition(".")
        assert hasattr(importlib.import_module(module), name), dotted


def test_the_architecture_is_that_of_the_sources() -> None:
    words = re.findall(r"`([^`\n]+)`", (DOCS / "architecture.md").read_text(encoding="utf-8"))
    paths = {word for word in words if re.fullmatch(r"[\w/]+(/|\.py|\.json)", word) and "/" in word}
    gone = {path for path in paths if not any((place / path).exists() for place in PLACES)}
    assert len(paths) > 30 and gone == set()
    classes = {word for word in words if re.fullmatch(r"(?:[A-Z]+[a-z]+){2,}|Base|Motion|Site|Predictor", word)}
    sources = "\n".join(
        path.read_text("utf-8") for folder in ("miva_core", "nodes") for path in (ROOT / folder).rglob("*.py")
    )
    unknown = {name for name in classes if not re.search(rf"^class {name}\b", sources, re.MULTILINE)}
    assert len(classes) > 8 and unknown == set()
