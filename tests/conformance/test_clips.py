"""Whole runs: the first frame, strengths, spans and masks of a clip."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from calls import SMALL, clip_frames, denoise, latents, random_adapter, run, words
from torch import Tensor

from miva_core import Base, Curve, MIVAConfig, Progress
from miva_core.bases.registry import find_base
from miva_core.errors import MIVAError, MIVAWarning

JOINT = MIVAConfig(cfa_rank=2, ca_rank=3, ta_rank=1, cfa_softmax="joint")
MASKED = replace(SMALL, mask=True)
pytestmark = [
    pytest.mark.filterwarnings("ignore:.* is off at the last step"),
    pytest.mark.filterwarnings("ignore:On this base the last step alone decides"),
]


def subject(base: Base) -> Tensor:
    """A mask (H, W) of the left half, but for its border."""
    mask = torch.zeros(base.size)
    mask[2:-2, 2 : base.size[1] // 2] = 1
    return mask


# --- the first frame -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("masked", [False, True])
def test_the_first_frame_stays_the_encoded_picture_to_the_bit(base: Base, picture: Tensor, masked: bool) -> None:
    seen: list[Tensor] = []
    masks = {"pan": subject(base)} if masked else None
    adapters = {"pan": (random_adapter(base, MASKED if masked else SMALL), 0.8)}
    clip = run(base, picture, adapters, masks, callback=lambda progress: seen.append(progress.latents))
    encoded = base.encode(picture)
    assert len(seen) == 2 and all(torch.equal(each[:, :, :1], encoded) for each in seen)
    assert not torch.equal(seen[0], seen[1])
    # Alone in its batch a convolution may round otherwise.
    assert torch.equal(clip.frames[0], base.decode(encoded.expand_as(seen[0]))[0])
    assert (clip.frames[1:] - clip.frames[0]).abs().amax((1, 2, 3)).min() > 1e-3


def test_the_model_is_shown_the_clean_first_frame_at_every_step(base: Base, picture: Tensor) -> None:
    shown: list[Tensor] = []
    watch = base.model.register_forward_pre_hook(
        lambda module, args, kwargs: shown.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
    )
    try:
        run(base, picture, {"pan": (random_adapter(base), 1.0)}, steps=3)
    finally:
        watch.remove()
    assert len(shown) == 3
    assert all(torch.equal(clips[:, :, :1], base.encode(picture)) for clips in shown)


FULL = {"render": "full", "frames": 5, "edges": "mirror"}


def test_a_flow_moves_the_picture_itself_at_its_own_size_and_without_one_that_is_refused(base: Base) -> None:
    still, adapters = torch.rand(48, 80, 3), {"hop": (random_adapter(base, MASKED), 1.0)}
    masks = {"hop": F.interpolate(subject(base)[None, None], (48, 80))[0, 0]}
    if not base.predicts_flow:
        with pytest.raises(MIVAError, match=f"The {base.name} base predicts no flow"):
            run(base, still, adapters, masks, **FULL)
        return
    clip = run(base, still, adapters, masks, **FULL)
    assert len(clip) == 5 and clip.size == (48, 80) and clip.flow.shape[1:] == (2, *base.size)
    assert torch.equal(clip.frames[0], still) and torch.equal(clip.masks["hop"][0], masks["hop"])
    assert clip.frames.isfinite().all() and clip.masks["hop"].shape == (5, 48, 80)


def test_by_itself_a_base_makes_what_it_can(base: Base, picture: Tensor) -> None:
    """Clips at full size where it predicts a flow, and what it paints where it does not."""
    assert find_base(base.name).predicts_flow == base.predicts_flow
    assert find_base(base.name).guided == base.guided
    pan = {"pan": (random_adapter(base), 1.0)}
    painted, usual = run(base, picture, pan), run(base, picture, pan, render=None)
    assert usual.fps == (24 if base.predicts_flow else base.fps)
    assert torch.equal(usual.frames, painted.frames) != base.predicts_flow


# --- what a run leaves behind ----------------------------------------------------------------------------------------


def output(base: Base) -> Tensor:
    return denoise(base, latents(base), words(base)).detach()


def test_a_run_leaves_its_base_as_it_was(base: Base, picture: Tensor) -> None:
    plain = output(base)
    adapters = {"pan": (random_adapter(base), 0.5), "jump": (random_adapter(base, MASKED), 0.5)}
    state = torch.get_rng_state()
    run(base, picture, adapters, {"jump": subject(base)}, {"pan": (0.5, 1.0)})
    assert torch.equal(output(base), plain)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_so_does_one_that_is_stopped(base: Base, picture: Tensor, error: type[BaseException]) -> None:
    plain = output(base)

    def stop(progress: Progress) -> None:
        raise error("enough")

    with pytest.raises(error, match="enough"):
        run(base, picture, {"pan": (random_adapter(base), 1.0)}, callback=stop)
    assert torch.equal(output(base), plain)


@pytest.mark.parametrize("masked", [False, True])
def test_a_run_that_becomes_nan_ends_in_a_sentence(base: Base, picture: Tensor, masked: bool) -> None:
    adapter = random_adapter(base, MASKED if masked else SMALL)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.fill_(1e18)  # finite, but not its products
    with pytest.raises(MIVAError, match="step 1 with my hop"):
        run(base, picture, {"my hop": (adapter, 1.0)}, {"my hop": subject(base)} if masked else None)


# --- strengths and spans ---------------------------------------------------------------------------------------------


def assert_close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=1e-3)


def test_adapters_run_in_parallel(base: Base, picture: Tensor) -> None:
    """Their order does not matter, each has a say, halves of one adapter are that adapter, and strength 0 is none."""
    one, two = random_adapter(base), random_adapter(base, JOINT)
    both = run(base, picture, {"one": (one, 0.3), "two": (two, 0.7)}).frames
    assert_close(run(base, picture, {"two": (two, 0.7), "one": (one, 0.3)}).frames, both)
    for strengths in ((0.7, 0.3), (0.0, 0.7), (0.3, 0.0)):
        other = run(base, picture, {"one": (one, strengths[0]), "two": (two, strengths[1])}).frames
        assert (other - both).abs().max() > 5e-3
    whole = run(base, picture, {"whole": (one, 1.0)}).frames
    assert_close(run(base, picture, {"a": (one, 0.5), "b": (copy.deepcopy(one), 0.5)}).frames, whole)
    assert_close(run(base, picture, {"whole": (one, 1.0), "none": (two, 0.0)}).frames, whole)


def test_outside_of_its_span_an_adapter_has_strength_0(base: Base, picture: Tensor) -> None:
    one, two = random_adapter(base), random_adapter(base, JOINT)
    adapters = {"one": (one, 0.6), "two": (two, 0.4)}
    spanned = run(base, picture, adapters, spans={"one": (0.5, 1.0), "two": (0.0, 0.25)}, steps=4).frames

    def by_hand(progress: Progress) -> None:
        if progress.step == 1:
            progress.miva.set_weights(two=0.0)
        if progress.step == 2:
            progress.miva.set_weights(one=0.6)

    switched = run(base, picture, {"one": (one, 0.0), "two": (two, 0.4)}, callback=by_hand, steps=4).frames
    assert torch.equal(spanned, switched)
    curves = {"one": (one, Curve.span(0.6, 0.5, 1.0)), "two": (two, Curve.span(0.4, 0.0, 0.25))}
    assert torch.equal(run(base, picture, curves, steps=4).frames, spanned)
    assert (run(base, picture, adapters, steps=4).frames - spanned).abs().max() > 5e-3


def test_curves_over_frames_span_the_whole_clip_and_curves_over_steps_each_run(base: Base, picture: Tensor) -> None:
    """In two segments; of masked motions, which follow the value itself on every base."""
    falling, rising = Curve(((0.0, 1.0), (1.0, 0.2)), over="frames"), Curve(((0.0, 0.5), (1.0, 1.5)), over="steps")
    adapters = {"one": (random_adapter(base, MASKED), [falling, rising]), "two": (random_adapter(base), 0.3)}
    read: list[Tensor] = []
    options = {"steps": 2, "segments": 2, "masks": {"one": subject(base)}}
    run(base, picture, adapters, callback=lambda now: read.append(now.miva.context.strengths.clone()), **options)
    last = 2 * (clip_frames(base) - 1) // base.stride
    for k, strengths in enumerate(read):
        segment, step = divmod(k, 2)
        frames = range(segment * last // 2, (segment + 1) * last // 2 + 1)
        wanted = torch.tensor([(1.0 - 0.8 * i / last) * (0.5 + step / 2) for i in frames])
        order = sorted(range(2), key=lambda j: strengths[0, j, 0] == 0.3)
        torch.testing.assert_close(strengths[:, order[0]], wanted.expand(3, -1), rtol=0, atol=1e-6)
        assert (strengths[:, order[1]] == strengths.new_tensor(0.3)).all()


# --- masks -----------------------------------------------------------------------------------------------------------


def test_masks_come_with_the_clip(base: Base, picture: Tensor) -> None:
    mask = subject(base)
    clip = run(base, picture, {"a jump": (random_adapter(base, MASKED), 1.0)}, {"a jump": mask}, steps=3)
    generated = clip.masks["a jump"]
    assert generated.shape == clip.frames.shape[:3]
    assert generated.dtype == torch.float32 and generated.device.type == "cpu"
    assert torch.equal(generated[0], mask)
    assert generated.min() >= 0 and generated.max() <= 1
    assert (generated[1:] != generated[0]).any()


def test_without_masked_adapters_there_are_none(base: Base, picture: Tensor) -> None:
    assert run(base, picture, {"pan": (random_adapter(base), 1.0)}).masks == {}


def test_where_the_subject_is_matters(base: Base, picture: Tensor) -> None:
    jump, mask = random_adapter(base, MASKED), subject(base)
    frames, again, elsewhere = (
        run(base, picture, {"jump": (jump, 1.0)}, {"jump": m}, steps=3).frames for m in (mask, mask, mask.flip(1))
    )
    assert torch.equal(frames, again)
    assert (frames - elsewhere).abs().max() > 1e-3


def test_masked_and_plain_adapters_in_one_run(base: Base, picture: Tensor) -> None:
    """Overlapping masks, one of them over everything; and every adapter matters."""
    adapters = {"jump": random_adapter(base, MASKED), "pan": random_adapter(base), "sway": random_adapter(base, MASKED)}
    masks = {"jump": subject(base), "sway": torch.ones(base.size)}

    def frames(**strengths: float) -> Tensor:
        stack = {name: (adapter, strengths.get(name, 0.3)) for name, adapter in adapters.items()}
        clip = run(base, picture, stack, masks, steps=3)
        assert set(clip.masks) == {"jump", "sway"}
        return clip.frames

    usual = frames()
    for name in adapters:
        assert (frames(**{name: 0.1}) - usual).abs().max() > 1e-3


def test_an_empty_mask_means_everywhere(base: Base, picture: Tensor) -> None:
    jump, mask = random_adapter(base, MASKED), subject(base)
    with pytest.warns(MIVAWarning, match="whole frame"):
        empty = run(base, picture, {"jump": (jump, 1.0)}, {"jump": mask * 0}).frames
    assert torch.equal(empty, run(base, picture, {"jump": (jump, 1.0)}, {"jump": torch.ones_like(mask)}).frames)


@pytest.mark.parametrize("wrong", [(), ("jump", "pan"), ("pan",)], ids=lambda wrong: " and ".join(wrong) or "none")
def test_masks_that_do_not_fit_their_adapters_are_told_before_the_model_runs(
    base: Base, picture: Tensor, wrong: tuple[str, ...]
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the model was run")

    adapters = {"jump": (random_adapter(base, MASKED), 1.0), "pan": (random_adapter(base), 1.0)}
    watch = base.model.register_forward_pre_hook(refuse)
    try:
        with pytest.raises(MIVAError) as raised:
            run(base, picture, adapters, dict.fromkeys(wrong, subject(base)))
    finally:
        watch.remove()
    assert "\n" not in str(raised.value)
