"""How much windows move, and what degrees that makes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from miva_core import MIVAAdapter, read_info
from miva_core.adapters.degree import DegreeRange
from miva_core.bases.base import Base
from miva_core.bases.recipe import Recipe
from miva_core.clips.training_clip import TrainingClip
from miva_core.errors import MIVAError, MIVAWarning
from miva_core.measure.ms_ssim import ms_ssim
from miva_core.training.degrees import bucket_degrees, degree_range, measured
from miva_core.training.latent_clips import LatentClip, Pixels
from miva_core.training.loop import Outcome, train
from miva_core.training.options import TrainOptions
from miva_core.training.recipes import recipe
from miva_core.training.run import train_and_save
from miva_core.training.training_set import TrainingSet


def sliding(speed: float, frames: int = 9, side: int = 32) -> Tensor:
    """(frames, 3, side, side) of a smooth picture that slides to the right by so many pixels a frame."""
    small = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    wide = torch.nn.functional.interpolate(small, (side, 3 * side), mode="bicubic").clamp(0, 1)
    x = torch.arange(side) + side
    shown = [(x - speed * k) / (3 * side) * 2 - 1 + 1 / (3 * side) for k in range(frames)]
    y = torch.linspace(-1, 1, side) * (1 - 1 / side)
    grids = [torch.stack([row.expand(side, -1), y[:, None].expand(-1, side)], -1)[None] for row in shown]
    return torch.cat([torch.nn.functional.grid_sample(wide, grid, align_corners=False) for grid in grids])


def without_flow(frames: Tensor, masks: Tensor | None = None) -> Pixels:
    masks = torch.zeros(0, *frames[:, 0].shape) if masks is None else masks
    return Pixels(frames, masks, torch.zeros(0, len(frames)))


def latent(motion: Tensor) -> LatentClip:
    """A clip of which only its motion (3, N) counts."""
    frames = motion.shape[1]
    nothing = torch.zeros(1, 1, frames, 1, 1)
    return LatentClip(nothing, None, nothing[0, :0], nothing[:0, 0], nothing[:0, 0], nothing[:0], motion)


def steady(speed: float, pace: float = 1.0, frames: int = 5) -> LatentClip:
    motion = torch.full((3, frames), speed)
    motion[2] /= pace
    motion[:, 0] = 99  # before the first window begins
    return latent(motion)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_flow_of_a_slide_is_its_speed(stride: int) -> None:
    amounts, speeds, usual = measured(without_flow(sliding(0.8)), "flow", stride, 2.0)
    assert torch.equal(amounts, speeds) and not amounts[:stride].any()
    torch.testing.assert_close(speeds[stride:], torch.full((9 - stride,), 0.8 * stride), rtol=0.1, atol=0)
    torch.testing.assert_close(usual, speeds / 2)


def test_in_a_mask_only_its_subject_counts() -> None:
    frames, masks = sliding(1.0), torch.zeros(1, 9, 32, 32)
    masks[..., :16] = 1
    frames[..., 16:] = frames[:1, ..., 16:]  # the right half stands still
    inside = measured(without_flow(frames, masks), "flow", 1, 1.0)[1, 1:].mean()
    assert 0.8 < inside < 1.1
    assert measured(without_flow(frames), "flow", 1, 1.0)[1, 1:].mean() < 0.7 * inside


def test_dynamics_are_what_ms_ssim_misses() -> None:
    frames = sliding(0.8)
    amounts, speeds, _ = measured(without_flow(frames), "ms-ssim", 2, 1.0)
    torch.testing.assert_close(amounts[2:].double(), 1 - ms_ssim(frames[:-2].double(), frames[2:].double()))
    assert not torch.equal(amounts, speeds)


def test_buckets_hold_equally_many_windows_and_what_is_usual_comes_from_the_pace() -> None:
    paces = [(k + 0.5) / 200 for k in range(200)]  # of a motion of 2 pixels a frame
    found = degree_range([[steady(2 * pace, pace)] for pace in paces], "flow", 5)
    torch.testing.assert_close(torch.tensor(found.speeds), torch.arange(20) / 10 + 0.05, atol=1e-3, rtol=0)
    torch.testing.assert_close(torch.tensor(found.edges), torch.arange(1, 20) / 10, atol=6e-3, rtol=0)
    assert found.usual == 1.0  # the fastest of them
    slower = degree_range([[steady(2 * pace, 2 * pace)] for pace in paces], "flow", 5)
    assert slower.speed() == pytest.approx(1.0, abs=1e-3)
    buckets = torch.bincount(((bucket_degrees(torch.tensor(paces) * 2, found) + 1) * 9.5).round().long())
    assert buckets.tolist() == pytest.approx([10] * 20, abs=1)


def test_clips_count_alike_however_many_versions_there_are_of_each() -> None:
    """Half of the windows move by 1, be they of one version or of three."""
    found = degree_range([[steady(1.0)], [steady(3.0), steady(3.0), steady(3.0)]], "flow", 4)
    assert found.speeds == (1.0,) * 10 + (3.0,) * 10


def test_clips_of_one_speed_teach_no_degree() -> None:
    with pytest.raises(MIVAError, match=r"All clips move at about 0\.91 pixels a frame"):
        degree_range([[steady(0.9)], [steady(0.92)]], "flow", 5)
    with pytest.raises(MIVAError, match="All clips move at about 0"):
        degree_range([[steady(0.0)]], "flow", 5)


@pytest.mark.parametrize(
    ("frames", "stride", "met"), [(5, 1, [1]), (9, 1, [1, 2]), (30, 1, [1, 2, 3]), (13, 3, [1, 2, 3])]
)
def test_a_clip_is_met_at_as_many_speeds_as_its_frames_allow(
    make_base: Callable[..., Base], frames: int, stride: int, met: list[int]
) -> None:
    base = make_base()
    moving = TrainingClip("a", torch.zeros(frames, 3, 8, 8).byte(), torch.zeros(0, frames, 8, 8).byte(), stride)
    assert TrainingSet("slide", [moving], degree="flow")._strides(base, moving) == met
    assert TrainingSet("slide", [moving])._strides(base, moving) == [stride]


@pytest.mark.parametrize("measure", ["flow", "ms-ssim"])
def test_a_training_leaves_what_its_degrees_mean_in_its_file(
    make_base: Callable[..., Base], tmp_path: Path, measure: str
) -> None:
    """Also of a training that goes on, and from an adapter that had no degree."""
    base, out = replace(make_base(), size=(32, 32)), tmp_path / "slide.safetensors"
    frames = (sliding(0.5, 11) * 255).byte()
    clips = [TrainingClip("a", frames, torch.zeros(0, 11, 32, 32).byte())]
    training_set = TrainingSet("slide", clips, degree=measure)
    start = MIVAAdapter(base.backbone, recipe("tiny").config)
    options = TrainOptions(start=start, validate_every=9)
    train_and_save(base, training_set, _short(1), out, options=options)
    info = read_info(out)
    assert info.config.degree and isinstance(info.degree, DegreeRange) and info.degree.measure == measure
    assert info.degree.speeds[-1] > 1.5 * info.degree.speeds[0] and 0.0 <= info.degree.usual < 0.6
    assert MIVAAdapter.load(out, base.backbone).degree == info.degree


def test_a_motion_with_a_degree_goes_on_at_its_usual_one(
    make_base: Callable[..., Base], make_clips: Callable, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    """Where no degree is learnt anew: what hears it stays, be the training stopped or not."""
    base = make_base()
    clips, short = make_clips(base), make_recipe(steps=2)
    start = _with_degree(base, short, 0.75)
    given = dict(start.named_parameters())

    def go_on(start: MIVAAdapter, steps: int, folder: str, resume: bool = False) -> Outcome:
        (tmp_path / folder).mkdir(exist_ok=True)
        told = rf"learns at its usual one, {start.degree.usual:g} \(1\.\d pixels a frame\)"
        with pytest.warns(MIVAWarning, match=told):
            options = TrainOptions(start=start, resume=resume)
            return train(base, clips, replace(short, steps=steps), folder=tmp_path / folder, options=options)

    whole = go_on(start, 2, "whole")
    go_on(start, 1, "parts")
    parts = go_on(start, 2, "parts", resume=True)
    changed = []
    for (name, learnt), same in zip(whole.adapter.named_parameters(), parts.adapter.parameters(), strict=True):
        assert torch.equal(learnt, same)
        changed += [] if torch.equal(learnt, given[name]) else [name]
    assert changed and not any(name.endswith(".degree") for name in changed)
    assert whole.adapter.degree == start.degree

    # Another one is to its degree 1, where u and u² - 0.4 are 1 and 0.6, what this one is to 0.75: 0.5 and -0.15.
    other = _with_degree(base, short, 1.0)
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            parameter.copy_(given[name])
            if name.endswith(".degree"):
                parameter.zero_()[:, 0] = 0.5 * given[name][:, 0] - 0.15 * given[name][:, 1]
    assert go_on(other, 1, "other").losses[0] == pytest.approx(whole.losses[0], rel=1e-6)


def test_a_degree_is_not_learnt_on_nothing(make_base: Callable[..., Base], tmp_path: Path) -> None:
    base = make_base()
    with pytest.raises(MIVAError, match="not said what it means: give `train` the `degree_range` of the clips"):
        train(base, (), _short(1).with_degree(), folder=tmp_path)
    start = TrainOptions(start=MIVAAdapter(base.backbone, recipe("tiny").config))
    with pytest.raises(MIVAError, match=r"lacks a degree: begin with its `with_degree\(\)`"):
        train(base, (), _short(1).with_degree(), folder=tmp_path, options=start)


def _with_degree(base: Base, like: Recipe, usual: float) -> MIVAAdapter:
    """An adapter that does something, and something else at each degree."""
    adapter = MIVAAdapter(base.backbone, like.with_degree().config)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.normal_(0, 0.3)
    rising = tuple(0.1 * k for k in range(20))
    adapter.degree = DegreeRange("flow", rising[1:], rising, usual)
    return adapter


def _short(steps: int) -> Recipe:
    return replace(recipe("tiny"), steps=steps, batch=2, colours=1, short=1)
