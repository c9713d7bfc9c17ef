"""The wording of every error, warning and note stands in one file, so that other tests need no more than a word of it.

These are the sentences of `MIVAError` and its kinds, of `MIVAWarning`, of argparse and of `Clip.notes`.
"""

import ast
import difflib
import os
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/golden/messages.txt"
NOTES = ROOT / "miva_core/animation/notes.py"
CLASSES = {"MIVAError", "MIVAWarning", "NotFoundError", "FileTakenError", "ArgumentTypeError"}

Parts = Mapping[str, list[ast.expr]]
"""What the variables of a function are set to, by name."""


def messages() -> list[str]:
    """All these sentences, each once, `{}` standing for what is filled in."""
    files = [path for folder in ("miva_core", "nodes") for path in (ROOT / folder).rglob("*.py")]
    found = {text for path in files for text in _messages(path)}
    return sorted(text for text in found if len(text.replace("{}", "").split()) > 2)


def _messages(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for function in [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))]:
        parts = _parts(function)
        for node in _inside(function):
            if isinstance(node, ast.Call) and node.args and _is_message(node):
                yield from _texts(node.args[0], parts)
            elif path == NOTES and isinstance(node, ast.Return | ast.List):
                for value in node.elts if isinstance(node, ast.List) else [node.value]:
                    yield from _texts(value, parts)


def _inside(function: ast.AST) -> Iterator[ast.AST]:
    """All of a function or a module but the functions that stand in it."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, ast.FunctionDef):
            yield node
            yield from _inside(node)


def _parts(function: ast.AST) -> Parts:
    parts: dict[str, list[ast.expr]] = {}
    for node in _inside(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            parts.setdefault(node.targets[0].id, []).append(node.value)
    return parts


def _is_message(call: ast.Call) -> bool:
    name = _name(call.func)
    return name in CLASSES or name == "_warn" or (name == "warn" and any(_name(one) in CLASSES for one in call.args))


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _texts(node: ast.expr | None, parts: Parts) -> list[str]:
    """Literals, formatted ones, several in a row or one of two; anything else is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr():
            return ["".join(row) for row in product(*(_texts(part, parts) for part in node.values))]
        case ast.FormattedValue():
            return _texts(node.value, parts)
        case ast.BinOp(op=ast.Add()):
            added = [a + b for a, b in product(_texts(node.left, parts), _texts(node.right, parts))]
            return ["{}"] if added == ["{}{}"] else added
        case ast.IfExp():
            return _or_filled_in(_texts(node.body, parts) + _texts(node.orelse, parts))
        case ast.Name() if node.id in parts:
            without = {name: values for name, values in parts.items() if name != node.id}
            return _or_filled_in([text for value in parts[node.id] for text in _texts(value, without)])
    return ["{}"]


def _or_filled_in(texts: list[str]) -> list[str]:
    """Alternatives, each once; those without a word are nothing to pin."""
    return list(dict.fromkeys(texts)) if any(text.strip("{} ") for text in texts) else ["{}"]


def test_messages_are_worded_as_they_were() -> None:
    """Compares them with tests/golden/messages.txt.

    Where a change is meant, write the file anew, look at what git shows of it, and commit it with the change:

        MIVA_RENEW_GOLDEN=1 python -m pytest tests/unit/test_wording.py
    """
    found = messages()
    assert all("\n" not in message and message == message.strip() for message in found)
    if os.environ.get("MIVA_RENEW_GOLDEN"):
        GOLDEN.write_text("\n".join(found) + "\n", encoding="utf-8")
    kept = GOLDEN.read_text(encoding="utf-8").splitlines()
    changes = "\n".join(difflib.unified_diff(kept, found, "as kept", "as they are", n=0, lineterm=""))
    assert not changes, f"If this is meant, run this test once with MIVA_RENEW_GOLDEN=1.\n{changes}"
