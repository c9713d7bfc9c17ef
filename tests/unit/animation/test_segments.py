"""Clips in segments, against runs made one by one and joined by hand."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from diffusers import UniPCMultistepScheduler
from torch import Tensor

from miva_core import Clip, MIVAConfig, Motion, Progress, RunOptions, animate, load_base
from miva_core.animation.decoding import Decoding
from miva_core.animation.options import check_run, clip_shape
from miva_core.bases.base import Base
from miva_core.diffusion.loop import Sampled
from miva_core.errors import MIVAError

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:These steps end in weak noise"),
]
PLAIN = MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=2)
MASKED = replace(PLAIN, mask=True)
OPTIONS = RunOptions(seed=2**64 - 1, steps=3, render="latents", adain=False)
NEXT_SEED = 0


@pytest.fixture(params=["tiny", "animatediff"])
def frame_by_frame(request: pytest.FixtureRequest, make_base: Callable) -> Base:
    """A base with a latent to each frame."""
    return replace(load_base("tiny"), frames=4) if request.param == "tiny" else make_base()


@pytest.fixture
def make_motions(make_adapter: Callable) -> Callable[[Base], list[Motion]]:
    """One with a mask and one without, which act in different parts of the run."""

    def make(base: Base) -> list[Motion]:
        mask = torch.zeros(base.size)
        mask[2:9, 3:10] = 1
        jump, pan = (make_adapter(base.model, config) for config in (MASKED, PLAIN))
        return [Motion(jump, 0.7, mask, "jump"), Motion(pan, 0.5, name="pan", span=(0.3, 1.0))]

    return make


@dataclass
class Recording:
    """A codec that notes the latents it decodes, and answers a given one to the first picture it is shown."""

    codec: Any
    answer: Tensor | None = None

    def __post_init__(self) -> None:
        self.decoded: list[Tensor] = []

    @property
    def network(self) -> Any:
        return self.codec.network

    def encode(self, pictures: Tensor) -> Tensor:
        latent, self.answer = self.answer, None
        return self.codec.encode(pictures) if latent is None else latent

    def decode(self, latents: Tensor) -> Tensor:
        self.decoded.append(latents)
        return self.codec.decode(latents)


def without(motions: list[Motion], masks: dict[str, Tensor]) -> list[Motion]:
    """The motions, with the masks that the last frame of a clip has."""
    return [replace(m, mask=masks[m.name][-1]) if m.name in masks else m for m in motions]


def assert_joined(clip: Clip, first: Clip, second: Clip) -> None:
    assert len(clip) == len(first) + len(second) - 1
    assert torch.equal(clip.frames, torch.cat([first.frames, second.frames[1:]]))
    assert torch.equal(clip.masks["jump"], torch.cat([first.masks["jump"], second.masks["jump"][1:]]))


@pytest.mark.parametrize("scheduler", [None, UniPCMultistepScheduler])
def test_a_segment_goes_on_from_the_last_latent(frame_by_frame: Base, make_motions: Callable, scheduler: Any) -> None:
    """Of which a way through pixels would lose something. A scheduler with a memory forgets the segment before."""
    base, motions, picture = frame_by_frame, make_motions(frame_by_frame), torch.rand(*frame_by_frame.size, 3)
    chosen = scheduler and scheduler.from_config(base.scheduler.config)
    options = replace(OPTIONS, scheduler=chosen)
    codec = Recording(base.codec)
    first = animate(replace(base, codec=codec), picture, motions, options)
    begin = Recording(base.codec, codec.decoded[-1][-1:])
    again = replace(options, seed=NEXT_SEED)
    second = animate(replace(base, codec=begin), picture, without(motions, first.masks), again)
    clip = animate(base, picture, motions, replace(options, segments=2))
    assert_joined(clip, first, second)
    assert len(clip) == 2 * (base.frames - 1) + 1
    assert not torch.equal(second.frames, animate(base, picture, motions, again).frames)


def test_where_a_latent_holds_several_frames_the_last_frame_is_encoded_again(
    make_base: Callable, make_motions: Callable
) -> None:
    base = make_base("wan")
    motions, picture = make_motions(base), torch.rand(*base.size, 3)
    first = animate(base, picture, motions, OPTIONS)
    again = replace(OPTIONS, seed=NEXT_SEED)
    second = animate(base, first.frames[-1], without(motions, first.masks), again)
    third = animate(base, second.frames[-1], without(motions, second.masks), replace(again, seed=NEXT_SEED + 1))
    clip = animate(base, picture, motions, replace(OPTIONS, segments=3))
    assert_joined(clip, first, replace(second, source=two(second, third)))


def two(first: Clip, second: Clip) -> Any:
    """The frames of two clips, one behind the other."""
    masks = {name: torch.cat([mask, second.masks[name][1:]]) for name, mask in first.masks.items()}
    return type(first.source)(torch.cat([first.frames, second.frames[1:]]), masks)


@pytest.mark.parametrize("name", ["animatediff", "wan"])
def test_all_segments_have_the_statistics_of_the_picture(
    make_base: Callable, make_motions: Callable, name: str
) -> None:
    base = make_base(name)
    codec, picture = Recording(base.codec), torch.rand(*base.size, 3)
    animate(replace(base, codec=codec), picture, make_motions(base), replace(OPTIONS, segments=3, adain=True))
    latent = base.encode(picture)[0, :, 0]
    for shown in codec.decoded[-3:]:
        for measure in (torch.mean, torch.std):
            found, expected = (measure(latents, dim=(-2, -1)) for latents in (shown[1:], latent))
            torch.testing.assert_close(found, expected.expand_as(found), rtol=1e-4, atol=1e-4)


def test_the_flow_leads_back_to_the_picture(make_adapter: Callable) -> None:
    """From a frame of the second segment to where that began, and on from there."""
    base = replace(load_base("tiny"), frames=4)
    picture, motions = torch.rand(*base.size, 3), [Motion(make_adapter(base.model, PLAIN))]
    codec = Recording(base.codec)
    first = animate(replace(base, codec=codec), picture, motions, OPTIONS)
    begin = Recording(base.codec, codec.decoded[-1][-1:])
    second = animate(replace(base, codec=begin), picture, motions, replace(OPTIONS, seed=NEXT_SEED))
    clip = animate(base, picture, motions, replace(OPTIONS, segments=2))
    assert first.flow is not None and second.flow is not None and clip.flow is not None
    assert torch.equal(clip.flow[:4], first.flow)
    checked = 0
    for frame in (1, 2, 3):
        for y, x in ((20, 20), (32, 40), (45, 31)):
            dx, dy = (float(part) for part in second.flow[frame, :, y, x])
            if 0 <= x + dx < 63 and 0 <= y + dy < 63:
                expected = second.flow[frame, :, y, x] + looked_up(first.flow[-1], x + dx, y + dy)
                torch.testing.assert_close(clip.flow[3 + frame, :, y, x], expected, rtol=1e-4, atol=1e-3)
                checked += 1
    assert checked > 4


def looked_up(field: Tensor, x: float, y: float) -> Tensor:
    """(2, H, W) between its four nearest places."""
    left, top = int(x), int(y)
    u, v = x - left, y - top
    upper = (1 - u) * field[:, top, left] + u * field[:, top, left + 1]
    lower = (1 - u) * field[:, top + 1, left] + u * field[:, top + 1, left + 1]
    return (1 - v) * upper + v * lower


def test_progress_counts_the_steps_of_all_segments(make_base: Callable, make_motions: Callable) -> None:
    base, seen = make_base("wan"), []

    def watch(progress: Progress) -> None:
        seen.append((progress.step, progress.steps, progress.preview(progress.frames - 1).shape))

    animate(base, torch.rand(*base.size, 3), make_motions(base), replace(OPTIONS, segments=2), watch)
    assert seen == [(k, 6, (*base.size, 3)) for k in range(1, 7)]


def test_given_start_noise_is_that_of_the_first_segment(make_base: Callable) -> None:
    base, picture = make_base("wan"), torch.rand(16, 16, 3)
    start = torch.randn(1, 4, 2, 8, 8)
    options = replace(OPTIONS, start=start)
    clip = animate(base, picture, [], replace(options, segments=2)).frames
    first = animate(base, picture, [], options).frames
    assert torch.equal(clip[:5], first)
    assert torch.equal(clip[5:], animate(base, first[-1], [], replace(OPTIONS, seed=NEXT_SEED)).frames[1:])


# --- sentences -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("segments", [0, -1, 1.5, True, "2"])
def test_segments_are_counted_from_1(segments: Any) -> None:
    with pytest.raises(MIVAError, match="number of segments"):
        RunOptions(segments=segments)


def test_at_full_size_a_clip_goes_on_by_itself() -> None:
    base, options = load_base("tiny"), RunOptions(segments=2)
    for refused in (lambda: animate(base, torch.rand(64, 64, 3), [], options), lambda: check_run(base, options)):
        with pytest.raises(MIVAError, match="longer `duration`"):
            refused()
    check_run(base, replace(options, render="latents"))


def test_the_length_is_known_beforehand(make_base: Callable) -> None:
    base = make_base("wan")
    options = RunOptions(segments=3, frames=9)
    assert clip_shape(base, (64, 64), options)[0] == 3 * 8 + 1
    assert len(animate(base, torch.rand(16, 16, 3), [], replace(options, steps=1))) == 25


def test_what_is_odd_about_segments_is_told(make_base: Callable) -> None:
    base, picture = make_base("wan"), torch.rand(16, 16, 3)
    assert any("grows softer" in note for note in animate(base, picture, [], replace(OPTIONS, segments=2)).notes)
    assert not any("grows softer" in note for note in animate(base, picture, [], OPTIONS).notes)


@pytest.mark.parametrize(("name", "frames", "lost"), [("animatediff", 8, 2), ("wan", 2, 2), ("animatediff", 4, 1)])
def test_a_mask_that_is_lost_is_told(
    make_base: Callable, make_motions: Callable, name: str, frames: int, lost: int
) -> None:
    """By where the last of a segment shows nothing, in three segments of five frames."""
    base = make_base(name)
    length = 12 // base.stride + 1
    output = Decoding.of(
        base, torch.rand(*base.size, 3), {m.name: m for m in make_motions(base)}, replace(OPTIONS, segments=3)
    )
    mask = torch.ones(length, 6, 6)
    mask[frames:] = 0.4
    _, notes = output.render(Sampled(torch.rand(3, 4, 4 // base.stride + 1, 6, 8), None), {"jump": mask})
    assert [note for note in notes if "mask" in note] == [
        f"The mask of jump shows nothing any more after segment {lost}, so it does not act in what follows."
    ]
    mask[frames:] = 0.6
    _, notes = output.render(Sampled(torch.rand(3, 4, 4 // base.stride + 1, 6, 8), None), {"jump": mask})
    assert not any("mask" in note for note in notes)
