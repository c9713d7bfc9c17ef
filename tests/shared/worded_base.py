"""A small MiraMo whose words are set by hand: each is the motion of its formula, exactly, where a guide marks it."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from safetensors.torch import save_file
from torch import Tensor

from miva_core import Base
from miva_core.bases.miramo.flowing_miramo import FlowingMiraMo
from miva_core.bases.miramo.loading import load_miramo
from miva_core.bases.miramo.spec import CODEC
from miva_core.bases.tiny.patch_codec import PatchCodec
from miva_core.motion_fields.shake import REACH
from miva_core.motion_fields.whole_frame import camera_map, depth_map

CAMERAS, DEPTHS = ("pan_left", "pan_down", "zoom_in", "roll_cw"), ("truck_right", "dolly_in")
SUBJECTS = ("drift_left", "breathe", "rise", "jump")
WORDS = (*(f"camera {name}" for name in (*CAMERAS, *DEPTHS)), *(f"subject {name}" for name in SUBJECTS), "shake shake")
_REACH = 2.5
_SLIGHT = 1e-6


def write_worded(folder: Path) -> Path:
    """Write a MiraMo whose words are exact, and whose masks are its guides, since nothing is learnt.

    Args:
        folder: that there is, to write into.
    """
    torch.manual_seed(0)
    _worded(_small()).save_pretrained(folder / "transformer")
    FlowMatchEulerDiscreteScheduler(shift=1.0).save_pretrained(folder / "scheduler")
    second = (*DEPTHS, "rise", "jump")  # The head hears these words by the second half of their vectors.
    place = [k + len(WORDS) * (word.partition(" ")[2] in second) for k, word in enumerate(WORDS)]
    vectors = torch.eye(2 * len(WORDS))[place]
    save_file({"weight": vectors}, folder / "words.safetensors", {"words": json.dumps(WORDS)})
    settings = {
        "caption_slots": 3,
        "revision": "",
        "frames": 9,
        "longest": 64,
        "size": [64, 64],
        "multiple": 8,
        "fps": 8,
        "steps": 1,
        "last_timestep": None,
        "noise": {},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    return folder


def worded_base(folder: Path) -> Base:
    """The base that `write_worded` writes."""
    return load_miramo(write_worded(folder), CODEC)


def _small() -> FlowingMiraMo:
    codec = PatchCodec.from_pretrained(CODEC, low_cpu_mem_usage=False)
    model = FlowingMiraMo(
        in_channels=codec.config.latent_channels,
        out_channels=codec.config.latent_channels,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=1,
        num_cross_attention_heads=2,
        cross_attention_head_dim=8,
        cross_attention_dim=16,
        caption_channels=2 * len(WORDS),
        patch_size=1,
        sample_size=8,
    )
    model.patches.load_state_dict(codec.patches.state_dict())
    return model.eval().requires_grad_(False)


def _worded(model: FlowingMiraMo) -> FlowingMiraMo:
    """The model whose maps from captions to layers are those of the words' formulas."""
    layers, velocity = model.layers, model.layers.velocity
    for parameter in layers.parameters():
        parameter.zero_()
    number = {word.partition(" ")[2]: k for k, word in enumerate(WORDS)}
    for name in CAMERAS:
        layers.camera.generator.weight[:, number[name]] = (_rate(camera_map, name) / velocity).flatten()
    for name in DEPTHS:
        layers.depth.weight[:, number[name]] = (_rate(depth_map, name, 0.8) / velocity).flatten()
    for layer, name, way in ((layers.staying, "drift_left", (1, 0)), (layers.carried, "rise", (0, 1))):
        moved = torch.tensor([[0.0, 0.0, way[0]], [0.0, 0.0, way[1]]])
        layer.generator.weight[:, number[name]] = (moved / velocity).flatten()
    # Functions of time and of place, in the order of the head: half of 1 - cos of 16 frames times x and y, and so on.
    breathe = layers.staying.amplitude.weight[:, number["breathe"]].view(7, 2, -1)
    breathe[1, 0, 1] = breathe[1, 1, 2] = -16 / torch.pi / _REACH
    layers.carried.amplitude.weight[:, number["jump"]].view(7, 2, -1)[4, 1, 0] = 4 / _REACH
    shake = layers.camera.amplitude.weight[:, number["shake"]].view(7, 2, -1)
    shake[5, 0, 0] = shake[6, 1, 0] = REACH / _REACH
    return model


def _rate(formula: Callable[..., Tensor], name: str, *nearness: float) -> Tensor:
    """The affine velocity (2, 3) of a motion of the whole frame."""
    maps = formula(name, 1.0, torch.tensor(_SLIGHT, dtype=torch.float64), *nearness)
    return ((maps - torch.eye(2, 3, dtype=torch.float64)) / _SLIGHT).float()
