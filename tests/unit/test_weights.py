"""Model files as strangers make them: told in one sentence, never run, never waited for."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from miva_core.errors import MIVAError
from miva_core.sniff import what_is
from miva_core.weights import open_weights, save_weights


def endless() -> dict[str, Any]:
    content: dict[str, Any] = {}
    content["state_dict"] = content
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], "holds a list, but a model holds named tensors"),
        ({"x": torch.eye(3).to_sparse()}, "holds x sparse, quantised or without values"),
        ({"a\n\x1b[31m": torch.zeros(2, device="meta")}, r"holds \'a\\n\\x1b\[31m\' sparse"),
    ],
    ids=["a list", "sparse", "meta"],
)
def test_what_is_no_model_is_told(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(MIVAError, match=message):
        open_weights(tmp_path / "model.pt", "model")


def test_only_named_tensors_are_read(tmp_path: Path) -> None:
    torch.save({0: torch.zeros(1), "step": 3, "x": torch.ones(2)}, tmp_path / "model.pt")
    assert open_weights(tmp_path / "model.pt", "model").keys() == {"x"}
    torch.save(endless(), tmp_path / "endless.pt")
    assert open_weights(tmp_path / "endless.pt", "model") == {}


def test_an_archive_of_something_else(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    with zipfile.ZipFile(tmp_path / "letter.docx", "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    with pytest.raises(MIVAError, match=r"letter\.docx is a damaged or truncated file"):
        open_weights(tmp_path / "letter.docx", "model")
    assert not recwarn


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ({"__metadata__": None}, "a model file of an unknown kind"),
        ({"__metadata__": 5}, "a damaged safetensors file"),
        ({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, "x"]}}, "a damaged safetensors file"),
    ],
)
def test_strange_headers(tmp_path: Path, header: dict[str, Any], kind: str) -> None:
    text = json.dumps(header).encode()
    (tmp_path / "x.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    assert what_is(tmp_path / "x.safetensors") == kind


def test_values_that_are_no_numbers_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(MIVAError, match="The thing holds NaN or infinite values in x"):
        save_weights(tmp_path / "x.safetensors", {"x": torch.tensor([1.0, torch.inf])}, {}, "The thing")
    assert not list(tmp_path.iterdir())
