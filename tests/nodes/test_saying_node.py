"""Motion by Words: what is said travels with motions from files, is bound to masks, and moves a base that hears it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from comfy_api.v0_0_2 import io
from comfyui_miva.miva_core.attention.curve import Curve
from comfyui_miva.miva_core.attention.strength import Strength
from comfyui_miva.miva_core.bases.miramo.loading import load_miramo as loader_of_the_pack
from comfyui_miva.miva_core.errors import MIVAError
from comfyui_miva.nodes import (
    MIVAApply,
    MIVABindMask,
    MIVAInfo,
    MIVALoad,
    MIVALoadBase,
    MIVASampler,
    MIVASave,
    MIVASay,
    MIVAStack,
)
from comfyui_miva.nodes.sockets import MivaModel
from fake_comfyui import FakeComfyUI
from fake_native import Vae, wan
from node_runs import motion, run, shown
from torch import Tensor
from worded_base import write_worded

from miva_core import RunOptions, Said, Timing, animate
from miva_core.bases.miramo.loading import load_miramo
from miva_core.bases.miramo.spec import CODEC

SHORT: dict[str, Any] = {"seed": 3, "fps": 1.0, "duration": 2.0}
RAMP = torch.linspace(0, 1, 64)[:, None, None].expand(1, 64, 96, 3)
EASED = Curve(((0.0, 0.0), (1.0, 1.0)), over="frames")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_worded(tmp_path_factory.mktemp("base"))


@pytest.fixture
def worded(folder: Path, comfyui: FakeComfyUI) -> MivaModel:
    """MIVA_MODEL: a base whose words are exact."""
    return MivaModel.of(loader_of_the_pack(folder, CODEC))


@pytest.fixture
def picture() -> Tensor:
    return torch.rand(1, 64, 96, 3)


def said(text: str, **settings: Any) -> Any:
    return run(MIVASay, text=text, **settings)[0]


def square() -> Tensor:
    mask = torch.zeros(1, 64, 96)
    mask[:, 20:44, 30:60] = 1
    return mask


def test_words_and_files_are_chained_alike() -> None:
    stack = said("drift  left", weight=0.25, prev=motion("jump"))
    assert [entry.name for entry in stack] == ["jump", "drift left"]
    both = run(MIVAStack, mivas={"miva0": said("pan left", degree=0.5), "miva1": None, "miva2": stack})[0]
    assert [entry.name for entry in both] == ["pan left", "jump", "drift left"]
    assert (both[0].said.strength, both[0].said.degree) == (0.5, 0.5)
    assert (both[2].said.strength, both[2].said.degree, both[2].mask) == (0.25, None, None)


def test_a_mask_is_bound_to_the_last_words() -> None:
    bound = run(MIVABindMask, mivas=said("sway", prev=said("pan left")), mask=square())[0]
    assert bound[0].mask is None and torch.equal(bound[1].mask, square())
    assert torch.equal(bound[1].motion(0).mask, square()[0])


def test_a_strength_over_frames_takes_the_place_of_the_weight() -> None:
    (entry,) = said("pan left", weight=2.0, strength=Strength.of(EASED))
    assert entry.said.strength == EASED
    for strength, match in (
        (Strength(prompt=0.5), "pan left is said in words, which have one speed and no parts"),
        (Strength.of(Curve.more_early()), "The speed of pan left has a curve over the run"),
    ):
        with pytest.raises(MIVAError, match=match):
            said("pan left", strength=strength)


def test_the_clip_is_that_of_the_engine(worded: MivaModel, folder: Path, picture: Tensor) -> None:
    stack = run(MIVABindMask, mivas=said("drift left", prev=said("dolly in", weight=0.6)), mask=square())[0]
    frames, masks, fps = run(MIVASampler, model=worded, mivas=stack, image=picture, depth=RAMP, **SHORT)
    motions = [Said("dolly in", 0.6), Said("drift left", 0.5, mask=square()[0])]
    options = RunOptions(seed=3, timing=Timing(1.0, 2.0), nearness=RAMP[0])
    clip = animate(load_miramo(folder, CODEC), picture[0], motions, options)
    assert fps == 1
    torch.testing.assert_close(frames, clip.frames, rtol=0, atol=1e-6)
    torch.testing.assert_close(masks, clip.masks["drift left"], rtol=0, atol=1e-6)


def test_each_picture_of_a_batch_has_its_depth_map(worded: MivaModel, picture: Tensor) -> None:
    pictures = picture.repeat(2, 1, 1, 1)
    far = RAMP * 0.2

    def clips(depth: Tensor) -> Tensor:
        frames: Tensor = run(
            MIVASampler, model=worded, mivas=said("truck right"), image=pictures, depth=depth, **SHORT
        )[0]
        return frames

    one, each = clips(RAMP), clips(torch.cat([RAMP, far]))
    assert torch.equal(one[:2], each[:2]) and not torch.allclose(one[2:], each[2:], atol=1e-2)
    with pytest.raises(MIVAError, match="`depth` holds 3 maps, and the batch has 2 pictures"):
        clips(RAMP.expand(3, -1, -1, -1))


def test_a_start_noise_has_the_size_that_the_base_works_at(worded: MivaModel, picture: Tensor) -> None:
    asked = []

    class Noise:
        seed = 1

        def generate_noise(self, latent: dict[str, Any]) -> Tensor:
            asked.append(tuple(latent["samples"].shape))
            return torch.zeros(latent["samples"].shape)

    run(MIVASampler, model=worded, mivas=said("pan left"), image=picture, noise=Noise(), **SHORT)
    assert asked == [(1, 32, 9, 8, 12)]


def test_what_is_said_is_described() -> None:
    stack = run(MIVABindMask, mivas=said("drift left", degree=0.5, strength=Strength.of(EASED)), mask=square())[0]
    text = run(MIVAInfo, mivas=stack)[0]
    assert text == "drift left (said to the base)\nmasked: yes\nspeed: 0 to 1 over the frames\ndegree: 0.5"


def test_words_are_for_a_base_that_hears_them(model: Any, worded: MivaModel, picture: Tensor) -> None:
    with pytest.raises(MIVAError, match=r"not move by words such as 'pan left': choose MiraMo tiny \(built in\)"):
        run(MIVASampler, model=model, mivas=said("pan left"), image=picture)
    with pytest.raises(MIVAError, match="pan left is said in words, which ComfyUI's own models do not hear"):
        run(MIVAApply, model=wan(), vae=Vae(16), image=picture, mivas=said("pan left"))
    with pytest.raises(MIVAError, match="pan left is said in words and has no file to save"):
        run(MIVASave, mivas=said("pan left"))
    with pytest.raises(MIVAError, match="'wobble' is unknown to this base"):
        run(MIVASampler, model=worded, mivas=said("wobble"), image=picture)


@pytest.mark.parametrize(("text", "fault"), [(" ", "is empty"), ("pan left\nzoom in", "is no single line")])
def test_what_is_no_word_is_told_where_it_is_written(text: str, fault: str) -> None:
    with pytest.raises(MIVAError, match=f"`text` {fault}: write what the base knows, such as pan left"):
        said(text)


def test_notes_of_words_are_on_the_node(worded: MivaModel, picture: Tensor) -> None:
    text = shown(run(MIVASampler, model=worded, mivas=said("drift left"), image=picture, **SHORT))
    assert text.startswith("drift left has no mask, without which hardly anything")


def test_the_built_in_bases_are_the_first_in_the_menu() -> None:
    options = MIVALoadBase.define_schema().inputs[0].options
    assert [one.key for one in options if not one.inputs] == ["MiraMo tiny (built in)", "tiny (built in)"]
    assert [one.key for one in options[:2]] == ["MiraMo tiny (built in)", "tiny (built in)"]


@pytest.mark.parametrize("motion_node", [MIVALoad, MIVASay])
def test_nodes_as_they_come_from_the_menu_go_together(
    comfyui: FakeComfyUI, picture: Tensor, motion_node: type[io.ComfyNode]
) -> None:
    base = MIVALoadBase.define_schema().inputs[0].options[0].key
    chosen = {"miva_name": MIVALoad.define_schema().inputs[0].default} if motion_node is MIVALoad else {}
    model, mivas = run(MIVALoadBase, base={"base": base})[0], run(motion_node, **chosen)[0]
    frames = run(MIVASampler, model=model, mivas=mivas, image=picture, edges="mirror", **SHORT)[0]
    # Of Motion by Words that is "dolly in", without a depth map.
    assert torch.equal(frames[0], picture[0]) and not torch.allclose(frames[1], picture[0], atol=0.05)
