"""What people say, and the words of the built-in base that it stands for."""

import pytest
import torch

from miva_core import load_base
from miva_core.bases.vocabulary import Vocabulary
from miva_core.errors import MIVAError

SAID = {
    "camera pan_left": [1.0, 0.0],
    "camera still": [2.0, 0.0],
    "subject jump": [3.0, 0.0],
    "subject still": [4.0, 0.0],
}
SMALL = Vocabulary(("camera", "subject"), {name: torch.tensor(vector) for name, vector in SAID.items()})


@pytest.mark.parametrize(
    ("text", "camera", "subject"),
    [
        ("pan left", 1.0, 0.0),
        ("  Pan-LEFT ", 1.0, 0.0),
        ("camera pan_left", 1.0, 0.0),
        ("jump", 0.0, 3.0),
        ("jump, pan left", 1.0, 3.0),
        ("pan left jump", 1.0, 3.0),
        ("camera still. subject still", 2.0, 4.0),
    ],
)
def test_each_word_stands_in_its_slot(text: str, camera: float, subject: float) -> None:
    assert SMALL.encode(text).tolist() == [[camera, 0.0], [subject, 0.0]]


def test_words_that_slots_share_say_their_slot() -> None:
    assert SMALL.words == ("pan left", "camera still", "jump", "subject still")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("pan lefft", "'pan lefft' is unknown to this base; the nearest that it knows are pan left,"),
        ("pan left and rain", "'and rain' is unknown to this base; the nearest"),
        ("rain " * 20_000, "'rain rain rain' is unknown to this base; the nearest"),
        ("still", "nearest that it knows are (camera still|subject still), "),
        ("", "'' holds no word: say one of pan left, camera still, jump, subject still"),
        ("pan left, camera still", "two things of the camera, pan left and camera still"),
    ],
)
def test_what_it_does_not_know_is_one_sentence(text: str, match: str) -> None:
    with pytest.raises(MIVAError, match=match) as raised:
        SMALL.encode(text)
    assert str(raised.value).endswith(".") and "\n" not in str(raised.value)


def test_the_built_in_base_knows_the_words_of_its_captions() -> None:
    """Beside a camera move its captions say "no subject", which is left out here."""
    base = load_base("tiny")
    cameras = [base.vocabulary.encode(words)[0] for words in base.vocabulary.words[1:9]]
    assert torch.equal(torch.stack(cameras), base.captions[:, 0])
    assert "zoom in" in base.vocabulary.words and "sway" in base.vocabulary.words
