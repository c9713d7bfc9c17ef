"""What holds of every clip at full size: drawn sizes, aspects, rates, masks and motions of a built-in base."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from miva_core import Clip, MIVAAdapter, MIVAConfig, Motion, RunOptions, Timing, animate, load_base
from miva_core.bases.base import Base
from miva_core.bases.tiny.spec import SHIPPED
from miva_core.checks import LARGEST_VALUE
from miva_core.errors import MIVAError
from miva_core.media.pictures import fit_picture

# A mask that is empty, or so small that the base sees nothing of it, is told.
pytestmark = pytest.mark.filterwarnings("ignore:The mask of")

PLAIN = ("pan_left", "zoom_out", "roll_cw", "jump")
MASKED = ("jump_masked", "sway_masked")


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base("tiny")


@pytest.fixture(scope="module")
def shipped(base: Base) -> Callable[..., Motion]:
    adapters: dict[str, MIVAAdapter] = {}

    def motion(name: str, mask: Tensor | None = None, strength: float = 1.0) -> Motion:
        if name not in adapters:
            adapters[name] = MIVAAdapter.load(SHIPPED / f"{name}.safetensors", base.backbone)
        return Motion(adapters[name], strength, mask, name)

    return motion


def places(height: int, width: int) -> Tensor:
    """A picture (H, W, 3) whose red and green say where in it a pixel is, from 0 to 1."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([x / width, y / height, torch.full_like(x, 0.5)], dim=-1)


def drawn_mask(chance: random.Random, height: int, width: int) -> Tensor:
    """Anything that users make: boxes, soft discs, a single pixel, nothing, everything."""
    kind = chance.choice(("box", "box", "disc", "disc", "pixel", "nothing", "everything"))
    mask = torch.zeros(height, width)
    top, left = chance.randrange(height), chance.randrange(width)
    if kind == "box":
        mask[top : top + chance.randint(1, height), left : left + chance.randint(1, width)] = 1
    elif kind == "disc":
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        radius = chance.uniform(0.05, 0.5) * min(height, width)
        mask = torch.sigmoid((radius - ((y - top) ** 2 + (x - left) ** 2).sqrt()) * chance.uniform(0.2, 3))
    elif kind == "pixel":
        mask[top, left] = 1
    elif kind == "everything":
        mask[:] = 1
    return mask


def drawn_size(chance: random.Random) -> tuple[int | None, int | None] | None:
    height, width = chance.randint(48, 160), chance.randint(48, 160)
    return chance.choice((None, (height, width), (height, None), (None, width)))


def drawn_motions(chance: random.Random, shipped: Callable[..., Motion], height: int, width: int) -> list[Motion]:
    names = [*chance.sample(PLAIN, chance.randint(0, 1)), *chance.sample(MASKED, chance.randint(0, 2))]
    return [shipped(name, drawn_mask(chance, height, width) if name in MASKED else None) for name in names]


def drawn_timing(chance: random.Random) -> tuple[Timing, int | None, int]:
    """A timing, the length in frames if that is asked for, and how many frames there must be."""
    fps, loop = chance.choice((1.0, 3.0, 7.5, 12.0)), chance.random() < 0.3
    easing = chance.choice(("linear", "ease-in", "ease-out", "ease-in-out"))
    if chance.random() < 0.3:
        frames = chance.randint(2, 12)
        return Timing(fps, None, easing, loop), frames, frames
    duration = chance.choice((0.01, 0.5, 1.3, 2.0))
    return Timing(fps, duration, easing, loop), None, max(2, round(fps * duration))


@pytest.mark.parametrize("seed", range(16))
def test_whatever_is_asked_for_is_a_clip(base: Base, shipped: Callable[..., Motion], seed: int) -> None:
    chance = random.Random(seed)
    height, width = chance.randint(60, 150), chance.randint(60, 150)
    picture = torch.rand(height, width, 3, generator=torch.Generator().manual_seed(seed))
    motions, size, fit = (
        drawn_motions(chance, shipped, height, width),
        drawn_size(chance),
        chance.choice(("crop", "pad")),
    )
    timing, frames, count = drawn_timing(chance)
    options = RunOptions(seed, 1, size, frames, fit, edges="mirror", timing=timing)
    clip = animate(base.with_drawn_caption(seed), picture, motions, options)

    assert len(clip) == count and clip.fps == timing.fps
    assert clip.frames.shape == (count, *clip.size, 3) and clip.frames.dtype == torch.float32
    assert clip.masks.keys() == {motion.name for motion in motions if motion.mask is not None}
    for values in (clip.frames, *clip.masks.values()):
        assert values.shape[:3] == (count, *clip.size)
        assert values.isfinite().all() and values.min() >= 0 and values.max() <= 1
    assert all(side % 2 == 0 for side in clip.size)
    for side, asked in zip(clip.size, size or (None, None), strict=True):
        assert asked is None or side == asked - asked % 2
    if size is None:
        assert min(clip.size) >= 64 and clip.size[1] / clip.size[0] == pytest.approx(width / height, rel=0.05)
    # The last first: a frame does not depend on those that were rendered before it.
    for i in reversed(range(count)):
        assert torch.equal(clip.source.frame(i).pixels, clip.frames[i])


@pytest.mark.parametrize("seed", range(8))
def test_the_first_frame_is_the_fitted_picture_to_the_last_bit(
    base: Base, shipped: Callable[..., Motion], seed: int
) -> None:
    chance = random.Random(100 + seed)
    height, width = (2 * chance.randint(32, 80) for _ in "hw")
    picture = torch.rand(height, width, 3)
    mask = torch.zeros(height, width)
    mask[height // 3 : height // 2, width // 4 : width // 2] = 1
    size = chance.choice(((height, width), tuple(2 * chance.randint(20, 90) for _ in "hw")))
    motions = [shipped("pan_left", strength=0.5), shipped("jump_masked", mask)]
    clip = animate(base, picture, motions, RunOptions(steps=1, frames=3, size=size, edges="mirror"))
    assert torch.equal(next(iter(clip)).pixels, fit_picture(picture, size)[0])


def affine_error(frame: Tensor) -> float:
    """How far a frame of `places` is from one that is an affine picture of it, in shares of the picture's sides."""
    height, width = frame.shape[:2]
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    terms = torch.stack([torch.ones_like(x), x, y], dim=-1).flatten(0, 1).double()
    seen = frame[..., :2].flatten(0, 1).double()
    return float((terms @ torch.linalg.lstsq(terms, seen).solution - seen).abs().max())


@pytest.mark.parametrize("move", ["pan_left", "zoom_out", "roll_cw"])
@pytest.mark.parametrize(("height", "width"), [(100, 100), (72, 150), (150, 90)])
def test_inside_a_camera_shows_the_picture_alone(
    base: Base, shipped: Callable[..., Motion], move: str, height: int, width: int
) -> None:
    """What it sees is one affine image of the picture in all frames; where that is mirrored, there is a fold."""

    def error(edges: Any) -> float:
        options = RunOptions(steps=2, frames=5, edges=edges, timing=Timing(fps=2.5))
        clip = animate(base, places(height, width), [shipped(move)], options)
        return max(affine_error(frame.pixels) for frame in clip)

    assert error("inside") < 0.5 / max(height, width) < 0.02 < error("mirror")


@pytest.mark.parametrize(
    "names", [("pan_left",), ("zoom_out", "jump_masked"), ("sway_masked", "jump_masked"), ("rise",)]
)
@pytest.mark.parametrize("edges", ["inside", "mirror"])
def test_a_picture_of_one_colour_stays_one(
    base: Base, shipped: Callable[..., Motion], names: tuple[str, ...], edges: Any
) -> None:
    """Neither mattes, nor what is filled behind a subject, nor edges bring in another."""
    colour = torch.tensor([0.9, 0.3, 0.05])
    masks = [torch.zeros(70, 110) for _ in names]
    for k, mask in enumerate(masks):
        mask[20 + 10 * k : 45 + 10 * k, 10 + 30 * k : 50 + 30 * k] = 1
    motions = [shipped(name, mask if name in MASKED else None) for name, mask in zip(names, masks, strict=True)]
    options = RunOptions(steps=1, frames=6, edges=edges, timing=Timing(fps=3))
    clip = animate(base, colour.expand(70, 110, 3), motions, options)
    torch.testing.assert_close(clip.frames, colour.expand_as(clip.frames), rtol=0, atol=2e-3)


def test_a_clip_stays_as_it_is_when_what_it_was_made_of_changes(base: Base, shipped: Callable[..., Motion]) -> None:
    picture, mask = torch.rand(64, 96, 3), torch.zeros(64, 96)
    mask[20:50, 30:60] = 1
    options = RunOptions(steps=1, frames=3, edges="mirror")
    clip = animate(base, picture, [shipped("jump_masked", mask)], options)
    before = list(clip)
    picture.zero_()
    mask.zero_()
    for one, other in zip(before, clip, strict=True):
        assert torch.equal(one.pixels, other.pixels) and one.pixels.max() > 0.5
        assert torch.equal(one.masks["jump_masked"], other.masks["jump_masked"])


def test_a_loop_comes_back_by_the_way_it_went(base: Base, shipped: Callable[..., Motion]) -> None:
    picture, mask = torch.rand(64, 96, 3), torch.zeros(64, 96)
    mask[20:50, 30:60] = 1
    for easing in ("linear", "ease-in"):
        timing = Timing(4.0, None, easing, loop=True)
        clip = animate(base, picture, [shipped("pan_left", strength=0.5), shipped("sway_masked", mask)], looped(timing))
        assert len(clip) == 16
        assert torch.equal(clip.frames[1:], clip.frames[1:].flip(0))
        assert not torch.equal(clip.frames[0], clip.frames[8])


def looped(timing: Timing) -> RunOptions:
    return RunOptions(steps=1, edges="mirror", timing=timing)


def test_rate_and_duration_choose_frames_of_one_motion(base: Base, shipped: Callable[..., Motion]) -> None:
    """More frames a second fall between the others, and a shorter clip is the beginning of a longer one."""
    picture, mask = (
        torch.nn.functional.interpolate(torch.rand(1, 3, 8, 12), (64, 96), mode="bicubic"),
        torch.zeros(64, 96),
    )
    picture = picture[0].permute(1, 2, 0).clamp(0, 1)
    mask[20:50, 30:60] = 1

    def clip(fps: float, duration: float) -> Clip:
        options = RunOptions(steps=1, edges="mirror", timing=Timing(fps, duration))
        return animate(base, picture, [shipped("zoom_in"), shipped("jump_masked", mask)], options)

    usual = clip(4, 3).frames
    torch.testing.assert_close(clip(12, 3).frames[::3], usual, rtol=0, atol=5e-3)
    torch.testing.assert_close(clip(4, 1).frames, usual[:4], rtol=0, atol=5e-3)
    assert (usual[1:] - usual[:-1]).abs().amax((1, 2, 3)).min() > 0.02


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("strength", [1.0, -30.0])
def test_the_wildest_adapter_makes_a_clip(
    base: Base, make_adapter: Callable[..., MIVAAdapter], masked: bool, strength: float
) -> None:
    adapter = make_adapter(base.model, MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=2, mask=masked))
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.mul_(10).clamp_(-LARGEST_VALUE, LARGEST_VALUE)
    mask = torch.zeros(60, 80)
    mask[20:40, 20:50] = 1
    motion = Motion(adapter, strength, mask if masked else None, "wild")
    options = RunOptions(steps=2, frames=6, edges="mirror", timing=Timing(fps=1.5))
    clip = animate(base, torch.rand(60, 80, 3), [motion], options)
    assert clip.frames.isfinite().all() and all(values.isfinite().all() for values in clip.masks.values())


TOO_SMALL = r"^The picture is \d+×\d+: each side must have at least 16 pixels\.$"
TOO_NARROW = r"^The picture, 40×3000, is too narrow for a clip of its own aspect: ask for another size\.$"


@pytest.mark.parametrize(
    ("picture", "asked", "size"),
    [
        ((64, 64), None, (64, 64)),
        ((65, 63), None, (66, 64)),  # 66.03 high at the base's 64
        ((16, 16), None, (64, 64)),
        ((2000, 40), None, (3200, 64)),
        ((64, 64), (40, 60), (40, 60)),
        ((17, 1000), (40, 60), (40, 60)),
        ((3000, 40), (40, 60), (40, 60)),
    ],
    ids=str,
)
def test_the_oddest_pictures_become_clips(base: Base, picture: tuple[int, int], asked: Any, size: Any) -> None:
    options = RunOptions(steps=1, frames=3, size=asked, edges="mirror")
    clip = animate(base, torch.rand(*picture, 3), [], options)
    assert clip.frames.shape == (3, *size, 3) and clip.size == size and clip.frames.isfinite().all()


@pytest.mark.parametrize(
    ("picture", "asked", "sentence"),
    [
        *(
            (picture, asked, TOO_SMALL)
            for picture in ((8, 8), (8, 300), (500, 9), (1, 40), (15, 16))
            for asked in (None, (40, 60))
        ),
        ((3000, 40), None, TOO_NARROW),
    ],
    ids=str,
)
def test_pictures_that_nothing_can_be_made_of_are_refused(
    base: Base, picture: tuple[int, int], asked: Any, sentence: str
) -> None:
    with pytest.raises(MIVAError, match=sentence):
        animate(base, torch.rand(*picture, 3), [], RunOptions(steps=1, frames=3, size=asked, edges="mirror"))
