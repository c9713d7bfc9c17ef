"""How `benchmarks.significance` judges what benchmarks measured."""

import pytest
import torch
from torch import Tensor

from benchmarks.significance import difference, verdict

USUAL = torch.zeros(3, 40)
"""Scores of three seeds and forty pictures."""


def trials(count: int) -> Tensor:
    """Differences that come of nothing but chance, of seeds more than of pictures."""
    generator = torch.Generator().manual_seed(0)
    seeds, pictures, both = (torch.randn(count, *shape, generator=generator) for shape in ((3, 1), (1, 40), (3, 40)))
    return 0.3 * seeds + 0.5 * pictures + 0.2 * both


def test_what_differs_by_the_picture_alone_is_as_sure_as_pictures_are_many() -> None:
    of_pictures = torch.linspace(-1, 2, 40)
    found = difference(USUAL + of_pictures, USUAL)
    assert found.mean == pytest.approx(0.5)
    assert found.error == pytest.approx(of_pictures.std().item() / 40**0.5)
    assert found.freedom == pytest.approx(39)


def test_what_differs_by_the_seed_alone_is_as_sure_as_seeds_are_many() -> None:
    found = difference(USUAL + torch.tensor([[0.1], [0.2], [0.6]]), USUAL)
    assert found.mean == pytest.approx(0.3)
    assert found.error == pytest.approx((0.07 / 3) ** 0.5)
    assert found.freedom == pytest.approx(2)
    # In closed form for two degrees of freedom.
    t = found.mean / found.error
    assert found.chance == pytest.approx(1 - t / (2 + t * t) ** 0.5)


def test_the_error_is_that_of_the_mean_over_many_trials() -> None:
    made = trials(2000)
    errors = torch.tensor([difference(trial, torch.zeros_like(trial)).error for trial in made])
    assert errors.square().mean().sqrt().item() == pytest.approx(made.mean((1, 2)).std().item(), rel=0.05)


def test_chance_is_taken_for_a_difference_in_one_of_twenty_trials_at_most() -> None:
    verdicts = [verdict(trial, torch.zeros_like(trial), adds=True, seen=0.0) for trial in trials(1000)]
    assert 930 < verdicts.count("cannot tell") < 1000


def test_one_seed_is_judged_by_its_pictures() -> None:
    found = difference(torch.tensor([[0.0, 2.0]]), torch.zeros(1, 2))
    assert (found.mean, found.error, found.freedom) == pytest.approx((1.0, 1.0, 1.0))


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
