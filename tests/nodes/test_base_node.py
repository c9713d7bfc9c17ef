"""Load MIVA Base reads the files that are chosen, and clips are made with what it has read; of small models."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from comfy_api.v0_0_2 import io
from comfyui_miva.miva_core.bases.animatediff import loading as animatediff_of_the_pack
from comfyui_miva.miva_core.bases.wan import loading as wan_of_the_pack
from comfyui_miva.miva_core.storage import identify as identify_of_the_pack
from comfyui_miva.nodes import MIVADataset, MIVADCTInitNoise, MIVALoadBase, MIVASampler, MIVATrain
from diffusers import AutoencoderKL, AutoencoderKLWan, UNetMotionModel, WanTransformer3DModel
from fake_comfyui import FakeComfyUI
from node_runs import motion, run, shown
from safetensors.torch import save_file
from torch import Tensor, nn

from miva_core import MIVAAdapter, MIVAConfig, MIVAError, Motion, RunOptions, Timing, animate, load_base
from miva_core.bases.animatediff import loading as animatediff
from miva_core.bases.base import Base
from miva_core.bases.registry import BASES
from miva_core.bases.wan import loading as wan
from miva_core.media.pictures import format_size
from miva_core.rendering.timing import FPS
from miva_core.rendering.view import USUAL_SIDE
from tests.unit.single_files import UNET, VAE, motion_module, original_vae, stable_diffusion
from tests.unit.single_files import WAN as WAN_SHAPE

SD15 = {"base": "SD 1.5 + AnimateDiff", "checkpoint": "sd15.safetensors", "motion_module": "mm.ckpt"}
WAN = {"base": "Wan 2.1 1.3B", "diffusion_model": "wan.safetensors", "vae": "wan_vae.safetensors"}
WAN_VAE = {"base_dim": 8, "z_dim": 4, "num_res_blocks": 2, "latents_mean": [0.0] * 4, "latents_std": [1.0] * 4}


def random(model: type[nn.Module], seed: int, **config: Any) -> Any:
    torch.manual_seed(seed)
    return model(**config)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model files, and configs of their sizes."""
    folder = tmp_path_factory.mktemp("files")
    unet = random(UNetMotionModel, 0, **UNET, use_motion_mid_block=False)
    save_file(stable_diffusion(unet, random(AutoencoderKL, 1, **VAE)), folder / "sd15.safetensors")
    save_file(original_vae(random(AutoencoderKL, 2, **VAE)), folder / "other_vae.safetensors")
    torch.save({"state_dict": motion_module(unet)}, folder / "mm.ckpt")
    save_file(random(WanTransformer3DModel, 3, **WAN_SHAPE).state_dict(), folder / "wan.safetensors")
    save_file(random(AutoencoderKLWan, 4, **WAN_VAE).state_dict(), folder / "wan_vae.safetensors")
    widths = {"block_out_channels": UNET["block_out_channels"]}, {"block_out_channels": VAE["block_out_channels"]}
    for configs, sizes in (
        (animatediff.CONFIGS, {"unet": widths[0], "vae": widths[1], "scheduler": {}}),
        (wan.CONFIGS, {"transformer": WAN_SHAPE, "vae": WAN_VAE}),
    ):
        (folder / configs.parent.name / configs.name).mkdir(parents=True)
        for name, small in sizes.items():
            config = json.loads((configs / f"{name}.json").read_text()) | small
            (folder / configs.parent.name / configs.name / f"{name}.json").write_text(json.dumps(config))
    return folder


def small_configs(files: Path, configs: Path) -> Path:
    return files / configs.parent.name / configs.name


@pytest.fixture(autouse=True)
def laid_out(files: Path, comfyui: FakeComfyUI, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are in ComfyUI's folders, and small models are expected in them."""
    for folder, name in (
        ("checkpoints", "sd15.safetensors"),
        ("animatediff_models", "mm.ckpt"),
        ("vae", "other_vae.safetensors"),
        ("diffusion_models", "wan.safetensors"),
        ("vae", "wan_vae.safetensors"),
    ):
        place = comfyui.models / folder / name
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(files / name)
    for module in (animatediff_of_the_pack, wan_of_the_pack, animatediff, wan):
        monkeypatch.setattr(module, "CONFIGS", small_configs(files, module.CONFIGS))


def of_engine(files: Path, base: str) -> Base:
    """The same base by the engine."""
    if base == "wan":
        return wan.load_wan(files / "wan.safetensors", files / "wan_vae.safetensors", dtype=torch.float32)
    return animatediff.load_animatediff(files / "sd15.safetensors", files / "mm.ckpt")


def save_motion(engine: Base, comfyui: FakeComfyUI) -> MIVAAdapter:
    """A random motion for a base, in the folder of motions as nod."""
    adapter = MIVAAdapter(engine.backbone, MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=2))
    for parameter in adapter.parameters():
        nn.init.normal_(parameter, std=0.05)
    info = adapter.info(motion="nod", frames=5, size=(64, 64), fps=8)
    adapter.save(comfyui.models / "miva" / "nod.safetensors", info)
    return adapter


def same(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize(("chosen", "name"), [(SD15, "animatediff"), (WAN, "wan")])
def test_a_clip_is_that_of_the_engine(
    files: Path, comfyui: FakeComfyUI, chosen: dict[str, str], name: str, shapes: Tensor
) -> None:
    model = run(MIVALoadBase, base=chosen)[0]
    engine = of_engine(files, name)
    assert model.base.name == name
    assert all(same(ours, theirs) for ours, theirs in zip(model.base.networks, engine.networks, strict=True))
    adapter = save_motion(engine, comfyui)
    settings = {"width": 64, "height": 64, "frames": 5, "steps": 2, "seed": 3}
    clip = run(MIVASampler, model=model, mivas=motion("nod"), image=shapes, **settings)[0]
    expected = animate(
        engine, shapes[0], [Motion(adapter, name="nod")], RunOptions(size=(64, 64), frames=5, steps=2, seed=3)
    )
    assert clip.shape == (5, 64, 64, 3)
    assert torch.equal(clip, expected.frames)
    noise = run(MIVADCTInitNoise, model=model, image=shapes, noise_seed=3, strength=engine.noise.strength)[0]
    again = run(MIVASampler, model=model, mivas=motion("nod"), image=shapes, noise=noise, **settings)[0]
    assert torch.equal(again, clip)


def test_another_vae_takes_the_place_of_the_checkpoints_own(files: Path) -> None:
    whole = run(MIVALoadBase, base=SD15)[0].base
    other = run(MIVALoadBase, base=SD15 | {"vae": "other_vae.safetensors"})[0].base
    assert same(whole.model, other.model)
    vae = random(AutoencoderKL, 2, **VAE)
    assert same(other.codec.vae, vae) and not same(whole.codec.vae, vae)


@pytest.mark.parametrize(("chosen", "dtype"), [(SD15, torch.float16), (WAN, torch.bfloat16)])
def test_half_precision_is_taken_where_the_device_has_it(
    comfyui: FakeComfyUI, chosen: dict[str, str], dtype: torch.dtype
) -> None:
    assert run(MIVALoadBase, base=chosen)[0].base.model.dtype == torch.float32
    comfyui.half = True
    assert run(MIVALoadBase, base=chosen)[0].base.model.dtype == dtype


def test_all_files_are_in_the_menus() -> None:
    with_files = [one for one in MIVALoadBase.define_schema().inputs[0].options if one.inputs]
    sd15, wan_option, *_ = with_files
    menus = {one.id: one.options for one in sd15.inputs}
    assert menus == {
        "checkpoint": ["sd15.safetensors"],
        "motion_module": ["mm.ckpt"],
        "vae": ["the checkpoint's own", "other_vae.safetensors", "wan_vae.safetensors"],
    }
    assert [one.options for one in wan_option.inputs] == [
        ["wan.safetensors"],
        ["other_vae.safetensors", "wan_vae.safetensors"],
    ]


def test_positions_of_a_motion_module_that_are_not_the_usual_are_told_with_every_clip(
    files: Path, comfyui: FakeComfyUI, shapes: Tensor
) -> None:
    motion_module = torch.load(files / "mm.ckpt", weights_only=True)["state_dict"]
    shifted = {name: tensor + 0.2 if name.endswith(".pe") else tensor for name, tensor in motion_module.items()}
    torch.save(shifted, comfyui.models / "animatediff_models" / "shifted.ckpt")
    save_motion(of_engine(files, "animatediff"), comfyui)
    settings = {"width": 64, "height": 64, "frames": 2, "steps": 1, "mivas": motion("nod"), "image": shapes}
    for name, odd in (("shifted.ckpt", True), ("mm.ckpt", False)):
        model = run(MIVALoadBase, base=SD15 | {"motion_module": name})[0]
        for _ in range(2):
            text = shown(run(MIVASampler, model=model, **settings))
            assert ("shifted.ckpt has positional encodings of its own, not the usual sinusoid: they" in text) == odd


@pytest.mark.parametrize(
    ("menu", "name"),
    [
        ("Wan 2.1 14B", "wan-14b"),
        ("Wan 2.2 14B, high noise", "wan-2.2-high"),
        ("Wan 2.2 14B, low noise", "wan-2.2-low"),
    ],
)
def test_a_larger_wan_is_the_one_of_its_menu(
    files: Path, comfyui: FakeComfyUI, monkeypatch: pytest.MonkeyPatch, menu: str, name: str
) -> None:
    # Thin blocks stand for wide ones.
    config = json.loads((files / "wan" / "configs" / "transformer.json").read_text()) | {"num_attention_heads": 2}
    (files / "wan" / "configs" / "transformer_14b.json").write_text(json.dumps(config))
    save_file(
        random(WanTransformer3DModel, 5, **config).state_dict(), comfyui.models / "diffusion_models" / "14b.safetensors"
    )
    monkeypatch.setitem(
        identify_of_the_pack._MODELS, "a Wan 14B text-to-video model", identify_of_the_pack._is_wan(256)
    )
    chosen = {"base": menu, "diffusion_model": "14b.safetensors", "vae": "wan_vae.safetensors"}
    assert run(MIVALoadBase, base=chosen)[0].base.name == name


def tooltips(node: type[io.ComfyNode]) -> dict[str, str]:
    return {one.id: one.as_dict()["tooltip"] for one in node.define_schema().inputs}


def in_brackets(numbers: list[int]) -> str:
    return f"({', '.join(map(str, numbers))})"


def test_the_sampler_tells_the_numbers_of_every_base(files: Path) -> None:
    bases = [load_base("miramo"), load_base("tiny"), of_engine(files, "animatediff"), of_engine(files, "wan")]
    # The other Wans have the numbers of the first.
    assert [base.name for base in bases] == [name for name in BASES if not name.startswith("wan-")]
    texts = tooltips(MIVASampler)
    assert re.findall(r"(\d+) for", texts["steps"]) == [str(base.steps) for base in bases]
    assert [base.predicts_flow for base in bases] == [True, True, False, False]
    built_in, painting = bases[:2], bases[2:]
    for place, side in enumerate(("height", "width")):
        assert in_brackets([base.size[place] for base in painting]) in texts[side]
        assert f"up to {USUAL_SIDE} on the longer side" in texts[side]
    assert in_brackets([base.frames for base in painting]) in texts["frames"]
    # The file of a motion module says how far it reaches; the best one reaches as far as the default.
    longest = [animatediff.meta_unet().config.motion_max_seq_length, bases[3].longest]
    assert re.findall(r"(\d+) with [^t]", texts["frames"]) == [str(frames) for frames in longest]
    assert all(f"({format_size(base.size)} for the built-in one" in texts["render"] for base in built_in)
    assert f"0: {FPS:g}. The others make {painting[0].fps}." in texts["fps"] and painting[0].fps == painting[1].fps
    (seconds,) = {base.frames / base.fps for base in built_in}
    assert f"0: {seconds:g}, there and back {2 * seconds:g}." in texts["duration"]
    assert f"({bases[0].frames} frames, Wan {bases[3].frames})" in MIVADataset.define_schema().description
    assert {base.frames for base in bases[:3]} == {bases[0].frames}


@pytest.mark.parametrize("name", ["fps", "duration"])
def test_no_widget_goes_beyond_what_a_clip_can_be(name: str) -> None:
    (widget,) = (one for one in MIVASampler.define_schema().inputs if one.id == name)
    Timing(**{name: widget.as_dict()["max"]})
    with pytest.raises(MIVAError):
        Timing(**{name: widget.as_dict()["max"] + 1})


def test_a_training_tells_the_numbers_of_every_base() -> None:
    texts = tooltips(MIVATrain)
    recipes = [spec.recipes for spec in BASES.values()]
    normal, quick, paper = ([presets[name] for presets in recipes] for name in ("normal", "quick", "paper"))
    assert {int(steps) for steps in re.findall(r"[1-9]\d+", texts["steps"])} == {recipe.steps for recipe in normal}
    rates = {float(rate) for rate in re.findall(r"0\.\d+", texts["learning_rate"])}
    assert rates == {recipe.lr for recipe in (*normal, *paper)}
    # "in fewer steps", and beside the built-in bases "three times that at quick"
    assert all(fast.steps < whole.steps for fast, whole in zip(quick, normal, strict=True))
    files = [spec.files for spec in BASES.values()]
    assert all(
        fast.lr == (3 if needed else 1) * whole.lr for fast, whole, needed in zip(quick, normal, files, strict=True)
    )
