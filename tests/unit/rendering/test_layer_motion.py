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
