import numpy as np

from miva_core.rendering.carried_masks import away_from, carry_mask, without_uncovered


def square(top: int, left: int, scale: int = 1) -> np.ndarray:
    mask = np.zeros((16 * scale, 20 * scale), np.float32)
    mask[top * scale : (top + 4) * scale, left * scale : (left + 4) * scale] = 1
    return mask


def test_a_mask_goes_with_the_flow() -> None:
    """A backward flow of (-3, 1) shows at a pixel what was to its left and below: the mask moves right and up."""
    flow = np.zeros((2, 16, 20, 2), np.float32)
    flow[1] = [-3, 1]
    for scale in (1, 3):
        carried = carry_mask(square(6, 5, scale), flow)
        np.testing.assert_allclose(carried, [square(6, 5), square(5, 8)], atol=1e-6)


def test_what_is_near_a_subject_then_or_at_first_is_no_ground() -> None:
    away = away_from(np.stack([square(6, 5), square(6, 12)]))
    # Two pixels around where it is now, one around where it was at first.
    expected = np.ones((2, 16, 20), bool)
    expected[0, 4:12, 3:11] = False
    expected[1, 4:12, 10:18] = False
    expected[1, 5:11, 4:10] = False
    np.testing.assert_array_equal(away > 0.5, expected)


def test_uncovered_ground_is_not_the_subject() -> None:
    """It points to itself, where the subject was; where all is slow nothing is uncovered."""
    carried = np.stack([square(6, 5), np.maximum(square(6, 5), square(6, 12)), square(6, 5)])
    own = np.stack([np.zeros((16, 20)), 7.0 * square(6, 12), 0.3 * square(6, 5)]) + 0.1
    np.testing.assert_array_equal(without_uncovered(carried, own), [square(6, 5), square(6, 12), square(6, 5)])
    assert not without_uncovered(np.zeros((1, 16, 20), np.float32), own[:1]).any()
