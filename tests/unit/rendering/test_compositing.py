"""Layers over each other, against a loop over pixels."""

import numpy as np
import pytest

from miva_core.rendering.compositing import Layers
from miva_core.rendering.ground import StillGround
from miva_core.rendering.layer_motion import LayerMotion
from miva_core.rendering.path import SimilarityPath
from miva_core.rendering.residual import Residual
from miva_core.rendering.sprite import Sprite
from miva_core.rendering.staging import Staging
from miva_core.rendering.window import Window

SIZE = (20, 30)
NO_HOLE = np.zeros(SIZE, bool)
TO_PIXELS = np.array([[1, 0, 14.5], [0, 1, 9.5], [0, 0, 1]])
"""From places off the centre to pixels of a frame of that size."""


def shifting(x: float, y: float, frames: int = 3) -> LayerMotion:
    """A subject that moves by so many pixels a frame; what is seen now was there before it moved."""
    steps = np.arange(frames)[:, None] * np.array([0, 0, -x / SIZE[1], -y / SIZE[0]])
    return LayerMotion(SimilarityPath(steps), None)


def sprite(generator: np.random.Generator, left: int, top: int, width: int, height: int) -> tuple[Sprite, np.ndarray]:
    """A subject of random colours and opacity, and its layer (H, W, 4) at the clip's size, of straight colours."""
    layer = generator.random((height, width, 4), dtype=np.float32)
    full = np.zeros((*SIZE, 4), np.float32)
    full[top : top + height, left : left + width] = layer
    layer[..., :3] *= layer[..., 3:]
    shift = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]])
    corners = np.linalg.inv(TO_PIXELS) @ [[left, left + width], [top, top + height], [1, 1]]
    return Sprite(layer, shift @ TO_PIXELS, corners), full


def over(frame: np.ndarray, layer: np.ndarray, x: int, y: int) -> np.ndarray:
    """A layer of straight colours, moved by whole pixels, over a frame: pixel by pixel."""
    result, opacity = frame.copy(), np.zeros(SIZE)
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            if 0 <= row - y < SIZE[0] and 0 <= column - x < SIZE[1]:
                *colour, alpha = layer[row - y, column - x]
                result[row, column] = alpha * np.array(colour) + (1 - alpha) * frame[row, column]
                opacity[row, column] = alpha
    return result, opacity


def test_subjects_are_drawn_from_back_to_front() -> None:
    generator = np.random.default_rng(0)
    picture, plate = (generator.random((*SIZE, 3), dtype=np.float32) for _ in range(2))
    # The second leaves the frame at its left edge.
    (behind, behind_layer), (front, front_layer) = sprite(generator, 8, 6, 7, 5), sprite(generator, 4, 7, 9, 8)
    masks = {"behind": behind_layer[..., 3], "front": front_layer[..., 3]}
    layers = Layers(StillGround(picture, plate), {"behind": behind, "front": front}, masks, NO_HOLE, TO_PIXELS, SIZE)
    staging = Staging(SIZE, Window(), shifting(0, 0), {"behind": shifting(2, 1), "front": shifting(-3, 2)})

    pixels, seen = layers.composite(staging, 2)
    expected, opacity_behind = over(plate, behind_layer, 4, 2)
    expected, opacity_front = over(expected, front_layer, -6, 4)
    np.testing.assert_allclose(pixels, expected, atol=1e-5)
    np.testing.assert_allclose(seen["front"], opacity_front, atol=1e-5)
    np.testing.assert_allclose(seen["behind"], opacity_behind * (1 - opacity_front), atol=1e-5)
    untouched = (opacity_behind == 0) & (opacity_front == 0)
    assert np.array_equal(pixels[untouched], plate[untouched]) and untouched.mean() > 0.5


def test_what_has_hardly_moved_is_the_picture_itself() -> None:
    generator = np.random.default_rng(0)
    picture, plate = (generator.random((*SIZE, 3), dtype=np.float32) for _ in range(2))
    subject, layer = sprite(generator, 8, 6, 7, 5)
    layers = Layers(StillGround(picture, plate), {"it": subject}, {"it": layer[..., 3]}, NO_HOLE, TO_PIXELS, SIZE)
    staging = Staging(SIZE, Window(), shifting(0, 0), {"it": shifting(8, 0)})
    assert np.array_equal(layers.composite(staging, 0)[0], picture)
    np.testing.assert_allclose(layers.composite(staging, 0)[1]["it"], layer[..., 3], atol=1e-6)
    # The farther it goes, the less is left of the picture where it was not.
    left = [np.abs(layers.composite(staging, time)[0] - plate)[:, :6].mean() for time in (0, 0.1, 0.2, 0.5)]
    assert left[0] > left[1] > left[2] > left[3] == 0


def test_a_subject_that_bends_is_where_its_bend_says() -> None:
    """A bend that is the same everywhere shifts like a path."""
    generator = np.random.default_rng(0)
    plate = generator.random((*SIZE, 3), dtype=np.float32)
    subject, layer = sprite(generator, 8, 6, 7, 5)
    layers = Layers(StillGround(plate, plate), {"it": subject}, {"it": layer[..., 3]}, NO_HOLE, TO_PIXELS, SIZE)
    # The grid is five times coarser than the clip across and four times down.
    rest = Residual(
        np.arange(3, dtype=np.float32)[:, None, None, None] * np.full((3, 5, 6, 2), [-2 / 5, -1 / 4], np.float32)
    )
    bent = LayerMotion(SimilarityPath(np.zeros((3, 4))), rest)
    for window in (Window(), Window(0.5, 0.1, 0.0)):
        frames = [
            layers.composite(Staging(SIZE, window, shifting(0, 0), {"it": motion}), 2)[0]
            for motion in (bent, shifting(2, 1))
        ]
        np.testing.assert_allclose(frames[0], frames[1], atol=2e-3)
        assert np.abs(frames[0] - plate).max() > 0.1


@pytest.mark.parametrize("time", [3.5, 6.0])
def test_subjects_turn_where_their_flow_ends(time: float) -> None:
    """Three frames: at 3.5 it is on its way back from the second to the first, at 6 in the third once more."""
    generator = np.random.default_rng(0)
    plate = generator.random((*SIZE, 3), dtype=np.float32)
    subject, layer = sprite(generator, 8, 6, 7, 5)
    layers = Layers(StillGround(plate, plate), {"it": subject}, {"it": layer[..., 3]}, NO_HOLE, TO_PIXELS, SIZE)
    staging = Staging(SIZE, Window(), shifting(0, 0), {"it": shifting(4, 0)})
    earlier = {3.5: 0.5, 6.0: 2.0}[time]
    assert np.array_equal(layers.composite(staging, time)[0], layers.composite(staging, earlier)[0])


def test_what_a_subject_hid_and_what_lies_beyond_the_picture_is_invented() -> None:
    """Whole pixels: the ground goes 4 to the right, the subject 8 farther, so that its own left part was beyond."""
    generator = np.random.default_rng(0)
    plate = generator.random((*SIZE, 3), dtype=np.float32)
    subject, layer = sprite(generator, 8, 6, 7, 5)
    hole = np.zeros(SIZE, bool)
    hole[4:13, 6:17] = True
    layers = Layers(StillGround(plate, plate), {"it": subject}, {"it": layer[..., 3]}, hole, TO_PIXELS, SIZE)
    staging = Staging(SIZE, Window(), shifting(4, 0), {"it": shifting(8, 0)})
    _, shown = layers.composite(staging, 1)
    seen = shown["it"]
    expected = np.zeros(SIZE)
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            ground = column - 4
            unknown = ground < 0 or hole[row, ground]
            own_unknown = ground - 8 < 0
            expected[row, column] = seen[row, column] * own_unknown + (1 - seen[row, column]) * unknown
    np.testing.assert_allclose(layers.invented(staging, 1, shown), expected, atol=1e-4)
    _, at_first = layers.composite(staging, 0)
    assert not layers.invented(staging, 0, at_first).any()
