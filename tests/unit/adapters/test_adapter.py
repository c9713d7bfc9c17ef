import json
import os
import pickle
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from miva_core.adapters.adapter import MIVAAdapter
from miva_core.adapters.config import MIVAConfig
from miva_core.adapters.info import AdapterInfo, read_info
from miva_core.bases.describe import describe
from miva_core.errors import MIVAError
from miva_core.storage.identify import identify_file

RECORD = {
    "motion": "pan left",
    "frames": 16,
    "size": (64, 48),
    "fps": 8.0,
    "subject": "a boat",
    "training": {"steps": 1500, "clips": 10, "lr": 1e-4, "seed": 0},
    "licence": "Apache-2.0",
    "author": "somebody",
}


@pytest.fixture
def model(make_unet: Callable) -> nn.Module:
    return make_unet()


@pytest.fixture
def adapter(model: nn.Module, make_adapter: Callable) -> MIVAAdapter:
    return make_adapter(model)


@pytest.fixture
def saved(adapter: MIVAAdapter, tmp_path: Path) -> Path:
    adapter.save(tmp_path / "pan.safetensors", adapter.info(**RECORD))
    return tmp_path / "pan.safetensors"


# --- a new adapter ---------------------------------------------------------------------------------------------------


def test_a_new_adapter_starts_as_lora_does(model: nn.Module) -> None:
    adapter = MIVAAdapter(describe(model), MIVAConfig(cfa_rank=64, cfa_out_bias=True))
    site = adapter.site(next(site for site in describe(model).sites if site.kind == "sa"))
    assert site["cfa"].q.down.std().item() == pytest.approx(1 / 64, rel=0.1)
    for name, parameter in adapter.named_parameters():
        zero = name.endswith((".up", ".second", "cfa.bias", ".norm_bias"))
        assert parameter.any() != zero, name
        assert parameter.dtype == torch.float32


def test_components_add_up(adapter: MIVAAdapter) -> None:
    parts = [adapter.num_parameters(component) for component in ("cfa", "gate", "ca", "ta")]
    assert sum(parts) == adapter.num_parameters() == sum(p.numel() for p in adapter.parameters())


def test_training_flags_do_not_leak_into_the_base(model: nn.Module, adapter: MIVAAdapter) -> None:
    assert all(parameter.requires_grad for parameter in adapter.parameters())
    assert not any(parameter.requires_grad for parameter in model.parameters())


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [MIVAConfig(), MIVAConfig.paper(), MIVAConfig.official_animatediff()])
def test_round_trip(model: nn.Module, make_adapter: Callable, tmp_path: Path, config: MIVAConfig) -> None:
    path, adapter = tmp_path / "a.safetensors", make_adapter(model, config)
    adapter.save(path, adapter.info(**RECORD))
    state = torch.get_rng_state()
    loaded = MIVAAdapter.load(path, describe(model))
    assert torch.equal(torch.get_rng_state(), state)
    assert loaded.config == config
    assert list(loaded.state_dict()) == list(adapter.state_dict())
    for parameter, expected in zip(loaded.parameters(), adapter.parameters(), strict=True):
        assert torch.equal(parameter, expected)
        assert parameter.requires_grad


def test_half_precision_file(model: nn.Module, adapter: MIVAAdapter, saved: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.safetensors"
    adapter.save(half, adapter.info(**RECORD), dtype=torch.float16)
    assert half.stat().st_size < saved.stat().st_size
    for parameter, expected in zip(
        MIVAAdapter.load(half, describe(model)).parameters(), adapter.parameters(), strict=True
    ):
        assert parameter.dtype == torch.float32
        torch.testing.assert_close(parameter, expected, rtol=1e-3, atol=1e-6)


def test_file_layout(saved: Path) -> None:
    with safe_open(saved, framework="pt") as file:
        keys, header = set(file.keys()), json.loads(file.metadata()["miva"])
    block = "down_blocks.0.attentions.0.transformer_blocks.0"
    assert {f"{block}.attn1.cfa.q.down", f"{block}.attn1.gate.weight", f"{block}.attn2.ca.first"} <= keys
    assert "down_blocks.0.motion_modules.0.transformer_blocks.0.attn2.ta.out.up" in keys
    assert header["format_version"] == 1
    assert header["motion"] == "pan left"


def test_info_round_trip(adapter: MIVAAdapter, saved: Path) -> None:
    assert read_info(saved) == adapter.info(**RECORD)
    read_info(saved).check(adapter.backbone)


def test_saving_twice_gives_the_same_bytes(adapter: MIVAAdapter, saved: Path) -> None:
    first = saved.read_bytes()
    adapter.save(saved, adapter.info(**RECORD))
    assert saved.read_bytes() == first
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("motion", None),
        ("frames", 0),
        ("frames", 16.0),
        ("size", (64,)),
        ("size", [64, 64]),
        ("fps", float("inf")),
        ("fps", 0),
        ("training", {"loss": float("nan")}),
        ("training", {"clips": ["a.mp4"]}),
    ],
)
def test_bad_info(adapter: MIVAAdapter, field: str, value: Any) -> None:
    with pytest.raises(MIVAError, match=f"^{field} is .*expected"):
        adapter.info(**(RECORD | {field: value}))


# --- saving fails ----------------------------------------------------------------------------------------------------


def test_unwritable_places(adapter: MIVAAdapter, saved: Path, tmp_path: Path) -> None:
    info = adapter.info(**RECORD)
    with pytest.raises(MIVAError, match=r"no folder .*none"):
        adapter.save(tmp_path / "none" / "a.safetensors", info)
    with pytest.raises(MIVAError, match="There is no folder"):
        adapter.save(saved / "a.safetensors", info)
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(MIVAError, match="is a folder"):
        adapter.save(tmp_path / "folder.safetensors", info)
    with pytest.raises(MIVAError, match=r"ending in \.safetensors"):
        adapter.save(tmp_path / "a.pt", info)
    assert {path.name for path in tmp_path.iterdir()} == {saved.name, "folder.safetensors"}


def test_a_failed_save_keeps_the_old_file(adapter: MIVAAdapter, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_full(tensors: Any, path: Path, metadata: Any) -> None:
        path.write_bytes(b"half a file")
        raise OSError("No space left on device")

    before = saved.read_bytes()
    monkeypatch.setattr("miva_core.storage.weights.save_file", disk_full)
    with pytest.raises(MIVAError, match="No space left"):
        adapter.save(saved, adapter.info(**RECORD))
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_bad_values_are_not_saved(adapter: MIVAAdapter, saved: Path) -> None:
    with torch.no_grad():
        next(adapter.parameters())[0] = 1e6
    with pytest.raises(MIVAError, match=r"NaN .*cfa\.q\.down"):
        adapter.save(saved, adapter.info(**RECORD), dtype=torch.float16)
    with pytest.raises(MIVAError, match=r"torch\.bfloat16"):
        adapter.save(saved, adapter.info(**RECORD), dtype=torch.bfloat16)
    with pytest.raises(MIVAError, match="adapter of another config"):
        adapter.save(saved, replace(adapter.info(**RECORD), config=MIVAConfig()))


# --- wrong files -----------------------------------------------------------------------------------------------------


def tensors(*keys: str) -> dict[str, torch.Tensor]:
    return {key: torch.zeros(2, 2) for key in keys}


WRONG_FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "folder": (lambda path: path.mkdir(), "is a folder"),
    "empty": (lambda path: path.touch(), "is an empty file"),
    "short text": (lambda path: path.write_text("hi"), "is a text file"),
    "text": (lambda path: path.write_text("Bewegung nach links, schön langsam é\n" * 50), "is a text file"),
    "web page": (lambda path: path.write_text("<!DOCTYPE html>\n<html>{" + "x" * 600), "is a text file"),
    "picture": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "is a file of an unknown kind"),
    "checkpoint": (lambda path: torch.save(tensors("a"), path), "is a PyTorch checkpoint, .*a research checkpoint"),
    "old checkpoint": (lambda path: path.write_bytes(pickle.dumps({"a": 1}, protocol=2)), "is a PyTorch checkpoint"),
    "kohya LoRA": (lambda path: save_file(tensors("lora_unet_x.lora_up.weight"), path), "is a LoRA"),
    "peft LoRA": (lambda path: save_file(tensors("unet.to_q.lora_A.weight"), path), "is a LoRA"),
    "motion LoRA": (
        lambda path: save_file(tensors("motion_modules.0.to_q_lora.down.weight"), path),
        "is a motion LoRA",
    ),
    "another model": (
        lambda path: save_file(tensors("model.somewhere.weight"), path),
        "is a model file of an unknown kind",
    ),
    "motion module": (
        lambda path: save_file(tensors("down_blocks.0.motion_modules.0.x", "down_blocks.3.motion_modules.0.x"), path),
        "is an AnimateDiff motion module",
    ),
    "VAE": (lambda path: save_file(tensors("encoder.conv_in.weight", "decoder.conv_in.weight"), path), "is a VAE"),
    "no tensors": (lambda path: save_file({}, path), "is a model file of an unknown kind"),
    "deep JSON": (
        lambda path: save_file(tensors("a"), path, {"miva": "[" * 200_000}),
        "is a MIVA adapter that .*: its header is not valid JSON",
    ),
    "deep header": (
        lambda path: path.write_bytes((200_000).to_bytes(8, "little") + b"{" + b"[" * 199_999),
        "is a damaged safetensors file",
    ),
    "stripped": (
        lambda path: save_file(tensors("a.attn1.cfa.q.down"), path),
        "is a MIVA adapter that has lost its metadata",
    ),
    "no JSON": (
        lambda path: save_file(tensors("a"), path, {"miva": "{"}),
        "is a MIVA adapter that .*: its header is not valid JSON",
    ),
    "list": (lambda path: save_file(tensors("a"), path, {"miva": "[]"}), r".*: its header is \[\]"),
    "no version": (lambda path: save_file(tensors("a"), path, {"miva": "{}"}), ".*: its format version is None"),
}


@pytest.mark.parametrize("kind", WRONG_FILES)
def test_wrong_files_are_named(model: nn.Module, tmp_path: Path, kind: str) -> None:
    write, message = WRONG_FILES[kind]
    path = tmp_path / "x.safetensors"
    write(path)
    with pytest.raises(MIVAError, match=rf"x\.safetensors {message}") as raised:
        MIVAAdapter.load(path, describe(model))
    assert "\n" not in str(raised.value)
    assert str(raised.value).endswith(".")


@pytest.mark.parametrize("size", [4, 100, -100, -1])
def test_truncated_files(model: nn.Module, saved: Path, size: int) -> None:
    content = saved.read_bytes()[:size]
    saved.write_bytes(content)
    with pytest.raises(MIVAError, match=r"truncated|unknown kind"):
        MIVAAdapter.load(saved, describe(model))


def test_damaged_header(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    content[9] = 0
    saved.write_bytes(content)
    assert identify_file(saved) == "a damaged safetensors file"


def rewritten(path: Path, changes: dict[str, Any]) -> Path:
    """The same file with another header."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["miva"])
    header = {key: value for key, value in (header | changes).items() if value is not None}
    save_file(load_file(path), path, {"miva": json.dumps(header)})
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 3}, "format version is 3, and this ComfyUI-MIVA reads up to 2; update"),
        ({"format_version": "1"}, "format version is '1'"),
        ({"motion": None}, r"\['motion'\]"),
        ({"colour": "red"}, r"\['colour'\]"),
        ({"frames": "16"}, "frames is '16'"),
        ({"size": 64}, "size is 64"),
        ({"frames": 10**3000}, "frames is .{,70}, expected an integer from 1 to 65536"),
        ({"fps": 10**400}, "fps is .{,70}, expected a positive number"),
        ({"training": {"lr": 10**400}}, "training is .{,70}, expected"),
        ({"motion": "\ud800"}, r"motion is '.ud800', expected a text of one line"),
        ({"author": "\x1b[31mred\nand more"}, r"author is .{,70}, expected a text of one line"),
        ({"training": {"a\nb": 1}}, "training is"),
        ({"config": {"cfa_rank": 10**18}}, "cfa_rank is 1000000000000000000, expected"),
        ({"config": {"cfa_rang": 3}}, "unknown fields"),
        ({"config": 3}, "JSON object"),
        ({"config": {"degree": True}}, "degree is None, expected a range for an adapter with a degree"),
        ({"words": ["pan left"]}, r"words are \('pan left',\), but the adapter hears none"),
        ({"words": "pan left"}, "words are 'pan left', expected up to 1000 texts of one line"),
        ({"words": ["x"] * 100_000}, "words are .{,70}, expected up to 1000 texts"),
        ({"words": [" "]}, "words are .{,70}, expected up to"),
        ({"words": ["pan\nleft"]}, "words are .{,70}, expected up to"),
        ({"fingerprint": "0" * 12}, r"pan\.safetensors was trained on another base.* .animatediff, 0{12}"),
        ({"family": "wan"}, "another base.* .wan"),
    ],
)
def test_bad_headers(model: nn.Module, saved: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MIVAError, match=message) as raised:
        MIVAAdapter.load(rewritten(saved, changes), describe(model))
    assert "\n" not in str(raised.value)


def test_another_base_is_refused_before_its_weights_exist(saved: Path, make_unet: Callable) -> None:
    with torch.device("meta"):
        other = make_unet(block_out_channels=(16, 64), num_attention_heads=(2, 8))
    with pytest.raises(MIVAError, match="another base"):
        read_info(saved).check(describe(other))


def test_bad_tensors(model: nn.Module, saved: Path) -> None:
    good = load_file(saved)
    with safe_open(saved, framework="pt") as file:
        metadata = file.metadata()
    key = "mid_block.attentions.0.transformer_blocks.0.attn1.cfa.q.up"

    def expect(message: str, bad: dict[str, torch.Tensor]) -> None:
        save_file(bad, saved, metadata)
        with pytest.raises(MIVAError, match=message):
            MIVAAdapter.load(saved, describe(model))

    expect(f"lacks the tensor {key}", {name: tensor for name, tensor in good.items() if name != key})
    expect("an unexpected tensor extra", good | tensors("extra"))
    expect(rf"{key} of shape \(2, 2\), but its config asks for \(32, 3\)", good | tensors(key))
    expect(rf"{key} as I64, but adapters are F32", good | {key: torch.zeros(32, 3, dtype=torch.int64)})
    expect(rf"{key} as C64, but adapters are F32", good | {key: torch.zeros(32, 3, dtype=torch.complex64)})
    expect(f"NaN or infinite values in {key}", good | {key: torch.full((32, 3), float("nan"))})
    expect(rf"values up to 1\.5e\+03 in {key}, far too large for a motion", good | {key: torch.full((32, 3), -1500.0)})
    save_file(good | {key: torch.full((32, 3), 1000.0)}, saved, metadata)
    assert MIVAAdapter.load(saved, describe(model)).state_dict()


def test_info_is_plain_data(adapter: MIVAAdapter) -> None:
    info = adapter.info(**RECORD)
    assert AdapterInfo.from_json(info.to_json()) == info


# --- headers of newer versions, and endless ones ---------------------------------------------------------------------


def test_a_newer_version_is_told_before_what_is_unknown_in_it(model: nn.Module, saved: Path) -> None:
    newer = {"format_version": 3, "motion": None, "frames": "many", "colour": "red", "config": {"depth_rank": 4}}
    with pytest.raises(MIVAError, match=r"version is 3, .* 2"):
        MIVAAdapter.load(rewritten(saved, newer), describe(model))
    assert identify_file(saved) == "a MIVA adapter of a newer format version"
    # a kind of tensor that this release of safetensors does not know
    saved.write_bytes(saved.read_bytes().replace(b'"F32"', b'"F99"', 1))
    with pytest.raises(MIVAError, match="newer format version"):
        MIVAAdapter.load(saved, describe(model))
    saved.write_bytes(saved.read_bytes().replace(b'format_version\\": 3', b'format_version\\": 1'))
    assert identify_file(saved) == "a damaged MIVA adapter"


def test_a_header_of_megabytes(model: nn.Module, saved: Path) -> None:
    rewritten(saved, {"author": "x" * 900_000})
    assert MIVAAdapter.load(saved, describe(model)).num_parameters()
    rewritten(saved, {"author": "x" * 1_100_000})
    with pytest.raises(MIVAError, match="absurd length"):
        read_info(saved)


def test_texts_of_a_header_do_not_fill_the_screen(model: nn.Module, saved: Path) -> None:
    long = "pan " * 75_000
    rewritten(saved, {"motion": long, "family": long, "fingerprint": long})
    with pytest.raises(MIVAError) as caught:
        MIVAAdapter.load(saved, describe(model))
    assert len(str(caught.value)) < 1500


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names of files are Unicode there")
def test_a_sound_file_whose_name_is_not_unicode_is_not_called_damaged(saved: Path) -> None:
    odd = saved.with_name(os.fsdecode(b"bad\xff.safetensors"))
    shutil.copy(saved, odd)
    with pytest.raises(MIVAError, match=r"bad\\udcff\.safetensors' is not Unicode"):
        read_info(odd)


def test_a_name_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(MIVAError, match=r"no adapter .*none\.safetensors"):
        read_info(tmp_path / "none.safetensors")
