"""Reports with hostile names in every field: a reader sees the name, and no program takes it for more."""

import html
import math
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from PIL import Image

from miva_core.adapters.info import AdapterInfo, read_info
from miva_core.animation.clip import Clip
from miva_core.animation.frame_source import StoredFrames
from miva_core.bases.tiny.spec import SHIPPED
from miva_core.clips.training_clip import TrainingClip
from miva_core.measure.report import table, write_plot, write_table
from miva_core.media.video import write_png
from miva_core.text.markup import as_markup
from miva_core.training.report import write_report
from miva_core.training.training_set import TrainingSet
from miva_core.training.validation import Validation, first_frames

HOSTILE = (
    """"><script>run()</script><img src=x onerror='run()'>&lt;b&gt; [a](javascript:run()) | *b* `c` $\\frac{$ </td>"""
)
TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "table", "tr", "th", "td", "p", "img"}


class Seen(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile_info(**changes: object) -> AdapterInfo:
    texts = {name: f"{name} {HOSTILE}" for name in ("family", "fingerprint", "motion", "subject", "licence", "author")}
    training = {f"key {HOSTILE}": f"value {HOSTILE}", "steps": 3}
    return replace(read_info(SHIPPED / "pan_left.safetensors"), training=training, **(texts | changes))


def measured(value: float) -> dict[str, float]:
    return dict.fromkeys(("speed", "right", "down", "direction"), value)


def test_the_report_of_a_training_shows_names_to_the_letter(tmp_path: Path) -> None:
    frames = torch.rand(4, 32, 32, 3)
    clip = TrainingClip(f"clip {HOSTILE}", (frames.movedim(-1, 1) * 255).byte(), torch.zeros(0, 4, 32, 32).byte())
    training_set = TrainingSet(f"motion {HOSTILE}", [clip], subject=f"subject {HOSTILE}")
    validations = [Validation(f"label {HOSTILE}", frames[0]), *first_frames(training_set, 1)]
    write_png(frames[0], tmp_path / "loss.png")
    info = hostile_info()
    clips = [Clip(StoredFrames(frames), 8)] * 2
    write_report(tmp_path / "r.html", info, training_set, validations, clips, tmp_path / "loss.png")
    page = Seen((tmp_path / "r.html").read_text("utf-8"))
    assert {tag for tag, _ in page.tags} == TAGS
    for tag, attributes in page.tags:
        allowed = {"html": {"lang"}, "meta": {"charset"}, "img": {"alt", "src"}}
        assert attributes.keys() <= allowed.get(tag, set())
        assert tag != "img" or str(attributes["src"]).startswith("data:image/png;base64,")
    for text in (info.motion, f"{info.family}, {info.fingerprint}", info.subject, *info.training):
        assert text in page.text
    assert f"value {HOSTILE}" in page.text
    assert f"label {HOSTILE}" in page.text and f"clip {HOSTILE}, learnt from" in page.text


def test_the_table_of_an_evaluation_shows_names_to_the_letter(tmp_path: Path) -> None:
    rows = [(f"still {HOSTILE}", measured(1.0)), ("red-panda_01", measured(2.0))]
    write_table(tmp_path / "t.md", hostile_info(), rows, 1)
    text = (tmp_path / "t.md").read_text("utf-8")
    heading, *_ = text.splitlines()
    assert html.unescape(heading) == f"# motion {HOSTILE}"
    assert not set("<>[*`\\") & set(heading) and "|" not in heading
    first, second = (line for line in text.splitlines() if line.startswith(('| still "', "| red")))
    name, *numbers = first.strip("| ").split(" | ")
    assert html.unescape(name) == f"still {HOSTILE}" and numbers == ["1.00"] * 4
    assert not set("<>[*`\\|") & set(name)
    assert second == "| red-panda_01 | 2.00 | 2.00 | 2.00 | 2.00 |"


def test_a_bucket_is_a_whole_number() -> None:
    rows = [(name, {**measured(1.0), "bucket": bucket}) for name, bucket in (("a", 13), ("b", 14))]
    assert [line.split(" | ")[-1] for line in table(rows)[2:]] == ["13 |", "14 |", "13.5 |"]


@pytest.mark.parametrize("name", ["$\\frac{$", "$x$", "$", "a_b^c"])
def test_a_name_in_a_plot_is_no_formula(name: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_plot(tmp_path / "p.png", [(name, measured(1.0)), ("b", measured(2.0))], [(1.0, 2.0), (0.5, math.nan)])
    with Image.open(tmp_path / "p.png") as picture:
        picture.load()


def test_names_that_are_no_utf8_are_told_in_ascii() -> None:
    """As Python reads such names from a disk."""
    clips = [
        TrainingClip(name, torch.zeros(4, 3, 8, 8).byte(), torch.zeros(0, 4, 8, 8).byte()) for name in ("\udcff", "b")
    ]
    training_set = TrainingSet("any", clips)
    assert [sample.label for sample in first_frames(training_set, 2)] == ["'\\udcff', learnt from", "b, learnt from"]
    assert training_set.digest() != TrainingSet("any", clips[1:]).digest()


def test_markup_that_is_none_stays() -> None:
    assert as_markup("a-b_c (d), 1.5 × 2 … e: f") == "a-b_c (d), 1.5 × 2 … e: f"
