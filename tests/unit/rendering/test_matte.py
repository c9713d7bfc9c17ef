"""Mattes: masks settled on the picture's edges."""

import cv2
import numpy as np
import pytest

from miva_core.rendering.matte import fit_lines, matte, on_lines, settle, without_gaps

RED, GREEN = np.float32([0.7, 0.3, 0.2]), np.float32([0.3, 0.6, 0.3])


def windows(planes: np.ndarray, radius: int, y: int, x: int) -> np.ndarray:
    """The pixels (N, …) of a window in planes whose edges were mirrored on."""
    side = 2 * radius + 1
    return planes[y : y + side, x : x + side].reshape(side * side, *planes.shape[2:])


def slow_lines(guide: np.ndarray, values: np.ndarray, weight: np.ndarray, radius: int, smooth: float) -> np.ndarray:
    """In each window a plane is fitted by least squares; a pixel gets the weighted mean of all that it is in."""
    rim = ((radius, radius), (radius, radius))
    far = [np.pad(one, rim + ((0, 0),) * (one.ndim - 2), mode="reflect") for one in (guide, values, weight)]
    lines, total = np.zeros((*values.shape, 4)), np.zeros(values.shape)
    for y, x in np.ndindex(values.shape):
        colours, wanted, counts = (windows(one, radius, y, x) for one in far)
        total[y, x] = counts.sum()
        rows = np.c_[colours, np.ones(len(colours))] * np.sqrt(counts)[:, None]
        # What holds the slopes down are equations of their own.
        held = np.sqrt(smooth * counts.sum()) * np.eye(3, 4)
        wanted = np.r_[wanted * np.sqrt(counts), np.zeros(3)]
        lines[y, x] = np.linalg.lstsq(np.r_[rows, held], wanted, rcond=None)[0]
    far_lines, far_total = np.pad(lines, (*rim, (0, 0)), mode="reflect"), np.pad(total, rim, mode="reflect")
    means = np.zeros_like(lines)
    for y, x in np.ndindex(values.shape):
        means[y, x] = np.average(windows(far_lines, radius, y, x), axis=0, weights=windows(far_total, radius, y, x))
    return means


def test_lines_are_fitted_in_each_window_by_weighted_least_squares() -> None:
    random = np.random.default_rng(0)
    guide, values, weight = random.random((9, 12, 3)), random.random((9, 12)), random.random((9, 12)) + 0.1
    made = fit_lines(*(one.astype(np.float32) for one in (guide, values, weight)), 3, 0.01)
    slow = slow_lines(guide, values, weight, 3, 0.01)
    np.testing.assert_allclose(made, slow, atol=2e-5)
    np.testing.assert_allclose(
        on_lines(guide, slow), np.einsum("hwc,hwc->hw", slow, np.dstack([guide, values * 0 + 1]))
    )


def scene(height: int = 300, width: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """A red body with a thin limb on green, textured both: the picture, and which pixels are its (bool)."""
    subject = np.zeros((height, width), np.uint8)
    cv2.ellipse(subject, (width // 2, height // 2), (120, 80), 0, 0, 360, 1, -1)
    cv2.line(subject, (width // 2 + 100, height // 2), (width // 2 + 200, height // 2 + 60), 1, 16)
    texture = np.random.default_rng(0).normal(0, 0.04, (height, width, 3)).astype(np.float32)
    return np.where(subject[..., None], RED, GREEN) + texture, subject > 0


def moved(subject: np.ndarray, pixels: int) -> np.ndarray:
    """The edge of a subject moved outwards, or inwards where negative, as a mask."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(pixels) + 1, 2 * abs(pixels) + 1))
    change = cv2.dilate if pixels > 0 else cv2.erode
    return change(subject.astype(np.float32), disc) if pixels else subject.astype(np.float32)


@pytest.mark.parametrize("pixels", [0, 2, 3, -2])
def test_a_loose_mask_and_one_that_misses_a_rim_settle_on_the_subject(pixels: int) -> None:
    picture, subject = scene()
    mask = moved(subject, pixels)
    wrong = np.abs(matte(picture, mask) - subject).sum()
    assert wrong < 0.02 * subject.sum()
    assert wrong < 0.3 * np.abs(mask - subject).sum() or not pixels


def test_a_good_mask_is_kept_where_its_subject_has_the_colours_of_the_ground() -> None:
    picture, subject = scene()
    foot = np.zeros_like(subject)
    foot[190:230, 400:500] = True
    hidden = np.where((subject & foot)[..., None], np.roll(picture, 180, 1), picture)
    alpha = matte(hidden, subject.astype(np.float32))
    assert alpha[subject & foot].mean() > 0.8


def test_a_mask_stays_where_the_picture_has_no_edge_at_all() -> None:
    """However small its subject is beside what is around it."""
    mask = np.hypot(*(np.mgrid[:300, :500] - np.array([150, 250])[:, None, None])) < 5
    mask = mask.astype(np.float32)
    assert np.abs(settle(np.full((300, 500, 3), 0.4, np.float32), mask) - mask).max() < 0.2


def test_small_holes_of_a_mask_are_filled_and_large_or_open_ones_are_not() -> None:
    mask = np.zeros((200, 400), np.float32)
    mask[:, 100:300] = 1
    closed = mask.copy()
    closed[50:56, 150:190] = 1
    mask[50:56, 150:190] = mask[100:110, 200:240] = mask[150:156, 280:300] = 0
    closed[100:110, 200:240] = closed[150:156, 280:300] = 0
    assert np.array_equal(without_gaps(mask), closed)


def test_what_is_painted_on_a_subject_stays_on_it() -> None:
    picture, subject = scene()
    badge = np.hypot(*(np.mgrid[:300, :500] - np.array([150, 250])[:, None, None])) < 4
    picture[badge] = 1, 1, 1
    assert matte(picture, (subject & ~badge).astype(np.float32))[badge].min() > 0.9


def test_a_mask_of_nothing_and_one_of_all_stay() -> None:
    picture, _ = scene()
    for value in (0, 1):
        np.testing.assert_allclose(matte(picture, np.full((300, 500), value, np.float32)), value, atol=1e-4)


def test_a_large_picture_gets_edges_of_its_own_size() -> None:
    """Coefficients are found at 1024 pixels, yet the edge is as sharp as the picture's: an enlarged matte is not."""
    _, subject = scene()
    size = 2000, 240
    exact = cv2.resize(subject[120:180].astype(np.float32), size, interpolation=cv2.INTER_NEAREST)
    picture = np.where(exact[..., None] > 0, RED, GREEN)
    small = [cv2.resize(one, (1000, 120), interpolation=cv2.INTER_AREA) for one in (picture, exact)]
    enlarged = cv2.resize(matte(*small), size, interpolation=cv2.INTER_LINEAR)
    assert np.abs(matte(picture, exact) - exact).mean() < 0.3 * np.abs(enlarged - exact).mean()
