"""Subject Mask: by words, a box, points and a drawing, in a picture with a green and a yellow circle."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from comfyui_miva.nodes import MIVASubjectMask
from fake_comfyui import FakeComfyUI, Interrupted
from node_runs import motion, run, shown
from torch import Tensor

from miva_core.subject_mask import edits
from miva_core.subject_mask.grabcut import grabcut
from miva_core.subject_mask.shape_models import SHAPES

DEMO = "drawn shapes (built-in demo)"


def green(frames: Tensor) -> Tensor:
    """Where pictures (…, H, W, 3) are much greener than red or blue."""
    return (frames[..., 1] - frames[..., [0, 2]].amax(-1)) > 0.2


def overlap(one: Tensor, other: Tensor) -> float:
    """Intersection over union."""
    one, other = one > 0.5, other > 0.5
    return ((one & other).sum() / (one | other).sum()).item()


def box_of(mask: Tensor, margin: int = 0) -> list[int]:
    """Left, top, right and bottom of a mask (H, W)."""
    y, x = mask.nonzero().T
    return [int(x.min()) - margin, int(y.min()) - margin, int(x.max()) + 1 + margin, int(y.max()) + 1 + margin]


def words(prompt: str, **settings: Any) -> dict[str, Any]:
    return {"method": "words", "prompt": prompt, "detector": DEMO, "segmenter": DEMO, **settings}


@pytest.fixture
def moving(shapes: Tensor) -> Tensor:
    """IMAGE of four frames (4, 192, 192, 3), in which all moves to the right by 8 pixels a frame."""
    small = torch.nn.functional.interpolate(shapes.movedim(-1, 1), (192, 192), mode="area").movedim(1, -1)
    return torch.cat([small.roll(8 * k, dims=2) for k in range(4)])


def test_a_green_circle_is_found_by_words(shapes: Tensor) -> None:
    output = run(MIVASubjectMask, image=shapes, method=words("green circle"))
    mask, preview, boxes = output
    assert mask.shape == (1, *shapes.shape[1:3])
    assert overlap(mask[0], green(shapes[0])) > 0.9
    (subject,) = json.loads(boxes)["subjects"]
    assert subject["label"] == "green circle"
    (found,) = subject["frames"][0]["boxes"]
    expected = box_of(green(shapes[0]))
    assert max(abs(a - b) for a, b in zip(found["box"], expected, strict=True)) < 12
    assert 0.3 <= found["score"] <= 1
    assert preview.shape == shapes.shape
    inside = mask[0] > 0.5
    assert (preview[0] - shapes[0]).abs().mean(-1)[inside].mean() > 0.05
    far = torch.ones_like(inside)
    left, top, right, bottom = box_of(inside, 40)
    far[max(0, top) : bottom, max(0, left) : right] = False
    assert (preview[0] - shapes[0]).abs()[far].max() < 0.01
    assert len(output.ui["images"]) == 1
    (share,) = re.fullmatch(r"The mask covers ([\d.]+)% of the picture\.", shown(output)).groups()
    assert float(share) == pytest.approx(100 * green(shapes[0]).float().mean().item(), abs=1)


def test_several_phrases_make_one_mask(shapes: Tensor) -> None:
    yellow = run(MIVASubjectMask, image=shapes, method=words("yellow circle"))[0]
    assert overlap(yellow[0], (shapes[0, ..., :2].amin(-1) - shapes[0, ..., 2]) > 0.3) > 0.9
    both, _, boxes = run(MIVASubjectMask, image=shapes, method=words("green circle. yellow circle"))
    assert overlap(both, torch.maximum(yellow, green(shapes).float())) > 0.9
    assert [subject["label"] for subject in json.loads(boxes)["subjects"]] == ["green circle", "yellow circle"]


def test_without_words_the_subject_of_the_last_motion_is_looked_for(shapes: Tensor) -> None:
    (entry,) = motion("jump_masked")
    about = (replace(entry, info=replace(entry.info, subject="green circle")),)
    mask = run(MIVASubjectMask, image=shapes, method=words(""), mivas=(*motion("jump_masked"), *about))[0]
    assert overlap(mask[0], green(shapes[0])) > 0.9
    written = run(MIVASubjectMask, image=shapes, method=words("yellow circle"), mivas=about)[0]
    assert overlap(written[0], green(shapes[0])) < 0.1


def test_a_subject_is_followed_through_a_clip(moving: Tensor, comfyui: FakeComfyUI) -> None:
    mask, _, boxes = run(MIVASubjectMask, image=moving, method=words("green circle"), key_frame=1)
    assert all(overlap(one, green(frame)) > 0.8 for one, frame in zip(mask, moving, strict=True))
    assert [frame["frame"] for frame in json.loads(boxes)["subjects"][0]["frames"]] == [1]
    assert comfyui.progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    anew = words("green circle", frames="find in every frame")
    mask, _, boxes = run(MIVASubjectMask, image=moving, method=anew)
    assert all(overlap(one, green(frame)) > 0.8 for one, frame in zip(mask, moving, strict=True))
    assert [frame["frame"] for frame in json.loads(boxes)["subjects"][0]["frames"]] == [0, 1, 2, 3]


def test_a_stop_takes_a_frame(moving: Tensor, comfyui: FakeComfyUI) -> None:
    comfyui.stop_at = (2, 4)
    with pytest.raises(Interrupted):
        run(MIVASubjectMask, image=moving, method=words("green circle"))
    assert comfyui.progress == [(1, 4), (2, 4)]


def test_a_box_is_cut_out_by_colours_or_by_a_model(shapes: Tensor) -> None:
    box = box_of(green(shapes[0]), margin=10)
    method = {"method": "box", "box": ",".join(map(str, box))}
    for segmenter in ("by colours, without a model", DEMO):
        mask = run(MIVASubjectMask, image=shapes, method=method | {"segmenter": segmenter})[0]
        assert overlap(mask[0], green(shapes[0])) > 0.9, segmenter


def test_points_show_what_is_meant(shapes: Tensor) -> None:
    left, top, right, bottom = box_of(green(shapes[0]))
    x, y = (left + right) // 2, (top + bottom) // 2
    method = {"method": "points", "points": f" {x},{y}  5,5,0 ", "segmenter": DEMO}
    assert overlap(run(MIVASubjectMask, image=shapes, method=method)[0][0], green(shapes[0])) > 0.9


def test_a_drawing_is_taken_as_it_is_or_made_exact(shapes: Tensor) -> None:
    left, top, right, bottom = box_of(green(shapes[0]))
    drawn = torch.zeros(1, *shapes.shape[1:3])
    drawn[:, top:bottom, left:right] = 1
    method = {"method": "drawn mask", "drawn": drawn}
    as_drawn = run(MIVASubjectMask, image=shapes, method=method | {"segmenter": "as it is drawn"})[0]
    assert torch.equal(as_drawn, drawn)
    assert overlap(drawn[0], green(shapes[0])) < 0.85
    by_colours = run(MIVASubjectMask, image=shapes, method=method | {"segmenter": "by colours, without a model"})[0]
    assert overlap(by_colours[0], green(shapes[0])) > 0.9
    assert torch.equal(by_colours[0], grabcut(shapes[0], rough=drawn[0]))
    exact = run(MIVASubjectMask, image=shapes, method=method | {"segmenter": DEMO})[0]
    assert overlap(exact[0], green(shapes[0])) > 0.9


def test_a_drawing_holds_for_every_frame_of_a_clip(moving: Tensor) -> None:
    drawn = torch.zeros(1, 192, 192)
    drawn[:, 40:90, 30:80] = 1
    method = {"method": "drawn mask", "drawn": drawn, "segmenter": "as it is drawn"}
    assert torch.equal(run(MIVASubjectMask, image=moving, method=method)[0], drawn.expand(4, -1, -1))


def test_a_mask_is_changed_on_its_way_out(shapes: Tensor) -> None:
    y, x = torch.meshgrid(torch.arange(384), torch.arange(384), indexing="ij")
    away = ((y - 192.0) ** 2 + (x - 192.0) ** 2).sqrt()
    drawn = ((away < 100) & (away > 30)).float()  # a ring
    drawn[:20, :20] = 1  # and a crumb
    method = {"method": "drawn mask", "drawn": drawn[None], "segmenter": "as it is drawn"}

    def changed(**settings: Any) -> Tensor:
        return run(MIVASubjectMask, image=shapes, method=method, **settings)[0][0]

    assert torch.equal(changed(keep_largest=True), ((away < 100) & (away > 30)).float())
    assert changed(fill_holes=True)[192, 192] == 1 and changed(fill_holes=True)[:20, :20].all()
    assert torch.equal(changed(invert=True), 1 - drawn)
    area = changed(keep_largest=True, fill_holes=True, grow=10).sum().item()
    assert area == pytest.approx(torch.pi * 110**2, rel=0.02)
    everything = changed(keep_largest=True, fill_holes=True, grow=-10, feather=8, invert=True)
    one = edits.feather((away < 90).float(), 8)
    assert (everything - (1 - one)).abs().mean() < 0.02


def test_another_picture_or_word_loads_no_model(shapes: Tensor, comfyui: FakeComfyUI) -> None:
    run(MIVASubjectMask, image=shapes, method=words("green circle"))
    first = [patchers for patchers, _, _ in comfyui.loads]
    run(MIVASubjectMask, image=shapes.flip(2), method=words("yellow circle"))
    assert [patchers for patchers, _, _ in comfyui.loads] == [*first, *first]


def test_models_of_ones_own_are_found_and_read_again_when_replaced(shapes: Tensor, comfyui: FakeComfyUI) -> None:
    for folder in ("grounding-dino", "sam2"):
        for file in (SHAPES / folder).iterdir():
            comfyui.add(folder, f"mine/{file.name}", file)
    chosen = words("green circle", detector="mine/model.safetensors", segmenter="mine/model.safetensors")
    assert overlap(run(MIVASubjectMask, image=shapes, method=chosen)[0][0], green(shapes[0])) > 0.9
    before = MIVASubjectMask.fingerprint_inputs(method=chosen)
    assert len(before) == 2 and before == MIVASubjectMask.fingerprint_inputs(method=chosen | {"prompt": "cat"})
    (comfyui.models / "sam2" / "mine" / "model.safetensors").touch()
    assert MIVASubjectMask.fingerprint_inputs(method=chosen) != before
