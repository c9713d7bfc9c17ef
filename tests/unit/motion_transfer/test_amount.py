"""Motions of another strength, against positions that are known in closed form."""

import numpy as np
import pytest

from miva_core.motion_transfer.amount import places_before, with_strength
from miva_core.motion_transfer.clip_flow import moved, sampled
from miva_core.rendering.flow_fit import centred_grid
from miva_core.rendering.layer_motion import LayerMotion
from miva_core.rendering.path import SimilarityPath
from miva_core.rendering.residual import Residual

SIZE = (40, 60)
STEPS = np.array([0.02, 0.01, 0.03, -0.02])


def camera(rest: float) -> LayerMotion:
    """A camera of three frames, and a smooth bend whose second frame is half of the third."""
    grid = centred_grid(*SIZE)
    bump = np.exp(-((grid / 12) ** 2).sum(-1))[..., None] * np.array([rest, -rest / 2])
    flow = np.stack([bump * 0, bump, 2 * bump]).astype(np.float32)
    return LayerMotion(SimilarityPath(np.arange(3)[:, None] * STEPS), Residual(flow) if rest else None)


def shown(motion: LayerMotion, time: int, places: np.ndarray) -> np.ndarray:
    """What of frame 1 a frame shows at places off its centre."""
    stiff = moved(motion.path.matrix(time, SIZE), places)
    return stiff if motion.residual is None else stiff + sampled(motion.residual.flow[time], places)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("rest", [0.0, 2.0])
def test_what_is_seen_goes_so_many_times_as_far_from_its_stiff_place(strength: float, rest: float) -> None:
    """The point of frame 1 that lies at p in a frame lies, beside the stiff motions, so many times as far away."""
    before, (after, _) = camera(rest), with_strength((camera(rest), {}), strength, SIZE)
    grid = centred_grid(*SIZE)[12:-12, 12:-12]
    for time in (1, 2):
        point = shown(before, time, grid)
        beside = point - moved(before.path.matrix(time, SIZE), grid)
        stiff = point - strength * beside
        place = moved(np.linalg.inv(after.path.matrix(time, SIZE)), stiff)
        np.testing.assert_allclose(shown(after, time, place), point, atol=0.08)
        np.testing.assert_allclose(sampled(places_before(before, strength, time, SIZE), place), grid, atol=0.08)


def test_a_subject_takes_its_own_way_on_the_ground_so_many_times() -> None:
    own = LayerMotion(SimilarityPath(np.arange(3)[:, None] * [0, 0, -0.05, 0.1]), camera(2.0).residual)
    ground, subjects = with_strength((camera(0.0), {"it": own}), 0.5, SIZE)
    np.testing.assert_allclose(ground.path.similarities[2], STEPS)
    np.testing.assert_allclose(subjects["it"].path.similarities[2], [0, 0, -0.05, 0.1])
    still, _ = with_strength((own, {}), 0.0, SIZE)
    assert still.rests
