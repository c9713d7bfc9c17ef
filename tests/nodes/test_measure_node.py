"""What Measure Motion gives out and tells, of clips whose motion is known."""

import math

import pytest
import torch
from comfyui_miva.nodes import MIVAMeasureMotion
from fake_comfyui import FakeComfyUI, Interrupted
from node_runs import run, shown
from torch import Tensor

from miva_core.clips.camera import UNIT_MOVES, film, move_transforms


def clip(move: str = "pan_left", speed: float = 2.0, frames: int = 5, size: tuple[int, int] = (96, 128)) -> Tensor:
    """IMAGE (frames, height, width, 3)."""
    small = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(1))
    picture = torch.nn.functional.interpolate(small, (size[0] + 64, size[1] + 64), mode="bicubic").clamp(0, 1)
    return film(picture, move_transforms(UNIT_MOVES[move], speed, frames), *size)[0].permute(0, 2, 3, 1)


def test_numbers_text_and_plot_are_of_the_clip() -> None:
    output = run(MIVAMeasureMotion, frames=clip())
    speed, dynamics, bucket, text, plot = output.args
    assert speed == pytest.approx(2, rel=0.05) and 0 < dynamics < 1 and type(bucket) is int
    assert 0.0002 * 2 ** ((bucket - 1) / 2) <= speed / 128 < 0.0002 * 2 ** (bucket / 2)
    lines = text.splitlines()
    assert lines[0].startswith("The clip moves to the right, as when a camera pans left: 2.0") and len(lines) == 2
    assert lines[0].endswith(" of the longer side. It is even.")
    assert lines[1] == f"Bucket {bucket} of 0 … 19, dynamics {dynamics:.3f}."
    assert shown(output) == text
    assert plot.shape == (1, 320, 640, 3) and output.ui["images"]


def test_with_a_mask_the_subject_is_measured() -> None:
    frames = clip("still", frames=5)
    frames[:, 24:72, 32:96] = clip("pan_up", 3.0)[:, 24:72, 32:96]
    mask = torch.zeros(1, 96, 128)
    mask[:, 24:72, 32:96] = 1
    subject, whole = run(MIVAMeasureMotion, frames=frames, mask=mask), run(MIVAMeasureMotion, frames=frames)
    assert subject[0] > 2.5 > 1.5 > whole[0] and "The subject moves down:" in subject[3] and "camera" not in whole[3]


def test_the_first_frame_is_compared_with_the_picture() -> None:
    frames = clip()
    same = run(MIVAMeasureMotion, frames=frames, picture=frames[:1])[3]
    assert same.endswith("\nThe first frame is the picture, exactly.")
    other = run(MIVAMeasureMotion, frames=frames, picture=(frames[:1] + 0.1).clamp(max=0.9))[3]
    wider = torch.nn.functional.pad(frames[:1], (0, 0, 10, 10))
    cropped = run(MIVAMeasureMotion, frames=frames, picture=wider)[3]
    psnr = -10 * math.log10((frames[0] - (frames[0] + 0.1).clamp(max=0.9)).square().mean())
    assert f"by {psnr:.1f} dB" in other
    assert cropped.endswith("the picture (centre-cropped 148×96 to 128×96), exactly.")


def test_the_course_cuts_and_lost_subjects_are_told() -> None:
    frames = torch.cat([clip(speed=1.0, frames=4), clip("pan_down", 4.0, frames=4).flip(2)])
    mask = torch.ones(8, 96, 128)
    mask[7] = 0
    told = run(MIVAMeasureMotion, frames=frames, mask=mask)[3]
    assert "slowest at frame" in told and "fastest at frame" in told
    assert "Left out, since they do not follow the frame before, as at a cut: frame 5." in told
    assert "In 1 of 7 frames the mask is empty" in told


def test_a_large_clip_is_measured_at_a_smaller_size_and_told_in_its_own_pixels() -> None:
    output = run(MIVAMeasureMotion, frames=clip(speed=6.0, frames=3, size=(480, 768)))
    assert output[0] == pytest.approx(6, rel=0.05)
    assert output[3].endswith("\nMeasured at 384×240 and told in pixels of 768×480.")


def test_a_bar_runs_over_the_frames_and_can_be_stopped(comfyui: FakeComfyUI) -> None:
    run(MIVAMeasureMotion, frames=clip(frames=3))
    assert comfyui.progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    comfyui.progress.clear()
    comfyui.stop_at = (3, 4)
    with pytest.raises(Interrupted):
        run(MIVAMeasureMotion, frames=clip(frames=3))
    assert comfyui.progress == [(1, 4), (2, 4), (3, 4)]
