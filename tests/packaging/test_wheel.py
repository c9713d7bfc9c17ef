"""The engine as `pip install .` leaves it: built, installed into a fresh environment, and used far from this folder.

Only run where MIVA_TEST_WHEEL is set, as in .ci/run: to build it pip fetches setuptools.
"""

import configparser
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from email.parser import HeaderParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from PIL import Image

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "workflows" / "pictures" / "miva_machu_picchu.jpg"
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "requirements.txt", "__init__.py")

pytestmark = pytest.mark.skipif(
    "MIVA_TEST_WHEEL" not in os.environ, reason="set MIVA_TEST_WHEEL=1 to build a wheel and install it"
)


def run(command: Sequence[str | Path], folder: Path) -> str:
    """What a command prints, in a folder and an environment in which nothing leads back to this tree."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree as far as a build may look, without what earlier builds have left in it."""
    copy = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        shutil.copy(ROOT / name, copy)
    for name in ("miva_core", "nodes", "tools", "benchmarks"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, sources], folder)
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a fresh environment; the libraries in it are those of the one that runs the tests."""
    environment = tmp_path_factory.mktemp("environment")
    run([sys.executable, "-m", "venv", "--without-pip", environment], environment)
    places = {"base": str(environment), "platbase": str(environment)}
    folder = Path(sysconfig.get_path("scripts", "venv", places))
    python = shutil.which("python", path=str(folder))
    assert python
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index"]
    run([*pip, wheel], environment)
    libraries = Path(sysconfig.get_path("purelib", "venv", places), "libraries.pth")
    libraries.write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return folder


def test_the_wheel_holds_the_whole_engine_and_nothing_else(sources: Path, wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == {
        path.relative_to(sources).as_posix() for path in (sources / "miva_core").rglob("*") if path.is_file()
    }
    assert "miva_core/py.typed" in held


def test_the_wheel_needs_what_the_nodes_need(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        (about,) = (name for name in opened.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(opened.read(about).decode())
        entries = configparser.ConfigParser()
        entries.read_string(opened.read(about.replace("METADATA", "entry_points.txt")).decode())
    needed = {Requirement(text) for text in metadata.get_all("Requires-Dist", [])}
    assert needed == {Requirement(line) for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").split()}
    assert [*entries["console_scripts"]] == ["miva"]


def test_the_engine_animates_where_it_is_installed(programs: Path, tmp_path: Path) -> None:
    program = (
        "import miva_core, torch; from miva_core.bases.tiny.spec import SHIPPED; base = miva_core.load_base('tiny'); "
        "pan = miva_core.MIVAAdapter.load(SHIPPED / 'pan_left.safetensors', base.backbone); "
        "print(miva_core.__file__); print(base.name, pan.config.mask)"
    )
    python = shutil.which("python", path=str(programs))
    assert python
    where, loaded = run([python, "-c", program], tmp_path).splitlines()
    assert programs.parent in Path(where).parents
    assert loaded == "tiny False"


def test_the_command_is_the_module(programs: Path, tmp_path: Path) -> None:
    miva, python = (shutil.which(name, path=str(programs)) for name in ("miva", "python"))
    assert miva and python
    shipped = {path.stem for path in (ROOT / "miva_core" / "bases" / "tiny" / "adapters").iterdir()}
    listed = run([miva, "list"], tmp_path)
    assert shipped <= set(listed.split()) and listed == run([python, "-m", "miva_core", "list"], tmp_path)
    assert run([miva, "--help"], tmp_path).startswith("usage: miva ")
    assert run([python, "-m", "miva_core", "--help"], tmp_path).startswith("usage: python -m miva_core ")
    quick = ("--size", "240x0", "--frames", "4", "--steps", "1")
    run([miva, "animate", PICTURE, "--miva", "pan_left", *quick, "--out", "clip.gif"], tmp_path)
    with Image.open(PICTURE) as picture, Image.open(tmp_path / "clip.gif") as clip:
        assert clip.n_frames == 4 and clip.width == 240
        assert clip.height == pytest.approx(240 * picture.height / picture.width, abs=2)
