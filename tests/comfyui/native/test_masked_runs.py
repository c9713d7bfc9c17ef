"""Mask sequences in ComfyUI's runs: when they are carried, what they are told, and which runs are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import comfy.controlnet
import comfy.samplers
import pytest
import torch
from comfy_extras.nodes_context_windows import ContextWindowsManualNode
from comfy_extras.nodes_easycache import EasyCacheNode
from comfyui_miva.miva_core.animation.mask_sequences import enlarge
from comfyui_miva.miva_core.errors import MIVAError
from comfyui_miva.nodes.comfy_bridge.native.mask_record import MASKS, MaskRecord, masks_of
from torch import Tensor

import nodes

from .adapters import MASKED
from .cases import Case
from .masked_cases import SUBJECTS, MaskedCase, runs_of
from .runs import Conditioning, Seen, error, ksampler, sample, sampler_custom_advanced, seeing, text
from .wan_models import wan_variant

ROWS = 1 + len(SUBJECTS)
UNGUIDED = replace(MASKED, image_guidance=False)


def clips(masked: MaskedCase, seen: Seen) -> list[Tensor]:
    """(rows, C, F, h, w) of every call of the network."""
    frames = masked.case.frames
    if masked.case.name == "wan":
        return seen.x
    return [x.unflatten(0, (-1, frames)).transpose(1, 2) for x in seen.x]


def timesteps(masked: MaskedCase, seen: Seen) -> list[list[float]]:
    """What the network was told in every call, row by row."""
    frames = 1 if masked.case.name == "wan" else masked.case.frames
    return [told[::frames].tolist() for told in seen.timestep]


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_2m", "uni_pc", "dpmpp_2s_ancestral", "lcm"])
def test_every_sampler_carries_masks_once_at_each_of_their_levels(case: Case, sampler: str) -> None:
    masked = MaskedCase(case)
    model = masked.applied()
    with seeing(model) as seen:
        result = sample(model, case.latent, case.positive, steps=masked.levels, sampler=sampler)
    carried = [told for told in timesteps(masked, seen) if len(told) > 1]
    levels = [timesteps_of_level(case, level) for level in masked.levels[:3]]
    assert [told[1:] for told in carried] == [[pytest.approx(level, rel=1e-3)] * len(SUBJECTS) for level in levels]
    assert result.isfinite().all()
    for call in clips(masked, seen):
        assert len(call) in (1, ROWS)
        for row, name in zip(call[1:], SUBJECTS, strict=False):
            torch.testing.assert_close(row[:, :1], masked.x1[name][0])


def timesteps_of_level(case: Case, level: Tensor) -> float:
    return case.model.get_model_object("model_sampling").timestep(level).item()


def test_masks_go_with_the_prompt_alone_and_guide_from_the_next_step_on(case: Case) -> None:
    """Two prompts that come in calls of their own, a negative one, and what another node asks once more at each step:
    all of a step see the same masks."""
    masked = MaskedCase(case)
    positive = [*case.positive, *longer_text(case)]
    guided: list[bool] = []
    model = masked.applied()

    def ask_again(asked: dict[str, Any]) -> Tensor:
        prompt, x, sigma, options = (asked[key] for key in ("cond", "input", "sigma", "model_options"))
        comfy.samplers.calc_cond_batch(asked["model"], [prompt[:1]], x, sigma, options)
        return asked["denoised"]

    model.set_model_sampler_post_cfg_function(ask_again)
    with runs_of(model) as runs, seeing(model) as seen:

        def see(executor: Callable[..., Tensor], *args: Any, **named: Any) -> Tensor:
            guided.append(runs[-1].guided)
            return executor(*args, **named)

        model.add_wrapper_with_key("apply_model", "test", see)
        sample(model, case.latent, positive, case.negative, cfg=3.0, steps=masked.levels)
    steps = len(masked.levels) - 1
    rows = [len(call) for call in clips(masked, seen)]
    # The network is called for each prompt by itself, since masks guide one clip alone.
    assert len(rows) == 4 * steps
    of_steps = [sorted(rows[4 * step : 4 * step + 4]) for step in range(steps)]
    assert of_steps == [[1, 1, 1, ROWS]] * 3 + [[1, 1, 1, 1]] * (steps - 3)
    calls = len(guided) // steps
    assert guided == [False] * calls + [True] * calls * (steps - 1)


def test_a_network_that_joins_late_is_guided_by_the_masks_that_are_known(case: Case) -> None:
    """As that of a second card, which may have nothing to do in the first steps."""
    masked, guided = MaskedCase(case), []
    model = masked.applied()
    with runs_of(model) as runs:

        def join(step: int, x0: Tensor, x: Tensor, steps: int) -> None:
            net = torch.nn.Identity()
            guided.append(runs[-1].installation(net, x.device, x.dtype).installer.context.guidance is not None)
            del runs[-1]._installations[net]

        sample(model, case.latent, case.positive, steps=masked.levels, callback=join)
    assert guided == [False, True, True, True]


def longer_text(case: Case) -> Conditioning:
    """A prompt of another length, which ComfyUI cannot put into one batch with the first."""
    words, width = case.positive[0][0].shape[1:]
    return text(7, words + 4, width)


def test_a_batch_of_prompts_is_answered_as_each_by_itself(case: Case) -> None:
    """What CFG makes of two calls, without and with a negative prompt beside it."""
    masked = MaskedCase(case)
    alone = masked.by_comfyui(masked.applied())
    # The same text on both sides: what CFG then adds is nothing.
    both = masked.by_comfyui(masked.applied(), cfg=3.0, negative=case.positive)
    assert error(both.end, alone.end) < 1e-4


def test_a_cache_that_leaves_out_steps_delays_masks_and_nothing_else(wan_case: Case) -> None:
    masked = MaskedCase(wan_case, steps=20)
    model = EasyCacheNode.execute(masked.applied(), 3.0, 0.1, 0.9, False)[0]
    with seeing(model) as seen:
        result = sample(model, wan_case.latent, wan_case.positive, steps=masked.levels)
    told = timesteps(masked, seen)
    assert len(told) < 15, "the cache has left out no steps"
    assert result.isfinite().all()
    of_masks = [row[1] for row in told if len(row) > 1]
    assert 2 <= len(of_masks) < 8
    assert of_masks == sorted(of_masks, reverse=True) and len(set(of_masks)) == len(of_masks)
    assert any(row[1] > row[0] for row in told if len(row) > 1), "none was late"


def test_the_seed_counts_for_masks_and_the_clip_has_other_noise(case: Case) -> None:
    masked = MaskedCase(case)
    model = masked.applied()
    starts = []
    for seed in (1, 1, 2):
        with seeing(model) as seen:
            sample(model, case.latent, case.positive, steps=masked.levels, seed=seed)
        starts.append(clips(masked, seen)[0][:, :, 1:])
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0][1:], starts[2][1:])
    noises = starts[0].flatten(1)
    assert torch.corrcoef(noises).sub(torch.eye(ROWS)).abs().max() < 0.15


def test_memory_is_asked_for_all_rows(case: Case) -> None:
    masked, asked = MaskedCase(case), []
    model = masked.applied()

    def see(executor: Callable[..., Any], model: Any, shape: Any, *args: Any, **named: Any) -> Any:
        asked.append(list(shape))
        return executor(model, shape, *args, **named)

    model.add_wrapper_with_key("prepare_sampling", "test", see)
    sample(model, case.latent, case.positive, steps=1)
    rows, *rest = case.latent.shape
    assert asked == [[ROWS * rows, *rest]]


class Residuals(comfy.controlnet.ControlBase):
    """Stands for a ControlNet: adds the same to every row of the clip, at the end of the U-Net's way down."""

    def get_control(self, x: Tensor, t: Tensor, cond: Any, batch: int, options: Any) -> dict[str, list[Tensor | None]]:
        size = [-(-side // 8) for side in x.shape[-2:]]
        return {"input": [], "middle": [torch.ones(len(x), 128, *size)], "output": []}

    def get_models(self) -> list[Any]:
        return []


def test_residuals_of_a_controlnet_are_for_the_clip_alone(sd15_case: Case) -> None:
    masked = MaskedCase(sd15_case, UNGUIDED, UNGUIDED)
    model = masked.applied()
    controlled = [[sd15_case.positive[0][0], {"control": Residuals(), "control_apply_to_uncond": True}]]
    outputs = []
    for positive in (sd15_case.positive, controlled):
        with seeing(model) as seen:
            sample(model, sd15_case.latent, positive, steps=masked.levels)
        outputs.append(seen.output[0].unflatten(0, (-1, sd15_case.frames)))
    plain, changed = outputs
    assert error(changed[0], plain[0]) > 0.01
    assert error(changed[1:], plain[1:]) < 1e-6


@pytest.mark.parametrize("name", ["i2v 2.2", "vace"])
def test_other_wans_make_masks_too(wan_case: Case, name: str) -> None:
    masked, variant = MaskedCase(wan_case), wan_variant(name)
    model = masked.applied(model=variant)
    picture = torch.randn(1, 16, 3, 8, 12)
    told = {"concat_latent_image": picture, "concat_mask": torch.ones(1, 4, 3, 8, 12)}
    positive = [[wan_case.positive[0][0], told if name == "i2v 2.2" else {}]]
    with seeing(model) as seen:
        result = sample(model, wan_case.latent, positive, steps=masked.levels)
    assert result.isfinite().all()
    x = seen.x[0]
    assert len(x) == ROWS
    if name == "i2v 2.2":
        image = variant.model.process_latent_in(picture)
        assert error(x[:1, 20:], image) < 1e-6
        for row, subject in zip(x[1:], SUBJECTS, strict=True):
            # an image-to-video model is told of each row's own first frame
            torch.testing.assert_close(row[20:, :1], masked.x1[subject][0])
            assert torch.equal(row[16:20], x[0, 16:20]) and torch.equal(row[20:, 1:], x[0, 20:, 1:])


def test_the_latent_of_a_sampler_carries_the_masks_of_its_run(case: Case) -> None:
    masked, record = MaskedCase(case), MaskRecord()
    model = masked.applied(record=record, adain=True)
    latent = {"samples": case.latent, MASKS: record}
    with runs_of(model) as runs:
        by_node = [ksampler(model, latent, case.positive, seed=seed) for seed in (1, 2)]
        by_node.append(sampler_custom_advanced(model, latent, case.positive)[0])
    frames = 9 if case.name == "wan" else 3
    for result, run in zip(by_node, runs, strict=True):
        made = [enlarge(run.mask_rows.masks[name], masked.firsts[name], frames) for name in SUBJECTS]
        assert torch.equal(masks_of(result), torch.maximum(*made))
    assert not torch.equal(masks_of(by_node[0]), masks_of(by_node[1]))
    with pytest.raises(MIVAError, match="changed behind it"):
        masks_of(by_node[0] | {"samples": by_node[0]["samples"] * 1.1})


def test_subjects_of_two_applys_in_a_row_are_those_of_one(wan_case: Case) -> None:
    masked, records = MaskedCase(wan_case), (MaskRecord(), MaskRecord(), MaskRecord())
    left, plain, right = masked.motions
    below = wan_case.applied(left, plain, record=records[0])
    results = [
        sample(model, wan_case.latent, wan_case.positive, steps=masked.levels)
        for model in (wan_case.applied(right, model=below, record=records[1]), masked.applied(record=records[2]))
    ]
    assert torch.equal(*results)
    masks = [record.masks(results[0]) for record in records]
    assert torch.equal(masks[0], masks[2]) and torch.equal(masks[1], masks[2])


def in_a_part(model: Any, case: Case, first: int, last: int) -> None:
    """One of several samplers that share the steps."""
    latent = case.latent if first == 0 else torch.randn_like(case.latent)
    settings = {"steps": 4, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple", "noise_seed": 5}
    nodes.KSamplerAdvanced().sample(
        *(model, "enable" if first == 0 else "disable"),
        positive=case.positive,
        negative=case.negative,
        latent_image={"samples": latent},
        start_at_step=first,
        end_at_step=last,
        return_with_leftover_noise="enable",
        **settings,
    )


def without_the_last_steps(model: Any, case: Case) -> None:
    in_a_part(model, case, 0, 2)


def without_the_first_steps(model: Any, case: Case) -> None:
    in_a_part(model, case, 2, 4)


def with_less_noise(model: Any, case: Case) -> None:
    ksampler(model, {"samples": case.latent}, case.positive, denoise=0.5)


def in_windows(model: Any, case: Case) -> None:
    windowed = ContextWindowsManualNode.execute(
        model, 2, 1, "standard_static", 1, False, "pyramid", 2 if case.name == "wan" else 0, False
    )[0]
    sample(windowed, case.latent, case.positive, steps=2)


def in_areas(model: Any, case: Case) -> None:
    area = [[case.positive[0][0], {"area": (4, 4, 0, 0), "strength": 1.0}]]
    sample(model, case.latent, area, steps=2)


def in_bounds_of_a_mask(model: Any, case: Case) -> None:
    mask = torch.zeros(1, 64, 96)
    mask[:, :32, :32] = 1
    bounded = nodes.ConditioningSetMask().append(case.positive, mask, "mask bounds", 1.0)[0]
    sample(model, case.latent, bounded, steps=2)


REFUSED = {
    without_the_last_steps: "Masked motions need one sampler for all steps",
    without_the_first_steps: "Masked motions need one sampler for all steps",
    with_less_noise: "Masked motions need one sampler for all steps",
    in_windows: "Masked motions cannot be made in context windows",
    in_areas: "A prompt is set to an area",
    in_bounds_of_a_mask: "A prompt is set to an area",
}


@pytest.mark.parametrize("run", REFUSED, ids=lambda run: run.__name__)
def test_what_masks_cannot_follow_is_refused_before_the_network_is_called(
    case: Case, run: Callable[[Any, Case], None]
) -> None:
    model = MaskedCase(case).applied()
    with seeing(model) as seen, pytest.raises(MIVAError, match=f"^{REFUSED[run].replace('(', '.')}"):
        run(model, case)
    assert seen.x == []


def test_a_batch_of_clips_is_refused(wan_case: Case) -> None:
    with pytest.raises(MIVAError, match="one clip at a time"):
        sample(MaskedCase(wan_case).applied(), wan_case.latent.repeat(2, 1, 1, 1, 1), wan_case.positive, steps=2)


def test_reference_pictures_beside_the_clip_are_refused(wan_case: Case) -> None:
    model = MaskedCase(wan_case).applied(model=wan_variant("ref_conv"))
    positive = [[wan_case.positive[0][0], {"reference_latents": [torch.randn(1, 16, 1, 8, 12)]}]]
    with pytest.raises(MIVAError, match="sees reference pictures beside the clip"):
        sample(model, wan_case.latent, positive, steps=2)
