"""Train MIVA with a guide: what the motion knows of it, asks for when it is used, and refuses to learn without."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from comfyui_miva.miva_core.bases.miramo.loading import load_miramo
from comfyui_miva.miva_core.errors import MIVAError
from comfyui_miva.nodes import MIVABindMask, MIVACameraClips, MIVADataset, MIVAInfo, MIVASampler, MIVATrain
from comfyui_miva.nodes.sockets import MivaModel
from fake_comfyui import FakeComfyUI, Interrupted
from node_runs import motion, run, shown
from safetensors import safe_open
from torch import Tensor
from worded_base import write_worded

from miva_core.bases.miramo.spec import CODEC


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_worded(tmp_path_factory.mktemp("base"))


@pytest.fixture
def guided(files: Path, comfyui: FakeComfyUI) -> MivaModel:
    """MIVA_MODEL: a small base that takes guides, for clips of four frames."""
    return MivaModel.of(replace(load_miramo(files, CODEC), frames=4))


def half(height: int = 64, width: int = 64) -> Tensor:
    """MASK: white on the left."""
    mask = torch.zeros(1, height, width)
    mask[..., : width // 2] = 1
    return mask


def filmed(model: Any, name: str) -> Any:
    """MIVA_DATASET: one still, filmed."""
    still = torch.rand(1, 99, 99, 3, generator=torch.Generator().manual_seed(0))
    return run(MIVACameraClips, model=model, stills={"stills": "connected", "images": still}, motion=name, speed=0.5)[0]


def clips_of(model: Any, **masks: list[Tensor]) -> Any:
    """MIVA_DATASET: two clips of people, with masks or without."""
    chosen = {"clips": "connected", "videos": [torch.rand(4, 64, 64, 3)] * 2}
    return run(MIVADataset, model=model, clips=chosen | masks)[0]


def masked_clips(model: Any) -> Any:
    return clips_of(model, masks=[half().expand(4, -1, -1)] * 2)


def learn(model: Any, dataset: Any, **settings: Any) -> Any:
    return run(MIVATrain, model=model, dataset=dataset, **{"steps": 1, "try_on": torch.rand(1, 64, 64, 3)} | settings)


def config_of(mivas: Any) -> dict[str, Any]:
    """Read from the adapter's file without the engine."""
    with safe_open(mivas[0].path, framework="pt") as file:
        config: dict[str, Any] = json.loads(file.metadata()["miva"])["config"]
    return config


def test_a_motion_that_a_mask_guides_asks_for_it_on_use(guided: MivaModel, comfyui: FakeComfyUI) -> None:
    clips = masked_clips(guided)
    mivas = learn(guided, clips, guide="mask", name="whirl", try_on_mask=half())[0]
    assert config_of(mivas)["guide"] == "mask" and not config_of(mivas)["mask"]
    assert "masked: needs a mask of its subject" in run(MIVAInfo, mivas=mivas)[0]
    used = {"model": guided, "image": torch.rand(1, 64, 96, 3), "fps": 1.0, "duration": 2.0}
    with pytest.raises(MIVAError, match="whirl is a masked motion without its mask: put Bind Mask to MIVA behind"):
        run(MIVASampler, mivas=mivas, **used)
    bound = run(MIVABindMask, mivas=mivas, mask=half(64, 96))[0]
    frames, masks, _ = run(MIVASampler, mivas=bound, **used)
    assert len(frames) == 2 and masks[0, :, :40].mean() > 0.9 and masks[0, :, 60:].mean() < 0.1
    with pytest.raises(MIVAError, match="whirl, to begin with, has learnt with `guide` mask: choose that, or connect"):
        learn(guided, clips, start=mivas)
    comfyui.stop_at = (1, 3)
    with pytest.raises(Interrupted):  # since without a guide it is another training
        learn(guided, clips, name="whirl")


def test_a_motion_that_depth_guides_takes_a_depth_map(guided: MivaModel) -> None:
    mivas = learn(guided, filmed(guided, "dolly-in"), guide="depth")[0]
    assert config_of(mivas)["guide"] == "nearness"
    assert "guide: a depth map" in run(MIVAInfo, mivas=mivas)[0].splitlines()
    used = {"model": guided, "image": torch.rand(1, 64, 96, 3), "fps": 1.0, "duration": 2.0, "mivas": mivas}
    assert "No depth map is given" in shown(run(MIVASampler, **used))
    ramp = torch.linspace(0, 1, 64)[None, :, None, None].expand(1, 64, 96, 3)
    assert "depth map" not in shown(run(MIVASampler, **used, depth=ramp))


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("pan-left", {"guide": "mask"}, "What moves the whole picture has no mask to be guided by: switch `guide` off"),
        ("pan-left", {"guide": "depth"}, "These clips have no depth maps: film truck or dolly by Motion Clips"),
        ("", {"guide": "mask", "masked": True}, "A motion is guided by a mask, or makes one itself: switch"),
        ("", {"guide": "mask", "try_on_mask": None}, "1 pictures are to be tried on, but 0 masks"),
    ],
)
def test_what_cannot_be_guided_is_told_before_a_clip_is_encoded(
    guided: MivaModel, comfyui: FakeComfyUI, name: str, settings: dict[str, Any], message: str
) -> None:
    clips = filmed(guided, name) if name else masked_clips(guided)
    comfyui.progress.clear()
    with pytest.raises(MIVAError, match=message):
        learn(guided, clips, **{"try_on_mask": half()} | settings)
    assert comfyui.progress == []


def test_clips_of_people_need_masks_to_be_guided_by(guided: MivaModel) -> None:
    with pytest.raises(MIVAError, match="A motion that a mask guides is learnt from clips with masks, which these do"):
        learn(guided, clips_of(guided), guide="mask")


def test_a_base_without_guides_says_so(quick_model: Any, comfyui: FakeComfyUI) -> None:
    clips = masked_clips(quick_model)
    comfyui.progress.clear()
    with pytest.raises(MIVAError, match=r"takes no guide: switch `guide` off, or choose MiraMo tiny \(built in\)"):
        learn(quick_model, clips, guide="mask", start=motion("pan_left"))
    assert comfyui.progress == []
