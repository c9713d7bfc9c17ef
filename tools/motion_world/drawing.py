"""Draws one clip: what moves, how fast, of what shape, before which pictures, and what the model is shown of that."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from miva_core.bases.miramo.layered_flow import MASK_GUIDE, NEARNESS_GUIDE, NO_GUIDE
from miva_core.bases.miramo.speeds import SPEEDS
from miva_core.motion_fields.displacements import displacement
from miva_core.motion_fields.motions import MOTIONS
from miva_core.motion_fields.region_frame import RegionFrame
from miva_core.motion_fields.whole_frame import camera_map, depth_map
from tools.motion_world.ground import draw_ground
from tools.motion_world.guides import blurred, rough_mask
from tools.motion_world.photographs import Photographs, draw_view
from tools.motion_world.scene import Front, Said, Scene, Subject
from tools.motion_world.shapes import Blob, Kind, Shape, draw_blob, draw_shape, outline_bank

LAST = 15.0
"""The time of a base's last frame."""
KINDS = {"camera": 4.0, "depth": 5.0, "region": 9.0, "carried": 5.0, "shake": 1.0, "still": 0.4}
"""How many of the clips are about each kind of motion, in proportion."""
WEIGHTS = {"sway": 2.0, "breathe": 1.5, "flag": 1.25, "ripple": 1.25}
"""How many clips of its kind a word has, in proportion, where that is not 1: what is learnt slowly has more."""
BESIDE_SPEEDS = (0.2, 0.7)
"""The slowest and the fastest speed of a camera or depth move that goes with something else."""
SHAPES: dict[str, tuple[Kind, ...]] = {
    "sway": ("tall", "tall", "blob"),
    "flag": ("blob", "tall"),
    "ripple": ("below", "below", "blob"),
    "breathe": ("blob", "tall"),
    "drift_left": ("above", "above", "below", "blob"),
    "drift_right": ("above", "above", "below", "blob"),
    "drift_up": ("blob", "above", "tall"),
    "drift_down": ("blob", "above", "below"),
}
"""What has each region motion."""
EDGES = {"drift": (1.0, 7.0), "": (0.5, 4.0)}
"""Pixels of soft edge, least and greatest: of a drift, and of other region motions."""
SUBJECT_RADIUS = (0.1, 0.24)
"""Of what is carried, as shares of the short side: it needs room."""


@dataclass(frozen=True)
class Mix:
    """What happens how often.

    Attributes:
        hard: share of region motions that move a cut-out in place of a part of the picture.
        guided: share of clips of cut-outs that come with a mask; those of a part of the picture all do.
        near: share of clips of depth moves that come with the nearness.
        beside: share of region motions and subjects that a camera or depth move goes with.
        shaken: share of all clips that a shake goes with.
        distracted: share of the other clips that come with a guide of nothing in particular.
    """

    hard: float = 0.1
    guided: float = 0.95
    near: float = 0.6
    beside: float = 0.3
    shaken: float = 0.08
    distracted: float = 0.25


@dataclass(frozen=True)
class Ask:
    """A single motion to see clips of.

    Attributes:
        word: a motion.
        speed: of it; None draws one.
        guided: whether the model is shown the mask or nearness; None draws it as in training.
        hard: whether a region motion moves a cut-out; None draws it as in training.
        picture: number of the picture that is the ground; None draws one.
    """

    word: str
    speed: float | None = None
    guided: bool | None = None
    hard: bool | None = None
    picture: int | None = None


@dataclass(frozen=True)
class Drawn:
    """A clip that is not rendered yet: its scene, guide (H, W) and kind of guide, and what it is about."""

    scene: Scene
    guide: Tensor
    guide_kind: int
    kind: str


def draw_clip(
    photographs: Photographs, mix: Mix, rng: np.random.Generator, size: tuple[int, int], ask: Ask | None
) -> Drawn:
    """Draw a clip of this size (height, width)."""
    shares = np.array(list(KINDS.values()))
    kind = MOTIONS[ask.word].kind if ask else rng.choice(list(KINDS), p=shares / shares.sum())
    said = None if kind == "still" else _draw_said(kind, rng, ask)
    scene = _draw_scene(photographs, mix, rng, size, said, ask)
    guide, guide_kind = _draw_guide(scene, mix, rng, ask)
    return Drawn(scene, guide, guide_kind, str(kind))


def _draw_said(kind: str, rng: np.random.Generator, ask: Ask | None) -> Said:
    words = [ask.word] if ask else [name for name, motion in MOTIONS.items() if motion.kind == kind]
    weights = np.array([WEIGHTS.get(word, 1.0) for word in words])
    speed = rng.uniform(*SPEEDS[kind])
    if ask and ask.speed is not None:
        speed = ask.speed
    return Said(str(rng.choice(words, p=weights / weights.sum())), speed)


def _draw_scene(
    photographs: Photographs,
    mix: Mix,
    rng: np.random.Generator,
    size: tuple[int, int],
    said: Said | None,
    ask: Ask | None,
) -> Scene:
    kind = said.kind if said else "still"
    whole, shake = (said if kind in ("camera", "depth") else None), (said if kind == "shake" else None)
    if not ask and kind in ("region", "carried") and rng.random() < mix.beside:
        whole = replace(_draw_said(str(rng.choice(("camera", "depth"))), rng, None), speed=rng.uniform(*BESIDE_SPEEDS))
    if not ask and rng.random() < mix.shaken:
        shake = _draw_said("shake", rng, None)
    view = draw_view(photographs, rng, size, _travel(whole), ask.picture if ask else None)
    scene = Scene(size, view, whole, shake=shake, seed=int(rng.integers(2**31)))
    if whole and whole.kind == "depth":
        scene = replace(scene, ground=draw_ground(rng, size))
    if kind == "depth":
        scene = replace(scene, fronts=_draw_fronts(photographs, rng, scene))
    if said and kind in ("region", "carried"):
        scene = replace(scene, subject=_draw_subject(photographs, mix, rng, size, said, ask))
    return scene


def _travel(said: Said | None) -> tuple[float, float]:
    """How far (x, y) the middle of the frame comes, in pixels."""
    if said is None:
        return 0.0, 0.0
    last = torch.tensor(LAST)
    camera = said.kind == "camera"
    way = camera_map(said.name, said.speed, last) if camera else depth_map(said.name, said.speed, last, 0.5)
    return float(way[0, 2]), float(way[1, 2])


def _draw_fronts(photographs: Photographs, rng: np.random.Generator, scene: Scene) -> list[Front]:
    """None to two things that stand on the ground or before it, farthest first."""
    assert scene.ground is not None
    fronts = []
    for _ in range(rng.choice(3, p=(0.25, 0.45, 0.3))):
        kind: Kind = "blob" if rng.random() < 0.5 else "tall"
        shape = draw_blob(kind, _bank(), rng, scene.size)
        foot = torch.tensor([shape.centre[0], min(shape.foot, scene.size[0] / 2)])
        least = float(scene.ground.nearness(foot)) if rng.random() < 0.7 else 0.0
        fronts.append(Front(shape, draw_view(photographs, rng, scene.size), max(least, rng.uniform(0.3, 1.0))))
    return sorted(fronts, key=lambda front: front.nearness)


def _draw_subject(
    photographs: Photographs,
    mix: Mix,
    rng: np.random.Generator,
    size: tuple[int, int],
    said: Said,
    ask: Ask | None,
) -> Subject:
    if said.kind == "carried":
        return Subject(said, _with_room(said, rng, size), None, draw_view(photographs, rng, size))
    shapes = SHAPES[said.name]
    shape = draw_shape(shapes[rng.integers(len(shapes))], _bank(), rng, size)
    edge = rng.uniform(*EDGES["drift" if said.name.startswith("drift") else ""])
    hard = rng.random() < mix.hard
    if ask and ask.hard is not None:
        hard = ask.hard
    return Subject(said, shape, None, draw_view(photographs, rng, size)) if hard else Subject(said, shape, edge, None)


def _with_room(said: Said, rng: np.random.Generator, size: tuple[int, int]) -> Blob:
    """A subject whose way is within the frame, as far as it can be."""
    blob = draw_blob("blob", _bank(), rng, size, SUBJECT_RADIUS)
    nowhere = RegionFrame.of(torch.zeros(size))
    back = displacement(said.name, said.speed, torch.zeros(2), LAST / 2, nowhere).tolist()
    limits = [side / 2 - 6 for side in (size[1], size[0])]
    x, y = (min(limit, max(-limit, c + b)) for c, b, limit in zip(blob.centre, back, limits, strict=True))
    return replace(blob, centre=(x, y))


def _draw_guide(scene: Scene, mix: Mix, rng: np.random.Generator, ask: Ask | None) -> tuple[Tensor, int]:
    """What the model is shown beside frame 1: a map (H, W), and of which kind it is."""
    subject = scene.subject
    depth = scene.whole is not None and scene.whole.kind == "depth"
    if subject is not None:
        share = mix.guided if subject.edge is None else 1.0
    else:
        share = mix.near if depth else 0.0 if ask else mix.distracted
    guided = rng.random() < share
    if ask and ask.guided is not None:
        guided = ask.guided
    if not guided:
        return torch.zeros(scene.size), NO_GUIDE
    if subject is not None:
        # Of a part of the picture nothing but the mask says where it ends.
        soft = subject.edge is not None
        return (scene.region() if soft else rough_mask(subject.shape, scene.grid, rng)), MASK_GUIDE
    if depth:
        return blurred(scene.nearness(), rng.uniform(0, 1.0)), NEARNESS_GUIDE
    if rng.random() < 0.5:
        return draw_ground(rng, scene.size).nearness(scene.grid), NEARNESS_GUIDE
    return rough_mask(_any_shape(rng, scene.size), scene.grid, rng), MASK_GUIDE


def _any_shape(rng: np.random.Generator, size: tuple[int, int]) -> Shape:
    kinds: tuple[Kind, ...] = ("blob", "tall", "above", "below")
    return draw_shape(kinds[rng.integers(len(kinds))], _bank(), rng, size)


@lru_cache(maxsize=1)
def _bank() -> Tensor:
    return outline_bank(seed=0)
