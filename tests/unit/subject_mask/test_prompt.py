"""Prompts as people write them."""

import pytest

from miva_core.errors import MIVAError
from miva_core.subject_mask.prompt import split_prompt


@pytest.mark.parametrize(
    ("prompt", "phrases"),
    [
        ("horse. rider.", ["horse", "rider"]),
        ("rider. horse.", ["rider", "horse"]),
        ("Horse", ["horse"]),
        ("a white horse, the rider", ["a white horse", "the rider"]),
        ("horse;rider?\nhorse.  old   dog ", ["horse", "rider", "old dog"]),
        ("..horse..", ["horse"]),
    ],
)
def test_phrases_in_the_order_of_the_prompt(prompt: str, phrases: list[str]) -> None:
    assert split_prompt(prompt) == phrases


def test_a_list_is_no_prompt() -> None:
    with pytest.raises(MIVAError, match="prompt is a list"):
        split_prompt(["horse", "rider"])


@pytest.mark.parametrize("prompt", ["", "  ", " . ,\n; "])
def test_an_empty_prompt_is_told(prompt: str) -> None:
    with pytest.raises(MIVAError) as caught:
        split_prompt(prompt)
    assert str(caught.value) == (
        "The subject prompt is empty. Write one short noun phrase per subject, each ended by a full stop, for "
        "example: horse. rider."
    )
