"""SAM 2: masks in pictures, and masks followed through clips."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers
from subject_models import SEGMENTER, overlap, scene, segmenter
from torch import Tensor

from miva_core.errors import MIVAError
from miva_core.subject_mask.model_files import load_segmenter
from tools.shapes import boxes_of


def test_masks_from_boxes_points_and_rough_masks() -> None:
    shown = scene(11)
    truth = shown.masks[:, 0]
    boxes = boxes_of(truth)
    assert overlap(segmenter()(shown.frames[0], boxes=boxes) > 0, truth).min() > 0.8
    points = [[((x0 + x1) / 2, (y0 + y1) / 2, 1)] for x0, y0, x1, y1 in boxes.tolist()]
    assert overlap(segmenter()(shown.frames[0], points=points) > 0, truth).min() > 0.8
    with_others = [[point[0], (*other[0][:2], 0)] for point, other in zip(points, points[::-1], strict=True)]
    assert overlap(segmenter()(shown.frames[0], points=with_others) > 0, truth).min() > 0.8
    moved = torch.roll(truth, (3, 3), (1, 2))
    assert overlap(moved, truth).max() < 0.8
    assert overlap(segmenter()(shown.frames[0], boxes=boxes, rough=moved) > 0, truth).min() > 0.8


def test_a_things_mask_does_not_depend_on_the_others() -> None:
    shown = scene(11)
    (x0, y0, x1, y1), other = boxes_of(shown.masks[:, 0]).tolist()
    points = [
        [((x0 + x1) / 2, (y0 + y1) / 2, 1)],
        [(other[0] + 8, other[1] + 8, 1), (other[2] - 8, other[3] - 8, 1), (1, 1, 0)],
    ]
    both = segmenter()(shown.frames[0], points=points)
    for k in range(2):
        torch.testing.assert_close(both[k : k + 1], segmenter()(shown.frames[0], points=[points[k]]))


def test_masks_are_those_of_the_library() -> None:
    shown = scene(12)
    boxes = boxes_of(shown.masks[:, 0])
    processor = transformers.Sam2Processor.from_pretrained(SEGMENTER)
    model = transformers.Sam2Model.from_pretrained(SEGMENTER, dtype=torch.float32).eval()
    picture = (shown.frames[0] * 255).round().byte().permute(2, 0, 1)
    inputs = processor(images=picture, input_boxes=[boxes.tolist()], return_tensors="pt")
    with torch.no_grad():
        out = model(**inputs, multimask_output=False)
    expected = processor.post_process_masks(out.pred_masks, inputs["original_sizes"], binarize=False)[0][:, 0]
    torch.testing.assert_close(segmenter()(shown.frames[0], boxes=boxes), expected, atol=1e-3, rtol=1e-3)


def followed_by_the_library(frames: Tensor, masks: Tensor) -> list[Tensor]:
    """Logits of each frame after the first, with the whole clip and all its states kept."""
    model = transformers.Sam2VideoModel.from_pretrained(SEGMENTER, dtype=torch.float32).eval()
    processor = transformers.Sam2VideoProcessor.from_pretrained(SEGMENTER)
    pixels = torch.cat([segmenter()._pixels(frame) for frame in frames])
    session = processor.init_video_session(dtype=torch.float32)
    session.processed_frames = dict(enumerate(pixels))
    for k, mask in enumerate(masks):
        processor.add_inputs_to_inference_session(session, frame_idx=0, obj_ids=k, input_masks=[mask])
        model(session, frame_idx=0)
    outputs = list(model.propagate_in_video_iterator(session, start_frame_idx=0))
    return [F.interpolate(out.pred_masks, frames.shape[1:3], mode="bilinear")[:, 0] for out in outputs[1:]]


@pytest.mark.parametrize("longer", [False, True])
def test_forgetting_changes_nothing(longer: bool) -> None:
    config = transformers.Sam2VideoConfig.from_pretrained(SEGMENTER)
    # Longer than anything the model looks back to, or shorter.
    length = config.max_object_pointers_in_encoder + config.num_maskmem + 6 if longer else 6
    shown = scene(13, frames=length)
    tracked = list(segmenter().track(shown.frames, shown.masks[:, 0] > 0.5))
    expected = followed_by_the_library(shown.frames, shown.masks[:, 0] > 0.5)
    assert len(tracked) == length - 1
    for mine, theirs in zip(tracked, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-3)


def test_memory_does_not_grow_with_the_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions: list[Any] = []
    make = transformers.Sam2VideoProcessor.init_video_session

    def spied(*args: Any, **options: Any) -> Any:
        sessions.append(make(*args, **options))
        return sessions[-1]

    monkeypatch.setattr(transformers.Sam2VideoProcessor, "init_video_session", spied)
    config = transformers.Sam2VideoConfig.from_pretrained(SEGMENTER)
    kept = config.max_object_pointers_in_encoder + config.num_maskmem
    shown = scene(14, frames=2 * kept)
    held = []
    for _ in segmenter().track(shown.frames, shown.masks[:, 0] > 0.5):
        (session,) = sessions
        outputs = [of for thing in session.output_dict_per_obj.values() for of in thing.values()]
        tensors = [t for of in outputs for state in of.values() for t in state.values() if isinstance(t, Tensor)]
        tensors += [pixels for pixels in session.processed_frames.values() if pixels is not None]
        held.append(sum(tensor.numel() for tensor in tensors))
    assert max(held[kept:]) <= held[kept]


def test_a_shape_that_vanishes_is_lost() -> None:
    shown = scene(15, frames=8, gone=4)
    tracked = torch.stack(list(segmenter().track(shown.frames, shown.masks[:, 0] > 0.5)), dim=1)
    assert not (tracked[0, 4:] > 0).any()
    assert overlap(tracked[1] > 0, shown.masks[1, 1:]).min() > 0.7


def test_weights_of_pictures_alone_cannot_track(tmp_path: Path) -> None:
    shutil.copytree(SEGMENTER, tmp_path / "pictures", copy_function=shutil.copyfile)
    model = transformers.Sam2Model.from_pretrained(SEGMENTER, dtype=torch.float32)
    model.save_pretrained(tmp_path / "pictures")
    alone = load_segmenter(tmp_path / "pictures")
    shown = scene(16, frames=2)
    boxes = boxes_of(shown.masks[:, 0])
    torch.testing.assert_close(alone(shown.frames[0], boxes=boxes), segmenter()(shown.frames[0], boxes=boxes))
    with pytest.raises(MIVAError, match="for pictures alone"):
        next(alone.track(shown.frames, shown.masks[:, 0] > 0.5))
