"""The mask loop: which steps carry masks, how they jump, and when their guidance is used."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor

from miva_core.animation.mask_guidance import GuidedByMasks, mask_steps
from miva_core.animation.mask_sequences import MaskStream
from miva_core.bases.model_predictor import ModelPredictor
from miva_core.diffusion.loop import sample
from miva_core.diffusion.noise_process import NoiseProcess
from miva_core.diffusion.predictor import Answer
from miva_core.diffusion.schedulers import prepare_scheduler

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


class Scripted:
    """A predictor that answers what a test has written for the masks, and notes the rows that it is given."""

    def __init__(self) -> None:
        self.rows: list[Tensor] = []
        self.answers: list[Tensor] = []

    def predict(self, clips: Tensor, t: Tensor, step: int, /) -> Answer:
        self.rows.append(clips)
        masks = self.answers.pop(0) if self.answers else torch.randn(len(clips) - 1, *SHAPE[1:])
        return Answer(torch.cat([torch.zeros(SHAPE), masks]), torch.arange(len(clips)).view(-1, 1, 1, 1, 1))


class Masks:
    """Mask sequences of which each is grey at first, and the model that denoises them."""

    def __init__(self, scheduler: Any, *names: str, centred: bool = False) -> None:
        self.miva, self.model, self.scheduler = Recorder(*names), Scripted(), scheduler
        self.guided = GuidedByMasks(
            self.model,
            self.miva,
            NoiseProcess(scheduler, centred),
            scheduler.timesteps,
            {
                name: MaskStream(
                    torch.full((2, 2), 0.25), torch.full((1, 4, 1, 2, 2), 0.5), torch.randn(SHAPE), readout=grey
                )
                for name in names
            },
            mask_steps(len(scheduler.timesteps)),
        )

    def step(self, step: int, answer: Tensor | None = None) -> Tensor:
        """The masks' rows (m, C, F, h, w) of a step, to which the model answers."""
        self.model.answers = [] if answer is None else [answer]
        self.guided.predict(torch.zeros(SHAPE), self.scheduler.timesteps[step], step)
        return self.model.rows[-1][1:]


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
    masks, expected = Masks(scheduler, "jump"), None
    for step in mask_steps(50):
        output = torch.randn(SHAPE)
        moving = masks.step(step, output)[:, :, 1:]
        if expected is not None:
            torch.testing.assert_close(moving, expected, rtol=1e-4, atol=1e-5)
        expected = coarse.step(output[:, :, 1:], scheduler.timesteps[step], moving).prev_sample


def test_jumps_of_flow_matching_are_euler_steps() -> None:
    scheduler = prepare_scheduler(FlowMatchEulerDiscreteScheduler(shift=5.0), 50)
    masks, velocity = Masks(scheduler, "jump"), torch.randn(SHAPE)
    moving = masks.step(0, velocity)[:, :, 1:]
    expected = moving + (scheduler.sigmas[5] - scheduler.sigmas[0]) * velocity[:, :, 1:]
    torch.testing.assert_close(masks.step(5)[:, :, 1:], expected)


def test_masks_are_read_off_unstepped_latents() -> None:
    scheduler, output = ddim(), torch.randn(SHAPE)
    masks = Masks(scheduler, "jump")
    noisy = masks.step(0, output)
    kept = scheduler.alphas_cumprod[scheduler.timesteps[0]]
    clean = (noisy - (1 - kept).sqrt() * output) / kept.sqrt()
    (found,) = masks.guided.masks.values()
    torch.testing.assert_close(found[1:], clean[0, :, 1:].mean(0))
    torch.testing.assert_close(found[0], torch.full((2, 2), 0.25))  # the given one
    torch.testing.assert_close(masks.miva.guides[0]["jump"][0], found)


def test_a_new_run_forgets_the_guidance_of_the_last() -> None:
    miva = Recorder("jump")
    miva.guides = [{"jump": torch.ones(1)}]
    stream = MaskStream(torch.zeros(2, 2), torch.zeros(1, 4, 1, 2, 2), torch.randn(SHAPE), grey)
    GuidedByMasks(Scripted(), miva, NoiseProcess(ddim()), ddim().timesteps, {"jump": stream}, (0,))
    assert miva.guides == []


def test_a_centred_base_adds_the_first_frame() -> None:
    output = torch.randn(SHAPE)
    masks = Masks(ddim("sample"), "jump", centred=True)
    masks.step(0, output)
    torch.testing.assert_close(masks.guided.masks["jump"][1:], (output[0, :, 1:] + 0.5).mean(0))


def test_only_mask_steps_carry_masks_and_frame_1_stays_clean() -> None:
    masks, carried = Masks(ddim(), "jump", "sway"), []
    for step in range(50):
        rows = masks.step(step)
        assert masks.miva.streams is bool(len(rows))
        if len(rows):
            carried.append(step)
            assert rows.shape == (2, *SHAPE[1:])
            assert (rows[:, :, 0] == 0.5).all()
    assert tuple(carried) == (0, 5, 10, 15, 20, 25, 30, 35)
    assert len(masks.miva.guides) == 8


def test_the_clip_gets_its_own_rows_of_the_answer() -> None:
    masks = Masks(ddim(), "jump")
    for step in (0, 1):
        answer = masks.guided.predict(torch.zeros(SHAPE), masks.scheduler.timesteps[step], step)
        assert answer.output.shape == SHAPE and not answer.output.any()
        assert answer.flow.flatten().tolist() == [0]


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
    process = NoiseProcess(scheduler)
    stream = MaskStream(torch.zeros(2, 2), torch.zeros(1, 4, 1, 2, 2), torch.randn(SHAPE), grey)
    guided = GuidedByMasks(
        ModelPredictor(model, text), model.miva, process, scheduler.timesteps, {"jump": stream}, (0, 3, 4)
    )
    latents = sample(guided, process, scheduler, x1, start).latents
    assert model.calls == [(2, 0), (1, 1), (1, 1), (2, 1), (2, 2), (1, 3), (1, 3), (1, 3), (1, 3), (1, 3)]
    assert latents.shape == SHAPE
    assert torch.equal(latents[:, :, :1], x1)
