"""Nothing in the engine and the nodes is too long to be read, nor takes more than can be kept in mind."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("miva_core", "nodes")
MOST_LINES, MOST_PARAMETERS = 350, 10


def too_large(root: Path) -> list[str]:
    """Sentences, one for each file or function that is too large."""
    found = []
    for path in sorted(path for folder in FOLDERS for path in (root / folder).rglob("*.py")):
        text, name = path.read_text(encoding="utf-8"), path.relative_to(root).as_posix()
        if (lines := len(text.splitlines())) > MOST_LINES:
            found.append(f"{name} has {lines} lines")
        for function, parameters in signatures(ast.parse(text)):
            # A node takes as much as it shows.
            if parameters > MOST_PARAMETERS and not (name.startswith("nodes/") and function == "execute"):
                found.append(f"{function} in {name} has {parameters} parameters")
    return found


def signatures(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """The name of every function, and how many parameters it has, without what a method is bound to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = node.args
            named = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
            open_ended = [one for one in (given.vararg, given.kwarg) if one]
            yield node.name, len(named) - (named[:1] in (["self"], ["cls"])) + len(open_ended)


def test_nothing_here_is_too_large() -> None:
    assert too_large(ROOT) == []


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("miva_core/media/long.py", "x = 1\n" * 350, False),
        ("miva_core/media/long.py", "x = 1\n" * 351, True),
        ("nodes/long.py", "x = 1\n" * 351, True),
        ("miva_core/wide.py", "def f(a, /, b, c, d, e, *, f, g, h, i, j): ...", False),
        ("miva_core/wide.py", "def f(a, /, b, c, d, e, *, f, g, h, i, j, k): ...", True),
        ("miva_core/wide.py", "def f(a, b, c, d, e, f, g, h, i, *j, **k): ...", True),
        ("miva_core/wide.py", "class A:\n    def f(self, a, b, c, d, e, f, g, h, i, j): ...", False),
        ("miva_core/wide.py", "class A:\n    async def f(self, a, b, c, d, e, f, g, h, i, j, k): ...", True),
        ("miva_core/wide.py", "class A:\n    def execute(cls, a, b, c, d, e, f, g, h, i, j, k): ...", True),
        ("nodes/wide.py", "class A:\n    def execute(cls, a, b, c, d, e, f, g, h, i, j, k): ...", False),
    ],
)
def test_what_is_too_large_is_found(tmp_path: Path, name: str, text: str, found: bool) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    assert [name in sentence for sentence in too_large(tmp_path)] == [True] * found
