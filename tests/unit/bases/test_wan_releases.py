"""One way of loading for every text-to-video Wan, at a small size; and the Wans that adapters are not made for."""

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from safetensors.torch import save_file
from single_files import WAN
from torch import Tensor
from wan_files import WAN_VAE, original, original_wan_vae

from miva_core import MIVAAdapter, MIVAConfig, Motion, RunOptions, animate, describe, load_base
from miva_core.bases.registry import find_base
from miva_core.bases.wan import loading
from miva_core.bases.wan.loading import load_wan
from miva_core.bases.wan.releases import CONFIGS, WAN_2_1_14B, WAN_2_2_HIGH, WAN_2_2_LOW, Release
from miva_core.errors import MIVAError, MIVAWarning
from miva_core.storage import identify

LARGE = WAN | {"num_attention_heads": 2, "num_layers": 2}
"""What stands for 14B: other numbers of heads and blocks than what stands for 1.3B."""
RELEASES = WAN_2_1_14B, WAN_2_2_HIGH, WAN_2_2_LOW


@pytest.fixture(scope="module")
def model() -> WanTransformer3DModel:
    torch.manual_seed(0)
    return WanTransformer3DModel(**LARGE).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, model: WanTransformer3DModel) -> Path:
    folder = tmp_path_factory.mktemp("wan")
    for name, small in (("transformer", WAN), ("transformer_14b", LARGE), ("vae", WAN_VAE)):
        (folder / f"{name}.json").write_text(json.dumps(json.loads((CONFIGS / f"{name}.json").read_text()) | small))
    save_file(original(model), folder / "large.safetensors")
    save_file({f"model.diffusion_model.{k}": v for k, v in original(model).items()}, folder / "comfyui.safetensors")
    half = {name: tensor.bfloat16() for name, tensor in model.state_dict().items()}
    save_file(half, folder / "diffusers.safetensors")
    save_file(original(WanTransformer3DModel(**WAN)), folder / "small.safetensors")
    save_file(original_wan_vae(AutoencoderKLWan(**WAN_VAE)), folder / "vae.safetensors")
    return folder


@pytest.fixture(autouse=True)
def small_sizes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A width of 256 is taken for that of 14B, and models are expected at the sizes here."""
    monkeypatch.setattr(loading, "CONFIGS", folder)
    monkeypatch.setitem(identify._MODELS, WAN_2_1_14B.kind, identify._is_wan(256))


def load(folder: Path, release: Release, file: str = "large") -> loading.Base:
    path = folder / f"{file}.safetensors"
    return load_wan(path, folder / "vae.safetensors", release=release, dtype=torch.float32)


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
@pytest.mark.parametrize("layout", ["large", "comfyui", "diffusers"])
def test_every_layout_of_every_release_is_the_model_it_was_saved_from(
    folder: Path, model: WanTransformer3DModel, release: Release, layout: str
) -> None:
    base = load(folder, release, layout)
    state = model.state_dict()
    assert base.model.state_dict().keys() == state.keys()
    for name, tensor in base.model.state_dict().items():
        assert torch.equal(tensor, state[name] if layout != "diffusers" else state[name].bfloat16().float()), name
    assert base.backbone == describe(model)
    assert (base.name, base.release, base.levels) == (release.name, release.menu, release.levels)


def test_they_differ_from_the_smallest_one_by_nothing_else(folder: Path) -> None:
    """Nodes and pages tell the numbers of Wan once."""
    small = load_wan(folder / "small.safetensors", folder / "vae.safetensors", dtype=torch.float32)
    assert (small.release, small.levels) == ("", (0.0, 1.0))
    own = {"name", "model", "codec", "scheduler", "backbone", "text", "release", "levels"}
    for release in RELEASES:
        base = load(folder, release)
        for name in vars(small).keys() - own:
            assert getattr(base, name) == getattr(small, name), name
        assert base.scheduler.config == small.scheduler.config
        ours, theirs = (replace(find_base(one), name="", menu="", files=()) for one in (release.name, "wan"))
        for name in vars(ours).keys() - {"load", "backbones"}:
            assert getattr(ours, name) == getattr(theirs, name), name


def test_they_are_loaded_by_their_names(folder: Path) -> None:
    files = {"checkpoint": folder / "large.safetensors", "vae": folder / "vae.safetensors"}
    assert load_base("wan-2.2-low", **files).levels == (0.0, 0.875)
    assert load_base("wan-2.2-high", **files).levels == (0.875, 1.0)
    assert load_base("wan-14b", **files).release == "Wan 2.1 14B"


def test_an_adapter_of_one_acts_on_the_others(folder: Path, tmp_path: Path) -> None:
    high, low, older = (load(folder, release) for release in (WAN_2_2_HIGH, WAN_2_2_LOW, WAN_2_1_14B))
    adapter = MIVAAdapter(high.backbone, MIVAConfig(cfa_rank=2, ca_rank=2))
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    adapter.save(tmp_path / "sway.safetensors", adapter.info(motion="sway", frames=17, size=(832, 480), fps=8))
    picture, options = torch.rand(32, 32, 3), RunOptions(steps=2, size=(32, 32), frames=9)
    clips = []
    for base in (high, low, older):
        loaded = MIVAAdapter.load(tmp_path / "sway.safetensors", base.backbone)
        clips.append(animate(base, picture, [Motion(loaded)], options))
    # The three of this test have the same weights.
    assert torch.equal(clips[0].frames, clips[1].frames) and torch.equal(clips[0].frames, clips[2].frames)
    part = "Wan 2.2 14B, high noise was trained on the timesteps from 875 to 1000 alone"
    assert any(note.startswith(part) for note in clips[0].notes)
    assert not any("timesteps" in note for note in clips[2].notes)


@pytest.mark.parametrize(
    ("name", "release", "warned"),
    [
        ("wan2.2_t2v_low_noise_14B_fp16", WAN_2_2_HIGH, "low noise, but is loaded as Wan 2.2 14B, high noise: choose"),
        ("Wan2.2-T2V-A14B-HighNoise-bf16", WAN_2_2_LOW, "high noise, but is loaded as Wan 2.2 14B, low noise: choose"),
        ("wan2.2_t2v_low_noise_14B_fp16", WAN_2_1_14B, "low noise, but is loaded as Wan 2.1 14B: choose another base"),
        ("wan2.2_t2v_low_noise_14B_fp16", WAN_2_2_LOW, ""),
        ("anything", WAN_2_2_LOW, ""),
    ],
)
def test_a_file_that_is_called_like_another_expert_is_doubted(
    folder: Path, tmp_path: Path, name: str, release: Release, warned: str
) -> None:
    (tmp_path / f"{name}.safetensors").symlink_to(folder / "large.safetensors")
    (tmp_path / "vae.safetensors").symlink_to(folder / "vae.safetensors")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", MIVAWarning)
        load(tmp_path, release, name)
    said = [str(one.message) for one in caught if issubclass(one.category, MIVAWarning)]
    assert len(said) == bool(warned) and all(warned in one for one in said)


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_a_smaller_one_is_named(folder: Path, release: Release) -> None:
    with pytest.raises(MIVAError) as raised:
        load(folder, release, "small")
    assert str(raised.value) == (
        f"{folder / 'small.safetensors'} is a Wan 2.1 1.3B text-to-video model, but a Wan 14B text-to-video model was "
        f"expected, such as {release.file} from huggingface.co/{release.repository}."
    )


def shaped(**shapes: tuple[int, ...]) -> dict[str, Tensor]:
    return {name.replace("__", "."): torch.zeros(shape) for name, shape in shapes.items()}


FIVE = (
    "cannot be used: Wan 2.2 5B is not supported yet: it is shown its first frame without noise at a step of its own, "
    "and there are no motions trained that way. Load Wan 2.1, or Wan 2.2 14B."
)
OTHERS: dict[str, tuple[dict[str, Tensor], str]] = {
    "5B": (shaped(blocks__0__self_attn__q__weight=(3072, 1), patch_embedding__weight=(3072, 48, 1, 2, 2)), FIVE),
    "5B of diffusers": (shaped(blocks__0__attn1__to_q__weight=(3072, 1), condition_embedder__x=(1,)), FIVE),
    "5B in fp8": ({"blocks.0.self_attn.q.weight": torch.zeros(3072, 1).to(torch.float8_e4m3fn)}, FIVE),
    "2.2 image-to-video": (
        shaped(blocks__0__self_attn__q__weight=(256, 1), patch_embedding__weight=(256, 36, 1, 2, 2)),
        "is an image-to-video Wan model, but a Wan 14B text-to-video model was expected",
    ),
    "VACE": (
        shaped(
            blocks__0__self_attn__q__weight=(256, 1),
            patch_embedding__weight=(256, 16, 1, 2, 2),
            vace_blocks__0__self_attn__q__weight=(256, 1),
        ),
        "is a Wan VACE model, but a Wan 14B text-to-video model was expected",
    ),
    "fp8": (
        {"blocks.0.self_attn.q.weight": torch.zeros(256, 1).to(torch.float8_e4m3fn)},
        "is a Wan 14B text-to-video model in fp8, but a Wan 14B text-to-video model was expected",
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_wans_are_refused_in_one_sentence(folder: Path, tmp_path: Path, kind: str) -> None:
    tensors, said = OTHERS[kind]
    save_file(tensors, tmp_path / "wan.safetensors")
    for release in RELEASES:
        with pytest.raises(MIVAError) as raised:
            load_wan(tmp_path / "wan.safetensors", folder / "vae.safetensors", release=release)
        assert str(raised.value).startswith(f"{tmp_path / 'wan.safetensors'} {said}")


@pytest.mark.parametrize("name", ["encoder.conv1.weight", "encoder.conv_in.weight"])
def test_the_vae_of_the_5b_is_told_from_the_one_of_the_pair(folder: Path, tmp_path: Path, name: str) -> None:
    decoder = name.replace("encoder", "decoder")
    tensors = {name: torch.zeros(8, 12, 3, 3, 3), decoder: torch.zeros(8, 48, 3, 3, 3)}
    save_file(tensors, tmp_path / "wan2.2_vae.safetensors")
    with pytest.raises(MIVAError, match=r"is the VAE of Wan 2.2 5B, but a Wan VAE was expected, such as wan_2.1_vae"):
        load_wan(folder / "large.safetensors", tmp_path / "wan2.2_vae.safetensors", release=WAN_2_2_LOW)


def test_a_model_of_the_5b_is_described_with_its_latent_space(make_wan: Callable[..., WanTransformer3DModel]) -> None:
    channels = {"in_channels": 48, "out_channels": 48}
    assert describe(make_wan(**channels)).latent_space == "48 channels"
    assert describe(make_wan(in_channels=16, out_channels=16)).latent_space == ""
