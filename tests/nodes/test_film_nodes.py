"""Film a Still and its motions: what a picture becomes, and what is said of wrong inputs."""

from typing import Any

import pytest
import torch
from comfyui_miva.miva_core.errors import MIVAError
from comfyui_miva.miva_core.filming.filmed_motion import FilmedMotion as MotionOfThePack
from comfyui_miva.nodes import MIVAFilm, MIVAFilmMotion
from fake_comfyui import FakeComfyUI
from node_runs import run, shown
from torch import Tensor

from miva_core.filming.film import FilmOptions, film
from miva_core.filming.filmed_motion import FilmedMotion
from miva_core.media.pictures import fit_picture
from miva_core.rendering.timing import Timing

PLAIN = {"width": 0, "height": 0, "fps": 8.0, "duration": 0.5, "easing": "linear", "loop": False, "edges": "inside"}
PLAIN |= {"seed": 0}


@pytest.fixture
def picture(shapes: Tensor) -> Tensor:
    return fit_picture(shapes[0], (64, 96))[0]


@pytest.fixture
def sky() -> Tensor:
    mask = torch.zeros(1, 64, 96)
    mask[:, :30] = 1
    return mask


def test_it_gives_what_the_engine_gives(picture: Tensor, sky: Tensor, comfyui: FakeComfyUI) -> None:
    drift = run(MIVAFilmMotion, motion="drift-left", speed=0.8, mask=sky)[0]
    both = run(MIVAFilmMotion, motion="dolly-in", speed=0.6, motions=drift)[0]
    ramp = torch.linspace(0, 1, 64)[:, None].expand(64, 96)
    output = run(
        MIVAFilm, image=picture[None], motions=both, depth=ramp[None, ..., None].expand(-1, -1, -1, 3), **PLAIN
    )
    clip = film(
        picture,
        [FilmedMotion("drift-left", 0.8, sky[0]), FilmedMotion("dolly-in", 0.6)],
        ramp,
        FilmOptions(timing=Timing(8.0, 0.5)),
    )
    # Grey as three channels is rounded.
    torch.testing.assert_close(output[0], clip.frames, atol=1e-4, rtol=0)
    torch.testing.assert_close(output[1], clip.masks["drift-left"], atol=1e-4, rtol=0)
    assert output[2] == 8
    assert shown(output) == "4 frames of 96×64, 8 a second." and comfyui.progress == [(k, 4) for k in range(1, 5)]


def test_what_is_odd_stands_on_the_node(picture: Tensor) -> None:
    motions = run(MIVAFilmMotion, motion="truck-left", speed=0.5)[0]
    output = run(MIVAFilm, image=picture[None, :, :65], motions=motions, **PLAIN)
    assert "lower half of the picture is taken to be near by truck-left" in shown(output)
    assert shown(output).endswith("4 frames of 64×64, 8 a second.")


@pytest.mark.parametrize(
    ("motion", "given", "said"),
    [
        ({"motion": "pan-left", "speed": 0.0}, {}, ["pan-left has the speed 0 and does nothing."]),
        (
            {"motion": "pan-left"},
            {"front": torch.ones(1, 64, 96)},
            ["The mask of what is in front is not used: no part of the picture moves behind it."],
        ),
        ({"motion": "dolly-in"}, {"depth": torch.linspace(0, 1, 64)[None, :, None, None].expand(1, 64, 96, 1)}, []),
    ],
)
def test_what_changes_nothing_stands_on_the_node(
    picture: Tensor, motion: dict[str, Any], given: dict[str, Tensor], said: list[str]
) -> None:
    motions = run(MIVAFilmMotion, **({"speed": 0.5} | motion))[0]
    lines = shown(run(MIVAFilm, image=picture[None], motions=motions, **given, **(PLAIN | {"edges": "mirror"})))
    assert lines.splitlines() == [*said, "4 frames of 96×64, 8 a second."]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"motion": "sway"}, "sway moves a part of the picture and needs a mask of it"),
        ({"motion": "zoom-in", "mask": torch.ones(1, 64, 96)}, "zoom-in moves the whole picture: leave its mask out"),
        ({"motion": "sway", "mask": torch.zeros(1, 64, 96)}, "The mask for sway is empty"),
        ({"motion": "sway", "mask": torch.ones(2, 64, 96)}, "The mask for sway is a batch of 2"),
        ({"motion": "sway", "motions": 3}, "`motions` was given 3, and takes MIVA_FILM alone: connect Motion to Film"),
    ],
)
def test_a_motion_is_told_what_it_lacks(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(MIVAError, match=said):
        run(MIVAFilmMotion, **({"speed": 0.5} | wrong))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"image": torch.rand(2, 64, 96, 3)}, "The picture is a batch of 2"),
        ({"motions": (3,)}, "`motions` was given a tuple, and takes MIVA_FILM alone: connect Motion to Film"),
        ({"depth": torch.full((1, 64, 96, 3), 0.5)}, "The depth map is flat"),
        ({"depth": torch.rand(1, 64, 96, 3)}, "The depth map is a picture in colours"),
        ({"depth": torch.rand(1, 96, 64, 1).expand(-1, -1, -1, 3)}, "of another aspect than the picture"),
        ({"front": torch.zeros(1, 64, 96)}, "The mask of what is in front is empty"),
        ({"duration": 60.0, "motions": (MotionOfThePack("pan-left", 4.0),)}, "The camera leaves the picture so far"),
        (
            {"motions": (MotionOfThePack("sway", 0.5, torch.ones(64, 96)),)},
            "is the whole picture, so there is nothing beside",
        ),
    ],
)
def test_wrong_inputs_are_told_in_one_sentence(picture: Tensor, wrong: dict[str, Any], said: str) -> None:
    good = {"image": picture[None], "motions": (MotionOfThePack("dolly-in", 0.5),)}
    with pytest.raises(MIVAError, match=said):
        run(MIVAFilm, **(good | PLAIN | wrong))
