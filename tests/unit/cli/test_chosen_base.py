"""Which base a command runs: the one that is named, or the one that its motions' files were made for."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from miva_core.adapters.adapter import MIVAAdapter
from miva_core.adapters.backbone import Backbone
from miva_core.adapters.config import MIVAConfig
from miva_core.adapters.info import AdapterInfo
from miva_core.bases.known import TRAINED_ON
from miva_core.bases.wan.releases import WAN_2_1_1_3B, WAN_2_1_14B
from miva_core.cli.arguments.train import add_train
from miva_core.cli.chosen_base import base_of_files
from miva_core.cli.main import OneLineParser, main
from miva_core.errors import MIVAError
from miva_core.media.video import write_png

ANIMATE = ("animate", "cat.png", "--out", "clip.mp4")


def header(backbone: Backbone, **training: str) -> AdapterInfo:
    size, config = (512, 320), MIVAConfig.default()
    return AdapterInfo(backbone.family, backbone.fingerprint, config, "pan", 16, size, 8, training=training)


@pytest.fixture
def loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the bases that commands ask for; each is refused, so that nothing is animated."""
    names: list[str] = []

    def load(options: Namespace, *_: Any) -> None:
        names.append(options.base)
        raise MIVAError("Enough is known.")

    for module in ("animator", "evaluate"):
        monkeypatch.setattr(f"miva_core.cli.{module}.load_chosen_base", load)
    write_png(torch.rand(32, 48, 3), folder / "cat.png")
    (folder / "stills").mkdir()
    write_png(torch.rand(32, 48, 3), folder / "stills" / "dog.png")
    return names


@pytest.mark.parametrize(
    ("options", "base"),
    [
        (("--miva", "zoom_in"), "tiny"),
        (("--miva", "zoom_in:0.5", "--miva", "camera_words:0.5"), "tiny"),
        (("--miva", "spiral"), "miramo"),
        (("--say", "zoom in"), "miramo"),
        (("--say", "zoom in", "--miva", "spiral"), "miramo"),
        ((), "miramo"),
        (("--base", "tiny", "--miva", "zoom_in"), "tiny"),
        (("--base", "tiny"), "tiny"),
        (("--base", "miramo", "--say", "zoom in"), "miramo"),
    ],
)
def test_files_and_words_choose_their_base(
    loaded: list[str], fail: Callable[..., str], options: tuple[str, ...], base: str
) -> None:
    assert fail(*ANIMATE, *options) == "Enough is known."
    assert loaded == [base]


def test_pictures_of_a_folder_are_moved_by_the_same_base(loaded: list[str], fail: Callable[..., str]) -> None:
    for motion in (("--miva", "zoom_in"), ("--say", "zoom in")):
        assert fail("animate", "stills", "--out", "clips", *motion) == "Enough is known."
    assert loaded == ["tiny", "miramo"]


def test_what_is_measured_runs_on_its_own_base(loaded: list[str]) -> None:
    for motion in ("spiral", "pan_left"):
        assert main(["evaluate", motion, "--stills", "stills", "--out", motion]) == 2
    assert loaded == ["miramo", "tiny"]


def test_no_other_base_measures_a_file(loaded: list[str], fail: Callable[..., str]) -> None:
    told = fail("evaluate", "spiral", "--base", "tiny", "--stills", "stills", "--out", "scores")
    assert told.startswith("spiral was made for another base (miramo) than tiny: leave --base out")
    assert loaded == []


def test_files_of_wan_ask_for_its_checkpoint(folder: Path, fail: Callable[..., str]) -> None:
    adapter = MIVAAdapter(WAN_2_1_1_3B.backbone, MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=2))
    adapter.save(folder / "horse.safetensors", adapter.info(motion="gallop", frames=17, size=(832, 480), fps=16.0))
    write_png(torch.rand(32, 48, 3), folder / "cat.png")
    said = fail(*ANIMATE, "--miva", "horse.safetensors")
    assert said == "The base wan needs a checkpoint and a vae: name the checkpoint, too."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--miva", "jump", "--miva", "spiral"),
            "A clip is made by one base, but jump is for tiny and spiral is for miramo: leave one of them out, or say "
            '--say "jump" in place of --miva jump.',
        ),
        (
            ("--miva", "spiral", "--miva", "camera_words"),
            "A clip is made by one base, but spiral is for miramo and camera_words is for tiny: leave one of them out.",
        ),
        (
            ("--say", "dolly in", "--miva", "pan_left"),
            "pan_left is for the base tiny, which does not move by words such as 'dolly in': leave one of them out, or "
            'say --say "pan left" in place of --miva pan_left.',
        ),
        (
            ("--base", "miramo", "--miva", "zoom_out:0.5"),
            'zoom_out was made for another base (tiny) than miramo: leave --base out, or say --say "zoom out" in '
            "place of --miva zoom_out, or choose another motion.",
        ),
        (
            ("--base", "tiny", "--miva", "spiral"),
            "spiral was made for another base (miramo) than tiny: leave --base out, or choose another motion.",
        ),
        (
            ("--base", "tiny", "--say", "pan left"),
            "The tiny base does not move by words such as 'pan left': choose the base miramo, or load a MIVA of that "
            "motion.",
        ),
        (("--base", "", "--say", "pan left"), "There is no base '';"),
    ],
)
def test_motions_of_different_bases_are_told_apart_before_one_is_loaded(
    loaded: list[str], fail: Callable[..., str], options: tuple[str, ...], message: str
) -> None:
    assert fail(*ANIMATE, *options).startswith(message)
    assert loaded == []


def test_of_bases_with_one_structure_it_is_the_one_that_was_trained_on() -> None:
    """Wan 2.1 14B and both networks of Wan 2.2 take each other's motions."""
    plain = header(WAN_2_1_14B.backbone)
    high = header(WAN_2_1_14B.backbone, **{TRAINED_ON: "Wan 2.2 14B, high noise"})
    assert base_of_files({"plain": plain}).name == "wan-14b"
    assert base_of_files({"high": high, "plain": plain}).name == "wan-2.2-high"


def test_training_has_a_base_of_its_own_and_says_why() -> None:
    parser = OneLineParser()
    add_train(parser)
    assert parser.parse_args(["clips", "--out", "a.safetensors"]).base == "tiny"
    assert "default: tiny, which learns a subject's motion without a mask" in " ".join(parser.format_help().split())
