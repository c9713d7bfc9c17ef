"""Clips at the picture's own size: what they show, how large, how long, and what is told of them."""

import gc
import math
import warnings
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from miva_core import Clip, Curve, MIVAAdapter, MIVAConfig, Motion, Progress, RunOptions, Timing, animate, load_base
from miva_core.animation.full_size import FullSize
from miva_core.bases.base import Base
from miva_core.bases.tiny.spec import SHIPPED
from miva_core.diffusion.loop import Sampled
from miva_core.errors import MIVAError, MIVAWarning
from miva_core.media.pictures import fit_mask, fit_picture, scale_picture

SHORT = Timing(duration=0.5)
"""12 frames."""


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base("tiny")


@pytest.fixture(scope="module")
def shipped(base: Base) -> Callable[..., Motion]:
    """shipped("pan_left", **options): a motion that comes with the package."""

    def load(file: str, **options: Any) -> Motion:
        adapter = MIVAAdapter.load(SHIPPED / f"{file}.safetensors", base.backbone)
        return Motion(adapter, **({"name": file} | options))

    return load


def smooth(height: int, width: int) -> Tensor:
    """A picture (H, W, 3) that a warp of a fraction of a pixel does not change much."""
    return F.interpolate(torch.rand(1, 3, 8, 8), (height, width), mode="bicubic")[0].movedim(0, -1).clamp(0, 1)


def square(height: int, width: int) -> Tensor:
    """A mask (H, W) of the middle."""
    mask = torch.zeros(height, width)
    mask[height // 4 : height * 3 // 4, width // 4 : width * 3 // 4] = 1
    return mask


def disc(height: int, width: int) -> Tensor:
    """A round mask (H, W) of the middle."""
    y, x = torch.meshgrid(torch.linspace(-2, 2, height), torch.linspace(-2, 2, width), indexing="ij")
    return (x.square() + y.square() < 1).float()


def output(base: Base, picture: Tensor, *motions: Motion, **options: Any) -> FullSize:
    """What a run is made for, without one."""
    return FullSize.of(base, picture, {motion.name or "": motion for motion in motions}, RunOptions(**options))


def pan(frames: int = 16, speed: float = 1.0) -> Sampled:
    """What a base would answer of a camera that goes right, by a speed in pixels of its 64 a frame."""
    flow = torch.zeros(1, frames, 2, 64, 64)
    flow[:, :, 0] = speed * torch.arange(frames)[:, None, None]
    return Sampled(torch.zeros(1, 1, frames, 1, 1), flow)


# --- what it shows ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("picture", "options"),
    [
        ((96, 128), {}),
        ((96, 128), {"size": (48, 64)}),
        ((96, 128), {"size": (96, 96)}),
        ((96, 128), {"size": (120, 80)}),
        ((96, 128), {"size": (192, None)}),
        ((20, 30), {}),
        ((64, 80), {"size": (96, 96), "fit": "pad"}),
    ],
)
def test_the_first_frame_is_the_fitted_picture_to_the_bit(
    base: Base, picture: tuple[int, int], options: dict[str, Any], shipped: Callable[..., Motion]
) -> None:
    still = torch.rand(*picture, 3)
    clip = animate(base, still, [shipped("pan_left")], RunOptions(steps=1, edges="mirror", timing=SHORT, **options))
    expected, fitting = fit_picture(still, clip.size, options.get("fit", "crop"))
    assert torch.equal(clip.frames[0], expected) and clip.fitting == fitting
    assert (clip.frames[-1] - clip.frames[0]).abs().max() > 0.05


def test_an_odd_row_and_column_are_cut_off_and_nothing_is_scaled(base: Base) -> None:
    still = torch.rand(97, 129, 3)
    scene, _ = output(base, still, edges="mirror").render(pan(), {})
    assert torch.equal(scene.frame(0).pixels, still[:96, :128])


def test_a_padded_picture_keeps_its_own_pixels(base: Base) -> None:
    """Zooming in on a picture that was first made as small as the clip would blur it."""
    still = torch.rand(100, 60, 3)
    made = output(base, still, fit="pad", size=(80, 80))
    assert torch.equal(made.picture[:, 20:80], still)
    assert torch.equal(made.picture[:, :20], still[:, :1].expand(-1, 20, -1))
    scene, _ = made.render(Sampled(pan().latents, 0 * pan().flow), {})
    assert torch.equal(scene.frame(5).pixels, scale_picture(made.picture, (80, 80)))


@pytest.mark.parametrize(("clip", "at_most"), [((80, 80), (160, 160)), ((400, 400), (400, 400))])
def test_a_padded_picture_is_as_fine_as_can_be_seen(
    base: Base, clip: tuple[int, int], at_most: tuple[int, int]
) -> None:
    assert output(base, torch.rand(300, 200, 3), fit="pad", size=clip).picture.shape[:2] == at_most


def test_the_flow_moves_the_picture_itself(base: Base) -> None:
    """A pixel of the base's 64 is two of the clip's 128, and its frame three of the clip's."""
    still = smooth(96, 128)
    scene, _ = output(base, still, edges="mirror").render(pan(), {})
    for frame in (3, 24, 45):
        shift = 2 * frame // 3
        torch.testing.assert_close(scene.frame(frame).pixels[:, : -shift - 4], still[:, shift:-4], atol=0.01, rtol=0)


def test_what_was_cut_off_comes_into_view(base: Base) -> None:
    """A camera that goes along a wide picture needs no narrower window than the clip."""
    still = smooth(96, 288)
    scene, notes = output(base, still, size=(96, 96)).render(pan(), {})
    assert scene.window.zoom == 1 and notes == []
    # 96 / 64 pixels of the picture for each of the base's, from the middle third.
    torch.testing.assert_close(scene.frame(30).pixels, still[:, 96 + 15 : 192 + 15], atol=0.01, rtol=0)


def test_the_base_sees_all_that_is_framed_squashed(base: Base) -> None:
    still = smooth(96, 288)
    whole, middle = output(base, still), output(base, still, size=(96, 96))
    assert torch.equal(whole.conditioning.picture, scale_picture(still, (64, 64)))
    assert torch.equal(middle.conditioning.picture, scale_picture(still[:, 96:192], (64, 64)))
    assert whole.conditioning.frames == base.frames


# --- masks -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def jump(base: Base, make_adapter: Callable) -> MIVAAdapter:
    return make_adapter(base.model, MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=2, mask=True))


def test_masks_follow_at_the_size_of_the_clip(base: Base, shipped: Callable[..., Motion]) -> None:
    still, mask = torch.rand(96, 128, 3), square(96, 128)
    motions = [shipped("jump_masked", mask=mask, name="a jump")]
    options = RunOptions(size=(60, 80), edges="mirror", timing=SHORT)
    clip = animate(base, still, motions, options)
    assert clip.masks.keys() == {"a jump"} and clip.masks["a jump"].shape == (12, 60, 80)
    assert clip.masks["a jump"].dtype == torch.float32
    torch.testing.assert_close(clip.masks["a jump"][0], fit_mask(mask, (60, 80)), atol=1e-6, rtol=0)
    assert (clip.masks["a jump"][-1] - clip.masks["a jump"][0]).abs().max() > 0.5
    seen = [frame.masks["a jump"] for frame in clip]
    assert torch.equal(torch.stack(seen), clip.masks["a jump"])


def test_masks_belong_to_the_picture_in_its_file(base: Base, jump: MIVAAdapter) -> None:
    """One that was read at a quarter of its size, with a mask of the whole."""
    still, mask = torch.rand(120, 160, 3), torch.zeros(480, 640)
    mask[:, 320:] = 1
    made = output(base, still, Motion(jump, mask=mask, name="jump"), size_in_file=(480, 640))
    assert made.masks["jump"].shape == (120, 160) and made.view.size == (480, 640)
    assert made.masks["jump"][:, :78].max() < 0.1 and made.masks["jump"][:, 82:].min() > 0.9
    first = made.conditioning.masks["jump"]
    assert first.shape == (64, 64) and first[:, :30].max() < 0.1 and first[:, 34:].min() > 0.9
    assert made.fitting == "" and made.remarks == ()


def test_a_mask_of_another_picture_is_told(base: Base, jump: MIVAAdapter) -> None:
    motion = Motion(jump, mask=square(50, 100), name="jump")
    with pytest.warns(MIVAWarning, match="jump was stretched, which shifts it off its subject, from 100×50 to .*96×96"):
        output(base, torch.rand(96, 96, 3), motion)


def test_a_padded_picture_keeps_all_of_its_mask(base: Base, jump: MIVAAdapter) -> None:
    mask = torch.zeros(32, 128)
    mask[:, :64] = 1
    made = output(base, torch.rand(32, 128, 3), Motion(jump, mask=mask, name="jump"), fit="pad", size=(128, 128))
    assert made.masks["jump"].shape == made.picture.shape[:2] == (128, 128)
    assert made.masks["jump"][:, :62].min() > 0.9 and made.masks["jump"][:, 66:].max() < 0.1


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        ((0, 0), "jump is empty, so it is taken for the whole frame"),
        ((2, 2), "jump shows nothing that is left at 64×64"),
    ],
)
def test_a_mask_in_which_the_base_would_see_nothing_is_the_whole_frame(
    base: Base, jump: MIVAAdapter, subject: tuple[int, int], message: str
) -> None:
    mask = torch.zeros(256, 256)
    mask[: subject[0], : subject[1]] = 1
    with pytest.warns(MIVAWarning, match=message):
        made = output(base, torch.rand(256, 256, 3), Motion(jump, mask=mask, name="jump"))
    assert made.masks["jump"].min() == 1
    torch.testing.assert_close(made.conditioning.masks["jump"], torch.ones(64, 64))


# --- size and length -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "frames", "fps"),
    [
        ({}, 48, 24),
        ({"timing": Timing(fps=8)}, 16, 8),
        ({"timing": Timing(fps=30, duration=1.5)}, 45, 30),
        ({"timing": Timing(loop=True)}, 96, 24),
        ({"frames": 17}, 17, 24),
        ({"frames": 50, "timing": Timing(fps=12.5)}, 50, 12.5),
        ({"timing": Timing(duration=0.01)}, 2, 24),
    ],
)
def test_a_clip_is_as_long_and_quick_as_it_was_asked_for(
    base: Base, options: dict[str, Any], frames: int, fps: float
) -> None:
    clip = animate(base, torch.rand(64, 64, 3), [], RunOptions(steps=1, **options))
    assert len(clip) == frames and clip.fps == fps
    assert len(clip.frames) == sum(1 for _ in clip) == frames
    assert clip.flow is not None and clip.flow.shape == (16, 2, 64, 64)


@pytest.mark.parametrize(
    ("picture", "options", "fitting", "notes"),
    [
        ((96, 128), {}, "", ()),
        ((96, 128), {"size": (None, None)}, "", ()),
        ((96, 128), {"size": [None, None]}, "", ()),
        (
            (97, 128),
            {},
            "centre-cropped 128×97 to 128×96",
            ("Sides of a clip are even, as videos need them: 128×96.",),
        ),
        (
            (96, 128),
            {"size": (61, 91)},
            "centre-cropped 128×96 to 128×85, scaled to 90×60",
            ("Sides of a clip are even, as videos need them: 90×60.",),
        ),
        (
            (48, 60),
            {},
            "scaled 60×48 to 80×64",
            ("The picture was enlarged: the shorter side of a clip has at least 64 pixels.",),
        ),
        (
            (30, 40),
            {"size_in_file": (3000, 4000)},
            "scaled 4000×3000 to 1024×768",
            ("The longer side of a clip has 1024 pixels, unless another size is asked for.",),
        ),
        ((30, 40), {"size_in_file": (3000, 4000), "size": (1500, None)}, "scaled 4000×3000 to 2000×1500", ()),
        ((48, 60), {"size": (48, 60)}, "", ()),
        ((64, 96), {"size": (96, 96), "fit": "pad"}, "padded 96×64 to 96×96", ()),
        ((97, 129), {"size": (96, 128), "fit": "pad"}, "scaled 129×97 to 128×96", ()),
    ],
)
def test_what_becomes_of_the_size_is_told(
    base: Base, picture: tuple[int, int], options: dict[str, Any], fitting: str, notes: tuple[str, ...]
) -> None:
    made = output(base, torch.rand(*picture, 3), **options)
    assert (made.fitting, made.remarks) == (fitting, notes)


# --- notes -----------------------------------------------------------------------------------------------------------


def test_a_clip_that_shows_a_part_of_the_picture_says_how_much(base: Base) -> None:
    made = output(base, smooth(96, 128))
    scene, notes = made.render(pan(), {})
    share = round(100 * scene.window.zoom)
    assert 75 < share < 85
    assert notes == [
        f"The clip shows {share} % of the picture's width and height, so that nothing invented comes into view: the "
        "edges 'mirror' show all of it."
    ]
    assert output(base, smooth(96, 128), edges="mirror").render(pan(), {})[1] == []


def test_a_small_window_is_told_and_a_smaller_one_refused(base: Base) -> None:
    _, notes = output(base, smooth(96, 128), timing=Timing(duration=4)).render(pan(speed=2.2), {})
    assert notes[-1] == "That is little of it: a shorter clip shows more."
    with pytest.raises(MIVAError, match=r"The camera leaves the picture so far .*: make the clip shorter"):
        output(base, smooth(96, 128), timing=Timing(duration=15)).render(pan(speed=2.2), {})


def closer(frames: int = 16, factor: float = 0.5) -> Sampled:
    """A camera whose view shrinks, or grows, by a factor over the clip, at constant speed of its logarithm."""
    places = torch.stack(torch.meshgrid(torch.arange(64) - 31.5, torch.arange(64) - 31.5, indexing="xy"))
    scale = factor ** (torch.arange(frames) / (frames - 1))
    return Sampled(torch.zeros(1, 1, frames, 1, 1), ((scale - 1)[:, None, None, None] * places)[None])


def test_a_camera_that_goes_on_until_little_is_seen_is_told(base: Base) -> None:
    """The base's 15 steps of 1/8 s make a view of half the size, or go on by the share of it that is given."""

    def lost(sampled: Sampled, duration: float, **options: Any) -> list[str]:
        made = output(base, smooth(96, 128), size=(24, 32), timing=Timing(fps=8, duration=duration), **options)
        return [note for note in made.render(sampled, {})[1] if note.startswith("After")]

    close = "the camera is so close that less than a quarter of the picture's width and height is seen"
    beyond = "less than a quarter of what the clip shows is the picture, the rest is made up from its edges"
    for edges in ("inside", "mirror"):
        assert lost(closer(), 3.875, edges=edges) == []
        assert lost(closer(), 5, edges=edges) == [f"After 3.9 s {close}: a shorter clip ends before."]
    # 48 of 64 pixels are reached at frame 30 when 1.6 a frame are gone, and passed at frame 31.
    assert lost(pan(speed=1.6), 3.75, edges="mirror") == []
    for duration in (4, 40):
        found = lost(pan(speed=1.6), duration, edges="mirror")
        assert found == [f"After 3.9 s {beyond}: a shorter clip ends before."]


@pytest.mark.parametrize("marked", ["all", "nearly all", "nothing", "scraps", "box", "turned box", "disc"])
def test_a_mask_that_does_not_mark_a_subject_alone_is_told(base: Base, jump: MIVAAdapter, marked: str) -> None:
    y, x = torch.meshgrid(torch.arange(96), torch.arange(96), indexing="ij")
    masks = {
        "all": torch.ones(96, 96),
        "nearly all": (y + x > 10).float(),
        "nothing": torch.zeros(96, 96),
        "scraps": ((y + x) % 8 < 5).float() * (y < 8),
        "box": square(96, 96),
        "turned box": ((y - 48).abs() + (x - 48).abs() < 25).float(),
        "disc": disc(96, 96),
    }
    bends = "With the mask of hop nothing is left beside the subject for it to move over, so the picture bends: "
    told = {
        "all": bends,
        "nearly all": bends,
        "nothing": bends,
        "scraps": "The mask of hop marks nothing that moves: ",
        "box": "The mask of hop is a box: what it holds beside the subject moves, too. ",
    }
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The mask of hop is empty", MIVAWarning)
        made = output(base, smooth(96, 96), Motion(jump, mask=masks[marked], name="hop"))
    notes = made.render(bulging(), {})[1]
    assert len(notes) == (marked in told) and all(note.startswith(told[marked]) for note in notes)
    idle = output(base, smooth(96, 96), Motion(jump, 0.0, mask=square(96, 96), name="hop"))
    assert idle.render(bulging(), {})[1] == []


def test_of_a_tiny_picture_a_larger_one_shows_more(base: Base) -> None:
    """Sampling keeps off its edges by three pixels on each side, of 16 more than a third."""
    for side, told in (
        (96, []),
        (16, ["That is little of it: a shorter clip shows more, and so does a larger picture."]),
    ):
        notes = output(base, smooth(side, side), size=(96, 96)).render(closer(factor=1.37), {})[1]
        assert [note for note in notes if note.startswith("That")] == told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, False),
        ({"timing": Timing(loop=True)}, False),
        ({"timing": Timing(duration=4, loop=True)}, False),
        ({"timing": Timing(fps=120)}, False),
        ({"timing": Timing(duration=2.2)}, True),
        ({"timing": Timing(duration=5, loop=True)}, True),
        ({"frames": 60}, True),
    ],
)
def test_what_goes_on_after_the_motion_is_told(
    base: Base, jump: MIVAAdapter, options: dict[str, Any], told: bool
) -> None:
    """Of what moves alone: a camera, a subject with its mask or without, both, or nothing."""
    still, subject = smooth(64, 64), Motion(jump, mask=disc(64, 64), name="jump")
    camera, rising = pan(speed=0.3), bulging()
    assert camera.flow is not None and rising.flow is not None
    both = replace(camera, flow=camera.flow + rising.flow)

    def goes_on(sampled: Sampled, *motions: Motion) -> list[str]:
        notes = output(base, still, *motions, edges="mirror", **options).render(sampled, {})[1]
        return [note for note in notes if note.startswith("The motion lasts")]

    after, camera_does, subjects_do = (
        "The motion lasts 2 s: after that",
        "the camera goes on at its speed",
        "what subjects do runs back and forth",
    )
    assert goes_on(camera) == [f"{after} {camera_does}."] * told
    assert goes_on(rising) == goes_on(rising, subject) == [f"{after} {subjects_do}."] * told
    assert goes_on(both, subject) == [f"{after} {camera_does}, and {subjects_do}."] * told
    assert goes_on(pan(speed=0.0)) == []


def test_a_camera_stops_where_its_strength_does(base: Base, shipped: Callable[..., Motion]) -> None:
    """A way that a straight line would explain, too, as it does where the motion is as strong in all frames."""
    sampled, easing = pan(speed=0.5), Curve(((0.0, 1.0), (0.45, 0.0)), "hold", "frames")
    assert sampled.flow is not None
    way = sampled.flow.where(torch.arange(16)[:, None, None, None] < 7, sampled.flow[:, 6:7])
    speeds, notes = {}, {}
    for strength in (1.0, easing):
        motion, options = shipped("pan_left", strength=strength), {"timing": Timing(duration=3), "edges": "mirror"}
        scene, notes[strength] = output(base, smooth(64, 64), motion, **options).render(replace(sampled, flow=way), {})
        speeds[strength] = torch.tensor(scene.layers.staging.camera.path.similarities).diff(dim=0)[:, 2]
    assert speeds[1.0].std() < 1e-9
    assert speeds[easing][:6].min() > 0.49 / 64 and speeds[easing][6:].abs().max() < 1e-9
    assert "The curves over frames last 2 s: after that the camera goes on at its last speed." in notes[easing]


def bulging() -> Sampled:
    """A camera at rest, and a part of the picture that rises by itself."""
    sampled = pan(speed=0.0)
    assert sampled.flow is not None
    sampled.flow[:, :, 1, 16:48, 16:48] = torch.linspace(0, 10, 16)[:, None, None]
    return sampled


def test_subjects_without_a_mask_are_told_and_no_motion_is_accused(
    base: Base, shipped: Callable[..., Motion], jump: MIVAAdapter
) -> None:
    still, masked = smooth(96, 96), Motion(jump, mask=disc(96, 96), name="hop")
    bends = [
        "A part of the picture moves that no mask marks, so its edges bend: take a masked motion, such as jump_masked, "
        "with a mask of the subject, by words, a box or a drawing."
    ]

    def notes(*motions: Motion) -> list[str]:
        return output(base, still, *motions).render(bulging(), {})[1]

    assert notes(shipped("jump")) == notes(shipped("pan_left"), shipped("rise")) == bends
    assert notes(masked) == notes(shipped("rise", strength=0.0)) == notes() == []
    assert notes(shipped("dolly_in")) == []


@pytest.mark.parametrize("options", [{"timing": Timing(fps=12)}, {"timing": Timing(loop=True)}, {"edges": "mirror"}])
def test_options_that_a_painted_clip_has_no_use_for_are_told(
    base: Base, make_base: Callable[..., Base], options: dict[str, Any]
) -> None:
    told = "Frame rate, duration, easing, loop and edges are for clips at full size: this one has the "
    painted = animate(base, torch.rand(64, 64, 3), [], RunOptions(steps=1, frames=4, render="latents", **options))
    assert painted.notes[-1] == f"{told}4 frames, 8 a second, that its base makes."
    other = animate(make_base("wan"), torch.rand(16, 16, 3), [], RunOptions(steps=1, **options))
    assert other.notes[-1].startswith(told)


# --- frames when they are asked for ----------------------------------------------------------------------------------


def short_clip(base: Base) -> Clip:
    return animate(base, smooth(96, 128), [], RunOptions(steps=1, timing=SHORT))


def test_going_through_a_clip_gives_its_frames_and_keeps_none(base: Base) -> None:
    clip = short_clip(base)
    alive: list[weakref.ref] = []
    first: list[Tensor] = []
    for frame in clip:
        first.append(frame.pixels.clone())
        alive.append(weakref.ref(frame.pixels))
        del frame
    gc.collect()
    assert len(alive) == 12 and not any(reference() is not None for reference in alive)
    assert torch.equal(torch.stack(first), clip.frames)


def test_all_frames_are_rendered_once_and_kept(base: Base) -> None:
    clip = short_clip(base)
    assert clip.frames is clip.frames and clip.masks is clip.masks
    assert clip.frames.shape == (12, 96, 128, 3) and clip.size == (96, 128)
    assert clip.frames.dtype == torch.float32 and 0 <= clip.frames.min() <= clip.frames.max() <= 1


def test_a_clip_whose_frames_are_kept_is_not_rendered_again(base: Base) -> None:
    clip = short_clip(base)
    kept = clip.frames
    assert [frame.pixels.data_ptr() for frame in clip] == [frame.data_ptr() for frame in kept]


def test_a_painted_clip_is_gone_through_likewise(base: Base) -> None:
    clip = animate(base, torch.rand(64, 64, 3), [], RunOptions(steps=1, frames=4, render="latents"))
    assert torch.equal(torch.stack([frame.pixels for frame in clip]), clip.frames)
    assert len(clip) == 4 and clip.size == (64, 64)


def test_previews_are_frames_as_they_will_be(base: Base, shipped: Callable[..., Motion]) -> None:
    seen: list[tuple[int, Tensor]] = []

    def look(progress: Progress) -> None:
        seen.append((progress.frames, progress.preview(7)))

    options = RunOptions(steps=2, size=(60, 80), timing=SHORT)
    clip = animate(base, smooth(96, 128), [shipped("zoom_out")], options, look)
    assert [frames for frames, _ in seen] == [12, 12] and all(shown.shape == (60, 80, 3) for _, shown in seen)
    assert torch.equal(seen[-1][1], clip.frames[7]) and not torch.equal(seen[0][1], clip.frames[7])


def test_a_preview_of_a_camera_that_leaves_the_picture_shows_it_mirrored(base: Base) -> None:
    """On the way it may be farther off than in the end, so that it is no reason to stop a run."""
    still, timing = smooth(96, 128), Timing(duration=15)
    seen = output(base, still, timing=timing).preview(pan(speed=2.2), 30)
    assert torch.equal(seen, output(base, still, timing=timing, edges="mirror").preview(pan(speed=2.2), 30))
    torch.testing.assert_close(seen[:, :70], still[:, 44:114], atol=0.01, rtol=0)


def test_a_preview_is_small_and_cuts_out_no_subjects(
    base: Base, jump: MIVAAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mattes and what is filled behind them take seconds, at every step."""
    still = smooth(900, 1200)
    made = output(base, still, Motion(jump, mask=square(900, 1200), name="jump"))
    with monkeypatch.context() as patched:
        patched.setattr("miva_core.rendering.layering.matte", lambda *_: pytest.fail("a subject was cut out"))
        seen = made.preview(pan(), 20)
    assert seen.shape == (384, 512, 3)
    assert torch.equal(seen, output(base, still).preview(pan(), 20))
    shown = output(base, still).render(pan(), {})[0].frame(20).pixels
    torch.testing.assert_close(seen, scale_picture(shown, (384, 512)), atol=0.05, rtol=0)


@pytest.mark.parametrize(("size", "shown"), [((4096, 64), (512, 8)), ((16, 768), (10, 512)), ((20, 30), (20, 30))])
def test_previews_keep_the_aspect_of_the_clip(base: Base, size: tuple[int, int], shown: tuple[int, int]) -> None:
    made = output(base, torch.rand(*(max(64, side) for side in size), 3), size=size, fit="pad")
    assert made.preview(pan(), 3).shape == (*shown, 3)


def test_what_a_base_must_not_answer_stops_a_run_at_its_first_preview(base: Base) -> None:
    made, answered = output(base, smooth(96, 128)), pan()
    assert answered.flow is not None
    with pytest.raises(MIVAError, match="but answered none"):
        made.preview(Sampled(answered.latents, None), 3)
    with pytest.raises(MIVAError, match="flow that moves the picture"):
        made.preview(Sampled(answered.latents, answered.flow * math.nan), 3)


def test_a_seed_makes_one_clip_and_others_make_others(base: Base, shipped: Callable[..., Motion]) -> None:
    def frames(seed: int) -> Tensor:
        return animate(base, still, [shipped("pan_left")], RunOptions(seed=seed, steps=1, timing=SHORT)).frames

    still = smooth(96, 128)
    assert torch.equal(frames(1), frames(1)) and not torch.equal(frames(1), frames(2))


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("picture", "options", "message"),
    [
        (torch.rand(1, 1, 3), {}, "The picture is 1×1: each side must have at least 16 pixels."),
        (torch.rand(64, 15, 3), {}, "The picture is 15×64: each side must have at least 16 pixels."),
        (torch.full((64, 64, 3), math.nan), {}, "The picture holds NaN or infinite values"),
        (torch.rand(64, 64, 3), {"size": (1, 1)}, "The size 1×1 cannot be used: each side .* 16 to 4096 pixels."),
        (torch.rand(64, 64, 3), {"size": (16_000, 16_000)}, "The size 16000×16000 cannot be used"),
        (torch.rand(64, 64, 3), {"size": (16, 4096)}, "would show no more than 64×1"),
        (torch.rand(64, 64, 3), {"frames": 1}, "A clip has at least 2 frames: 1 cannot be made."),
        (torch.rand(64, 64, 3), {"frames": 2.5}, "A clip has at least 2 frames: 2.5 cannot be made."),
        (
            torch.rand(64, 64, 3),
            {"frames": 24 * 61},
            "1464 frames, 24 a second, are too many for a clip: A clip of 61.0 seconds",
        ),
        (
            torch.rand(64, 64, 3),
            {"frames": 30, "timing": Timing(duration=1.5)},
            "Both 30 frames and a duration of 1.5 s are asked for: leave one of them out.",
        ),
        (torch.rand(64, 64, 3), {"fit": "stretch"}, "by 'crop' or 'pad', but 'stretch' was asked for"),
    ],
)
def test_what_cannot_be_made_is_refused_before_the_model_runs(
    base: Base, picture: Tensor, options: dict[str, Any], message: str
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the model was run")

    watch = base.model.register_forward_pre_hook(refuse)
    try:
        with pytest.raises(MIVAError, match=message) as raised:
            animate(base, picture, [], RunOptions(**options))
    finally:
        watch.remove()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"render": "both"}, "A clip is rendered from 'both', expected 'full' or 'latents'."),
        ({"edges": "black"}, "The edges are 'black', expected one of inside, mirror."),
        ({"timing": 24}, r"The timing is a int, expected Timing, as in Timing\(fps=24\)."),
    ],
)
def test_options_of_another_kind_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MIVAError, match=message):
        RunOptions(**options)
