"""A new base costs a folder and a line in the registry: all else finds it there."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler
from PIL import Image
from small_bases import HalfCodec
from torch import Tensor, nn

from miva_core.adapters.adapter import MIVAAdapter
from miva_core.adapters.backbone import Backbone, Kind, Site
from miva_core.adapters.config import MIVAConfig
from miva_core.adapters.info import AdapterInfo
from miva_core.animation.animate import animate
from miva_core.animation.motion import Motion
from miva_core.attention.processor import Processor
from miva_core.attention.self_attention import SelfAttention
from miva_core.bases.base import Base
from miva_core.bases.describe import describe
from miva_core.bases.inject import check_bare, inject
from miva_core.bases.known import find_backbone
from miva_core.bases.library import find_adapters
from miva_core.bases.loading import load_base
from miva_core.bases.recipe import PRESETS, Recipe, full_size_recipes
from miva_core.bases.registry import BASES, find_architecture, find_base
from miva_core.bases.spec import Architecture, BaseFile, BaseSpec, for_diffusers
from miva_core.cli.main import main
from miva_core.diffusion.init_noise import NoiseInit
from miva_core.errors import MIVAError
from miva_core.media.video import read_video
from miva_core.training.recipes import recipe

BACKBONE = Backbone("toy", (Site("one", "one", "sa", 4, 2),), "time", "time", 4)


class ToyProcessor:
    """Plain attention, head by head."""

    def __call__(self, attn: "ToyAttention", hidden_states: Tensor) -> Tensor:
        heads = []
        for columns in torch.arange(4).chunk(attn.heads):
            q, k, v = (layer(hidden_states)[..., columns] for layer in (attn.to_q, attn.to_k, attn.to_v))
            heads.append(torch.softmax(q @ k.mT / len(columns) ** 0.5, -1) @ v)
        return attn.to_out[0](torch.cat(heads, -1))


class ToyAttention(nn.Module):
    """The one attention of `Toy`, with a processor of its own."""

    heads, norm_q, norm_k, fused_projections = 2, None, None, False

    def __init__(self) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v = (nn.Linear(4, 4) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(4, 4), nn.Identity()])
        self.processor: Any = ToyProcessor()

    def set_processor(self, processor: Any) -> None:
        self.processor = processor

    def forward(self, x: Tensor) -> Tensor:
        return self.processor(self, hidden_states=x)


class Toy(nn.Module):
    """A network of a class that nothing here has heard of: every frame attends to itself, and that is all."""

    def __init__(self) -> None:
        super().__init__()
        self.time, self.one = nn.Linear(1, 4), ToyAttention()
        self.config = SimpleNamespace(in_channels=4)

    @property
    def dtype(self) -> torch.dtype:
        return self.time.weight.dtype

    def forward(self, sample: Tensor, t: Tensor, encoder_hidden_states: Tensor | None = None) -> SimpleNamespace:
        temb = self.time(t[:, None].to(sample) / 1000)
        x = (sample + temb[:, :, None, None, None]).transpose(1, 2)
        y = self.one(x.flatten(3).flatten(0, 1).mT).mT
        return SimpleNamespace(sample=y.unflatten(0, x.shape[:2]).unflatten(-1, x.shape[3:]).transpose(1, 2))


class Derived(Toy):
    pass


def backbones() -> Iterator[tuple[str, Backbone]]:
    yield "Toy 1.0", BACKBONE


def processors() -> Mapping[Kind, type[Processor]]:
    return {"sa": SelfAttention}


def load(device: torch.device | str, dtype: torch.dtype, blocks: Path) -> Base:
    torch.manual_seed(1)
    return Base(
        name="toy",
        model=Toy().to(device, dtype).requires_grad_(False),
        codec=HalfCodec(1),
        scheduler=DDIMScheduler(clip_sample=False),
        backbone=BACKBONE,
        frames=3,
        longest=8,
        scale=2,
        stride=1,
        size=(8, 12),
        multiple=4,
        fps=8,
        centred=False,
        text=None,
        text_per_frame=False,
        steps=2,
        noise=NoiseInit(),
        adain=False,
    )


def adapter() -> MIVAAdapter:
    """Every parameter of it is random, so that it changes what it is put into."""
    made = MIVAAdapter(BACKBONE, MIVAConfig(cfa_rank=3))
    for parameter in made.parameters():
        nn.init.normal_(parameter)
    return made


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> BaseSpec:
    """What a folder of a new base would hold, under its line in the registry."""
    (tmp_path / "wobble.safetensors").touch()
    architecture = Architecture(
        family="toy",
        model_class="Toy",
        describe=lambda model: BACKBONE,
        processors=processors,
        installer=for_diffusers("ToyProcessor"),
        attention_spans_frames=False,
        attention_grids=lambda height, width: [(height, width)],
    )
    file = BaseFile("blocks", "its bricks", "bricks", "checkpoints", "box of bricks", "All of them.")
    spec = BaseSpec(
        name="toy",
        menu="Toy (new)",
        architecture=architecture,
        files=(file,),
        load=load,
        backbones=backbones,
        recipes=full_size_recipes(paper_steps=8),
        half_precision="bfloat16",
        fits_float16=True,
        latent_format=None,
        adapters=tmp_path,
    )
    monkeypatch.setitem(BASES, "toy", spec)
    return spec


def test_it_is_loaded_from_its_files(toy: BaseSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_base("toy") is toy
    monkeypatch.setitem(BASES, "toy", replace(toy, load=lambda device, dtype, blocks: (device, dtype, blocks)))
    assert load_base("toy", blocks="a.safetensors") == ("cpu", torch.float32, "a.safetensors")
    assert load_base("toy", device="cuda", blocks="a")[1] == torch.bfloat16
    assert load_base("toy", dtype=torch.float64, blocks="a")[1] == torch.float64
    with pytest.raises(MIVAError, match="toy needs a blocks"):
        load_base("toy")
    with pytest.raises(MIVAError, match="toy takes no vae"):
        load_base("toy", blocks="a", vae="b")


def test_its_models_are_described(toy: BaseSpec) -> None:
    assert describe(Derived()) is BACKBONE
    assert find_architecture("toy") is toy.architecture
    with pytest.raises(MIVAError, match=r"Linear .* Toy, UNetMotionModel, Wan"):
        describe(nn.Linear(2, 2))


def test_adapters_act_in_its_models_and_leave_no_trace(toy: BaseSpec) -> None:
    model = load("cpu", torch.float64, Path()).model
    latents, t = torch.randn(2, 4, 3, 4, 6).double(), torch.tensor([7, 9])
    plain, own = model(latents, t).sample, model.one.processor
    with inject(model, wobble=adapter().double()) as miva:
        with pytest.raises(MIVAError, match="already has adapters"):
            check_bare(model, BACKBONE)
        outputs = []
        for strength in (0.0, 0.5, 1.0):
            miva.set_weights(wobble=strength)
            outputs.append(model(latents, t).sample)
    torch.testing.assert_close(outputs[0], plain, rtol=1e-12, atol=1e-12)
    assert (outputs[2] - plain).abs().mean() > 0.1
    # Nothing follows the attention, so that its output is a straight line in the strength.
    torch.testing.assert_close(outputs[1], (plain + outputs[2]) / 2, rtol=1e-12, atol=1e-12)
    assert torch.equal(model(latents, t).sample, plain) and model.one.processor is own
    check_bare(model, BACKBONE)


def test_what_stands_in_its_attention_is_not_lost(toy: BaseSpec) -> None:
    class AttnProcessor2_0(ToyProcessor):
        """Plain in another base, and not in this one."""

    model = load("cpu", torch.float32, Path()).model
    model.one.set_processor(AttnProcessor2_0())
    for take in (lambda: check_bare(model, BACKBONE), lambda: inject(model, wobble=adapter())):
        with pytest.raises(MIVAError, match="one uses AttnProcessor2_0"):
            take()
    model.one.set_processor(ToyProcessor())
    inject(model, wobble=adapter()).remove()


def test_its_clips_move_by_adapters(toy: BaseSpec) -> None:
    base, picture = load_base("toy", blocks="a"), torch.rand(8, 12, 3)
    weak, strong = (animate(base, picture, [Motion(adapter(), strength)]).frames for strength in (0.0, 1.0))
    assert strong.shape == (3, 8, 12, 3) and torch.equal(weak[0], strong[0]) and not torch.equal(weak[1], strong[1])


def test_the_command_line_animates_with_it(toy: BaseSpec, tmp_path: Path) -> None:
    Image.new("RGB", (12, 8), "teal").save(tmp_path / "picture.png")
    info = AdapterInfo("toy", BACKBONE.fingerprint, MIVAConfig(cfa_rank=3), "wobble", 3, (8, 12), 8)
    adapter().save(tmp_path / "wobble.safetensors", info)
    command = ["animate", tmp_path / "picture.png", "--base", "toy", "--blocks", tmp_path / "blocks"]
    command += ["--miva", tmp_path / "wobble.safetensors", "--out", tmp_path / "clip.mp4"]
    assert main([str(part) for part in command]) == 0
    assert read_video(tmp_path / "clip.mp4", lambda frame: frame).frames.shape == (3, 8, 12, 3)


def test_its_adapters_are_found_and_know_it(toy: BaseSpec) -> None:
    assert find_adapters()["wobble"].parent == toy.adapters
    info = AdapterInfo("toy", BACKBONE.fingerprint, MIVAConfig.default(), "wobble", 8, (64, 64), 8)
    assert find_backbone(info) == BACKBONE


def test_it_has_recipes(toy: BaseSpec) -> None:
    assert recipe("toy", "paper").steps == 8
    assert recipe("toy", "quick", masked=True).config.mask


def test_the_command_line_lists_it_and_takes_its_files(toy: BaseSpec, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert "  toy              " in capfd.readouterr().out
    with pytest.raises(SystemExit):
        main(["animate", "--help"])
    output = " ".join(capfd.readouterr().out.split())
    assert "wan-2.2-low or toy" in output and "--blocks FILE for toy: its bricks" in output


@pytest.mark.parametrize("spec", BASES.values(), ids=lambda spec: spec.name)
def test_every_base_fills_its_spec(spec: BaseSpec) -> None:
    assert spec.name == next(name for name, other in BASES.items() if other is spec)
    assert set(spec.recipes) == set(PRESETS)
    assert all(isinstance(one, Recipe) and one.preset == preset for preset, one in spec.recipes.items())
    assert len({file.input for file in spec.files}) == len({file.argument for file in spec.files}) == len(spec.files)
    releases = dict(spec.backbones())
    kinds = spec.architecture.processors()
    for backbone in releases.values():
        assert backbone.family == spec.architecture.family
        assert {site.kind for site in backbone.sites} == set(kinds)


def test_architectures_of_one_family_are_one() -> None:
    families = {spec.architecture.family for spec in BASES.values()}
    assert len({id(spec.architecture) for spec in BASES.values()}) == len(families)


def test_a_loaded_base_belongs_to_its_spec() -> None:
    base: Base = load_base(next(iter(BASES)))
    assert base.backbone.family == find_base(base.name).architecture.family
