"""SANA's weights as the beginning of MiraMo: files of the real names, of small and of the real shapes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import SanaTransformer2DModel, SanaVideoTransformer3DModel
from safetensors.torch import load_file, save_file
from sana_files import by_its_authors
from small_miramo import CONFIG, small_sana
from torch import Tensor

from miva_core.bases.miramo import sana as reading
from miva_core.bases.miramo.transformer import MIRAMO, SANA_600M, MiraMoTransformer
from miva_core.cli.main import main
from miva_core.convert import sana as conversion
from miva_core.convert.sana import convert_sana, start_weights
from miva_core.errors import MIVAError
from miva_core.storage import identify
from miva_core.storage.meta_device import on_meta

SMALL = CONFIG | {"in_channels": 8, "out_channels": 8, "patch_size": 1}
"""A SANA whose latents are others than those of the MiraMo of `CONFIG`."""
WIDTH, BLOCKS = 32, 2
REAL_MODELS = dict(identify._MODELS)
"""What there is before the sizes here are put in."""


@pytest.fixture
def sana() -> SanaTransformer2DModel:
    torch.manual_seed(3)
    return small_sana(**SMALL)


@pytest.fixture(autouse=True)
def small_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The converter expects models of the sizes here."""
    monkeypatch.setattr(reading, "SANA_600M", SMALL)
    monkeypatch.setattr(conversion, "CONFIGS", {"sd": CONFIG, "sana": SMALL})
    models = identify._MODELS | {"a SANA 600M model": identify._is_sana(WIDTH, BLOCKS)}
    monkeypatch.setattr(identify, "_MODELS", models)


@pytest.mark.parametrize("layout", ["diffusers", "authors", "authors, without what is unused"])
def test_both_layouts_are_read(sana: SanaTransformer2DModel, tmp_path: Path, layout: str) -> None:
    tensors = sana.state_dict() if layout == "diffusers" else by_its_authors(sana.state_dict())
    if layout.endswith("unused"):
        tensors = {name: tensor for name, tensor in tensors.items() if name not in reading._UNUSED}
    if layout == "authors":
        torch.save({"state_dict": tensors, "epoch": 1}, tmp_path / "sana.pth")
    else:
        save_file(tensors, tmp_path / "sana.safetensors")
    (file,) = tmp_path.iterdir()
    found = reading.read_sana(file)
    assert found.keys() == sana.state_dict().keys()
    for name, value in sana.state_dict().items():
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize("latents", ["sd", "sana"])
def test_it_begins_as_sana(sana: SanaTransformer2DModel, tmp_path: Path, latents: Any) -> None:
    """On SANA's own latents it answers what SANA does; on others so do all its blocks, between layers that are new."""
    save_file(sana.state_dict(), tmp_path / "sana.safetensors")
    convert_sana(tmp_path / "sana.safetensors", tmp_path / "miramo", latents)
    model = MiraMoTransformer.from_pretrained(tmp_path / "miramo", low_cpu_mem_usage=False)
    clips, t, text = (
        torch.randn(2, model.config.in_channels, 3, 8, 8),
        torch.tensor([400.0, 9.0]),
        torch.randn(2, 5, 12),
    )
    if latents == "sd":
        sana.patch_embed, sana.proj_out = model.patch_embed, model.proj_out
        sana.config.patch_size = 2
    with torch.no_grad():
        answer = model(clips, t, text, degree=torch.tensor([7.0, 0.0])).sample
        assert torch.equal(answer, torch.stack([sana(clips[:, :, i], text, t).sample for i in range(3)], dim=2))


def test_attention_over_time_begins_as_that_over_space(sana: SanaTransformer2DModel) -> None:
    tensors = sana.state_dict()
    closed, copied = (start_weights(tensors, CONFIG, gate) for gate in ("closed", "copied"))
    for i in range(BLOCKS):
        for layer in ("to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight", "to_out.0.bias"):
            source = tensors[f"transformer_blocks.{i}.attn1.{layer}"]
            assert torch.equal(closed[f"transformer_blocks.{i}.attn3d.{layer}"], source)
        assert not closed[f"transformer_blocks.{i}.scale_shift_table_attn3d"][2].any()
        assert copied[f"transformer_blocks.{i}.scale_shift_table_attn3d"].abs().min() > 0
    for name in ("time_embed.linear.weight", "time_embed.linear.bias"):
        assert torch.equal(copied[name], torch.cat([tensors[name], tensors[name][: 3 * WIDTH]]))
        assert torch.equal(closed[name][: 8 * WIDTH], copied[name][: 8 * WIDTH])
        assert not closed[name][8 * WIDTH :].any()


def test_the_same_file_makes_the_same_weights(sana: SanaTransformer2DModel) -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    tensors = {name: tensor.bfloat16() for name, tensor in sana.state_dict().items()}
    first, second = (start_weights(tensors, CONFIG) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.keys() == MiraMoTransformer(**CONFIG).state_dict().keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]) and value.dtype == torch.bfloat16


def real_sana() -> dict[str, Tensor]:
    """The names and shapes of SANA 600M, of whose 28 blocks all are like its first."""
    one = on_meta(lambda: SanaTransformer2DModel(**{**SANA_600M, "num_layers": 1})).state_dict()
    block = {name: tensor for name, tensor in one.items() if name.startswith("transformer_blocks.0.")}
    return one | {name.replace(".0.", f".{i}.", 1): tensor for i in range(28) for name, tensor in block.items()}


def test_the_real_sizes_fit() -> None:
    """SANA 600M by its names and shapes, without values."""
    tensors = real_sana()
    assert sum(tensor.numel() for tensor in tensors.values()) // 10_000 == 59_174
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    assert next(kind for kind, fits in REAL_MODELS.items() if fits(shapes)) == "a SANA 600M model"
    assert reading.named_by_diffusers(tensors, SANA_600M, "sana") is tensors
    two = {**MIRAMO, "num_layers": 2}
    with torch.device("meta"):
        made, expected = start_weights(tensors, two), MiraMoTransformer(**two).state_dict()
    assert {name: value.shape for name, value in made.items()} == {n: value.shape for n, value in expected.items()}


def files_of_others() -> dict[str, dict[str, Tensor]]:
    video = dict(SMALL, patch_size=(1, 2, 2), qk_norm=None)
    return {
        "a SANA 1.6B model": {"blocks.0.scale_shift_table": torch.zeros(6, 2240)}
        | {f"blocks.{i}.mlp.inverted_conv.conv.weight": torch.zeros(1) for i in range(20)},
        "a SANA 4.8B model": {"transformer_blocks.0.scale_shift_table": torch.zeros(6, 2240)}
        | {f"transformer_blocks.{i}.ff.conv_inverted.weight": torch.zeros(1) for i in range(60)},
        "a SANA model of another size": small_sana(**SMALL | {"num_layers": 3}).state_dict(),
        "a SANA-Sprint model": small_sana(**SMALL, guidance_embeds=True).state_dict(),
        "a SANA-Video model": SanaVideoTransformer3DModel(**video).state_dict(),
        "a MiraMo model": MiraMoTransformer(**CONFIG).state_dict(),
        "a text encoder": {"text_model.encoder.layers.0.weight": torch.zeros(1)},
        "a SANA 600M model in fp8": {
            name: tensor.to(torch.float8_e4m3fn) for name, tensor in small_sana(**SMALL).state_dict().items()
        },
    }


def test_other_models_are_named(tmp_path: Path) -> None:
    for kind, tensors in files_of_others().items():
        path = tmp_path / "file.safetensors"
        save_file(tensors, path)
        with pytest.raises(MIVAError) as error:
            convert_sana(path, tmp_path / "miramo")
        assert str(error.value) == (
            f"{path} is {kind}, but a SANA 600M model was expected, such as transformer/"
            "diffusion_pytorch_model.safetensors of huggingface.co/Efficient-Large-Model/Sana_600M_512px_diffusers."
        )
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("layout", ["diffusers", "authors"])
def test_what_is_missing_is_named(sana: SanaTransformer2DModel, tmp_path: Path, layout: str) -> None:
    tensors = sana.state_dict() if layout == "diffusers" else by_its_authors(sana.state_dict())
    gone = {"diffusers": "transformer_blocks.1.attn2.to_k.bias", "authors": "blocks.1.cross_attn.kv_linear.bias"}[
        layout
    ]
    del tensors[gone]
    path = tmp_path / "sana.safetensors"
    save_file(tensors, path)
    with pytest.raises(MIVAError, match=f"sana.safetensors lacks {gone}: it is damaged, or of a version"):
        convert_sana(path, tmp_path / "miramo")


def test_the_command(
    sana: SanaTransformer2DModel, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_file(sana.state_dict(), "sana.safetensors")
    whole = Path("sana.safetensors").read_bytes()
    Path("cut.safetensors").write_bytes(whole[: len(whole) // 2])
    assert main(["convert-sana", "cut.safetensors", "--out", "miramo"]) == 2
    assert "cut.safetensors is a truncated safetensors file" in capsys.readouterr().err
    assert not Path("miramo").exists()
    assert main(["convert-sana", "sana.safetensors", "--out", "miramo", "--latents", "sana", "--gate", "copied"]) == 0
    assert "Wrote miramo" in capsys.readouterr().out
    written = load_file("miramo/diffusion_pytorch_model.safetensors")
    assert torch.equal(written["time_embed.linear.bias"][-WIDTH:], sana.time_embed.linear.bias[2 * WIDTH : 3 * WIDTH])
    assert main(["convert-sana", "sana.safetensors", "--out", "miramo"]) == 2
    assert "miramo exists already and is not empty" in capsys.readouterr().err
    assert main(["info", "miramo/diffusion_pytorch_model.safetensors"]) == 0
    assert "is a MiraMo model" in capsys.readouterr().out
