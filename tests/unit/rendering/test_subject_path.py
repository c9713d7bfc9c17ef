import numpy as np
import pytest

from miva_core.rendering.flow_fit import centred_grid
from miva_core.rendering.path import SimilarityPath
from miva_core.rendering.subject_path import subject_path

GRID = (32, 32)
TIME = np.arange(8)[:, None]
AT_REST = SimilarityPath(np.zeros((8, 4)))
CAMERA = SimilarityPath(TIME * [0.02, 0.03, 0.01, -0.02])


def disc(x: float, y: float, radius: float = 5) -> np.ndarray:
    """(8, h, w): a subject that stays at one place."""
    grid = centred_grid(*GRID)
    return np.stack([np.hypot(grid[..., 0] - x, grid[..., 1] - y) < radius] * 8).astype(np.float32)


def combined(own: np.ndarray, camera: SimilarityPath) -> np.ndarray:
    """What would be fitted to a subject that moves so on the ground of a camera, by complex numbers."""
    rows = []
    for a, b in zip(own, camera.similarities, strict=True):
        shift = [(row[2] + 1j * row[3]) * GRID[0] for row in (a, b)]
        factor = np.exp(a[0] + 1j * a[1])
        total = factor * shift[1] + shift[0]
        rows.append([a[0] + b[0], a[1] + b[1], total.real / GRID[1], total.imag / GRID[0]])
    return np.array(rows)


@pytest.mark.parametrize("camera", [AT_REST, CAMERA], ids=["at rest", "moving"])
def test_what_a_subject_does_by_itself_is_found(camera: SimilarityPath) -> None:
    own = TIME * [0.03, -0.04, 0.02, 0.01]
    found, wanted = subject_path(combined(own, camera), camera, disc(6, -4)), SimilarityPath(own)
    for i in range(8):
        np.testing.assert_allclose(found.matrix(i, GRID), wanted.matrix(i, GRID), atol=1e-9)


@pytest.mark.parametrize("camera", [AT_REST, CAMERA], ids=["at rest", "moving"])
def test_a_subject_that_hardly_turns_only_shifts(camera: SimilarityPath) -> None:
    """Its middle goes where it was fitted to go."""
    own = TIME * [0.005, -0.005, 0.02, 0.01]
    found = subject_path(combined(own, camera), camera, disc(6, -4))
    assert not found.similarities[:, :2].any()
    middle = np.array([6, -4, 1.0])
    for i in range(8):
        on_ground = camera.matrix(i, GRID) @ middle
        wanted = SimilarityPath(own).matrix(i, GRID) @ on_ground
        np.testing.assert_allclose(found.matrix(i, GRID) @ on_ground, wanted, atol=0.02)


@pytest.mark.parametrize("camera", [AT_REST, CAMERA], ids=["at rest", "moving"])
def test_a_subject_that_hardly_moves_rests_on_the_ground(camera: SimilarityPath) -> None:
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (8, 4)) / [20, 20, 64, 64]
    assert subject_path(combined(noise * (TIME > 0), camera), camera, disc(0, 0)).at_rest


@pytest.mark.parametrize("size", [(32, 32), (90, 160), (300, 200)], ids=str)
@pytest.mark.parametrize("leap", [0, 9 - 5j], ids=["in place", "and jumps"])
def test_the_middle_of_a_subject_that_turns_stays_its_middle(size: tuple[int, int], leap: complex) -> None:
    """At any aspect, though the flow shows the frame as a square."""
    place, turn = 6 - 4j, np.exp(0.1 + 0.4j)
    similarities = np.zeros((8, 4))
    # What is at place + leap now comes from its place in frame 1: z -> turn (z - place - leap) + place.
    shift = place - turn * (place + leap)
    similarities[1:] = [0.1, 0.4, shift.real / GRID[1], shift.imag / GRID[0]]
    weight = disc(6, -4)
    weight[1:] = disc((place + leap).real, (place + leap).imag)[1:]
    found, stretched = subject_path(similarities, AT_REST, weight), np.array([size[1] / GRID[1], size[0] / GRID[0], 1])
    now, before = (stretched * [z.real, z.imag, 1] for z in (place + leap, place))
    np.testing.assert_allclose(found.matrix(3, size) @ now, before, atol=0.05 * size[0] / GRID[0])
    linear = np.exp(0.1) * np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    np.testing.assert_allclose(found.matrix(3, size)[:2, :2], linear, atol=1e-9)


@pytest.mark.parametrize("camera", [AT_REST, CAMERA], ids=["at rest", "moving"])
def test_a_subject_that_is_not_seen_stays_on_the_ground_where_it_was(camera: SimilarityPath) -> None:
    own = TIME * [0.03, -0.04, 0.05, 0.06]
    similarities, weight = combined(own, camera), disc(6, -4)
    similarities[5:], weight[5:] = np.nan, 0
    found = subject_path(similarities, camera, weight)
    for i in range(5, 8):
        np.testing.assert_allclose(found.matrix(i, GRID), SimilarityPath(own).matrix(4, GRID), atol=1e-9)


def test_a_subject_that_is_never_seen_rests_on_the_ground() -> None:
    similarities = np.full((8, 4), np.nan)
    similarities[0] = 0
    assert subject_path(similarities, CAMERA, np.zeros((8, *GRID), np.float32)).at_rest
