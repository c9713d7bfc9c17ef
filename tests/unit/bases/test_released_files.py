"""Adapter files of older releases stay readable."""

import gzip
import json
import struct
from dataclasses import asdict, replace
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from miva_core import Base, MIVAAdapter, load_base, read_info
from miva_core.bases.known import find_backbone
from miva_core.errors import MIVAError

# Headers as they were written, with the name that the base's weights had then; values are filled in by the test.
RELEASED = json.loads(gzip.decompress((Path(__file__).parents[2] / "fixtures/released_adapters.json.gz").read_bytes()))


class Released(NamedTuple):
    """A file, its header, its tensors in the order of their values, and the revision of its base."""

    path: Path
    header: dict[str, Any]
    tensors: list[str]
    revision: str


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base("tiny")


@pytest.fixture(params=RELEASED)
def released(request: pytest.FixtureRequest, tmp_path: Path) -> Released:
    text = RELEASED[request.param]["header"].encode()
    header = json.loads(text)
    tensors = sorted(header.keys() - {"__metadata__"}, key=lambda name: header[name]["data_offsets"])
    content = [values(k, header[name]["shape"]).tobytes() for k, name in enumerate(tensors)]
    path = tmp_path / "motion.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(content))
    return Released(path, header, tensors, RELEASED[request.param]["revision"])


def values(number: int, shape: list[int]) -> np.ndarray:
    """Those of a tensor by its place in the file; no two tensors of one shape have the same."""
    count = int(np.prod(shape))
    return ((np.arange(count) + 7 * number) % 211 / 64 - 1.5).astype(np.float16).reshape(shape)


def test_every_tensor_of_an_older_file_comes_to_its_place(base: Base, released: Released) -> None:
    adapter = MIVAAdapter.load(released.path, replace(base.backbone, revision=released.revision))
    sites = {site.id: adapter.site(site) for site in base.backbone.sites}
    assert len(released.tensors) == len(list(adapter.parameters()))
    for number, name in enumerate(released.tensors):
        site = next(site for site in sites if name.startswith(f"{site}."))
        part, *rest = name.removeprefix(f"{site}.").split(".")
        found = reduce(getattr, rest, sites[site][part])
        expected = values(number, released.header[name]["shape"])
        assert torch.equal(found, torch.from_numpy(expected).float()), name


def test_what_an_older_file_says_of_itself_is_read(released: Released) -> None:
    metadata, info = json.loads(released.header["__metadata__"]["miva"]), read_info(released.path)
    for name in ("family", "fingerprint", "motion", "frames", "fps", "subject", "training", "licence", "author"):
        assert getattr(info, name) == metadata[name]
    assert list(info.size) == metadata["size"]
    assert asdict(info.config).items() >= metadata["config"].items()


def test_the_present_base_refuses_it_since_its_weights_are_others(base: Base, released: Released) -> None:
    with pytest.raises(MIVAError, match="another release"):
        MIVAAdapter.load(released.path, base.backbone)
    assert find_backbone(read_info(released.path)) is None
