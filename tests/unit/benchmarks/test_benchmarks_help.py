"""Every benchmark can still be asked what it does: what it imports is there, and its options are ones."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "benchmarks"
MODULES = {path.stem: f"benchmarks.{path.stem}" for path in sorted(FOLDER.glob("*.py"))}
MODULES |= {
    path.parent.name: f"benchmarks.{path.parent.name}.__main__" for path in sorted(FOLDER.glob("*/__main__.py"))
}


@pytest.mark.parametrize("name", MODULES)
def test_a_benchmark_says_what_it_does(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = import_module(MODULES[name])
    if not hasattr(module, "main"):
        return  # of use to others alone
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert module.__doc__.splitlines()[0] in shown and f"python -m benchmarks.{name}" in shown
