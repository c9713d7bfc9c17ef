"""The mask loop: which steps carry masks, how they jump, and when their guidance is used."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor

from miva_core.animation.mask_stream import MaskStreams, iou, mask_steps
from miva_core.diffusion.loop import prepare_scheduler, sample

SHAPE = (1, 4, 3, 2, 2)


class Recorder:
    """Stands for an injection: notes what it is told."""

    def __init__(self, *masked: str) -> None:
        self.masked = masked
        self.streams, self.guides = False, []

    def set_mask_streams(self, present: bool) -> None:
        self.streams = present

    def set_masks(self, masks: dict[str, Tensor] | None) -> None:
        self.guides = [] if masks is None else [*self.guides, masks]


def ddim(prediction: str = "epsilon", steps: int = 50) -> Any:
    return prepare_scheduler(
        DDIMScheduler(prediction_type=prediction, clip_sample=False, timestep_spacing="leading", steps_offset=1), steps
    )


def grey(latents: Tensor) -> Tensor:
    return latents[0].mean(0)


def streams(scheduler: Any, miva: Recorder, *, steps: Any = None, centred: bool = False, **options: Any) -> MaskStreams:
    given = {name: torch.full((2, 2), 0.25) for name in miva.masked}
    return MaskStreams(
        miva,
        scheduler,
        given,
        {name: torch.full((1, 4, 1, 2, 2), 0.5) for name in miva.masked},
        {name: torch.randn(SHAPE) for name in miva.masked},
        {name: options.pop("read", grey) for name in miva.masked},
        steps=mask_steps(len(scheduler.timesteps)) if steps is None else steps,
        centred=centred,
        **options,
    )


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(50, (0, 5, 10, 15, 20, 25, 30, 35)), (100, (0, 10, 20, 30, 40, 50, 60, 70)), (1, (0,)), (3, (0, 1, 2))],
)
def test_mask_steps(steps: int, expected: tuple[int, ...]) -> None:
    assert mask_steps(steps) == expected


def test_every_number_of_steps_has_mask_steps_early() -> None:
    for steps in range(1, 1001):
        chosen = mask_steps(steps)
        assert chosen[0] == 0
        assert list(chosen) == sorted(set(chosen))
        assert 10 * chosen[-1] <= 7 * steps
        assert len(chosen) == 8 or steps < 10


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_jumps_are_ddim_with_fewer_steps(prediction: str) -> None:
    """diffusers' own DDIM over every fifth step, which are the steps of a run of ten."""
    scheduler, coarse = ddim(prediction), ddim(prediction, 10)
    masks = streams(scheduler, Recorder("jump"))
    moving = masks.latents(0)[:, :, 1:].clone()
    for step in mask_steps(50)[:-1]:
        output = torch.randn(SHAPE)
        moving = coarse.step(output[:, :, 1:], scheduler.timesteps[step], moving).prev_sample
        masks.advance(output)
        torch.testing.assert_close(masks.latents(step + 5)[:, :, 1:], moving, rtol=1e-4, atol=1e-5)


def test_jumps_of_flow_matching_are_euler_steps() -> None:
    scheduler = prepare_scheduler(FlowMatchEulerDiscreteScheduler(shift=5.0), 50)
    masks = streams(scheduler, Recorder("jump"))
    moving, velocity = masks.latents(0)[:, :, 1:].clone(), torch.randn(SHAPE)
    masks.advance(velocity)
    expected = moving + (scheduler.sigmas[5] - scheduler.sigmas[0]) * velocity[:, :, 1:]
    torch.testing.assert_close(masks.latents(5)[:, :, 1:], expected)


def test_masks_are_read_off_unstepped_latents() -> None:
    scheduler, miva = ddim(), Recorder("jump")
    masks = streams(scheduler, miva)
    noisy, output = masks.latents(0), torch.randn(SHAPE)
    masks.advance(output)
    kept = scheduler.alphas_cumprod[scheduler.timesteps[0]]
    clean = (noisy - (1 - kept).sqrt() * output) / kept.sqrt()
    torch.testing.assert_close(masks.masks["jump"][1:], clean[0, :, 1:].mean(0))
    torch.testing.assert_close(masks.masks["jump"][0], torch.full((2, 2), 0.25))  # the given one
    torch.testing.assert_close(miva.guides[0]["jump"][0], masks.masks["jump"])


def test_a_new_run_forgets_the_guidance_of_the_last() -> None:
    miva = Recorder("jump")
    miva.guides = [{"jump": torch.ones(1)}]
    streams(ddim(), miva)
    assert miva.guides == []


def test_a_centred_base_adds_the_first_frame() -> None:
    scheduler = ddim("sample")
    masks = streams(scheduler, Recorder("jump"), centred=True)
    output = torch.randn(SHAPE)
    masks.latents(0)
    masks.advance(output)
    torch.testing.assert_close(masks.masks["jump"][1:], (output[0, :, 1:] + 0.5).mean(0))


def test_only_mask_steps_carry_masks_and_frame_1_stays_clean() -> None:
    scheduler, miva = ddim(steps=50), Recorder("jump", "sway")
    masks = streams(scheduler, miva)
    carried = []
    for step in range(50):
        rows = masks.latents(step)
        assert miva.streams is (rows is not None)
        if rows is not None:
            carried.append(step)
            assert rows.shape == (2, *SHAPE[1:])
            assert (rows[:, :, 0] == 0.5).all()
            masks.advance(torch.randn(2, *SHAPE[1:]))
    assert tuple(carried) == (0, 5, 10, 15, 20, 25, 30, 35)
    assert len(miva.guides) == 8


@pytest.mark.parametrize(("stop", "expected"), [(None, 8), (1.0, 3), (0.4, 2)])
def test_early_stop(stop: float | None, expected: int) -> None:
    """The masks change once after the first prediction, by half, and then stay."""
    predictions = iter([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]] + [[1.0, 0.0, 0.0, 0.0]] * 6)

    def read(latents: Tensor) -> Tensor:
        return torch.tensor(next(predictions)).view(1, 2, 2).expand(3, 2, 2)

    miva = Recorder("jump")
    masks = streams(ddim(), miva, read=read, stop_iou=stop)
    for step in range(50):
        if masks.latents(step) is not None:
            masks.advance(torch.randn(SHAPE))
    assert len(miva.guides) == expected


def test_iou() -> None:
    a, b = torch.tensor([1.0, 1.0, 0.2, 0.0]), torch.tensor([0.6, 0.0, 0.9, 0.0])
    assert iou(a, b) == pytest.approx(1 / 3)
    assert iou(a * 0, b * 0) == 1.0
    assert iou(a, a) == 1.0


@pytest.fixture
def model() -> Callable[..., SimpleNamespace]:
    """A model that answers with noise and notes the rows of each call and how many guides were set by then."""

    class Model:
        def __init__(self) -> None:
            self.calls: list[tuple[int, int]] = []
            self.miva = Recorder("jump")

        def __call__(self, rows: Tensor, t: Tensor, encoder_hidden_states: Tensor) -> SimpleNamespace:
            assert len(t) == len(rows)
            assert encoder_hidden_states.shape[0] == len(rows) * rows.shape[2]
            self.calls.append((len(rows), len(self.miva.guides)))
            return SimpleNamespace(sample=torch.randn(rows.shape, generator=torch.Generator().manual_seed(1)))

    return Model()


def test_sampling_carries_masks_beside_the_clip(model: Any) -> None:
    """The rows of each call, and how many guides were set before it: a new one serves from the next step on."""
    scheduler = ddim(steps=10)
    x1, start, text = torch.randn(1, 4, 1, 2, 2), torch.randn(SHAPE), torch.zeros(1, 2, 8)
    masks = streams(scheduler, model.miva, steps=(0, 3, 4))
    latents = sample(model, scheduler, x1, start, text=text, masks=masks)
    assert model.calls == [(2, 0), (1, 1), (1, 1), (2, 1), (2, 2), (1, 3), (1, 3), (1, 3), (1, 3), (1, 3)]
    assert latents.shape == SHAPE
    assert torch.equal(latents[:, :, :1], x1)
