"""The wording of every error and warning stands in one file, so that other tests need no more than a word of it."""

import ast
import difflib
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/golden/messages.txt"


def messages() -> list[str]:
    """All sentences that are raised or warned of, each once, `{}` standing for what is filled in."""
    files = [path for folder in ("miva_core", "nodes") for path in (ROOT / folder).rglob("*.py")]
    return sorted({text for path in files for text in _messages(ast.parse(path.read_text(encoding="utf-8")))})


def _messages(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and _name(node.func).endswith(("Error", "Warning", "warn")):
            text = _text(node.args[0])
            if len(text.replace("{}", "").split()) > 2:
                yield text


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _text(node: ast.expr) -> str:
    """A literal, a formatted one, or several in a row; anything else is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    return "{}"


def test_messages_are_worded_as_they_were() -> None:
    """Compares them with tests/golden/messages.txt.

    Where a change is meant, write the file anew, look at what git shows of it, and commit it with the change:

        MIVA_RENEW_GOLDEN=1 python -m pytest tests/unit/test_wording.py
    """
    told = messages()
    assert all("\n" not in message and message == message.strip() for message in told)
    if os.environ.get("MIVA_RENEW_GOLDEN"):
        GOLDEN.write_text("\n".join(told) + "\n", encoding="utf-8")
    kept = GOLDEN.read_text(encoding="utf-8").splitlines()
    changes = "\n".join(difflib.unified_diff(kept, told, "as kept", "as they are", n=0, lineterm=""))
    assert not changes, f"If this is meant, run this test once with MIVA_RENEW_GOLDEN=1.\n{changes}"
