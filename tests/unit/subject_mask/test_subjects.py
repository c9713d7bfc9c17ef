"""Subjects by words and by pointing, in pictures and clips."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from subject_models import detector, overlap, scene, segmenter
from torch import Tensor

from miva_core.errors import MIVAError, MIVAWarning
from miva_core.subject_mask import following
from miva_core.subject_mask.search import SearchOptions
from miva_core.subject_mask.subjects import find_subjects, segment
from tools.shapes import boxes_of


def prompt(names: list[str]) -> str:
    return " ".join(f"{name}." for name in names)


def test_one_mask_for_each_phrase_in_the_order_of_the_prompt() -> None:
    shown = scene(21)
    found = find_subjects(shown.frames, prompt(shown.names), detector(), segmenter())
    assert found.masks.shape == (2, 1, 96, 128)
    assert found.masks.dtype == torch.float32
    assert set(found.masks.unique().tolist()) == {0.0, 1.0}
    assert found.labels == shown.names
    assert overlap(found.masks[:, 0], shown.masks[:, 0]).min() > 0.7
    swapped = find_subjects(shown.frames, prompt(shown.names[::-1]), detector(), segmenter())
    assert overlap(swapped.masks.flip(0), found.masks).min() > 0.9
    truth = boxes_of(shown.masks[:, 0])
    for boxes, scores, expected in zip(found.boxes, found.scores, truth, strict=True):
        assert (boxes[0][0] - expected).abs().max() < 6
        assert len(scores[0]) == len(boxes[0]) == 1


@pytest.mark.parametrize("key_frame", [0, 3, 5])
def test_a_clip_is_followed_both_ways(key_frame: int) -> None:
    shown = scene(22, frames=6)
    message: list[tuple[int, int]] = []
    found = find_subjects(
        shown.frames,
        prompt(shown.names),
        detector(),
        segmenter(),
        key_frame=key_frame,
        on_progress=lambda done, total: message.append((done, total)),
    )
    assert overlap(found.masks, shown.masks).min() > 0.7
    assert message == [(k, 6) for k in range(1, 7)]
    for boxes in found.boxes:
        assert [k for k in range(6) if boxes[k] is not None] == [key_frame]
    again = find_subjects(shown.frames, prompt(shown.names), detector(), segmenter(), key_frame=key_frame)
    assert torch.equal(again.masks, found.masks)


def test_pictures_that_are_no_clip_are_looked_at_one_by_one() -> None:
    first, second = scene(23), scene(24)
    pictures = torch.cat([first.frames, second.frames])
    names = [first.names[0], second.names[0]]
    with pytest.warns(MIVAWarning, match=r"found in frame [01]:"):
        found = find_subjects(pictures, prompt(names), detector(), segmenter(), mode="every frame")
    with pytest.warns(MIVAWarning, match="mask is empty"):
        alone = find_subjects(first.frames, prompt(names), detector(), segmenter(), SearchOptions(missing="empty"))
    assert torch.equal(found.masks[:, :1], alone.masks)
    assert overlap(found.masks[0, 0], first.masks[0, 0]) > 0.7
    assert overlap(found.masks[1, 1], second.masks[0, 0]) > 0.7
    assert [len(boxes) for boxes in found.boxes[0]] == [1, 0]


def test_a_phrase_may_mean_several_things() -> None:
    shown = scene(25)
    truth = shown.masks[:, 0].amax(0)
    kinds = {name.split()[1] for name in shown.names}
    found = find_subjects(shown.frames, kinds.pop(), detector(), segmenter(), SearchOptions(0.02, 2, "empty"))
    assert len(found.boxes[0][0]) == 2
    one_by_one = segment(shown.frames, segmenter(), boxes=found.boxes[0][0])
    assert torch.equal(found.masks[0], one_by_one.amax(0))
    if all(overlap(one, truth_of) > 0.7 for one, truth_of in zip(one_by_one[:, 0], shown.masks[:, 0], strict=True)):
        assert overlap(found.masks[0, 0], truth) > 0.7


def test_things_of_one_subject_are_followed_each_by_itself() -> None:
    shown = scene(22, frames=5)
    found = find_subjects(shown.frames, shown.names[0], detector(), segmenter(), SearchOptions(0.0, 2), key_frame=2)
    boxes = found.boxes[0][2]
    assert len(boxes) == 2
    alone = segment(shown.frames, segmenter(), boxes=boxes, key_frame=2)
    assert torch.equal(found.masks[0], alone.amax(0))


def test_nothing_found_is_told_with_what_was() -> None:
    shown = scene(26)
    absent = next(name for name in ("red circle", "blue square", "green triangle") if name not in shown.names)
    expected = f"{shown.names[0]}. {absent}."
    found = detector()(shown.frames[0], [shown.names[0], absent])
    with pytest.raises(MIVAError) as caught:
        find_subjects(shown.frames, expected, detector(), segmenter())
    assert str(caught.value) == (
        f"No '{absent}' (best score {found[1].best_score:.2f}) was found in frame 0 at confidence 0.30. Lower the "
        "confidence, use a plainer word, or take a picture or frame where the subject is visible. Found: "
        f"'{shown.names[0]}' {found[0].scores[0]:.2f}."
    )
    with pytest.warns(MIVAWarning, match="mask is empty"):
        kept = find_subjects(shown.frames, expected, detector(), segmenter(), SearchOptions(missing="empty"))
    assert kept.masks[0].any()
    assert not kept.masks[1].any()


def test_a_box_that_another_phrase_took_is_told() -> None:
    shown = scene(21)
    twice = f"{shown.names[0]}. the {shown.names[0]}."
    with pytest.raises(MIVAError, match="another phrase fits better"):
        find_subjects(shown.frames, twice, detector(), segmenter(), SearchOptions(0.2))


def test_an_empty_mask_is_told() -> None:
    with pytest.warns(MIVAWarning) as caught:
        segment(torch.rand(1, 16, 40, 3), Nothing(), boxes=[[0, 0, 9, 9]])
    assert str(caught[0].message) == (
        "The mask of 'subject 1' is empty in frame 0: SAM 2 saw nothing there; point elsewhere."
    )


class Nothing:
    """A segmenter that sees nothing."""

    def __call__(self, picture: Tensor, **prompts: Any) -> Tensor:
        return torch.full((1, *picture.shape[:2]), -1.0)


def test_a_lost_subject_is_told() -> None:
    shown = scene(15, frames=8, gone=4)
    with pytest.warns(MIVAWarning) as caught:
        segment(shown.frames, segmenter(), rough=shown.masks[:, 0])
    assert str(caught[0].message) == "'subject 1' is lost from frame 4 on (its mask is empty)."
    backwards = shown.frames.flip(0)
    with pytest.warns(MIVAWarning) as caught:
        segment(backwards, segmenter(), rough=shown.masks[:, 0], key_frame=7)
    assert str(caught[0].message) == "'subject 1' is lost up to frame 3 (its mask is empty)."


def test_pointing_at_subjects() -> None:
    shown = scene(27, frames=4)
    truth, boxes = shown.masks, boxes_of(shown.masks[:, 0])
    points = [[((x0 + x1) / 2, (y0 + y1) / 2, 1)] for x0, y0, x1, y1 in boxes.tolist()]
    for hints in ({"boxes": boxes}, {"points": points}, {"rough": truth[:, 0]}, {"boxes": boxes.tolist()}):
        assert overlap(segment(shown.frames, segmenter(), **hints), truth).min() > 0.7


@pytest.mark.parametrize(
    ("hints", "message"),
    [
        ({}, "Expected boxes, points or rough masks, of as many subjects each, but got none of them."),
        (
            {"boxes": [[0, 0, 9, 9]], "points": [[(1, 1, 1)], [(2, 2, 1)]]},
            "Expected boxes, points or rough masks, of as many subjects each, but got 1 boxes and 2 points.",
        ),
        ({"boxes": [[0, 0, 9]]}, "Expected boxes as x0, y0, x1, y1 in pixels, at least one, and four numbers each."),
        ({"boxes": [["a"]]}, "Expected boxes as x0, y0, x1, y1 in pixels, at least one, and four numbers each."),
        (
            {"boxes": [[40, 40, 20, 60]]},
            "The box 40, 40, 20, 60 covers nothing of the image, which is 128×96: give the left, top, right and "
            "bottom edge in pixels.",
        ),
        ({"points": [[(300, 10, 1)]]}, "The point 300, 10 is outside the image, which is 128×96."),
        (
            {"points": [[(30, 10, 2)]]},
            "Expected a point as x, y and 1 (on the subject) or 0 (beside it), got (30, 10, 2).",
        ),
        (
            {"points": [[(30, 10, 0)]]},
            "A subject needs at least one point that lies on it, not only points beside it.",
        ),
        (
            {"points": [(30, 10, 1)]},
            "Expected for each subject a list of points (x, y, label), got [(30, 10, 1)].",
        ),
        (
            {"rough": torch.full((96, 128), 255.0)},
            "The rough mask has values from 255 to 255: scale them to 0 … 1.",
        ),
        (
            {"rough": torch.full((96, 128), 7, dtype=torch.uint8)},
            "The rough mask has values from 7 to 7: scale them to 0 … 1.",
        ),
        ({"rough": [[1]]}, "The rough mask is a list, expected a tensor (H, W) in [0, 1]."),
        ({"points": []}, "There are no points: give at least one that lies on the subject."),
        (
            {"rough": torch.ones(512, 512)},
            "The rough mask is 512×512 but the image is 128×96; resize the mask first.",
        ),
        ({"rough": torch.zeros(1, 96, 128)}, "The rough mask is empty: paint white over the subject."),
        (
            {"rough": torch.zeros(96)},
            "The rough mask has the shape (96,), but masks are (height, width) or (masks, height, width).",
        ),
        ({"boxes": [[0, 0, 9, 9]], "key_frame": 12}, "There is no key frame 12 in a clip of 9 frames, counted from 0."),
        ({"boxes": [[0, 0, 9, 9]], "key_frame": -1}, "There is no key frame -1 in a clip of 9 frames, counted from 0."),
    ],
)
def test_what_cannot_be_pointed_at_is_told(hints: dict[str, Any], message: str) -> None:
    with pytest.raises(MIVAError) as caught:
        segment(torch.rand(9, 96, 128, 3), segmenter(), **hints)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence": 1.5}, "The confidence is 1.5: choose from 0 (everything) to 1 (nothing)."),
        ({"confidence": "0.3"}, "The confidence is '0.3': choose from 0 (everything) to 1 (nothing)."),
        ({"per_subject": 0}, "A subject may have 0 boxes at most: allow at least 1."),
        ({"missing": "skip"}, "The option missing is 'skip': choose 'error' or 'empty'."),
        ({"overlap": "mix"}, "The overlap rule is 'mix': choose 'keep', or 'best' to give each place to one subject."),
    ],
)
def test_search_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MIVAError) as caught:
        SearchOptions(**options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "fast"}, "The option mode is 'fast': choose 'track' or 'every frame'."),
        ({"key_frame": 12}, "There is no key frame 12 in a clip of 9 frames, counted from 0."),
    ],
)
def test_modes_and_key_frames_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MIVAError) as caught:
        find_subjects(torch.rand(9, 96, 128, 3), "red circle", detector(), segmenter(), **options)
    assert str(caught.value) == message


def test_much_memory_is_told_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_LARGE_CLIP", 100_000)
    shown = scene(22, frames=6)
    with pytest.warns(MIVAWarning) as caught:
        segment(shown.frames, segmenter(), rough=shown.masks[:, 0])
    assert str(caught[0].message) == (
        "Tracking 6 frames x 2 subjects needs about 0.0 GB of RAM; shorten the clip or scale it down."
    )


def test_work_can_be_stopped_at_a_frame() -> None:
    class Stop(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise Stop

    shown = scene(22, frames=6)
    with pytest.raises(Stop):
        segment(shown.frames, segmenter(), rough=shown.masks[:, 0], on_progress=stop)


class TwoHalves:
    """A segmenter whose subjects overlap in the middle."""

    def __call__(self, picture: Tensor, **prompts: Any) -> Tensor:
        ramp = torch.linspace(-1, 1, picture.shape[1]).expand(picture.shape[:2])
        return torch.stack([0.5 - ramp, 0.5 + ramp])

    def track(self, frames: Tensor, masks: Tensor) -> Iterator[Tensor]:
        yield from (self(frame) for frame in frames[1:])


def test_overlaps_are_kept_or_given_to_the_best() -> None:
    frames = torch.rand(3, 16, 40, 3)
    boxes = [[0, 0, 30, 16], [10, 0, 40, 16]]
    kept = segment(frames, TwoHalves(), boxes=boxes)
    assert (kept.sum(0) == 2).any()
    best = segment(frames, TwoHalves(), boxes=boxes, overlap="best")
    assert best.sum(0).max() == 1
    assert torch.equal(best.amax(0), kept.amax(0))
    assert best[0, :, :, :20].all()
    assert best[1, :, :, 20:].all()
