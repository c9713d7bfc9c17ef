"""Encoded clips that are kept: equal to new ones, of the very same clips and options, and never damaged."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from miva_core.bases.base import Base
from miva_core.clips.training_clip import TrainingClip
from miva_core.errors import MIVAWarning
from miva_core.training.kept_encodings import KeptEncodings, count_encodings
from miva_core.training.latent_clips import LatentClip
from miva_core.training.training_set import TrainingSet


@pytest.fixture
def base(make_base: Callable[..., Base]) -> Base:
    return replace(make_base(), size=(16, 16))


@pytest.fixture
def training_set() -> TrainingSet:
    masks = torch.randint(256, (1, 11, 16, 16)).byte()
    clips = [TrainingClip(name, torch.randint(256, (11, 3, 16, 16)).byte(), masks, stride=2) for name in "ab"]
    return TrainingSet("slide", clips, flip=True, masked=True)


def encode(
    base: Base, training_set: TrainingSet, folder: Path, writes: bool = True, **changes: Any
) -> list[list[LatentClip]]:
    return training_set.encode(base, **({"colours": 3, "seed": 0} | changes), kept=KeptEncodings(folder, base, writes))


def equal(a: list[list[LatentClip]], b: list[list[LatentClip]]) -> bool:
    pairs = [(x, y) for one, two in zip(a, b, strict=True) for x, y in zip(one, two, strict=True)]
    parts = [(getattr(x, part.name), getattr(y, part.name)) for x, y in pairs for part in fields(x)]
    return all(b is None if a is None else torch.equal(a, b) for a, b in parts)


@pytest.mark.parametrize("name", ["animatediff", "wan"])
def test_what_is_kept_is_what_would_be_encoded(
    name: str, make_base: Callable[..., Base], training_set: TrainingSet, tmp_path: Path, encoded: list[int]
) -> None:
    base = replace(make_base(name), size=(16, 16))
    new = training_set.encode(base, 3, 0)
    assert equal(encode(base, training_set, tmp_path / "kept"), new)
    encoded.clear()
    assert equal(encode(base, training_set, tmp_path / "kept"), new) and encoded == []
    (tmp_path / "kept" / sorted(path.name for path in (tmp_path / "kept").iterdir())[0]).unlink()
    # The colours of the second clip are drawn after those of the first, which are drawn even where it is kept.
    assert equal(encode(base, training_set, tmp_path / "kept"), new) and encoded


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "of another clip"])
def test_damaged_ones_are_made_again(
    damage: str, base: Base, training_set: TrainingSet, tmp_path: Path, encoded: list[int]
) -> None:
    new = encode(base, training_set, tmp_path)
    one, other = sorted(tmp_path.iterdir())
    content, both = bytearray(one.read_bytes()), len(encoded)
    content[-1] ^= 64
    damaged = {"cut": content[:-9], "flipped": content, "empty": b"", "of another clip": other.read_bytes()}[damage]
    one.write_bytes(damaged)
    encoded.clear()
    assert equal(encode(base, training_set, tmp_path), new) and len(encoded) == both // 2
    encoded.clear()
    assert equal(encode(base, training_set, tmp_path), new) and encoded == []


CHANGES: dict[str, Callable[[Base, TrainingSet], tuple[Base, TrainingSet, dict[str, int]]]] = {
    "frames": lambda base, training_set: (base, _each(training_set, frames=255 - training_set.clips[0].frames), {}),
    "masks": lambda base, training_set: (base, _each(training_set, masks=255 - training_set.clips[0].masks), {}),
    "stride": lambda base, training_set: (base, _each(training_set, stride=1), {}),
    "flip": lambda base, training_set: (base, replace(training_set, flip=False), {}),
    "masked": lambda base, training_set: (base, replace(training_set, masked=False), {}),
    "colours": lambda base, training_set: (base, training_set, {"colours": 2}),
    "seed": lambda base, training_set: (base, training_set, {"seed": 1}),
    "length": lambda base, training_set: (replace(base, frames=4), training_set, {}),
    "encoder": lambda base, training_set: (_with_other_encoder(base), training_set, {}),
}


def _each(training_set: TrainingSet, **changes: Any) -> TrainingSet:
    return replace(training_set, clips=[replace(clip, **changes) for clip in training_set.clips])


def _with_other_encoder(base: Base) -> Base:
    base.codec.network.register_buffer("weight", torch.ones(1, dtype=torch.bfloat16))
    return base


@pytest.mark.parametrize("changed", CHANGES)
def test_those_of_other_clips_or_options_are_not_taken_but_removed(
    changed: str, base: Base, training_set: TrainingSet, tmp_path: Path
) -> None:
    encode(base, training_set, tmp_path)
    before = set(tmp_path.iterdir())
    base, training_set, options = CHANGES[changed](base, training_set)
    new = training_set.encode(base, **{"colours": 3, "seed": 0} | options)
    assert equal(encode(base, training_set, tmp_path, **options), new)
    assert len(set(tmp_path.iterdir())) == len({clip.frames.sum() for clip in training_set.clips})
    assert not before & set(tmp_path.iterdir())


def test_those_of_an_older_way_to_encode_are_not_taken_but_removed(
    base: Base, training_set: TrainingSet, tmp_path: Path, encoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    encode(base, training_set, tmp_path)
    before, all_clips = set(tmp_path.iterdir()), len(encoded)
    monkeypatch.setattr("miva_core.training.kept_encodings._FORMAT", 2)
    encode(base, training_set, tmp_path)
    assert len(encoded) == 2 * all_clips and not before & set(tmp_path.iterdir())


def test_temporary_files_do_not_count_as_kept(base: Base, training_set: TrainingSet, tmp_path: Path) -> None:
    assert count_encodings(tmp_path / "none") == 0
    encode(base, training_set, tmp_path)
    (tmp_path / ".miva-01234567-0123456789abcdef.safetensors").touch()
    assert count_encodings(tmp_path) == 2


def test_names_of_clips_do_not_matter(
    base: Base, training_set: TrainingSet, tmp_path: Path, encoded: list[int]
) -> None:
    encode(base, training_set, tmp_path)
    encoded.clear()
    encode(base, replace(_each(training_set, name="other"), motion="other"), tmp_path)
    assert encoded == []


def test_later_processes_of_a_launch_read_and_write_nothing(
    base: Base, training_set: TrainingSet, tmp_path: Path, encoded: list[int]
) -> None:
    encode(base, training_set, tmp_path / "kept", writes=False)
    assert not (tmp_path / "kept").exists()
    encode(base, training_set, tmp_path / "kept")
    encoded.clear()
    encode(base, training_set, tmp_path / "kept", writes=False)
    assert encoded == []


def test_a_full_disk_is_told_once_and_ends_nothing(
    base: Base, training_set: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("miva_core.training.kept_encodings.save_file", refuse)
    with pytest.warns(MIVAWarning, match="not kept.*No space left") as caught:
        assert equal(encode(base, training_set, tmp_path), training_set.encode(base, 3, 0))
    assert len(caught) == 1
