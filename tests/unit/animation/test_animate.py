"""Runs whose frames the network paints, and what every run refuses."""

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, EulerDiscreteScheduler, UniPCMultistepScheduler
from torch import Tensor

from miva_core import (
    Clip,
    Curve,
    MIVAAdapter,
    MIVAConfig,
    Motion,
    NoiseInit,
    Progress,
    RunOptions,
    Strength,
    animate,
    describe,
    inject,
    load_base,
)
from miva_core.animation.motion import base_for
from miva_core.bases.base import Base
from miva_core.checks import LARGEST_VALUE
from miva_core.diffusion.init_noise import adain
from miva_core.errors import MIVAError, MIVAWarning
from miva_core.media.pictures import fit_picture

pytestmark = [
    # diffusers' schedulers and numpy 2
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:These steps end in weak noise"),
]
OFF_AT_THE_END = pytest.mark.filterwarnings("ignore:.* is off at the last step")

CONFIGS = MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=2), MIVAConfig(cfa_rank=3, ca_rank=2, ta_rank=2, ca_act="softmax")
painted = partial(RunOptions, render="latents")
"""Options of a run whose frames the network paints."""
QUICK = painted(steps=2, frames=4)


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base("tiny")


@pytest.fixture
def picture(base: Base) -> Tensor:
    return torch.rand(*base.size, 3)


@pytest.fixture
def pair(base: Base, make_adapter: Callable) -> tuple[MIVAAdapter, MIVAAdapter]:
    """Two strong random adapters of different structure."""
    return make_adapter(base.model, CONFIGS[0]), make_adapter(base.model, CONFIGS[1])


def injected(base: Base) -> list[tuple[int, int, int]]:
    """What an injection would change: processors and hooks of every module."""
    return [
        (id(getattr(m, "processor", None)), len(m._forward_hooks), len(m._forward_pre_hooks))
        for m in base.model.modules()
    ]


def assert_close(one: Clip, other: Clip) -> None:
    torch.testing.assert_close(one.frames, other.frames, rtol=0, atol=1e-3)


# --- the clip --------------------------------------------------------------------------------------------------------


def test_a_clip_has_the_shape_and_rate_of_its_base(base: Base, picture: Tensor) -> None:
    clip = animate(base, picture, [], painted(steps=1))
    assert clip.frames.shape == (base.frames, *base.size, 3) and clip.fps == base.fps
    assert clip.frames.dtype == torch.float32 and clip.frames.device.type == "cpu"
    assert clip.frames.min() >= 0 and clip.frames.max() <= 1
    assert (clip.frames[1:] - clip.frames[0]).abs().amax((1, 2, 3)).min() > 1e-3


def test_pictures_of_any_size_are_fitted(base: Base) -> None:
    picture = torch.rand(50, 120, 3)
    clip = animate(base, picture, [], QUICK)
    fitted, _ = fit_picture(picture, base.size)
    assert torch.equal(clip.frames, animate(base, fitted, [], QUICK).frames)


@pytest.mark.parametrize("size", [(64, 96), (48, 32), (16, 16)])
def test_other_sizes(base: Base, picture: Tensor, pair: tuple, size: tuple[int, int]) -> None:
    clip = animate(base, picture, [Motion(pair[0], name="one")], replace(QUICK, size=size))
    assert clip.frames.shape == (4, *size, 3) and clip.frames.isfinite().all()


def test_a_picture_in_half_precision(base: Base, picture: Tensor) -> None:
    wide = torch.rand(80, 100, 3).half()
    clip = animate(base, wide, [], QUICK)
    torch.testing.assert_close(clip.frames, animate(base, wide.float(), [], QUICK).frames)


def test_a_seed_makes_one_clip(base: Base, picture: Tensor) -> None:
    one, again, other = (animate(base, picture, [], replace(QUICK, seed=seed)).frames for seed in (1, 1, 2**64 - 1))
    assert torch.equal(one, again)
    assert torch.equal(one[0], other[0]) and (one - other).abs().max() > 5e-3


def test_making_a_clip_leaves_other_random_numbers_alone(base: Base, picture: Tensor) -> None:
    state = torch.get_rng_state()
    animate(base, picture, [], QUICK)
    assert torch.equal(torch.get_rng_state(), state)


# --- adapters --------------------------------------------------------------------------------------------------------


def test_adapters_at_weight_0_are_no_adapters(base: Base, picture: Tensor, pair: tuple) -> None:
    one, two = Motion(pair[0], 0.0), Motion(pair[1], 0)
    plain = animate(base, picture, [], QUICK)
    assert_close(animate(base, picture, [one, two], QUICK), plain)
    moved = animate(base, picture, [Motion(pair[0]), two], QUICK)
    assert (moved.frames - plain.frames).abs().max() > 5e-3


def test_a_strength_acts_part_by_part(base: Base, picture: Tensor, pair: tuple) -> None:
    def run(strength: float | Strength, name: str = "one") -> Clip:
        return animate(base, picture, [Motion(pair[0], strength, name=name)], QUICK)

    plain, whole = animate(base, picture, [], QUICK), run(1.0)
    assert_close(run(Strength(0.0, 0.0, 0.0)), plain)
    assert torch.equal(run(Strength()).frames, whole.frames)
    assert not torch.allclose(run(Strength(prompt=0.0)).frames, whole.frames, atol=1e-3)


def test_a_motion_of_which_no_part_acts_is_no_motion(base: Base, pair: tuple) -> None:
    none, some = (Motion(pair[0], Strength(*parts)) for parts in ((0.0, 0.0, 0.0), (0.0, 0.0, 1.0)))
    assert (none.acts, some.acts) == (False, True)
    assert base_for(base, [some], 0) is base
    assert base_for(base, [none], 0) is not base


def test_a_motion_that_is_off_at_the_deciding_step_is_told(base: Base, picture: Tensor, pair: tuple) -> None:
    def warned(start: float, end: float, **options: Any) -> list[str]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", MIVAWarning)
            animate(
                base,
                picture,
                [Motion(pair[0], name="one", span=(start, end))],
                painted(steps=4, frames=4, **options),
            )
        texts = [str(warning.message) for warning in caught if warning.category is MIVAWarning]
        return [text for text in texts if " is off at " in text]

    (text,) = warned(0.0, 0.75)
    assert text.startswith("one is off at the last step")
    assert warned(0.0, 0.76) == warned(0.5, 1.0) == []
    sigmas = torch.tensor([80.0, 14.0, 3.0, 1.0, 0.0])
    assert warned(0.0, 0.75, scheduler=base.scheduler) == warned(0.0, 0.75, sigmas=sigmas) == []


def test_a_curve_of_one_value_is_that_strength(base: Base, picture: Tensor, pair: tuple) -> None:
    """Over the noise to the bit, over the frames but for rounding."""
    constant, over_noise, over_frames = (
        animate(base, picture, [Motion(pair[0], strength)], painted(frames=3, steps=2)).frames
        for strength in (0.4, Curve(((0.0, 0.4),), over="noise"), Curve(((0.0, 0.4),), over="frames"))
    )
    assert torch.equal(over_noise, constant)
    torch.testing.assert_close(over_frames, constant, rtol=0, atol=1e-4)


@OFF_AT_THE_END
def test_spans_can_be_changed_while_running(base: Base, picture: Tensor, pair: tuple) -> None:
    one, four = Motion(pair[0], name="one"), painted(steps=4, frames=4)

    def cut(progress: Progress) -> None:
        if progress.step == 1:
            progress.miva.set_spans(one=(0.0, 0.5))

    expected = animate(base, picture, [replace(one, span=(0.0, 0.5))], four)
    assert not torch.equal(animate(base, picture, [one], four).frames, expected.frames)
    assert torch.equal(animate(base, picture, [one], four, cut).frames, expected.frames)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"motions": None}, "The motions are a NoneType, expected a list"),
        ({"motions": {"pan": 1.0}}, "The motions are a dict, expected a list"),
        ({"motions": ["pan.safetensors"]}, "A motion is a str, expected a Motion"),
        ({"picture": "cat.png"}, "The picture is a str, expected a float tensor"),
        ({"options": RunOptions(size=64)}, "The size is 64, but it must be"),
        ({"options": RunOptions(fit="stretch")}, "by 'crop' or 'pad', but 'stretch' was asked for"),
        ({"options": {"seed": 1}}, "The options are a dict"),
        ({"options": {}}, "The options are a dict"),
        ({"callback": 3}, "The callback is a int, expected a function"),
    ],
)
def test_what_has_the_wrong_type_is_named(base: Base, picture: Tensor, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(MIVAError, match=message):
        animate(**({"base": base, "picture": picture} | arguments))


def test_a_span_without_a_step_is_refused(base: Base, picture: Tensor, pair: tuple) -> None:
    with pytest.raises(MIVAError, match=r"holds none of the 4"):
        animate(base, picture, [Motion(pair[0], name="one", span=(0.3, 0.45))], painted(steps=4))


@pytest.mark.parametrize("name", ["a b", "v1.5", "model", "self", "weights", "", "sites/x", "größer"])
def test_any_name_will_do(base: Base, picture: Tensor, pair: tuple, name: str) -> None:
    tiny = painted(steps=1, frames=2, size=(16, 16))
    clip = animate(base, picture, [Motion(pair[0], 0.6, name=name), Motion(pair[1], 0.4, name="other")], tiny)
    plain = [Motion(pair[0], 0.6), Motion(pair[1], 0.4)]
    assert torch.equal(clip.frames, animate(base, picture, plain, tiny).frames)


def test_an_adapter_of_another_base_is_refused_by_its_name(base: Base, picture: Tensor, make_unet: Callable) -> None:
    stranger = MIVAAdapter(describe(make_unet()), CONFIGS[0])
    before = injected(base)
    with pytest.raises(MIVAError, match=r"my pan.* another base"):
        animate(base, picture, [Motion(stranger, name="my pan")], QUICK)
    assert injected(base) == before


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_stop_on_the_way_leaves_nothing_behind(
    base: Base, picture: Tensor, pair: tuple, error: type[BaseException]
) -> None:
    before, plain = injected(base), animate(base, picture, [], QUICK)
    during = []

    def stop(progress: Progress) -> None:
        during.append(injected(base))
        raise error("enough")

    with pytest.raises(error, match="enough"):
        animate(base, picture, [Motion(pair[0], name="one")], QUICK, callback=stop)
    assert len(during) == 1 and during[0] != before
    assert injected(base) == before
    assert torch.equal(animate(base, picture, [], QUICK).frames, plain.frames)


# --- progress --------------------------------------------------------------------------------------------------------


def test_progress_can_be_looked_at(base: Base, picture: Tensor) -> None:
    seen: list[tuple[int, int, Tensor]] = []

    def note(progress: Progress) -> None:
        shown = torch.stack([progress.preview(frame) for frame in range(progress.frames)])
        seen.append((progress.step, progress.steps, shown))

    clip = animate(base, picture, [], painted(steps=3, frames=4, adain=False), note)
    assert [(step, steps) for step, steps, _ in seen] == [(1, 3), (2, 3), (3, 3)]
    assert all(preview.shape == clip.frames.shape for *_, preview in seen)
    assert all(torch.equal(preview[0], clip.frames[0]) for *_, preview in seen)
    assert not torch.allclose(seen[0][2], seen[2][2], atol=1e-3)


def test_the_flow_that_a_base_predicts_comes_with_the_clip(base: Base, picture: Tensor, pair: tuple) -> None:
    """As the network answers it at the last step, every frame into the first."""
    answered: list[Tensor] = []
    watch = base.model.register_forward_hook(lambda _, args, output: answered.append(output.flow))
    seen: list[Tensor] = []
    try:
        clip = animate(base, picture, [Motion(pair[0])], QUICK, lambda progress: seen.append(progress.flow))
    finally:
        watch.remove()
    assert clip.flow.shape == (4, 2, *base.size) and clip.flow.dtype == torch.float32
    assert torch.equal(clip.flow, answered[-1][0]) and not torch.equal(clip.flow, answered[0][0])
    assert all(map(torch.equal, seen, answered))


def test_other_bases_have_no_flow(make_base: Callable[..., Base]) -> None:
    assert animate(make_base("wan"), torch.rand(16, 16, 3), [], RunOptions(steps=1)).flow is None


# --- options ---------------------------------------------------------------------------------------------------------


def test_adain_is_applied_to_the_last_latents(base: Base, picture: Tensor) -> None:
    """DDIM's last prediction is its result, so the last progress shows the latents before AdaIN."""
    shown: list[Tensor] = []

    def show(progress: Progress) -> None:
        shown.append(progress.latents)

    matched = animate(base, picture, [], replace(QUICK, adain=True))
    plain = animate(base, picture, [], replace(QUICK, adain=False), show)
    assert torch.equal(animate(replace(base, adain=True), picture, [], QUICK).frames, matched.frames)
    assert torch.equal(animate(replace(base, adain=False), picture, [], QUICK).frames, plain.frames)
    torch.testing.assert_close(plain.frames, base.decode(shown[-1]), rtol=0, atol=1e-3)
    torch.testing.assert_close(matched.frames, base.decode(adain(shown[-1])), rtol=0, atol=1e-3)
    assert (matched.frames - plain.frames).abs().max() > 5e-3


STRONG = NoiseInit(strength=1.0, cutoff=0.5)


OPTIONS: dict[str, dict[str, Any]] = {
    "no DCT": {"noise": replace(STRONG, dct=False)},
    "weaker DCT": {"noise": replace(STRONG, strength=0.5)},
    "narrower DCT": {"noise": replace(STRONG, cutoff=0.2)},
    "no shared noise": {"noise": replace(STRONG, shared_ratio=0.0)},
    "steps": {"steps": 3},
    "frames": {"frames": 3},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_has_an_effect(base: Base, picture: Tensor, name: str) -> None:
    base = replace(base, captions=None)  # A camera move leaves less to the noise.
    usual = animate(base, picture, [], replace(QUICK, noise=STRONG)).frames
    other = animate(base, picture, [], replace(QUICK, **{"noise": STRONG} | OPTIONS[name])).frames
    assert torch.equal(other[0], usual[0])
    assert (other[:3] - usual[:3]).abs().max() > 1e-3


def test_the_default_noise_is_the_bases_own(base: Base, picture: Tensor) -> None:
    other = replace(base, noise=NoiseInit(dct=False, shared_ratio=0.5))
    named = animate(base, picture, [], replace(QUICK, noise=other.noise))
    assert torch.equal(animate(other, picture, [], QUICK).frames, named.frames)


def test_another_scheduler_comes_to_the_same_clip(base: Base, picture: Tensor) -> None:
    """Solvers of one equation meet as steps grow."""
    options = {"frames": 3, "seed": 2}
    unipc = UniPCMultistepScheduler.from_config(base.scheduler.config)
    reference = animate(base, picture, [], painted(**options, steps=60, scheduler=base.scheduler)).frames
    other = animate(base, picture, [], painted(**options, steps=60, scheduler=unipc)).frames
    coarse = animate(base, picture, [], painted(**options, steps=2, scheduler=base.scheduler)).frames
    assert (other - reference).abs().mean() < 0.02 < 4 * (coarse - reference).abs().mean()


# --- a start that is given -------------------------------------------------------------------------------------------


def drawn(base: Base, picture: Tensor, seed: int, frames: int) -> Tensor:
    """The start latents of a clip as its base draws them, with nonsense as the first frame, which is not used."""
    latent = base.encode(picture)
    prior = torch.zeros_like(latent) if base.centred else latent
    start = base.noise.start_latents(prior, frames, torch.Generator().manual_seed(seed))
    start[:, :, 0] = 1e6
    return start


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_start_that_would_be_drawn_makes_the_same_clip(base: Base, picture: Tensor, dtype: torch.dtype) -> None:
    start = drawn(base, picture, 5, 4).to(dtype)
    started, plain = (
        animate(base, picture, [], replace(QUICK, seed=5, start=start)),
        animate(base, picture, [], replace(QUICK, seed=5)),
    )
    assert torch.equal(started.frames, plain.frames)


def test_the_start_counts_and_the_seed_does_not(base: Base, picture: Tensor) -> None:
    start, base = drawn(base, picture, 6, 4), replace(base, captions=None)  # The seed would draw one of them.
    clips = [animate(base, picture, [], replace(QUICK, seed=seed, start=start)).frames for seed in (5, 6)]
    plain = [animate(base, picture, [], replace(QUICK, seed=seed)).frames for seed in (5, 6)]
    assert torch.equal(clips[0], plain[1]) and torch.equal(clips[1], plain[1])
    assert (clips[0] - plain[0]).abs().max() > 5e-3


def test_a_start_has_the_latent_frames_of_its_base(make_base: Callable[..., Base]) -> None:
    """Two for five frames of a base whose noise is not centred on the picture."""
    wan, picture = make_base("wan"), torch.rand(16, 16, 3)
    plain, other = animate(wan, picture, [], RunOptions(seed=5)), animate(wan, picture, [], RunOptions(seed=6))
    assert torch.equal(
        animate(wan, picture, [], RunOptions(seed=6, start=drawn(wan, picture, 5, 2))).frames, plain.frames
    )
    assert (other.frames - plain.frames).abs().max() > 1e-3
    with pytest.raises(MIVAError, match="start noise is of shape"):
        animate(wan, picture, [], RunOptions(start=drawn(wan, picture, 5, 5)))


def test_with_a_start_the_noise_of_steps_is_drawn_as_without(base: Base, picture: Tensor) -> None:
    options = replace(QUICK, seed=5, steps=3, scheduler=DDPMScheduler.from_config(base.scheduler.config))
    plain = animate(base, picture, [], options).frames
    start = drawn(base, picture, 5, 4)
    assert torch.equal(animate(base, picture, [], replace(options, start=start)).frames, plain)
    other = animate(base, picture, [], replace(options, seed=6, start=start)).frames
    assert not torch.allclose(other, plain, atol=1e-3)


def test_with_a_start_masks_are_drawn_as_without(base: Base, picture: Tensor, make_adapter: Callable) -> None:
    jump = make_adapter(base.model, replace(CONFIGS[0], mask=True))
    mask = torch.zeros(base.size)
    mask[16:40, 8:32] = 1
    rows: list[Tensor] = []

    def run(seed: int, start: Tensor | None) -> tuple[Clip, Tensor, Tensor]:
        """The clip, and what it and its mask start from."""
        rows.clear()
        watch = base.model.register_forward_pre_hook(lambda _, args: rows.append(args[0].clone()))
        try:
            clip = animate(
                base,
                picture,
                [Motion(jump, mask=mask, name="jump")],
                painted(seed=seed, start=start, steps=3, frames=4),
            )
        finally:
            watch.remove()
        return clip, *rows[0]

    plain, plain_start, plain_mask = run(5, None)
    same, *_ = run(5, drawn(base, picture, 5, 4))
    assert torch.equal(same.frames, plain.frames) and torch.equal(same.masks["jump"], plain.masks["jump"])
    _, other_start, same_mask = run(5, drawn(base, picture, 6, 4))
    assert torch.equal(same_mask, plain_mask) and not torch.allclose(other_start, plain_start)
    _, same_start, other_mask = run(6, drawn(base, picture, 5, 4))
    assert torch.equal(same_start, plain_start) and not torch.allclose(other_mask, plain_mask)


STARTS: dict[str, Callable[[Tensor], Any]] = {
    "no batch": lambda start: start[0],
    "two clips": lambda start: start.repeat(2, 1, 1, 1, 1),
    "fewer channels": lambda start: start[:, 1:],
    "fewer frames": lambda start: start[:, :, 1:],
    "wider": lambda start: torch.cat([start, start], -1),
    "frames before channels": lambda start: start[:, :, :3].transpose(1, 2),
    "a list": lambda start: start.tolist(),
    "NaN": lambda start: start.index_fill(2, torch.tensor([3]), math.nan),
    "infinite": lambda start: start.index_fill(2, torch.tensor([3]), math.inf),
}


@pytest.mark.parametrize("wrong", STARTS)
def test_other_starts_are_refused_before_the_model_runs(base: Base, picture: Tensor, pair: tuple, wrong: str) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the model was run")

    right = drawn(base, picture, 5, 4)
    start = STARTS[wrong](right)
    found = f"of shape {tuple(start.shape)}" if isinstance(start, Tensor) else "a list"
    watch = base.model.register_forward_pre_hook(refuse)
    try:
        before = injected(base)
        with pytest.raises(MIVAError) as raised:
            animate(base, picture, [Motion(pair[0], name="one")], replace(QUICK, start=start))
        assert injected(base) == before
    finally:
        watch.remove()
    assert str(raised.value) == f"The start noise is {found}, expected finite numbers of shape {tuple(right.shape)}."


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (64, 100)}, r"size 100×64 .* multiples of 16"),
        ({"size": (0, 64)}, "size 64×0"),
        ({"size": (-64, 64)}, "size 64×-64"),
        ({"size": (64.0, 64)}, r"size is \(64\.0, 64\), .* in whole pixels"),
        ({"size": (64, "64")}, r"size is \(64, '64'\), .* in whole pixels"),
        ({"size": (math.nan, 64)}, "in whole pixels"),
        ({"frames": 1}, "2 to 16 frames: 1 cannot be made"),
        ({"frames": 0}, ": 0 cannot be made"),
        ({"frames": 17}, "2 to 16 frames: 17 cannot"),
        ({"frames": 2.5}, r": 2\.5 cannot be made"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**64}, "seed is 18446744073709551616"),
        ({"seed": 1.5}, r"seed is 1\.5"),
        ({"seed": None}, "seed is None"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": 2.5}, r"steps is 2\.5"),
        ({"steps": 1001}, "steps is 1001"),
        ({"scheduler": EulerDiscreteScheduler()}, "EulerDiscreteScheduler rescales"),
        ({"size_in_file": 5}, "in the file is 5"),
        ({"size_in_file": (64, 64, 3)}, "in the file"),
        ({"size_in_file": (0, 64)}, "in the file"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_options_out_of_range_are_refused(base: Base, picture: Tensor, options: dict[str, Any], message: str) -> None:
    with pytest.raises(MIVAError, match=message):
        animate(base, picture, [], painted(**options))


@pytest.mark.parametrize("weight", [math.nan, math.inf, -math.inf, "1", None])
def test_weights_that_are_no_numbers_are_refused(base: Base, picture: Tensor, pair: tuple, weight: Any) -> None:
    with pytest.raises(MIVAError, match="weight of my pan is"):
        animate(base, picture, [Motion(pair[0], name="fine"), Motion(pair[1], weight, name="my pan")])


@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros(64, 64, 3, dtype=torch.uint8),
        torch.zeros(64, 64, 4),
        torch.zeros(3, 64, 64),
        torch.zeros(1, 64, 64, 3),
        torch.zeros(0, 64, 3),
        torch.full((64, 64, 3), math.nan),
    ],
    ids=["bytes", "alpha", "channels first", "batch", "empty", "NaN"],
)
def test_other_tensors_are_refused_as_pictures(base: Base, wrong: Tensor) -> None:
    with pytest.raises(MIVAError, match="picture"):
        animate(base, wrong)


def test_a_scheduler_for_another_noise_is_refused(base: Base, picture: Tensor) -> None:
    with pytest.raises(MIVAError, match=r"make it by DDIMScheduler\.from_config\(base\.scheduler\.config\)"):
        animate(base, picture, [], painted(scheduler=DDIMScheduler(clip_sample=False)))


@pytest.mark.parametrize("chosen", [0, 1])
def test_a_run_inside_anothers_injection_is_refused(base: Base, picture: Tensor, pair: tuple, chosen: int) -> None:
    """It would get the other's adapters."""
    motions = [Motion(pair[0])] if chosen else []
    with inject(base.model, other=pair[1]), pytest.raises(MIVAError, match="already has adapters"):
        animate(base, picture, motions, QUICK)


def test_values_beyond_the_range_are_refused(base: Base, picture: Tensor) -> None:
    with pytest.raises(MIVAError, match=r"values from .* to .*: scale"):
        animate(base, picture * 255, [], QUICK)
    with pytest.raises(MIVAError, match=r"must be \(height, width\)"):
        animate(base, picture, [], painted(size=(64, 64, 64)))


def test_the_largest_values_of_a_file_still_make_a_clip(base: Base, picture: Tensor, make_adapter: Callable) -> None:
    adapter = make_adapter(base.model, CONFIGS[0])
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.fill_(LARGEST_VALUE)
    assert animate(base, picture, [Motion(adapter, name="hop")], QUICK).frames.isfinite().all()
