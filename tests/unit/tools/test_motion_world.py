"""Clips with exact flow: against frame 1, against formulas a pixel at a time, and what may be in them."""

import math
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from miva_core.bases.miramo.layered_flow import MASK_GUIDE, NEARNESS_GUIDE, NO_GUIDE
from miva_core.motion_fields.shake import shake_path
from tools.motion_world.batch import SLOTS, WORDS, WorldBatch
from tools.motion_world.clips import World
from tools.motion_world.drawing import Ask, Mix, draw_clip
from tools.motion_world.ground import Ground, draw_ground
from tools.motion_world.photographs import HELD_OUT, Photographs, View, training_photographs
from tools.motion_world.scene import Front, Said, Scene, Subject, render
from tools.motion_world.shapes import Band, Blob

SIZE = (24, 32)
TIMES = torch.tensor([0.0, 4.0, 11.0])
Place = tuple[float, float]


def smooth_picture(seed: int) -> np.ndarray:
    """Waves that bilinear sampling keeps."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:130, :170]
    waves = [
        np.sin(rng.uniform(0.03, 0.09) * x + rng.uniform(0.03, 0.09) * y + phase) for phase in rng.uniform(0, 6, 3)
    ]
    return (127.5 + 120 * np.stack(waves, -1)).astype(np.uint8)


@pytest.fixture(scope="module")
def world() -> World:
    return World(Photographs([smooth_picture(seed) for seed in range(3)], ["a", "b", "c"]))


def view() -> View:
    return View(torch.zeros(1, 3, 40, 40), 1.0, (0.0, 0.0), 1.0)


def blob(x: float, y: float, radius: float) -> Blob:
    return Blob(torch.ones(256), (x, y), (radius, radius), 0.0)


def slow_warp(frame: np.ndarray, x: float, y: float) -> np.ndarray | None:
    """The colour of a place between pixels, or None outside of the frame."""
    left, top = math.floor(x), math.floor(y)
    if not (0 <= left < frame.shape[2] - 1 and 0 <= top < frame.shape[1] - 1):
        return None
    across, down = x - left, y - top
    above = frame[:, top, left] * (1 - across) + frame[:, top, left + 1] * across
    below = frame[:, top + 1, left] * (1 - across) + frame[:, top + 1, left + 1] * across
    return above * (1 - down) + below * down


def squared_errors(batch: WorldBatch, clip: int, frame: int) -> list[float]:
    """Of frame 1 warped by the flow, where that is trusted and both frames show one layer alone."""
    frames, flow, trusted, moving = (
        part[clip].numpy() for part in (batch.frames, batch.flow, batch.trusted, batch.moving)
    )
    mixed = (moving > 0.02) & (moving < 0.98) & (batch.kinds[clip] != "region")
    rim = cv2.dilate(mixed[0].astype(np.uint8), np.ones((3, 3)))
    errors = []
    for y, x in np.ndindex(*mixed.shape[1:]):
        dx, dy = flow[frame, :, y, x]
        colour = slow_warp(frames[0], x + dx, y + dy)
        if (
            trusted[frame, y, x]
            and not mixed[frame, y, x]
            and colour is not None
            and not rim[round(y + dy), round(x + dx)]
        ):
            errors.append(float(((colour - frames[frame, :, y, x]) ** 2).mean()))
    return errors


@pytest.mark.parametrize("word", ["zoom_out", "truck_left", "ripple", "rise", "shake"])
def test_frame_1_along_the_flow_is_what_each_frame_shows(world: World, word: str) -> None:
    batch = world.batch(3, 2, SIZE, TIMES, Ask(word, speed=0.8))
    errors = [error for clip in range(2) for error in squared_errors(batch, clip, 2)]
    assert len(errors) > 0.3 * 2 * math.prod(SIZE)
    still = (batch.frames[:, 2] - batch.frames[:, 0]).square().mean().item()
    assert np.mean(errors) < still / 50


def slow_flow(size: tuple[int, int], source: Callable[[float, float], Place]) -> Tensor:
    """(2, H, W) of a function from places to places."""
    height, width = size
    flow = torch.zeros(2, height, width)
    for row in range(height):
        for column in range(width):
            x, y = column - (width - 1) / 2, row - (height - 1) / 2
            flow[:, row, column] = torch.tensor(source(x, y)) - torch.tensor([x, y])
    return flow


def test_shake_camera_and_soft_region_in_that_order() -> None:
    sky = Subject(Said("drift_left", 0.6), Band(2.0, (0.0, 0.0, 0.0), -1.0), 3.0, None)
    scene = Scene(SIZE, view(), Said("roll_cw", 0.7), subject=sky, shake=Said("shake", 0.9), seed=5)
    rendered = render(scene, TIMES)
    for index, time in enumerate(TIMES.tolist()):
        shift = (1.5 * 0.9 * shake_path(torch.tensor(time), 5)).tolist()
        turn = math.radians(1.5) * 0.7 * time

        def source(x: float, y: float, time: float = time, shift: list[float] = shift, turn: float = turn) -> Place:
            x, y = x + shift[0], y + shift[1]
            x, y = math.cos(turn) * x - math.sin(turn) * y, math.sin(turn) * x + math.cos(turn) * y
            mask = 1 / (1 + math.exp(-2 * (2.0 - y) / 3.0))
            return x + mask * 0.6 * time, y

        assert (rendered.flow[index] - slow_flow(SIZE, source)).abs().max() < 1e-4
    assert rendered.trusted.min() == 1
    assert rendered.moving[0, 0, 0] > 0.99 > 0.01 > rendered.moving[0, -1, 0]


def test_what_stands_before_the_ground_and_what_is_carried_over_both() -> None:
    ground = Ground(0.3, 0.3, 0.0, 10.0, 0.0, (0.0, 0.0, 0.0, 0.0))
    front, subject = blob(-8.0, 0.0, 5.0), blob(5.0, 2.0, 4.0)
    scene = Scene(
        SIZE,
        view(),
        Said("truck_right", 0.5),
        ground=ground,
        fronts=[Front(front, view(), 0.9)],
        subject=Subject(Said("rise", 0.4), subject, None, view()),
    )
    rendered = render(scene, TIMES)
    for index, time in enumerate(TIMES.tolist()):

        def source(x: float, y: float, time: float = time) -> Place:
            behind, before = x + 0.5 * time * 0.5, x + 0.5 * time * 1.1
            if math.hypot(behind - 5.0, y + 0.4 * time - 2.0) < 4.0:
                return behind, y + 0.4 * time
            return (before, y) if math.hypot(before + 8.0, y) < 5.0 else (behind, y)

        assert (rendered.flow[index] - slow_flow(SIZE, source)).abs().max() < 1e-4
        for row, column in np.ndindex(*SIZE):
            x, y = column - 15.5 + 0.5 * time * 0.5, row - 11.5
            flow = rendered.flow[index, :, row, column]
            of_ground = bool(torch.allclose(flow, torch.tensor([0.5 * time * 0.5, 0.0]), atol=1e-4)) and time > 0
            hidden = min(math.hypot(x - 5.0, y - 2.0) - 4.0, math.hypot(x + 8.0, y) - 5.0) < 0.7
            if of_ground and hidden:
                assert rendered.trusted[index, row, column] == 0
    near = scene.nearness()
    assert {round(value, 3) for value in near.unique().tolist()} == {0.3, 0.9}


def test_what_is_seen_of_a_ground_is_as_near_as_it_has_moved() -> None:
    rng = np.random.default_rng(0)
    for name in ("truck_left", "dolly_in", "dolly_out"):
        for _ in range(4):
            ground = draw_ground(rng, (64, 64))
            scene = Scene((64, 64), view(), Said(name, 1.0), ground=ground)
            places = scene.grid.double() + render(scene, torch.tensor([15.0])).flow[0].permute(1, 2, 0).double()
            way = 15.0 * (0.2 + ground.nearness(places))
            if name == "truck_left":
                expected = scene.grid - torch.stack([way, torch.zeros_like(way)], -1)
            else:
                expected = scene.grid * torch.exp((-0.024 if name == "dolly_in" else 0.024) * way)[..., None]
            assert (places - expected).norm(dim=-1).quantile(0.99) < 0.1


def test_a_seed_gives_the_same_clips_and_another_one_others(world: World) -> None:
    one, same, other = (world.batch(seed, 6, SIZE, TIMES) for seed in (7, 7, 8))
    for part in fields(WorldBatch):
        value, again = getattr(one, part.name), getattr(same, part.name)
        assert torch.equal(value, again) if isinstance(value, Tensor) else value == again
    assert not torch.equal(one.frames, other.frames)


def test_times_choose_frames_of_one_clip(world: World) -> None:
    whole, some = world.batch(2, 4, SIZE, torch.arange(16)), world.batch(2, 4, SIZE, torch.tensor([0, 5, 9]))
    assert torch.allclose(whole.flow[:, [0, 5, 9]], some.flow)
    assert torch.allclose(whole.shake[:, [0, 5, 9]], some.shake)
    assert not some.flow[:, 0].any()


def test_captions_tell_what_moves(world: World) -> None:
    batch = world.batch(0, 40, SIZE, TIMES)
    assert {"camera", "depth", "region", "carried"} <= set(batch.kinds)
    for clip, kind in enumerate(batch.kinds):
        words, speeds = batch.words[clip], batch.speeds[clip]
        assert ((words > 0) == (speeds > 0)).all()
        assert kind == "still" or words[SLOTS[kind]] > 0
        assert bool(batch.region[clip].any()) == bool(words[1])
        assert bool(batch.guide[clip].any()) == bool(batch.guide_kind[clip] != NO_GUIDE)
        if not words.any():
            assert not batch.flow[clip].any()


@pytest.mark.parametrize(("word", "guide"), [("sway", MASK_GUIDE), ("jump", MASK_GUIDE), ("dolly_out", NEARNESS_GUIDE)])
def test_a_single_word_is_asked_for_with_and_without_its_guide(world: World, word: str, guide: int) -> None:
    with_guide = world.batch(1, 3, SIZE, TIMES, Ask(word, 0.5, guided=True))
    without = world.batch(1, 3, SIZE, TIMES, Ask(word, 0.5, guided=False))
    assert set(with_guide.guide_kind.tolist()) == {guide}
    assert set(without.guide_kind.tolist()) == {NO_GUIDE}
    assert {WORDS[index] for index in with_guide.words.flatten()} == {"", word}
    assert with_guide.speeds.sum(1).tolist() == pytest.approx([0.5] * 3)


def test_a_region_is_a_part_of_the_picture_or_cut_out(world: World) -> None:
    soft, hard = (world.batch(4, 3, SIZE, TIMES, Ask("flag", 1.0, hard=hard)) for hard in (False, True))
    assert soft.trusted.min() == 1
    assert hard.trusted.min() == 0
    assert (soft.guide_kind == MASK_GUIDE).all()


def test_guides_are_rough_but_of_what_moves(world: World) -> None:
    batch = world.batch(9, 20, (64, 64), TIMES, Ask("slide_left", guided=True))
    drawn, true = batch.guide > 0.5, batch.region > 0.5
    overlap = (drawn & true).sum((1, 2)) / (drawn | true).sum((1, 2))
    assert overlap.min() > 0.4
    assert 0.6 < overlap.mean() < 0.97


def test_shares_of_the_mix_are_kept(world: World) -> None:
    rng = np.random.default_rng(0)
    mix = Mix(hard=1.0, guided=0.0, near=1.0, beside=0.0, shaken=0.0, distracted=0.0)
    for _ in range(40):
        drawn = draw_clip(world.photographs, mix, rng, SIZE, None)
        assert len(drawn.scene.said) == (drawn.kind != "still")
        assert drawn.guide_kind == (NEARNESS_GUIDE if drawn.kind == "depth" else NO_GUIDE)


def test_held_out_photographs_are_not_learnt_from(tmp_path: Path) -> None:
    for name in ("mine", *HELD_OUT, "world-koala"):
        cv2.imwrite(str(tmp_path / f"{name}.jpg"), smooth_picture(0))
    assert training_photographs(tmp_path, painted=2).names == ("mine", "painted-0", "painted-1")
