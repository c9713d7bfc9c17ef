"""The temporal part as a LoRA file: the published key layout, and the same model by other people's loaders."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from miva_core.adapters.adapter import MIVAAdapter
from miva_core.adapters.config import MIVAConfig
from miva_core.bases.describe import describe
from miva_core.bases.inject import inject
from miva_core.bases.wan.loading import meta_transformer
from miva_core.cli.main import main
from miva_core.convert.motion_lora import export_motion_lora
from miva_core.errors import MIVAError


def test_wan_has_no_temporal_part(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    adapter = MIVAAdapter(describe(meta_transformer()), MIVAConfig(cfa_rank=1, ca_rank=1))
    adapter.save(tmp_path / "a.safetensors", adapter.info(motion="rain", frames=17, size=(832, 480), fps=8))
    assert main(["export-motion-lora", str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors")]) == 2
    assert "An adapter for wan has no temporal part to export." in capsys.readouterr().err


def test_a_shipped_adapter_is_found_by_its_name(tmp_path: Path) -> None:
    assert main(["export-motion-lora", "jump", str(tmp_path / "jump.safetensors")]) == 0
    assert all(tensor.isfinite().all() for tensor in load_file(tmp_path / "jump.safetensors").values())


def test_it_replaces_no_file(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "mine.safetensors").write_bytes(b"a motion that took hours")
    assert main(["export-motion-lora", "jump", str(tmp_path / "mine.safetensors")]) == 2
    assert "mine.safetensors exists already: name another file, or move it away." in capsys.readouterr().err
    assert (tmp_path / "mine.safetensors").read_bytes() == b"a motion that took hours"


@pytest.fixture
def adapter(unet: nn.Module, make_adapter: Callable) -> MIVAAdapter:
    """Silent but for its temporal part."""
    adapter = make_adapter(unet, MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=3, ta_alpha=2.0))
    with torch.no_grad():
        for site in describe(unet).sites:
            if site.kind == "sa":
                adapter.site(site)["cfa"].out.up.zero_()
            elif site.kind == "ca":
                adapter.site(site)["ca"].second.zero_()
    return adapter


def without_text(unet: nn.Module) -> nn.Module:
    """An adapter also removes the text's attention, which no LoRA file can say."""
    for site in describe(unet).sites:
        if site.kind == "ca":
            for parameter in unet.get_submodule(site.path).to_out[0].parameters():
                parameter.zero_()
    return unet


def test_the_names_and_strength_of_motion_lora(
    unet: nn.Module, adapter: MIVAAdapter, call: Callable, tmp_path: Path
) -> None:
    """W + up @ down at every projection, with no other scale, is what AnimateDiff's loaders do."""
    with inject(unet, pan=adapter):
        expected = call(unet, text=True)
    export_motion_lora(adapter, tmp_path / "lora.safetensors")
    tensors = load_file(tmp_path / "lora.safetensors")
    place = "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.1.processor"
    assert tensors[f"{place}.to_out_lora.down.weight"].shape == (3, 16)
    for name, down in tensors.items():
        if not name.endswith("down.weight"):
            continue
        path = name.replace(".temporal_transformer", "").replace("attention_blocks.0", "attn1")
        path = path.replace("attention_blocks.1", "attn2").replace(".processor", "").removesuffix("_lora.down.weight")
        layer = unet.get_submodule(path)
        layer = layer[0] if isinstance(layer, nn.ModuleList) else layer
        layer.weight += (tensors[name.replace("down.weight", "up.weight")] @ down).double()
    torch.testing.assert_close(call(without_text(unet), text=True), expected, rtol=1e-4, atol=1e-5)


def test_peft_loads_it(adapter: MIVAAdapter, unet: nn.Module, call: Callable, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    with inject(unet, pan=adapter):
        expected = call(unet, text=True)
    export_motion_lora(adapter, tmp_path / "lora.safetensors", layout="peft")
    tensors: dict[str, Tensor] = load_file(tmp_path / "lora.safetensors")
    unet.load_lora_adapter(tensors, prefix="unet")
    for path, module in unet.named_modules():
        if path.endswith("attn2") and "motion_modules" not in path:
            for parameter in module.to_out[0].parameters():
                parameter.data.zero_()
    torch.testing.assert_close(call(unet, text=True), expected, rtol=1e-4, atol=1e-5)


def test_an_adapter_without_temporal_part_is_refused(tmp_path: Path) -> None:
    from diffusers import WanTransformer3DModel

    with torch.device("meta"):
        model = WanTransformer3DModel(num_layers=1, num_attention_heads=2, attention_head_dim=12)
        adapter = MIVAAdapter(describe(model), MIVAConfig(cfa_rank=2, ca_rank=2))
    with pytest.raises(MIVAError, match="no temporal part"):
        export_motion_lora(adapter, tmp_path / "lora.safetensors")
    assert not list(tmp_path.iterdir())
