"""A film of a still against the motions' formulas, and what is said of motions and masks that cannot be filmed."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from miva_core.errors import MIVAError
from miva_core.filming.film import FilmOptions, film
from miva_core.filming.filmed_motion import FilmedMotion, named
from miva_core.filming.picture_motion import picture_motion
from miva_core.rendering.timing import Timing
from miva_core.rendering.view import View

SIZE = (64, 96)
PICTURE = (
    torch.nn.functional.interpolate(
        torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(0)), SIZE, mode="bicubic"
    )[0]
    .permute(1, 2, 0)
    .clamp(0, 1)
)
SHORT = FilmOptions(timing=Timing(8, 1.0))


def box(top: int, bottom: int, left: int, right: int) -> Tensor:
    mask = torch.zeros(SIZE)
    mask[top:bottom, left:right] = 1
    return mask


def test_several_motions_act_at_once_each_where_its_mask_is() -> None:
    motions = [FilmedMotion("drift left", 0.8, box(0, 20, 0, 96)), FilmedMotion("sway", 1.0, box(30, 64, 20, 40))]
    clip = film(PICTURE, motions, options=SHORT)
    assert len(clip) == 8 and clip.fps == 8 and set(clip.masks) == {"drift-left", "sway"} and not clip.notes
    changed = (clip.frames[6] - PICTURE).abs().amax(-1)
    assert changed[4:16, 10:80].mean() > 0.05 and changed[34:44, 24:36].mean() > 0.01
    assert changed[26:, 60:].max() == 0 and torch.equal(clip.frames[0], PICTURE)


def test_masks_keep_their_order() -> None:
    """A sheet colours them by it; what is drawn first, a sky behind everything, may be the last that is named."""
    motions = [FilmedMotion("sway", 1.0, box(30, 64, 20, 40)), FilmedMotion("drift left", 0.8, box(0, 20, 0, 96))]
    for listed in (motions, motions[::-1]):
        assert len({tuple(frame.masks) for frame in film(PICTURE, listed, options=SHORT)}) == 1


def test_a_region_that_is_out_of_the_frame_changes_nothing() -> None:
    pan, sway = FilmedMotion("pan-right", 4.0), FilmedMotion("sway", 1.0, box(10, 50, 2, 14))
    options = FilmOptions(timing=Timing(4, 1.0), edges="mirror")
    without, passed = (film(PICTURE, motions, options=options) for motions in ([pan], [pan, sway]))
    torch.testing.assert_close(passed.frames[-1], without.frames[-1], rtol=0, atol=1e-5)
    assert not passed.masks["sway"][-1].any()


def test_a_field_unit_is_the_same_length_at_every_size() -> None:
    """Twice the picture, twice the pixels: 0.5 of a unit a frame, in a picture whose shorter side is 64 of them."""
    for scale in (1, 2):
        picture = PICTURE.repeat_interleave(scale, 0).repeat_interleave(scale, 1)
        size = (picture.shape[0], picture.shape[1])
        motion = picture_motion(named([FilmedMotion("pan-right", 0.5)]), View(size, (0, 0, *size)), None, 0)
        assert motion.grid == (64, 96)
        np.testing.assert_allclose(motion.camera(10.0), [[1, 0, 5], [0, 1, 0]])


def test_cameras_follow_each_other_and_shakes_come_of_their_seed() -> None:
    view = View(SIZE, (0, 0, *SIZE))
    both = picture_motion(named([FilmedMotion("pan-right"), FilmedMotion("zoom-in")]), view, None, 0).camera(8.0)
    np.testing.assert_allclose(both, [[np.exp(-0.096), 0, 4], [0, np.exp(-0.096), 0]], rtol=1e-5)
    paths = [picture_motion(named([FilmedMotion("shake")]), view, None, seed).camera(5.0) for seed in (0, 0, 1)]
    assert np.array_equal(paths[0], paths[1]) and not np.array_equal(paths[0], paths[2])


def test_nearer_subjects_lie_in_front_and_names_tell_equal_motions_apart() -> None:
    near, far = box(0, 30, 0, 30), box(40, 60, 50, 90)
    motions = named([FilmedMotion("rise", 0.5, near), FilmedMotion("rise", 0.5, far)])
    assert list(motions) == ["rise", "rise-2"]
    view = View(SIZE, (0, 0, *SIZE))
    for nearness, order in ((None, ["rise", "rise-2"]), (0.2 + 0.6 * near, ["rise-2", "rise"])):
        assert [one.name for one in picture_motion(motions, view, nearness, 0).carried] == order


def test_without_a_depth_map_the_lower_half_is_near() -> None:
    clip = film(PICTURE, [FilmedMotion("truck-left", 0.8)], options=FilmOptions(timing=Timing(8, 1.0), edges="mirror"))
    assert any("lower half of the picture is taken to be near by truck-left" in note for note in clip.notes)
    ramp = torch.linspace(1, 0, 64)[:, None].expand(SIZE)
    assert any("darker below than above" in note for note in film(PICTURE, [FilmedMotion("dolly-in")], ramp).notes)


def test_what_is_said_of_small_pictures_speaks_of_no_base() -> None:
    notes = film(PICTURE[:32, :48], [FilmedMotion("roll-cw", 0.1)]).notes
    assert "The picture was enlarged: the shorter side of a clip has at least 64 pixels." in notes


def test_a_depth_map_that_nothing_asks_for_is_named() -> None:
    """Cut-outs need it from two on, since it puts them in order."""
    rise, ramp = FilmedMotion("rise", 0.2, box(30, 40, 10, 20)), torch.linspace(0, 1, SIZE[0])[:, None].expand(SIZE)
    slide = FilmedMotion("slide-left", 0.2, box(30, 40, 40, 50))
    for motions, unused in (([FilmedMotion("pan-left")], True), ([rise], True), ([rise, slide], False)):
        assert any("depth map is not used" in note for note in film(PICTURE, motions, ramp).notes) == unused


@pytest.mark.parametrize(
    ("motion", "said"),
    [
        ({"name": "drift"}, "'drift' is no motion; nearest are"),
        ({"name": "drift-left"}, "needs a mask of it"),
        ({"name": "pan-left", "mask": box(0, 9, 0, 9)}, "moves the whole picture: leave its mask out"),
        ({"name": "pan-left", "speed": float("nan")}, "The speed of pan-left is nan"),
        ({"name": "pan-left", "speed": 9}, "choose a number from -4 to 4"),
    ],
)
def test_a_motion_that_cannot_be_is_refused_at_once(motion: dict[str, Any], said: str) -> None:
    with pytest.raises(MIVAError, match=said):
        FilmedMotion(**motion)


@pytest.mark.parametrize(
    ("mask", "size", "said"),
    [
        (torch.zeros(SIZE), None, "is empty: paint white"),
        (torch.full(SIZE, 0.4), None, "is nowhere brighter than half"),
        (torch.ones(SIZE), None, "is the whole picture, so there is nothing beside"),
        (box(0, 64, 0, 8), (64, 32), "is cut off at this size"),
        (box(0, 64, 30, 66), (64, 32), "All that is seen of the picture is in the mask"),
        (torch.ones(2, *SIZE), None, "is a batch of 2"),
    ],
)
def test_a_mask_that_marks_no_part_is_refused(mask: Tensor, size: tuple[int, int] | None, said: str) -> None:
    with pytest.raises(MIVAError, match=said):
        film(PICTURE, [FilmedMotion("sway", 0.5, mask)], options=FilmOptions(size=size))


@pytest.mark.parametrize(
    ("front", "said"),
    [
        (torch.zeros(SIZE), "what is in front is empty: paint white"),
        (torch.full(SIZE, 0.4), "what is in front is nowhere brighter than half"),
        (box(20, 50, 10, 60), "What is in front hides all that the mask of sway marks"),
        (torch.ones(2, *SIZE), "The mask of what is in front is a batch of 2"),
    ],
)
def test_what_is_in_front_stands_before_a_part_of_what_moves(front: Tensor, said: str) -> None:
    with pytest.raises(MIVAError, match=said):
        film(PICTURE, [FilmedMotion("sway", 0.5, box(30, 50, 20, 40))], options=FilmOptions(front=front))
