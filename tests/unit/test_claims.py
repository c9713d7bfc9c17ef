"""How `benchmarks.claims` judges what it measured."""

import pytest
import torch

from benchmarks.claims import difference, verdict

USUAL = torch.zeros(3, 40)
"""Scores of three seeds and forty pictures."""


def test_what_differs_by_the_picture_alone_is_as_sure_as_pictures_are_many() -> None:
    of_pictures = torch.linspace(-1, 2, 40)
    mean, error = difference(USUAL + of_pictures, USUAL)
    assert mean == pytest.approx(0.5)
    assert error == pytest.approx(of_pictures.std().item() / 40**0.5)


def test_what_differs_by_the_seed_alone_is_as_sure_as_seeds_are_many() -> None:
    mean, error = difference(USUAL + torch.tensor([[0.1], [0.2], [0.6]]), USUAL)
    assert mean == pytest.approx(0.3)
    assert error == pytest.approx((0.07 / 3) ** 0.5)


def test_the_error_is_that_of_the_mean_over_many_trials() -> None:
    generator = torch.Generator().manual_seed(0)
    seeds, pictures, both = (torch.randn(2000, *shape, generator=generator) for shape in ((3, 1), (1, 40), (3, 40)))
    trials = 0.3 * seeds + 0.5 * pictures + 0.2 * both
    errors = torch.tensor([difference(trial, torch.zeros_like(trial))[1] for trial in trials])
    assert errors.square().mean().sqrt().item() == pytest.approx(trials.mean((1, 2)).std().item(), rel=0.05)


def test_one_seed_is_judged_by_its_pictures() -> None:
    assert difference(torch.tensor([[0.0, 2.0]]), torch.zeros(1, 2)) == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize(
    ("change", "left_out", "added"),
    [
        (-0.5, "holds", "does not hold"),
        (0.5, "does not hold", "holds"),
        (0.05, "cannot tell", "cannot tell"),
        (-0.05, "cannot tell", "cannot tell"),
    ],
)
def test_a_part_earns_its_place_if_clips_are_worse_without_or_better_with_it(
    change: float, left_out: str, added: str
) -> None:
    assert verdict(USUAL + change, USUAL, adds=False) == left_out
    assert verdict(USUAL + change, USUAL, adds=True) == added


def test_what_seeds_do_not_agree_on_tells_nothing() -> None:
    assert verdict(USUAL + torch.tensor([[-0.4], [0.1], [0.9]]), USUAL, adds=True) == "cannot tell"
