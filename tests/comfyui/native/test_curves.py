"""Strengths over steps, noise and frames on ComfyUI's own models against the engine's path through diffusers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from comfy_extras.nodes_context_windows import ContextWindowsManualNode
from comfyui_miva.miva_core import Curve, MIVAError, Strength, inject
from torch import Tensor

from .adapters import SMALL, planned, random_adapter
from .cases import Acting, Case
from .masked_cases import MaskedCase, check_run
from .runs import Seen, error, ksampler, sample, seeing, sigmas

CLOSE = 2e-5
STEPS = 6
RISE = Curve(((0.0, 0.2), (1.0, 1.0)))
SWITCH = Curve(((0.0, 1.5), (0.5, 0.4)), "hold")
FADE = Curve(((0.0, 1.0), (0.5, 0.3), (1.0, 0.8)), "cosine", "frames")
AWAKE = Curve(((0.0, 0.0), (0.5, 0.0), (1.0, 1.2)), "linear", "frames")
LEVELS: dict[str, Sequence[Any]] = {
    "over steps": [RISE],
    "over noise": [Curve.edg()],
    "over frames": [FADE],
    "over both": [(RISE, FADE)],
    "part by part": [Strength(cross_frame=SWITCH, prompt=(FADE, RISE), temporal=AWAKE)],
    "two by turns": [(SWITCH, FADE), Strength.of(AWAKE)],
    "beside a number": [0.4, Curve.span(0.6, 0.0, 0.5)],
}


def acting(case: Case, levels: Mapping[str, Any]) -> Acting:
    return {name: (random_adapter(case.backbone, seed=k), level) for k, (name, level) in enumerate(levels.items())}


def applied(case: Case, levels: Mapping[str, Any], **plan: Any) -> Any:
    motions = acting(case, levels).items()
    return case.applied(*(planned(adapter, level, name=name) for name, (adapter, level) in motions), **plan)


def by_engine(
    case: Case, seen: Seen, call: int, levels: Mapping[str, Any], progress: tuple[float, float], shares: Sequence[float]
) -> Tensor:
    return case.expected(seen, call, acting(case, levels), progress=progress, shares=shares)


@pytest.mark.parametrize("kind", LEVELS)
def test_every_step_is_the_engines(case: Case, kind: str) -> None:
    levels = dict(zip("ab", LEVELS[kind], strict=False))
    model, steps = applied(case, levels), sigmas(case.model, STEPS)
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, steps=steps)
    assert len(seen.x) == STEPS
    answers = []
    for step in range(STEPS):
        wanted = by_engine(case, seen, step, levels, case.progress(steps, step), case.shares)
        assert error(seen.output[step], wanted) < CLOSE
        answers.append(error(by_engine(case, seen, step, levels, (0.0, 0.0), [0.0] * case.frames), wanted))
    assert max(answers) > 0.01


def test_a_constant_curve_is_the_number(case: Case) -> None:
    for curve in (Curve(((0.0, 0.6),)), Curve.span(0.6, 0.0, 1.0), Curve.edg(alpha=-0.8, alpha_c=0.35)):
        numbers = [sample(applied(case, {"a": level}), case.latent, case.positive) for level in (0.6, curve)]
        assert torch.equal(*numbers)


def test_a_span_is_a_curve(case: Case) -> None:
    adapter = random_adapter(case.backbone)
    by_span = case.applied(planned(adapter, 0.7, (0.25, 0.75)))
    by_curve = applied(case, {"a": Curve.span(0.7, 0.25, 0.75)})
    assert torch.equal(*(sample(model, case.latent, case.positive) for model in (by_span, by_curve)))


@pytest.mark.parametrize("first", [1, 2, 3, 5])
@pytest.mark.parametrize("level", [RISE, SWITCH, Curve.edg()], ids=["line", "switch", "noise"])
def test_samplers_with_parts_of_the_steps_are_one(case: Case, level: Curve, first: int) -> None:
    model = applied(case, {"a": level})
    levels = sigmas(model, STEPS)
    whole = ksampler(model, {"samples": case.latent}, case.positive, steps=STEPS)["samples"]
    part = sample(model, case.latent, case.positive, steps=levels[: first + 1], seed=5)
    rest = sample(model, part, case.positive, steps=levels[first:], noise=torch.zeros_like(part))
    assert error(rest, whole) < CLOSE


def test_a_sampler_that_no_step_is_left_for_changes_the_first_frame_alone(case: Case) -> None:
    """As behind SplitSigmas at the last step."""
    model, end = applied(case, {"a": RISE}), sigmas(case.model, STEPS)[-1:]
    clip = sample(case.model, case.latent, case.positive, steps=1)
    with seeing(model) as seen:
        ended = sample(model, clip, case.positive, steps=end, noise=torch.zeros_like(clip))
    assert not seen.x and error(case.first_frame(ended), case.picture) < CLOSE
    changed = (ended - clip).abs() > CLOSE * clip.abs().max()
    assert not (changed[:, :, 1:] if case.name == "wan" else changed[1:]).any()


def test_between_two_steps_strengths_are_between_theirs(case: Case) -> None:
    """Where some samplers ask, such as this one, which goes by the middle of each step."""
    model, steps = applied(case, {"a": RISE}), sigmas(case.model, 4)
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, steps=steps, sampler="dpm_2")
    places = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert len(seen.x) == len(places)
    for call in range(len(places)):
        sigma = sigma_of(case, seen.timestep[call])
        place = float(np.interp(-sigma, [-float(one) for one in steps], range(5)))
        assert abs(place - places[call]) < 0.5
        progress = place / 4, 0.0
        assert error(seen.output[call], by_engine(case, seen, call, {"a": RISE}, progress, [])) < 1e-3


def sigma_of(case: Case, timestep: Tensor) -> float:
    sampling = case.model.get_model_object("model_sampling")
    return float(timestep[0]) / 1000 if case.name == "wan" else float(sampling.sigma(timestep[:1]))


def test_both_passes_are_made_where_a_frame_leaves_room_for_the_text(case: Case) -> None:
    asked = []
    for level in (
        1.0,
        Curve(((0.0, 1.0), (0.9, 1.0), (1.0, 0.5)), over="frames"),
        Curve(((0.0, 1.0), (0.5, 0.5)), "hold"),
    ):
        model = applied(case, {"a": level})
        with seeing(model) as seen:
            sample(model, case.latent, case.positive, case.negative, cfg=3.0)
        asked.append([len(options["cond_or_uncond"]) for options in seen.options])
    assert [sum(counts) for counts in asked] == [4, 8, 6]


def windowed(model: Any, length: int, dim: int, fix: bool = False) -> Any:
    settings = {"context_stride": 1, "closed_loop": False, "fuse_method": "pyramid", "dim": dim, "freenoise": False}
    return ContextWindowsManualNode.execute(model, length, 1, "standard_static", **settings, causal_window_fix=fix)[0]


@pytest.mark.parametrize("fix", [True, False])
def test_each_window_has_the_strengths_of_its_frames(wan_case: Case, fix: bool) -> None:
    case, frames = wan_case, 9
    model = applied(case, {"a": (FADE, RISE)}, frames=frames)
    model = windowed(model, 4, 2, fix)
    with seeing(model) as seen:
        sample(model, torch.zeros(1, 16, frames, 8, 12), case.positive, steps=2)
    half = len(seen.x) // 2
    assert half > 2
    for call in range(len(seen.x)):
        window = list(seen.options[call]["context_window"].index_list)
        shown = [k / (frames - 1) for k in ([] if window[0] == 0 else [0]) + window]
        progress = (0.0, 0.0) if call < half else (0.5, 0.0)
        assert error(seen.output[call], by_engine(case, seen, call, {"a": (FADE, RISE)}, progress, shown)) < CLOSE


def test_each_window_hears_the_words_of_its_frames(sd15_case: Case) -> None:
    """And has their strengths: a window of the clip is no shorter clip."""
    case, frames = sd15_case, 7
    adapter, said = random_adapter(case.backbone, replace(SMALL, words=True)), case.negative[0][0][0]
    motion = replace(planned(adapter, FADE), words=said)
    model = windowed(case.applied(motion, frames=frames), 4, 0, fix=True)
    with seeing(model) as seen:
        sample(model, torch.zeros(frames, 4, 8, 12), case.positive, steps=1)
    assert len(seen.x) > 1
    for call in range(len(seen.x)):
        window = list(seen.options[call]["context_window"].index_list)
        shown = [k / (frames - 1) for k in [0] * (len(seen.x[call]) - len(window)) + window]
        with inject(case.reference, a=adapter) as injection:
            injection.set_weights(a=FADE)
            injection.set_words(a=said)
            injection.set_frames(shown)
            assert error(seen.output[call], case.bare(seen, call)) < CLOSE


def test_motions_that_hand_over_fill_every_frame(case: Case) -> None:
    """One falls as the other rises, so no text is heard, as with one motion alone."""
    fall, rise = (Curve(points, over="frames") for points in (((0.0, 1.0), (1.0, 0.0)), ((0.0, 0.0), (1.0, 1.0))))
    model = applied(case, {"a": fall, "b": rise})
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, case.negative, cfg=3.0, steps=2)
    assert len(seen.options) == 2
    wanted = by_engine(case, seen, 0, {"a": fall, "b": rise}, (0.0, 0.0), case.shares)
    assert error(seen.output[0], wanted) < CLOSE


def test_a_curve_that_is_0_for_a_while_costs_nothing_then(case: Case) -> None:
    model = applied(case, {"a": Curve(((0.0, 0.0), (0.5, 1.0)), "hold")})
    with seeing(model) as seen:
        sample(model, case.latent, case.positive)
    for call, wanted in enumerate((True, True, False, False)):
        assert (error(seen.output[call], case.bare(seen, call)) < CLOSE) == wanted


def test_a_curve_that_changes_after_the_last_step_alone_is_refused(case: Case) -> None:
    model = applied(case, {"a": Curve(((0.0, 0.0), (0.8, 1.0)), "hold")})
    with pytest.raises(MIVAError, match="The strength of a is 0 at all 4 steps: let its curve change it earlier"):
        sample(model, case.latent, case.positive, steps=4)


def test_masked_motions_follow_curves_as_in_the_engine(case: Case) -> None:
    curves = {"left": (SWITCH, FADE), "plain": Curve.of_values([0.3, 0.1, 0.2]), "right": RISE}
    check_run(MaskedCase(case, strengths=curves))
