"""What is told of a run is so: weights out of their range, steps in weak noise."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UniPCMultistepScheduler
from torch import Tensor

from miva_core import MIVAAdapter, MIVAConfig, Motion, RunOptions, Strength, animate, describe, load_base
from miva_core.animation.degree_notes import degree_notes
from miva_core.animation.notes import without_motion
from miva_core.animation.strength_notes import list_notes, strength_notes, strength_sums
from miva_core.attention.curve import Curve
from miva_core.attention.strength import Level
from miva_core.bases.base import Base
from miva_core.bases.tiny.spec import SHIPPED
from miva_core.errors import MIVAWarning
from miva_core.measure.metrics import clip_flow, median_flow
from miva_core.media.pictures import fit_picture, read_picture

painted = partial(RunOptions, render="latents")
"""Options of a run whose frames the network paints."""
# diffusers' schedulers and numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
RISING = Curve(((0.0, 0.0), (1.0, 1.0)), over="frames")
FALLING = Curve(((0.0, 1.0), (1.0, 0.0)), over="frames")
WEAK = pytest.mark.filterwarnings("ignore:These steps end in weak noise")


@pytest.fixture(scope="module")
def tiny() -> Base:
    return load_base("tiny")


@pytest.fixture(scope="module")
def photo(tiny: Base) -> Tensor:
    pictures = Path(__file__).parents[3] / "workflows/pictures"
    return fit_picture(read_picture(pictures / "miva_citrus.jpg"), tiny.size)[0]


@pytest.fixture(scope="module")
def pan(tiny: Base, photo: Tensor) -> Callable[..., Tensor]:
    """pan(weight, **options): the frames of a pan to the left."""
    adapter = MIVAAdapter.load(SHIPPED / "pan_left.safetensors", tiny.backbone)
    return lambda weight, **options: animate(tiny, photo, [Motion(adapter, weight)], painted(**options)).frames


def to_the_right(frames: Tensor) -> float:
    """Pixels a frame."""
    return median_flow(clip_flow(frames))[0].item()


def grain(frames: Tensor) -> float:
    """How much of the last frame is finer than two pixels."""
    last = frames[-1].mean(-1)
    around = (last[:-2, 1:-1] + last[2:, 1:-1] + last[1:-1, :-2] + last[1:-1, 2:]) / 4
    return (last[1:-1, 1:-1] - around).square().mean().sqrt().item()


def seams(frames: Tensor, patch: int = 8) -> float:
    """Mean step across the columns where latents meet, against that between other columns, in the later half."""
    steps = (frames[len(frames) // 2 :, :, 1:] - frames[len(frames) // 2 :, :, :-1]).abs().mean((0, 1, 3))
    at_seams = torch.arange(1, len(steps) + 1) % patch == 0
    return (steps[at_seams].mean() / steps[~at_seams].mean()).item()


# --- weights ---------------------------------------------------------------------------------------------------------


def test_below_0_a_clip_breaks_into_noise_and_above_2_it_turns_back(pan: Callable[..., Tensor]) -> None:
    usual, strongest, beyond, below = (pan(weight) for weight in (1.0, 2.0, 5.0, -1.0))
    speed = to_the_right(usual)
    assert speed > 0.5
    assert to_the_right(strongest) > speed > to_the_right(beyond) > 0
    assert abs(to_the_right(below)) < 0.1 * speed
    assert grain(below) > 1.2 * grain(usual)


@pytest.mark.parametrize(
    ("weight", "masked", "expected"),
    [
        (-0.5, False, "pan has the weight -0.5: below 0 a motion is not reversed"),
        (-1, True, "pan has the weight -1: below 0 a motion is not reversed"),
        (0, False, "pan has the weight 0 and does nothing."),
        (0.5, False, "pan runs at the weight 0.5; it was trained at 1."),
        (0.5, True, "pan runs at the weight 0.5; masked motions are made for 1."),
        (0.8, False, None),
        (1, True, None),
        (2, False, "pan runs at the weight 2: it moves more than at 1, and the picture suffers."),
        (2.5, False, "pan runs at the weight 2.5: above 2 a motion turns back, and breaks"),
        (3, True, "pan runs at the weight 3: above 2 a motion turns back, and breaks"),
        # of a strength per part the mean counts
        (Strength(0.0, 0.0, 0.0), False, "pan has the weight 0 and does nothing."),
        (Strength(0.0, 0.0, 1.5), False, "pan runs at the weight 0.5; it was trained at 1."),
        (Strength(temporal=1.5), False, None),
        (Strength(temporal=-4.0), False, "pan has the weight -0.666667: below 0"),
        (Strength(temporal=7.0), True, "pan runs at the weight 3: above 2"),
        (Strength(1.0, -1.0, 0.0), False, None),
        # of a curve its highest point counts
        (Curve(((0.0, 0.0), (0.5, 1.5), (1.0, 0.0)), over="frames"), False, None),
        (Curve(((0.0, 0.5), (1.0, 0.0)), over="frames"), True, None),
        (Curve.edg(), False, None),
        (Curve(((0.0, 0.0), (1.0, 2.5))), False, "pan runs at weights up to 2.5: above 2 a motion turns back"),
        ((Curve.more_early(), Curve(((0.5, 2.0),), over="frames")), True, "pan runs at weights up to 3: above 2"),
        (Curve(((0.0, -1.0), (1.0, -0.5)), over="noise"), False, "pan has the weight -0.5: below 0 a motion is not"),
        (Curve(((0.0, 0.0), (1.0, 0.0)), over="frames"), False, "pan has the weight 0 and does nothing."),
    ],
)
def test_a_weight_has_one_note_or_none(
    make_unet: Callable, weight: Level | Strength, masked: bool, expected: str | None
) -> None:
    adapter = MIVAAdapter(describe(make_unet()), MIVAConfig(cfa_rank=1, ca_rank=1, ta_rank=1, mask=masked))
    found = strength_notes([Motion(adapter, weight, torch.ones(8, 8) if masked else None, "pan")])
    assert len(found) == (expected is not None)
    assert all(note.startswith(expected) for note in found)


@pytest.mark.parametrize(
    ("motions", "expected"),
    [
        ([(0.5, (0, 1)), (0.5, (0, 1))], None),
        ([(1.0, (0, 0.5)), (1.0, (0.5, 1))], None),
        ([(1.0, (0, 1)), (1.0, (0, 1))], "The weights sum to 2; a sum of 1 is the most stable: try 0.5, 0.5."),
        ([(0.1, (0, 1)), (0.2, (0, 1)), (0.7, (0, 0.5)), (0.7, (0.5, 1))], None),
        ([(Strength(1.0, 1.0, 0.4), (0, 1)), (0.2, (0, 1))], None),
        (
            [(0.5, (0, 0.5)), (1.5, (0, 1))],
            "The weights sum to 2 and 1.5; a sum of 1 is the most stable: try 0.25, 0.75.",
        ),
        # One hands over to the other, be it in the course of the clip or of the run.
        ([(RISING, (0, 1)), (FALLING, (0, 1))], None),
        ([(replace(RISING, over="steps"), (0, 1)), (replace(FALLING, over="steps"), (0, 1))], None),
        ([(RISING, (0, 1)), (1.0, (0, 1))], "The weights sum to up to 2; a sum of 1 is the most stable."),
        ([(RISING, (0, 0.5)), (1.0, (0.5, 1))], None),
    ],
)
def test_sums_of_weights_are_told_where_they_are_odd(
    make_unet: Callable, motions: list[tuple[Level, tuple[float, float]]], expected: str | None
) -> None:
    adapter = MIVAAdapter(describe(make_unet()), MIVAConfig(cfa_rank=1, ca_rank=1, ta_rank=1))
    found = strength_notes([Motion(adapter, weight, span=span) for weight, span in motions])
    assert found == ([] if expected is None else [expected])


def test_strengths_that_a_run_is_too_short_for_are_told(make_unet: Callable) -> None:
    adapter = MIVAAdapter(describe(make_unet()), MIVAConfig(cfa_rank=1, ca_rank=1, ta_rank=1))
    pan = Motion(adapter, Curve.of_values([1.0] * 5, "steps"), name="pan")
    assert list_notes([pan], 5) == []
    told = "pan has 5 strengths over 4 steps, so that not all of them come up: give it fewer, or the run more steps."
    assert list_notes([pan], 4) == [told]
    assert list_notes([replace(pan, strength=Curve.of_values([1.0] * 5))], 4) == []
    for no_list in (Curve.span(1.0, 0.2, 0.7), Curve.span(1.0, 0.0, 0.5), Curve.more_early()):
        assert list_notes([replace(pan, strength=no_list)], 1) == []


def test_long_lists_over_the_run_and_the_clip_are_read_as_each_moment_of_both(make_unet: Callable) -> None:
    adapter = MIVAAdapter(describe(make_unet()), MIVAConfig(cfa_rank=1, ca_rank=1, ta_rank=1))
    steps = Curve.of_values(torch.rand(9, generator=torch.Generator().manual_seed(0)).tolist(), "steps")
    frames = Curve.of_values((torch.rand(11, generator=torch.Generator().manual_seed(1)) - 0.3).tolist())
    motions = [
        Motion(adapter, Strength((steps, frames), frames, 0.5), span=(0.1, 0.8)),
        Motion(adapter, (frames, Curve.edg())),
    ]

    def sum_at(done: float, frame: float) -> float:
        acting = [one for one in motions if one.span[0] <= done < one.span[1]]
        return sum(sum(Strength.of(one.strength).at(done, done, frame)) / 3 for one in acting)

    expected = []
    for done in sorted({0.1, 0.5, 0.8} | {k / 9 for k in range(9)}):
        sums = [sum_at(done, k / 10) for k in range(11)]
        expected += [min(sums), max(sums)]
    assert strength_sums(motions) == pytest.approx(list(dict.fromkeys(expected)), abs=1e-12)

    # Four million moments, in no time.
    long = [Curve.of_values([1.0] * 2000, over) for over in ("steps", "frames")]
    assert strength_notes([Motion(adapter, long)]) == []


def test_of_a_motion_that_does_nothing_no_speed_is_told(tiny: Base) -> None:
    pan = Motion(MIVAAdapter.load(SHIPPED / "pan_left.safetensors", tiny.backbone), name="pan", degree=1.0)
    assert len(degree_notes([pan], (64, 64))) == 1
    assert degree_notes([replace(pan, strength=0.0)], (64, 64)) == []


def test_a_clip_says_what_is_odd_about_it_and_how_its_picture_was_fitted(tiny: Base) -> None:
    pan = Motion(MIVAAdapter.load(SHIPPED / "pan_left.safetensors", tiny.backbone), 0.5, name="pan")
    quick = painted(steps=1, frames=2)
    clip = animate(tiny, torch.rand(64, 64, 3), [pan], quick)
    assert clip.notes == ("pan runs at the weight 0.5; it was trained at 1.",) and clip.fitting == ""
    still = torch.rand(64, 192, 3)
    clip = animate(tiny, still, [replace(pan, strength=0.0)], replace(quick, size=(64, 144)))
    assert clip.notes == (
        "No motion acts: the base makes one of its camera moves, which the seed chooses.",
        "pan has the weight 0 and does nothing.",
        "144×64 is far from the 64×64 that this base was trained on; it may not move.",
    )
    assert clip.fitting == "centre-cropped 192×64 to 144×64"


def test_without_a_motion_the_seed_draws_a_camera_move_unless_the_base_has_one(tiny: Base) -> None:
    still, options = torch.rand(64, 64, 3), painted(steps=1, frames=2, seed=4)
    seeded, another = (tiny.with_drawn_caption(seed) for seed in (4, 5))
    assert not torch.equal(seeded.text, another.text)
    clips = [animate(base, still, [], options) for base in (tiny, seeded, another)]
    assert all(
        clip.notes == ("No motion acts: the base makes one of its camera moves, which the seed chooses.",)
        for clip in clips
    )
    assert torch.equal(clips[0].frames, clips[1].frames)
    assert not torch.equal(clips[0].frames, clips[2].frames)


def test_a_base_with_captions_moves_by_one_of_them() -> None:
    assert without_motion(True) == "No motion acts: the base makes one of its camera moves, which the seed chooses."
    assert without_motion(False) == "No motion acts: the base moves as it likes."


# --- weak noise ------------------------------------------------------------------------------------------------------


def karras(steps: int, low: float = 0.0292, high: float = 14.6, rho: float = 7) -> Tensor:
    """Karras et al. 2022, Eq. 5."""
    shares = [k / (steps - 1) for k in range(steps)]
    levels = [(high ** (1 / rho) + share * (low ** (1 / rho) - high ** (1 / rho))) ** rho for share in shares]
    return torch.tensor([*levels, 0.0])


@WEAK
def test_a_schedule_that_ends_in_weak_noise_breaks_frames_into_blocks(pan: Callable[..., Tensor]) -> None:
    usual = seams(pan(1.0))
    assert seams(pan(1.0, sigmas=karras(8))) > 1.08 * usual
    assert seams(pan(1.0, sigmas=torch.tensor([60.0, 30.0, 15.0, 8.0, 0.0]))) < 1.05 * usual


def notes_of(base: Base, **options: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", MIVAWarning)
        animate(base, torch.rand(*base.size, 3), [], painted(frames=base.stride + 1, **options))
    return [str(warning.message) for warning in caught if warning.category is MIVAWarning]


SCHEDULES: dict[str, tuple[Callable[[Base], dict[str, Any]], bool]] = {
    "its own": (lambda base: {}, False),
    "more of its own": (lambda base: {"steps": 30}, False),
    "Karras": (lambda base: {"sigmas": karras(4)}, True),
    "Align Your Steps": (lambda base: {"sigmas": torch.tensor([14.6, 3.9, 1.9, 0.96, 0.4, 0.0])}, True),
    "in strong noise": (lambda base: {"sigmas": torch.tensor([60.0, 15.0, 8.0, 0.0])}, False),
    "one step": (lambda base: {"sigmas": torch.tensor([14.6, 0.0])}, False),
    "its own scheduler": (lambda base: {"steps": 4, "scheduler": base.scheduler}, True),
    "another scheduler": (
        lambda base: {"steps": 4, "scheduler": UniPCMultistepScheduler.from_config(base.scheduler.config)},
        True,
    ),
    "one step of a scheduler": (lambda base: {"steps": 1, "scheduler": base.scheduler}, False),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_steps_in_weak_noise_are_told_where_they_are_made(tiny: Base, name: str) -> None:
    options, odd = SCHEDULES[name]
    notes = notes_of(tiny, **options(tiny))
    assert len(notes) == odd
    assert all("breaks later frames into blocks: it is made for its own 4 steps in strong noise" in n for n in notes)


@WEAK
def test_at_full_size_weak_noise_leaves_less_of_some_motions(tiny: Base, photo: Tensor) -> None:
    zoom = Motion(MIVAAdapter.load(SHIPPED / "zoom_out.safetensors", tiny.backbone))
    usual = animate(tiny, photo, [zoom]).flow
    with pytest.warns(MIVAWarning, match="in weak noise, where this base weakens some motions: it is made"):
        weak = animate(tiny, photo, [zoom], RunOptions(sigmas=karras(8))).flow
    assert weak[1:].abs().mean() < 0.7 * usual[1:].abs().mean()


def test_a_base_that_is_made_for_all_noise_is_not_warned_of(make_base: Callable[..., Base]) -> None:
    base = make_base("wan")
    assert notes_of(base, sigmas=torch.tensor([1.0, 0.5, 0.01, 0.0])) == []
