"""Model files as strangers make them: told in one sentence, never run, never waited for."""

import json
import os
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from miva_core.adapters.config import MIVAConfig
from miva_core.adapters.info import read_info
from miva_core.errors import MIVAError
from miva_core.storage.identify import identify_file
from miva_core.storage.json_files import read_foreign_json
from miva_core.storage.meta_device import fill, on_meta
from miva_core.storage.weights import check_finite, check_floating, open_weights, save_weights


def endless() -> dict[str, Any]:
    content: dict[str, Any] = {}
    content["state_dict"] = content
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], "holds no named tensors, as a model does: get another file"),
        ({"x": torch.eye(3).to_sparse()}, "holds x sparse, quantised, nested or without values"),
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
    with pytest.raises(MIVAError, match=r"letter\.docx is a damaged"):
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
    assert identify_file(tmp_path / "x.safetensors") == kind


def test_values_that_are_no_numbers_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(MIVAError, match=r"NaN .* in x"):
        save_weights(tmp_path / "x.safetensors", {"x": torch.tensor([1.0, torch.inf])}, {}, "The thing")
    assert not list(tmp_path.iterdir())


# --- files that claim more than they hold ----------------------------------------------------------------------------


def without_values(*shape: int) -> torch.Tensor:
    """One number that strides of 0 make a tensor of any shape of."""
    return torch.zeros(1).expand(*shape)


@pytest.mark.parametrize(
    "claim",
    [
        {"x": without_values(2000, 100_000)},
        {"x": without_values(2**20, 2**20, 2**20)},
        {"x": torch.as_strided(torch.zeros(6), (5, 5), (1, 0))},
    ],
    ids=["0.8 GB", "4 million TB", "rows"],
)
def test_fewer_values_than_the_shape_asks_for(tmp_path: Path, claim: dict[str, torch.Tensor]) -> None:
    torch.save(claim, tmp_path / "model.pt")
    with pytest.raises(MIVAError, match=r"fewer values of x"):
        open_weights(tmp_path / "model.pt", "model")


def test_few_values_under_many_names(tmp_path: Path) -> None:
    shared = torch.rand(10_000)
    torch.save({f"x{k}": shared for k in range(6)}, tmp_path / "some.pt")
    assert all(torch.equal(x, shared) for x in open_weights(tmp_path / "some.pt", "model").values())
    torch.save({f"x{k}": shared for k in range(100)}, tmp_path / "many.pt")
    with pytest.raises(MIVAError, match=r"many\.pt claims 4,000,000 bytes"):
        open_weights(tmp_path / "many.pt", "model")


def test_views_with_all_their_values_are_read(tmp_path: Path) -> None:
    whole = torch.rand(4, 6)
    torch.save({"turned": whole.T, "part": whole[1:3, ::2], "none": whole[:0]}, tmp_path / "model.pt")
    read = open_weights(tmp_path / "model.pt", "model")
    assert torch.equal(read["turned"], whole.T) and torch.equal(read["part"], whole[1:3, ::2])
    assert read["none"].shape == (0, 6)


def test_a_compressed_archive(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(5_000_000)}, tmp_path / "model.pt")
    with (
        zipfile.ZipFile(tmp_path / "model.pt") as plain,
        zipfile.ZipFile(tmp_path / "small.pt", "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for part in plain.infolist():
            small.writestr(part.filename, plain.read(part))
    with pytest.raises(MIVAError, match=r"small\.pt is a compressed archive"):
        open_weights(tmp_path / "small.pt", "model")


_OLD = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
"""How files from before PyTorch 1.6 begin."""


@pytest.mark.parametrize(
    "content",
    [
        _OLD + b"\x80\x02}q\x00(X\x10\x00",  # a text whose length is cut off
        _OLD + pickle.dumps({}, 2) + b"\x80\x02K\x01Q.",  # a storage that is a number
        _OLD + pickle.dumps({}, 2) + b"\x80\x02" + b"(" * 1000,
        _OLD + pickle.dumps({}, 2) + b"\x80\x02]q\x00" + b"h\x00" * 3 + b"R.",
    ],
    ids=["struct.error", "AssertionError", "marks", "a list is called"],
)
def test_damaged_pickles(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(MIVAError, match=r"(damaged or truncated|more than tensors)"):
        open_weights(tmp_path / "model.pt", "model")


def test_nested_tensors(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save({"x": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])}, tmp_path / "model.pt")
    with pytest.raises(MIVAError, match=r"model\.pt "):
        open_weights(tmp_path / "model.pt", "model")


def header_of(path: Path, size: int, claimed: int | None = None) -> None:
    """A safetensors file without tensors whose header is so long, or claims to be."""
    text = b'{"__metadata__":{"a":"' + b"x" * (size - 25) + b'"}}'
    path.write_bytes((claimed or len(text)).to_bytes(8, "little") + text)


@pytest.mark.parametrize(("size", "claimed"), [(1000, 99_000_000), (12_000_000, None)], ids=["claims", "has"])
def test_headers_of_absurd_length(tmp_path: Path, size: int, claimed: int | None) -> None:
    path = tmp_path / "model.safetensors"
    header_of(path, size, claimed)
    assert identify_file(path) == "a safetensors file with a header of absurd length"
    with pytest.raises(MIVAError, match="absurd length"):
        open_weights(path, "model")
    header_of(path, 3_000_000)
    assert open_weights(path, "model") == {}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
def test_pipes_and_devices_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.safetensors")
    for path in (tmp_path / "x.safetensors", Path("/dev/zero")):
        assert identify_file(path) == "a pipe, a socket or a device"
        with pytest.raises(MIVAError, match="neither a file"):
            open_weights(path, "model")
        with pytest.raises(MIVAError, match="pipe, a socket"):
            read_info(path)
        with pytest.raises(MIVAError, match="is damaged"):
            read_foreign_json(path)


def test_messages_are_short(tmp_path: Path) -> None:
    """Whatever a file calls its tensors."""
    long = "layer\n" * 50_000
    save_file({long: torch.zeros(2)}, tmp_path / "long.safetensors")
    torch.save({long: torch.zeros(2).to_sparse()}, tmp_path / "long.pt")
    model = nn.Linear(1, 1)
    for refused in (
        lambda: open_weights(tmp_path / "long.pt", "model"),
        lambda: fill(
            model, open_weights(tmp_path / "long.safetensors", "model"), "A file", "cpu", lambda _: torch.half
        ),
        lambda: check_finite({long: torch.tensor(torch.nan)}, "A file"),
        lambda: check_floating(long, torch.tensor(1), "A file"),
        lambda: MIVAConfig.from_dict({long: 1}),
        lambda: MIVAConfig.from_dict({"cfa_softmax": long}),
        lambda: MIVAConfig.from_dict(long),
    ):
        with pytest.raises(MIVAError) as caught:
            refused()
        assert len(str(caught.value)) < 900 and "\n" not in str(caught.value)


def test_what_a_converter_misses_is_missing() -> None:
    """diffusers' converters give None for it."""
    model = on_meta(lambda: nn.Linear(2, 2))
    with pytest.raises(MIVAError, match="lacks bias"):
        fill(model, {"weight": torch.zeros(2, 2), "bias": None}, "A file", "cpu", lambda _: torch.float32)
