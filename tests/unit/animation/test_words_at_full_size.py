"""Clips of a base that moves by words: against the words' formulas, and against each of its clips alone."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from worded_base import worded_base

from miva_core import Base, Clip, Curve, MIVAAdapter, MIVAConfig, Motion, RunOptions, Said, Timing, animate
from miva_core.animation.frame_strengths import frame_shares
from miva_core.animation.layered_full_size import LayeredFullSize
from miva_core.animation.motion import named
from miva_core.animation.rows import Row, captions, guides, layer_rows, together
from miva_core.animation.said_notes import said_notes
from miva_core.bases.model_predictor import ModelPredictor
from miva_core.clips.camera import apply_affine, pixel_grid
from miva_core.errors import MIVAError
from miva_core.motion_fields.displacements import displacement
from miva_core.motion_fields.region_frame import RegionFrame
from miva_core.motion_fields.whole_frame import camera_map, depth_map

SIZE, UNIT = (128, 192), 2
SLOW = Timing(fps=1, duration=2)
"""Two frames, the first and the last of the base."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return worded_base(tmp_path_factory.mktemp("base"))


def places() -> Tensor:
    """A picture whose colours say where they are: x and y, in shares of its sides."""
    y, x = torch.meshgrid(*(torch.linspace(0, 1, side) for side in SIZE), indexing="ij")
    return torch.stack([x, y, torch.full_like(x, 0.5)], -1)


def box(top: int, left: int, bottom: int, right: int) -> Tensor:
    mask = torch.zeros(SIZE)
    mask[top:bottom, left:right] = 1
    return mask


def made(base: Base, *said: Said, picture: Tensor | None = None, **options: Any) -> Clip:
    options = {"timing": SLOW, "edges": "mirror"} | options
    return animate(base, places() if picture is None else picture, list(said), RunOptions(**options))


def moved(clip: Clip, frame: int) -> Tensor:
    """How far off each pixel of a frame comes from, (H, W, 2) field units, by its colour."""
    shown = clip.source.frame(frame).pixels[..., :2] - places()[..., :2]
    return shown * torch.tensor([SIZE[1] - 1.0, SIZE[0] - 1.0]) / UNIT


def at_places() -> Tensor:
    return pixel_grid(*SIZE) / UNIT


def middle(way: Tensor, mask: Tensor | None = None) -> Tensor:
    """Far from the edges of the frame, or of a mask."""
    inner = mask if mask is not None else box(24, 40, -24, -40)
    return way[-F.max_pool2d(-inner[None], 33, 1, 16)[0] > 0.5]


# --- against formulas ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["pan left", "zoom in", "roll cw"])
def test_a_camera_moves_as_its_formula(base: Base, word: str) -> None:
    clip = made(base, Said(word, 0.4))
    exact = apply_affine(camera_map(word.replace(" ", "_"), 0.4, torch.tensor(8.0)), at_places()) - at_places()
    torch.testing.assert_close(middle(moved(clip, 1)), middle(exact), rtol=0, atol=0.03)


@pytest.mark.parametrize(("word", "near"), [("truck right", 0.7), ("dolly in", 0.3)])
def test_depth_comes_from_the_depth_map(base: Base, word: str, near: float) -> None:
    """A ramp across the frame, which is flat in the middle."""
    nearness = torch.linspace(near - 1, near + 1, SIZE[1]).clamp(near - 0.1, near + 0.1).expand(SIZE)
    clip = made(base, Said(word, 0.5), nearness=nearness)
    strip = box(40, 94, -40, 98)
    exact = apply_affine(depth_map(word.replace(" ", "_"), 0.5, torch.tensor(8.0), near), at_places()) - at_places()
    found, asked = moved(clip, 1)[strip > 0], exact[strip > 0]
    torch.testing.assert_close(found, asked, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("word", ["drift left", "breathe"])
def test_a_region_moves_inside_of_its_mask_alone(base: Base, word: str) -> None:
    mask = box(30, 50, 100, 130)
    clip = made(base, Said(word, 0.5, mask=mask))
    region = RegionFrame.of(mask, UNIT)
    exact = displacement(word.replace(" ", "_"), 0.5, at_places(), torch.tensor(8.0), region)
    torch.testing.assert_close(middle(moved(clip, 1), mask), middle(exact, mask), rtol=0, atol=0.15)
    beside = 1 - F.max_pool2d(mask[None], 25, 1, 12)[0]
    assert moved(clip, 1)[beside > 0].abs().max() < 0.05
    assert list(clip.source.frame(1).masks) == [word]


def test_a_subject_is_carried_with_its_mask(base: Base) -> None:
    mask = box(70, 60, 110, 100)
    clip = made(base, Said("rise", 0.5, mask=mask))
    frame = clip.source.frame(1)
    risen = mask.roll(-4 * UNIT, 0)  # 8 frames at half a unit
    assert (frame.masks["rise"] - risen).abs().mean() < 0.01
    inside = middle(moved(clip, 1), risen)
    torch.testing.assert_close(inside, torch.tensor([0.0, 4.0]).expand_as(inside), rtol=0, atol=0.05)


def test_a_curve_over_frames_is_the_speed_of_a_camera(base: Base) -> None:
    """Half of the clip at a speed, then none: it has gone half of the way, and stays there, also beyond the end."""
    stopping = Curve(((0.0, 1.0), (0.5, 1.0), (0.5001, 0.0)), over="frames")
    half = Curve(((0.0, 0.5),), over="frames")
    clip = made(base, Said("pan left", [stopping, half]), timing=Timing(fps=8, duration=2))
    ways = torch.stack([middle(moved(clip, k))[:, 0].mean() for k in (2, 4, 6, 8, 14)])
    torch.testing.assert_close(ways.abs(), torch.tensor([1.0, 2.0, 2.0, 2.0, 2.0]), rtol=0, atol=0.05)


def test_the_clips_own_flow_is_that_of_all(base: Base) -> None:
    mask = box(30, 50, 100, 130)
    clip = made(base, Said("pan left", 0.4), Said("drift left", 0.5, mask=mask))
    assert clip.flow is not None and clip.flow.shape == (9, 2, 64, 96)
    inside = clip.flow[8, :, 25:40, 40:50].mean((1, 2))
    beside = clip.flow[8, :, :10, :30].mean((1, 2))
    torch.testing.assert_close(beside, torch.tensor([-8 * 0.4, 0.0]), rtol=0, atol=0.02)
    torch.testing.assert_close(inside, torch.tensor([-8 * 0.4 + 8 * 0.5, 0.0]), rtol=0, atol=0.02)


# --- one clip for each mask ------------------------------------------------------------------------------------------


def answered(base: Base, output: LayeredFullSize, rows: list[Row]) -> Tensor:
    conditioning = output.conditioning
    predictor = ModelPredictor(
        base.model,
        captions(base, rows, frame_shares(9)),
        base.text_per_frame,
        torch.float32,
        guides(rows, conditioning),
    )
    x1 = base.encode(conditioning.picture)
    noisy = torch.randn(1, *x1.shape[1:2], 9, *x1.shape[3:], generator=torch.Generator().manual_seed(3))
    clips = torch.cat([x1, noisy[:, :, 1:]], 2).expand(len(rows), -1, -1, -1, -1)
    return predictor.predict(clips, torch.tensor(900.0)).flow


def test_each_clip_of_a_batch_is_as_alone(base: Base) -> None:
    """With a model that heeds noise and guides."""
    base = replace(base, model=deepcopy(base.model))
    nn.init.normal_(base.model.proj_out.weight, std=0.3)
    masks = box(20, 20, 60, 80), box(70, 100, 110, 160)
    motions = named([Said("zoom in"), Said("drift left", mask=masks[0]), Said("jump", 0.4, mask=masks[1])])
    output = LayeredFullSize.of(base, places(), motions, RunOptions(nearness=places()[..., 1]))
    whole, rows = answered(base, output, list(output.rows)), output.rows
    assert len(rows) == 3
    for k, row in enumerate(rows):
        alone = answered(base, output, [row])
        torch.testing.assert_close(whole[k : k + 1], alone, rtol=1e-4, atol=1e-4)
        assert alone.abs().max() > 0.5


def test_what_hears_no_adapter_is_made_apart_from_what_does(
    base: Base, make_adapter: Callable[..., MIVAAdapter], small: MIVAConfig
) -> None:
    adapter, mask = make_adapter(base.model, small), box(30, 50, 100, 130)
    motions = named([Motion(adapter, name="learnt"), Said("drift left", mask=mask), Said("pan left")])
    rows = layer_rows(motions)
    assert [(list(row.motions), list(row.said), row.masked) for row in rows] == [
        (["learnt"], ["pan left"], None),
        ([], ["drift left"], "drift left"),
    ]
    assert [len(group) for group in together(rows)] == [1, 1]
    steps: list[tuple[int, int]] = []
    clip = animate(
        base,
        places(),
        [Motion(adapter, 0.0), Said("drift left", 0.5, mask=mask)],
        RunOptions(timing=SLOW, edges="mirror"),
        lambda progress: steps.append((progress.step, progress.steps)),
    )
    assert steps == [(1, 2), (2, 2)]
    exact = made(base, Said("drift left", 0.5, mask=mask)).source.frame(1).pixels
    torch.testing.assert_close(clip.source.frame(1).pixels, exact, rtol=0, atol=1e-4)


def test_a_preview_shows_the_clip_small(base: Base) -> None:
    seen: list[Tensor] = []
    large = F.interpolate(places().permute(2, 0, 1)[None], (512, 768))[0].permute(1, 2, 0)
    animate(base, large, [Said("pan left", 0.5)], RunOptions(timing=SLOW), lambda now: seen.append(now.preview(1)))
    assert seen[0].shape == (342, 512, 3)
    way = (seen[0][170, 256, 0] - 0.5) * 96
    assert way.item() == pytest.approx(-4, abs=0.3)


# --- sizes and sides -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("picture", "size"), [((64, 96), (64, 96)), ((300, 200), (96, 64)), ((100, 100), (64, 64)), ((100, 400), (64, 128))]
)
def test_a_base_works_at_the_aspect_of_the_picture(base: Base, picture: tuple[int, int], size: tuple[int, int]) -> None:
    output = LayeredFullSize.of(base, torch.rand(*picture, 3), {}, RunOptions())
    assert output.conditioning.picture.shape[:2] == size


def test_masks_and_depth_go_on_beside_what_is_cropped_away(base: Base) -> None:
    motions = named([Said("drift left", 0.5, mask=box(20, 0, 100, 192)), Said("dolly in", 0.5)])
    options = RunOptions(size=(128, 64), nearness=places()[..., 0], timing=SLOW)
    output = LayeredFullSize.of(base, places(), motions, options)
    rows = list(output.rows)
    predictor = ModelPredictor(base.model, captions(base, rows, frame_shares(9)), False, torch.float32)
    predictor = ModelPredictor(base.model, predictor.text, False, torch.float32, guides(rows, output.conditioning))
    clips = base.encode(output.conditioning.picture).expand(2, -1, 9, -1, -1)
    layers = predictor.predict(clips, torch.tensor(999.0)).layers
    motion = output.motion([layers[:1], layers[1:]])
    (region,), parallax = motion.staying, motion.parallax
    torch.testing.assert_close(torch.from_numpy(region.mask), box(20, 0, 100, 192), rtol=0, atol=5e-3)
    assert parallax is not None
    torch.testing.assert_close(torch.from_numpy(parallax.nearness), places()[..., 0], rtol=0, atol=5e-3)
    assert motion.grid == output.conditioning.picture.shape[:2] == (128, 64)


# --- what is told ----------------------------------------------------------------------------------------------------


def test_without_a_motion_the_seed_chooses_a_camera_move(base: Base) -> None:
    clip = made(base)
    assert clip.notes == ("No motion acts: the base makes one of its camera moves, which the seed chooses.",)
    assert moved(clip, 1).abs().max() > 1
    others = {tuple(made(base, seed=seed).flow[8].mean((1, 2)).round(decimals=2).tolist()) for seed in (0, 1)}
    assert len(others) > 1


def test_what_is_said_at_the_speed_0_stands_still(base: Base) -> None:
    clip = made(base, Said("pan left", 0.0))
    assert clip.notes == ("pan left has the speed 0 and does nothing.",)
    assert torch.equal(clip.source.frame(1).pixels, places())


RAMP = {"nearness": torch.linspace(0, 1, SIZE[0])[:, None].expand(SIZE)}
DARK = {"nearness": torch.linspace(1, 0, SIZE[0])[:, None].expand(SIZE)}
CASES: Mapping[str, tuple[list[Said], dict[str, Any], str]] = {
    "fast": ([Said("pan left", 2.0)], {}, "pan left runs at a speed of 2; this base was trained up to 1.5"),
    "back": ([Said("pan left", -0.5)], {}, "pan left goes the other way round, at -0.5."),
    "degree": ([Said("pan left", degree=0.5)], {}, "pan left at degree 0.5: the speed 0.85."),
    "no mask": ([Said("drift left", 0.5)], {}, "drift left has no mask, without which hardly anything"),
    "no depth": ([Said("dolly in", 0.5)], {}, "No depth map is given, so that what is lower in the picture"),
    "depth for nothing": ([Said("pan left", 0.5)], RAMP, "The depth map is not used: no motion goes into depth"),
    "inverted": ([Said("truck right", 0.5)], DARK, "The depth map is darker below than above"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_odd_is_told_once(base: Base, case: str) -> None:
    said, options, note = CASES[case]
    (told,) = said_notes(base, named(said), options.get("nearness"))
    assert told.startswith(note)


def test_what_is_usual_is_not_remarked_on(base: Base) -> None:
    said = Said("truck right", 0.5), Said("drift left", 0.5, mask=box(30, 50, 100, 130))
    assert made(base, *said, **RAMP).notes == ()


@pytest.mark.parametrize(
    ("said", "options", "match"),
    [
        (Said("drift left", mask=torch.zeros(SIZE)), {}, "The mask of drift left marks nothing"),
        (Said("drift left", mask=torch.ones(SIZE)), {}, "The mask of drift left marks the whole picture"),
        (
            Said("drift left", mask=box(0, 0, 30, 20)),
            {"size": (128, 64)},
            "The mask of drift left shows nothing that is",
        ),
        (Said("dolly in"), {"nearness": torch.full(SIZE, 0.4)}, "The depth map is flat"),
        (Said("dolly in"), {"nearness": places()}, "The depth map is a picture in colours"),
        (Said("dolly in"), {"nearness": torch.rand(64, 64)}, "The depth map is 64×64, of another aspect"),
        (Said("dolly in"), {"nearness": torch.rand(2, 64, 96, 1)}, "The depth map is a batch of 2"),
    ],
)
def test_bad_input_is_told_in_a_sentence(base: Base, said: Said, options: dict[str, Any], match: str) -> None:
    with pytest.raises(MIVAError, match=match):
        made(base, said, **options)


def test_a_painted_clip_is_guided_by_one_mask(base: Base) -> None:
    masked = [Said("drift left", 0.5, mask=box(20, 20, 60, 80)), Said("jump", 0.5, mask=box(70, 100, 110, 160))]
    painted = made(base, masked[0], Said("pan left", 0.3), render="latents", timing=Timing(), edges="inside", frames=4)
    assert painted.frames.shape == (4, 64, 64, 3)
    with pytest.raises(MIVAError, match="guided by one mask, but drift left and jump each have one"):
        made(base, *masked, render="latents", timing=Timing(), edges="inside")


def test_a_guided_adapter_moves_what_its_mask_marks(
    base: Base, make_adapter: Callable[..., MIVAAdapter], small: MIVAConfig
) -> None:
    """By what it has learnt to say, here to drift."""
    adapter = make_adapter(base.model, replace(small, guide="mask"))
    for parameter in adapter.parameters():
        parameter.data.zero_()
    assert base.vocabulary is not None
    adapter.caption.data[1] = base.vocabulary.vectors["subject drift_left"]
    mask = box(30, 50, 100, 130)
    clip = animate(base, places(), [Motion(adapter, 0.5, mask, "learnt")], RunOptions(timing=SLOW, edges="mirror"))
    inside = middle(moved(clip, 1), mask)
    torch.testing.assert_close(inside, torch.tensor([4.0, 0.0]).expand_as(inside), rtol=0, atol=0.2)
    with pytest.raises(MIVAError, match="No mask is given for learnt"):
        animate(base, places(), [Motion(adapter, name="learnt")], RunOptions(timing=SLOW))
