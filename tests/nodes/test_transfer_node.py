"""Transfer Motion: what a picture becomes, and what the node says."""

from typing import Any

import pytest
import torch
from comfyui_miva.miva_core.errors import MIVAError
from comfyui_miva.nodes import MIVATransferMotion
from fake_comfyui import FakeComfyUI, Interrupted
from node_runs import run, shown
from torch import Tensor

from miva_core.media.pictures import fit_picture
from miva_core.motion_transfer.transfer import transfer


@pytest.fixture
def panned(shapes: Tensor) -> Tensor:
    """IMAGE of four frames, each two pixels farther."""
    large = fit_picture(shapes[0], (96, 128))[0]
    return torch.stack([large[16:80, 40 - 2 * i : 104 - 2 * i] for i in range(4)])


def test_it_gives_what_the_engine_gives(panned: Tensor, shapes: Tensor) -> None:
    picture = fit_picture(shapes[0].flip(1), (64, 64))[0]
    output = run(MIVATransferMotion, frames=panned, picture=picture[None], strength=0.5)
    frames, invented = transfer(panned, picture, 0.5)
    assert torch.equal(output[0], frames) and torch.equal(output[1], invented)
    assert shown(output) == "4 frames of 64×64."


def test_what_is_odd_stands_on_the_node(panned: Tensor) -> None:
    output = run(MIVATransferMotion, frames=panned[:1].expand(3, -1, -1, -1), picture=panned[:1, :, :32])
    first, second, last = shown(output).splitlines()
    assert first.startswith("Nothing moves in the clip") and "times as wide as high" in second
    assert last == "3 frames of 32×64." and output[0].shape == (3, 64, 32, 3)


def test_a_bar_runs_over_the_frames_twice_and_can_be_stopped(panned: Tensor, comfyui: FakeComfyUI) -> None:
    run(MIVATransferMotion, frames=panned, picture=panned[:1])
    assert comfyui.progress == [(done, 8) for done in range(2, 9)]
    for stop in ((3, 8), (6, 8)):
        comfyui.progress.clear()
        comfyui.stop_at = stop
        with pytest.raises(Interrupted):
            run(MIVATransferMotion, frames=panned, picture=panned[:1])
        assert comfyui.progress[-1] == stop


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"picture": torch.rand(2, 64, 64, 3)}, "The picture is a batch of 2"),
        ({"frames": torch.rand(1, 64, 64, 3)}, "The clip is a single frame"),
        ({"mask": torch.zeros(1, 64, 64)}, "The mask of the subject is empty"),
    ],
)
def test_wrong_inputs_are_told_in_one_sentence(panned: Tensor, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(MIVAError, match=said):
        run(MIVATransferMotion, **({"frames": panned, "picture": panned[:1]} | wrong))
