"""Names of files and texts from them that a terminal would act on, or could not take."""

import io
import shutil
import warnings
from pathlib import Path

import pytest

from miva_core.bases.tiny.spec import SHIPPED
from miva_core.cli.main import main
from miva_core.errors import MIVAWarning
from miva_core.text.terminal import PlainStream

CLEAR, TITLE, REVERSED, NO_UTF8 = "\x1b[2J", "\x9d0;title\x07", "\u202e", "\udcff"
HOSTILE = f"a{CLEAR}b{REVERSED}c"
SHOWN = r"a\x1b[2Jb\u202ec"


@pytest.fixture
def adapters(tmp_path: Path) -> Path:
    shutil.copyfile(SHIPPED / "pan_left.safetensors", tmp_path / f"{HOSTILE}.safetensors")
    (tmp_path / f"broken {HOSTILE}.safetensors").write_text("nothing of an adapter")
    return tmp_path


def test_what_cannot_be_printed_is_written_in_ascii() -> None:
    stream = io.StringIO()
    print(f"{CLEAR}{TITLE}{REVERSED}{NO_UTF8}", "牧 é × \\n", sep="\n", file=PlainStream(stream))
    assert stream.getvalue() == "\\x1b[2J\\x9d0;title\\x07\\u202e\\udcff\n牧 é × \\n\n"


def test_names_of_files_are_no_codes_in_a_list(adapters: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--adapters", str(adapters)]) == 0
    output = capsys.readouterr().out
    assert f"  {SHOWN} " in output and f"broken {SHOWN}.safetensors is" in output
    assert output.replace("\n", "").isprintable()


def test_names_of_files_are_no_codes_in_what_is_told_of_one(adapters: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in adapters.iterdir():
        main(["info", str(path)])
    output = capsys.readouterr()
    assert f"/{SHOWN}.safetensors is a MIVA adapter." in output.out
    assert (output.out + output.err).replace("\n", "").isprintable()


def test_names_of_files_are_no_codes_in_errors_and_notes(
    adapters: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["info", str(adapters / f"gone {HOSTILE}")]) == 2
    assert f"gone {SHOWN}" in capsys.readouterr().err

    def warn(_: object) -> None:
        warnings.warn(HOSTILE, MIVAWarning, stacklevel=1)

    monkeypatch.setattr("miva_core.cli.files.run_list", warn)
    assert main(["list"]) == 0
    assert capsys.readouterr().err == f"{SHOWN}\n"
