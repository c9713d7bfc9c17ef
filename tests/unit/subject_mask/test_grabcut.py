"""GrabCut: subjects by their colours."""

import numpy as np
import pytest
import torch
from torch import Tensor

from miva_core.errors import MIVAError
from miva_core.subject_mask.grabcut import grabcut
from tools.shapes import boxes_of, draw_scene


def overlap(a: Tensor, b: Tensor) -> float:
    a, b = a > 0.5, b > 0.5
    return ((a & b).sum() / (a | b).sum()).item()


def test_shapes_are_cut_out_of_boxes_and_rough_masks() -> None:
    for seed in range(3):
        scene = draw_scene(np.random.default_rng(seed), (96, 128), 1)
        truth = scene.masks[0, 0]
        x0, y0, x1, y1 = boxes_of(scene.masks[:, 0])[0].tolist()
        cut = grabcut(scene.frames, box=(x0 - 4, y0 - 4, x1 + 4, y1 + 4))
        assert overlap(cut, truth) > 0.9
        assert torch.equal(cut, grabcut(scene.frames, box=(x0 - 4, y0 - 4, x1 + 4, y1 + 4)))
        rough = torch.roll(truth, (4, -3), (0, 1))
        assert overlap(rough, truth) < 0.85
        assert overlap(grabcut(scene.frames[0], rough=rough), truth) > 0.9


def test_large_pictures_keep_their_size() -> None:
    scene = draw_scene(np.random.default_rng(1), (96, 128), 1)
    large = scene.frames[0].repeat_interleave(8, 0).repeat_interleave(8, 1)
    box = (boxes_of(scene.masks[:, 0])[0] * 8).tolist()
    cut = grabcut(large, box=tuple(box))
    assert cut.shape == (768, 1024)
    assert overlap(cut, scene.masks[0, 0].repeat_interleave(8, 0).repeat_interleave(8, 1)) > 0.9


@pytest.mark.parametrize(
    ("hints", "message"),
    [
        ({}, "GrabCut needs either a box around the subject or a rough mask of it."),
        (
            {"box": (0, 0, 64, 48)},
            "The box or rough mask covers the whole picture: GrabCut needs some of it inside and some outside.",
        ),
        (
            {"box": (80, 10, 90, 20)},
            "The box 80, 10, 90, 20 covers nothing of the image, which is 64×48: give the left, top, right and bottom "
            "edge in pixels.",
        ),
        (
            {"rough": torch.ones(2, 48, 64)},
            "GrabCut takes one rough mask at a time, but 2 are given: choose one of them.",
        ),
        ({"rough": torch.zeros(48, 64)}, "The rough mask is empty: paint white over the subject."),
        (
            {"rough": torch.ones(512, 512)},
            "The rough mask is 512×512 but the image is 64×48; resize the mask first.",
        ),
    ],
)
def test_what_cannot_be_cut_is_told(hints: dict, message: str) -> None:
    with pytest.raises(MIVAError) as caught:
        grabcut(torch.rand(48, 64, 3), **hints)
    assert str(caught.value) == message


def test_a_rough_mask_of_nearly_everything_is_no_mistake() -> None:
    picture = torch.zeros(48, 64, 3)
    picture[4:44, 4:60] = 0.8
    rough = torch.zeros(48, 64)
    rough[3:45, 3:61] = 1
    cut = grabcut(picture, rough=rough)
    assert overlap(cut, (picture[..., 0] > 0.5).float()) > 0.95


def test_what_is_too_small_is_told() -> None:
    with pytest.raises(MIVAError, match=r"found no subject|covers nothing"):
        grabcut(torch.rand(1500, 2000, 3).mul(0.01), box=(700, 700, 701, 701))
    with pytest.raises(MIVAError, match="is a NoneType"):
        grabcut(None, box=(0, 0, 9, 9))


def test_a_clip_is_told() -> None:
    with pytest.raises(MIVAError, match="3 frames"):
        grabcut(torch.rand(3, 48, 64, 3), box=(4, 4, 20, 20))
