import numpy as np
import pytest

from miva_core.rendering.layer_motion import fit_motions

FRAMES, SIDE = 16, 32


def panned(speed: float) -> np.ndarray:
    """The flow (F, h, w, 2) of a camera that goes to the right."""
    flow = np.zeros((FRAMES, SIDE, SIDE, 2), np.float32)
    flow[..., 0] = speed * np.arange(FRAMES)[:, None, None]
    return flow


def box(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    """A mask of a picture that has eight pixels to one of the flow."""
    mask = np.zeros((8 * SIDE, 8 * SIDE), np.float32)
    mask[top:bottom, left:right] = 1
    return mask


@pytest.mark.parametrize(
    "mask",
    [box(125, 137, 125, 137), box(40, 200, 125, 131), box(60, 180, 0, 32), box(60, 180, 60, 120)],
    ids=["small", "thin", "leaves", "stays"],
)
@pytest.mark.parametrize("speed", [0.9, -0.3])
def test_a_subject_at_rest_on_the_ground_stays_there(mask: np.ndarray, speed: float) -> None:
    """However little of it the flow shows."""
    camera, subjects = fit_motions(panned(speed), {"it": mask})
    np.testing.assert_allclose(camera.path.similarities[-1], [0, 0, 15 * speed / SIDE, 0], atol=1e-3)
    assert subjects["it"].rests


def jumping(radius: float, speed: float, height: float = 6.0, side: int = 64) -> np.ndarray:
    """The flow of a disc without a mask that jumps twice, and of a camera that goes to the right."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    flow = np.zeros((FRAMES, side, side, 2), np.float32)
    for i in range(FRAMES):
        up = height * abs(np.sin(i * np.pi / 8))
        flow[i, np.hypot(x + speed * i, y + up) < radius, 1] = up
    flow[..., 0] = speed * np.arange(FRAMES)[:, None, None]
    return flow


@pytest.mark.parametrize("speed", [0, 0.3, 0.9])
@pytest.mark.parametrize("radius", [8, 12, 16])
def test_what_moves_without_a_mask_bends_the_ground_of_any_camera(radius: float, speed: float) -> None:
    noise = np.random.default_rng(0).normal(scale=0.1, size=(FRAMES, 64, 64, 2)).astype(np.float32)
    motion, _ = fit_motions(jumping(radius, speed) + noise, {})
    np.testing.assert_allclose(motion.path.similarities[-1], [0, 0, 15 * speed / 64, 0], atol=0.005)
    assert motion.residual is not None
    for i in (4, 12):
        # Its middle is then six pixels higher, and so far to the left.
        rest = motion.residual.flow[i, 26, max(0, round(31.5 - speed * i))]
        np.testing.assert_allclose(rest, [0, 6], atol=0.8)
    if speed > 0:
        assert np.abs(motion.residual.flow[:, -8:]).max() < 0.5


def test_two_cameras_at_once_that_are_no_similarity_bend_nothing() -> None:
    """Bases shear a little then: the rest is the larger the farther out, as long as that of a subject, and dropped."""
    y, x = np.mgrid[:64, :64] - 31.5
    flow = panned_in(0.9)
    flow[..., 0] += np.arange(FRAMES)[:, None, None] / 15 * 3 * x * y / 31.5**2
    assert fit_motions(flow, {})[0].residual is None


def panned_in(speed: float) -> np.ndarray:
    """The flow (F, 64, 64, 2) of a camera that goes to the right and closer."""
    y, x = (np.mgrid[:64, :64] - 31.5).astype(np.float32)
    closer = np.exp(-0.01 * np.arange(FRAMES))[:, None, None] - 1
    return np.stack([closer * x + speed * np.arange(FRAMES)[:, None, None], closer * y], axis=-1).astype(np.float32)


@pytest.mark.parametrize("size", [(512, 512), (512, 910), (600, 400)], ids=str)
def test_a_subject_that_turns_about_itself_stays_where_it_is(size: tuple[int, int]) -> None:
    """Off the centre, and at any aspect: its middle is the only place that does not move."""
    y, x = np.mgrid[:64, :64] - 31.5
    places, middle = x + 1j * y, 16 + 10j
    subject = np.abs(places - middle) < 9
    turns = np.exp(0.25j * np.sin(np.arange(FRAMES) * np.pi / 8))[:, None, None]
    moves = (turns - 1) * (places - middle) * subject
    flow = np.stack([moves.real, moves.imag], axis=-1).astype(np.float32)
    _, subjects = fit_motions(flow, {"it": subject.astype(np.float32)})
    scale = np.array([size[1] / 64, size[0] / 64, 1])
    matrix = subjects["it"].path.matrix(4, size)
    np.testing.assert_allclose(np.angle(matrix[0, 0] + 1j * matrix[1, 0]), 0.25, atol=0.01)
    # A tenth of a pixel of the flow, which one of the subject's edge makes of its middle.
    np.testing.assert_allclose(matrix @ ([16, 10, 1] * scale), [16, 10, 1] * scale, atol=0.1 * scale.max())
