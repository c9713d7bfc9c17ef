"""A small MiraMo whose words are set by hand: each is the motion of its formula, exactly, where a guide marks it."""

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from miva_core import Base, NoiseInit, describe
from miva_core.bases.miramo.flowing_miramo import FlowingMiraMo
from miva_core.bases.tiny.patch_codec import PatchCodec
from miva_core.bases.vocabulary import Vocabulary
from miva_core.motion_fields.shake import REACH
from miva_core.motion_fields.whole_frame import camera_map, depth_map

SLOTS = ("camera", "subject", "shake")
CAMERAS, DEPTHS = ("pan_left", "pan_down", "zoom_in", "roll_cw"), ("truck_right", "dolly_in")
SUBJECTS = ("drift_left", "breathe", "rise", "jump")
WORDS = (*(f"camera {name}" for name in (*CAMERAS, *DEPTHS)), *(f"subject {name}" for name in SUBJECTS), "shake shake")
_REACH = 2.5
_SLIGHT = 1e-6


def worded_base() -> Base:
    """For clips of 16 frames whose shorter side is 64; nothing is learnt, so its masks are its guides."""
    torch.manual_seed(0)
    model = _worded(_small())
    codec = PatchCodec(latent_channels=4, width=8, depth=1, detail=2).eval().requires_grad_(False)
    codec.patches.load_state_dict(model.patches.state_dict())
    second = (*DEPTHS, "rise", "jump")  # The head hears some words by the second half of their vectors.
    place = {word: k + len(WORDS) * (word.partition(" ")[2] in second) for k, word in enumerate(WORDS)}
    vectors = {word: torch.eye(2 * len(WORDS))[k] for word, k in place.items()}
    speeds = {word: (0.15, 0.8) if word.startswith("subject") else (0.2, 1.5) for word in WORDS}
    still = torch.zeros(1, len(SLOTS), 2 * len(WORDS))
    moving = [torch.cat([0.6 * vectors[f"camera {name}"][None], still[0, 1:]]) for name in CAMERAS]
    return Base(
        name="miramo",
        model=model,
        codec=codec,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
        backbone=describe(model),
        frames=16,
        longest=64,
        scale=8,
        stride=1,
        size=(64, 64),
        multiple=8,
        fps=8,
        centred=True,
        text=still,
        text_per_frame=False,
        steps=1,
        noise=NoiseInit(),
        adain=False,
        predicts_flow=True,
        captions=torch.stack(moving),
        vocabulary=Vocabulary(SLOTS, vectors, speeds, local=("subject",)),
        guided=True,
        keeps_aspect=True,
    )


def _small() -> FlowingMiraMo:
    model = FlowingMiraMo(
        in_channels=4,
        out_channels=4,
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
    model.patches.fit(torch.rand(256, 192) * 2 - 1)
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


def _rate(formula, name: str, *nearness: float) -> Tensor:
    """The affine velocity (2, 3) of a motion of the whole frame."""
    maps = formula(name, 1.0, torch.tensor(_SLIGHT, dtype=torch.float64), *nearness)
    return ((maps - torch.eye(2, 3, dtype=torch.float64)) / _SLIGHT).float()
