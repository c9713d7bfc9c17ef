"""Wan checkpoints of the authors' code, plain and by PEFT: written by its rules, read back as adapters."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from diffusers import WanTransformer3DModel
from peft import LoraConfig, inject_adapter_in_model
from safetensors.torch import save_file
from torch import Tensor, nn

from miva_core import MIVAAdapter, describe, inject
from miva_core.bases.wan import loading
from miva_core.bases.wan.loading import CONFIGS
from miva_core.cli.main import main
from miva_core.convert.official import convert_official
from miva_core.errors import MIVAError

WIDTH, TIME, BLOCKS, RANK = 1536, 1536, 2, 4
SMALL = {"num_layers": BLOCKS, "ffn_dim": 16, "text_dim": 8, "freq_dim": 16, "rope_max_seq_len": 32}


class I2VAdapter(nn.Module):
    """What the authors add to a block: projections of its own (k is frozen), and the gate."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.o = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.weight_module = nn.ModuleDict({"linear": nn.Linear(TIME, 2)})


class Prompt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.CA2, self.CA_norm = nn.Linear(WIDTH, RANK, bias=False), nn.LayerNorm(RANK)
        self.CA3 = nn.Linear(RANK, WIDTH, bias=False)


class Official(nn.Module):
    """The trained parts of their transformer, random."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"i2v_adapter": I2VAdapter(), "cross_attn": Prompt()}) for _ in range(BLOCKS)
        )


@pytest.fixture(scope="module")
def wan() -> WanTransformer3DModel:
    torch.manual_seed(0)
    config = json.loads((CONFIGS / "transformer.json").read_text()) | SMALL
    return WanTransformer3DModel.from_config(config).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, wan: WanTransformer3DModel) -> Path:
    folder = tmp_path_factory.mktemp("wan")
    config = json.loads((CONFIGS / "transformer.json").read_text()) | SMALL
    (folder / "transformer.json").write_text(json.dumps(config))
    save_file(wan.state_dict(), folder / "wan.safetensors")
    return folder


@pytest.fixture
def official() -> Official:
    return Official().requires_grad_(False)


def query(wan: nn.Module, adapter: MIVAAdapter, block: int, x: Tensor) -> Tensor:
    """W_Q(x) of the adapter, from its parameters and the base's."""
    parts, base = adapter.sites[f"blocks/{block}/attn1"]["cfa"], wan.blocks[block].attn1.to_q
    up, down = parts.q.up, parts.q.down
    bias = base.bias if parts.q_bias is None else base.bias + parts.q_bias
    return F.linear(x, base.weight + (up if down is None else up @ down), bias)


def by_peft(official: Official, r: int, targets: tuple[str, ...] = ("q", "o"), **options: float) -> None:
    """Let peft put its own layers into their modules."""
    modules = [f"i2v_adapter.{target}" for target in targets]
    inject_adapter_in_model(LoraConfig(r=r, target_modules=modules, init_lora_weights=False, **options), official)


def trained(official: Official) -> dict[str, Tensor]:
    """What is not frozen, as their trainer saves it."""
    return {name: tensor for name, tensor in official.state_dict().items() if ".base_layer." not in name}


def start_from(wan: WanTransformer3DModel, official: Official) -> None:
    """W_Q as the base's, W_O zero."""
    for k, block in enumerate(official.blocks):
        block["i2v_adapter"].q.load_state_dict(wan.blocks[k].attn1.to_q.state_dict())
        nn.init.zeros_(block["i2v_adapter"].o.weight)
        nn.init.zeros_(block["i2v_adapter"].o.bias)


@pytest.fixture(autouse=True)
def small_configs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loaders expect models of the sizes here."""
    monkeypatch.setattr(loading, "CONFIGS", folder)


def test_plain(wan: WanTransformer3DModel, folder: Path, official: Official) -> None:
    torch.save(official.state_dict(), folder / "plain.ckpt")
    converted = convert_official(folder / "plain.ckpt", folder / "wan.safetensors")
    adapter, unused = converted.adapter, converted.unused
    assert not unused and adapter.backbone == describe(wan)
    frozen = BLOCKS * (WIDTH + 1) * WIDTH
    assert adapter.num_parameters() == sum(tensor.numel() for tensor in official.parameters()) - frozen
    x = torch.randn(3, WIDTH)
    for k, block in enumerate(official.blocks):
        torch.testing.assert_close(query(wan, adapter, k, x), block["i2v_adapter"].q(x), rtol=1e-4, atol=1e-4)
        spatial, prompt = adapter.sites[f"blocks/{k}/attn1"], adapter.sites[f"blocks/{k}/attn2"]["ca"]
        assert torch.equal(spatial["cfa"].out.up, block["i2v_adapter"].o.weight)
        assert torch.equal(spatial["cfa"].bias, block["i2v_adapter"].o.bias)
        assert torch.equal(spatial["gate"].weight, block["i2v_adapter"].weight_module["linear"].weight)
        assert torch.equal(spatial["gate"].bias, block["i2v_adapter"].weight_module["linear"].bias)
        assert torch.equal(prompt.first, block["cross_attn"].CA2.weight)
        assert torch.equal(prompt.norm_weight, block["cross_attn"].CA_norm.weight)
        assert torch.equal(prompt.norm_bias, block["cross_attn"].CA_norm.bias)
        assert torch.equal(prompt.second, block["cross_attn"].CA3.weight)
    with inject(wan, official=adapter):
        latents, text = torch.randn(1, 16, 2, 4, 6), torch.zeros(1, 1, 8)
        assert wan(latents, torch.tensor([400.0]), text).sample.isfinite().all()


def test_peft(wan: WanTransformer3DModel, folder: Path, official: Official) -> None:
    """As peft itself computes with what it has put into their modules."""
    start_from(wan, official)
    by_peft(official, r=8, lora_alpha=3)
    torch.save(trained(official), folder / "peft.ckpt")
    converted = convert_official(folder / "peft.ckpt", alpha=3)
    adapter, unused = converted.adapter, converted.unused
    assert not unused and adapter.config.cfa_rank == 8
    x = torch.randn(3, WIDTH)
    for k, block in enumerate(official.blocks):
        torch.testing.assert_close(query(wan, adapter, k, x), block["i2v_adapter"].q(x), rtol=1e-4, atol=1e-4)
        out = adapter.sites[f"blocks/{k}/attn1"]["cfa"].out
        torch.testing.assert_close(x @ (out.up @ out.down).T, block["i2v_adapter"].o(x), rtol=1e-4, atol=1e-4)


def test_what_has_no_place_is_told(folder: Path, official: Official) -> None:
    file = official.state_dict() | {"blocks.0.cross_attn_b.CA2.weight": torch.zeros(4, WIDTH)}
    torch.save(file, folder / "masked.ckpt")
    unused = convert_official(folder / "masked.ckpt", folder / "wan.safetensors").unused
    assert unused == ("blocks.0.cross_attn_b.CA2.weight",)


def test_a_mask_stream_comes_along(wan: WanTransformer3DModel, folder: Path, official: Official) -> None:
    file = official.state_dict()
    for k in range(BLOCKS):
        for name in ("q", "o"):
            file[f"blocks.{k}.i2v_adapter.{name}_m.weight"] = torch.randn(WIDTH, WIDTH)
            file[f"blocks.{k}.i2v_adapter.{name}_m.bias"] = torch.randn(WIDTH)
    torch.save(file, folder / "masked.ckpt")
    converted = convert_official(folder / "masked.ckpt", folder / "wan.safetensors")
    adapter, unused = converted.adapter, converted.unused
    assert not unused and adapter.config.mask and not adapter.config.image_guidance
    for k in range(BLOCKS):
        masked, base = adapter.sites[f"blocks/{k}/attn1"]["cfa_mask"], wan.blocks[k].attn1.to_q
        torch.testing.assert_close(base.weight + masked.q.up, file[f"blocks.{k}.i2v_adapter.q_m.weight"])
        torch.testing.assert_close(base.bias + masked.q_bias, file[f"blocks.{k}.i2v_adapter.q_m.bias"])
        assert torch.equal(masked.out.up, file[f"blocks.{k}.i2v_adapter.o_m.weight"])
        assert torch.equal(masked.bias, file[f"blocks.{k}.i2v_adapter.o_m.bias"])


def test_a_mask_stream_by_peft_is_scaled_by_its_own_rank(
    wan: WanTransformer3DModel, folder: Path, official: Official
) -> None:
    start_from(wan, official)
    by_peft(official, r=8, lora_alpha=3)
    file = trained(official)
    for k in range(BLOCKS):
        for name in ("q", "o"):
            file[f"blocks.{k}.i2v_adapter.{name}_m.lora_A.default.weight"] = torch.randn(8, WIDTH)
            file[f"blocks.{k}.i2v_adapter.{name}_m.lora_B.default.weight"] = torch.randn(WIDTH, 8)
    torch.save(file, folder / "masked.ckpt")
    converted = convert_official(folder / "masked.ckpt", alpha=3)
    adapter, unused = converted.adapter, converted.unused
    masked = adapter.sites["blocks/1/attn1"]["cfa_mask"]
    expected = 3 / 8 * file["blocks.1.i2v_adapter.o_m.lora_B.default.weight"]
    assert not unused and adapter.config.mask
    torch.testing.assert_close(masked.out.up, expected)


def test_ranks_of_other_modules_do_not_matter(wan: WanTransformer3DModel, folder: Path, official: Official) -> None:
    """A file is no dict of one rank: alpha is divided by that of each matrix."""
    start_from(wan, official)
    by_peft(official, r=8, lora_alpha=3)
    file = {"blocks.0.cross_attn_b.CA2.lora_A.default.weight": torch.zeros(2, WIDTH)} | trained(official)
    torch.save(file, folder / "first.ckpt")
    converted = convert_official(folder / "first.ckpt", alpha=3)
    adapter, unused = converted.adapter, converted.unused
    x = torch.randn(3, WIDTH)
    expected = official.blocks[0]["i2v_adapter"].q(x)
    torch.testing.assert_close(query(wan, adapter, 0, x), expected, rtol=1e-4, atol=1e-4)
    assert len(unused) == 1


def test_trained_parts_without_a_place_are_not_dropped(
    wan: WanTransformer3DModel, folder: Path, official: Official
) -> None:
    extra = {"blocks.0.i2v_adapter.norm_q.weight": torch.ones(WIDTH)}
    torch.save(official.state_dict() | extra, folder / "normed.ckpt")
    with pytest.raises(MIVAError, match=r"i2v_adapter\.norm_q\.weight, .* no place"):
        convert_official(folder / "normed.ckpt", folder / "wan.safetensors")
    start_from(wan, official)
    by_peft(official, r=2, targets=("q", "k", "o"))
    file = trained(official)
    torch.save(file, folder / "keys.ckpt")
    with pytest.raises(MIVAError, match=r"k\.lora_A\.weight, .* no place"):
        convert_official(folder / "keys.ckpt", alpha=2)


def test_what_peft_wraps_is_looked_at(wan: WanTransformer3DModel, folder: Path, official: Official) -> None:
    start_from(wan, official)
    by_peft(official, r=2)
    path, sd = folder / "whole.ckpt", folder / "wan.safetensors"
    torch.save(official.state_dict(), path)
    with pytest.raises(MIVAError, match=r"q\.base_layer\.weight: name the Wan"):
        convert_official(path, alpha=2)
    convert_official(path, sd, alpha=2)
    torch.save({name: tensor.bfloat16() for name, tensor in official.state_dict().items()}, path)
    convert_official(path, sd, alpha=2)
    official.blocks[1]["i2v_adapter"].q.base_layer.bias += 1e-4
    torch.save(official.state_dict(), path)
    with pytest.raises(MIVAError, match=r"blocks\.1\..*base_layer\.bias, which differs"):
        convert_official(path, sd, alpha=2)
    official.blocks[0]["i2v_adapter"].o.base_layer.weight[0, 0] = 1
    torch.save(official.state_dict(), path)
    with pytest.raises(MIVAError, match="which is not zero"):
        convert_official(path, sd, alpha=2)


@pytest.mark.parametrize("prefix", ["model.", "base_model.model."])
def test_names_of_wrappers_are_taken_off(folder: Path, official: Official, prefix: str) -> None:
    torch.save({f"{prefix}{name}": tensor for name, tensor in official.state_dict().items()}, folder / "wrapped.ckpt")
    adapter = convert_official(folder / "wrapped.ckpt", folder / "wan.safetensors").adapter
    prompt = adapter.sites["blocks/1/attn2"]["ca"]
    assert torch.equal(prompt.second, official.blocks[1]["cross_attn"].CA3.weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: tensor.to(torch.int8), "as int8, not as floating-point weights"),
        (lambda tensor: tensor.to(torch.complex64), "as complex64, not as floating-point weights"),
        (lambda tensor: torch.full_like(tensor, torch.nan), "NaN or infinite values"),
        (lambda tensor: tensor.to_sparse(), "sparse, quantised, nested or without values"),
        (lambda tensor: tensor.to("meta"), "sparse, quantised, nested or without values"),
        (lambda tensor: tensor.sum(), "without values: it is damaged"),
    ],
    ids=["integers", "complex", "NaN", "sparse", "meta", "scalar"],
)
def test_strange_tensors_are_refused(folder: Path, official: Official, change: Callable, message: str) -> None:
    file = official.state_dict()
    file["blocks.0.cross_attn.CA2.weight"] = change(file["blocks.0.cross_attn.CA2.weight"])
    torch.save(file, folder / "strange.ckpt")
    with pytest.raises(MIVAError, match=message):
        convert_official(folder / "strange.ckpt", folder / "wan.safetensors")


def test_shapes_are_checked_before_values_are_copied(folder: Path, official: Official) -> None:
    file = official.state_dict()
    file["blocks.0.cross_attn.CA_norm.bias"] = torch.full((3, 4), torch.nan)
    torch.save(file, folder / "strange.ckpt")
    with pytest.raises(MIVAError, match=r"norm_bias of shape \(3, 4\)"):
        convert_official(folder / "strange.ckpt", folder / "wan.safetensors")
    file["blocks.0.cross_attn.CA_norm.bias"] = torch.zeros(1).expand(10**6, 10**6)
    torch.save(file, folder / "strange.ckpt")
    with pytest.raises(MIVAError, match=r"fewer values of .*CA_norm\.bias"):
        convert_official(folder / "strange.ckpt", folder / "wan.safetensors")


def test_an_absurd_rank_names_the_file(folder: Path, official: Official) -> None:
    file = official.state_dict()
    file["blocks.0.cross_attn.CA2.weight"] = torch.zeros(70_000, 1)
    torch.save(file, folder / "strange.ckpt")
    with pytest.raises(MIVAError, match="ca_rank is 70000"):
        convert_official(folder / "strange.ckpt", folder / "wan.safetensors")


def test_a_damaged_base_is_named(wan: WanTransformer3DModel, folder: Path, official: Official) -> None:
    torch.save(official.state_dict(), folder / "plain.ckpt")
    file = wan.state_dict()
    del file["blocks.1.attn1.to_q.weight"]
    save_file(file, folder / "damaged.safetensors")
    with pytest.raises(MIVAError, match=r"lacks blocks\.1\.attn1\.to_q"):
        convert_official(folder / "plain.ckpt", folder / "damaged.safetensors")
    file["blocks.1.attn1.to_q.weight"] = torch.zeros(WIDTH, WIDTH, dtype=torch.int8)
    save_file(file, folder / "damaged.safetensors")
    with pytest.raises(MIVAError, match="as int8"):
        convert_official(folder / "plain.ckpt", folder / "damaged.safetensors")
    with pytest.raises(MIVAError, match=r"no .*nowhere\.safetensors"):
        convert_official(folder / "plain.ckpt", folder / "nowhere.safetensors")


def test_what_is_missing_is_asked_for(
    folder: Path, official: Official, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    plain, peft = tmp_path / "plain.ckpt", tmp_path / "peft.ckpt"
    torch.save(official.state_dict(), plain)
    by_peft(official, r=2)
    torch.save(trained(official), peft)
    with pytest.raises(MIVAError, match="whole matrices: name the Wan"):
        convert_official(plain)
    with pytest.raises(MIVAError, match="not trained by PEFT"):
        convert_official(plain, folder / "wan.safetensors", alpha=1.0)
    with pytest.raises(MIVAError, match="does not store alpha"):
        convert_official(peft)
    for alpha in ("0", "-1", "nan", "inf"):
        assert main(["convert", str(peft), str(tmp_path / "out.safetensors"), "--alpha", alpha]) == 2
        assert "it must be a positive number: the lora_alpha" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()
