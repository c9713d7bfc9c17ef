"""Procedural training clips: pictures x camera moves x drawn subjects, with exact masks and flow."""

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from miva_core.clips.camera import (
    UNIT_MOVES,
    affine_flow,
    apply_affine,
    camera_transforms,
    compose_affine,
    film,
    invert_affine,
    pixel_grid,
)
from miva_core.errors import MIVAError
from miva_core.media.flow_warp import warp
from tools.procedural.sprites import SUBJECT_MOTIONS, SpriteLook, draw_sprites, random_looks, sprite_poses, uniform

SLOTS: tuple[tuple[str, ...], ...] = (
    tuple(f"camera {name}" for name in UNIT_MOVES),
    ("no subject", *(f"subject {name}" for name in SUBJECT_MOTIONS)),
)
"""The words of a caption: one of each slot. There is no sentence and no tokenizer."""

WORDS: tuple[str, ...] = ("", *(word for slot in SLOTS for word in slot))
"""The vocabulary; word 0 is the empty one that stands for "anything"."""


@dataclass
class Scenes:
    """What B clips show.

    Attributes:
        picture: (B,) index of the background among the pictures given to `render`.
        mirrored: (B,) bool, the background is flipped left to right.
        camera: (B, F, 2, 3), see `camera_transforms`.
        aim: (B, 2) where the first frame looks, frame pixels off the picture's centre.
        scale: (B,) picture pixels per frame pixel.
        looks: K sprites of each clip, painted in order.
        poses: K tensors (B, F, 2, 3): frame pixels to sprite-local coordinates, the camera included.
        present: (B, K) bool.
        words: (B, 2) indices into `WORDS`.
        speeds: (B, 2) of the camera in unit moves and of the subjects in pixels per frame.
    """

    picture: Tensor
    mirrored: Tensor
    camera: Tensor
    aim: Tensor
    scale: Tensor
    looks: list[SpriteLook]
    poses: list[Tensor]
    present: Tensor
    words: Tensor
    speeds: Tensor

    def to(self, device: torch.device | str) -> "Scenes":
        """The same scenes on `device`."""

        def move(value: Any) -> Any:
            return [v.to(device) for v in value] if isinstance(value, list) else value.to(device)

        return Scenes(*(move(getattr(self, field.name)) for field in fields(self)))

    def render(self, pictures: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Film the scenes.

        Args:
            pictures: uint8 (T, 3, S, S) on the scenes' device.

        Returns:
            Frames (B, F, 3, H, W) in [0, 1] and the subjects' joint mask (B, F, H, W) in [0, 1].
        """
        backgrounds = pictures[self.picture].float() / 255
        backgrounds = torch.where(self.mirrored[:, None, None, None], backgrounds.flip(-1), backgrounds)
        camera = self.camera.clone()
        camera[..., 2] += self.aim[:, None]
        clip = film(backgrounds, camera, height, width, self.scale)
        mask = torch.zeros_like(clip[:, :, 0])
        for look, poses, present in zip(self.looks, self.poses, self.present.T, strict=True):
            colour, coverage = draw_sprites(look, poses, height, width)
            coverage = coverage * present[:, None, None, None]
            clip = torch.lerp(clip, colour, coverage[:, :, None])
            mask = torch.maximum(mask, coverage)
        return clip, mask

    def sprite_masks(self, height: int, width: int) -> Tensor:
        """What is seen of every sprite: (B, K, F, H, W) in [0, 1]; the last one is on top."""
        covered = torch.zeros(len(self.picture), self.poses[0].shape[1], height, width, device=self.present.device)
        masks = []
        for look, poses, present in zip(self.looks[::-1], self.poses[::-1], self.present.T.flip(0), strict=True):
            _, coverage = draw_sprites(look, poses, height, width)
            coverage = coverage * present[:, None, None, None]
            masks.append(coverage * (1 - covered))
            covered = covered + masks[-1]
        return torch.stack(masks[::-1], dim=1)

    def flow(self, height: int, width: int) -> Tensor:
        """Exact forward flow (B, F-1, H, W, 2) in pixels.

        A pixel belongs to the topmost sprite that covers half of it.
        """
        flow = affine_flow(self.camera, height, width)
        for look, poses, present in zip(self.looks, self.poses, self.present.T, strict=True):
            _, coverage = draw_sprites(look, poses[:, :-1], height, width)
            on_sprite = (coverage > 0.5) & present[:, None, None, None]
            flow = torch.where(on_sprite[..., None], affine_flow(poses, height, width), flow)
        return flow

    def flow_to_first(self, height: int, width: int) -> Tensor:
        """Exact backward flow of each frame to the first, laid out as by `optical_flow.join_flow`: (B, F, 3, H, W).

        It is not trusted where the background shows what a sprite hid at first. Unlike a measured one it is where it
        leads out of the frame; and what one sprite hid of another is not told.
        """
        grid = pixel_grid(height, width, self.camera.device)
        background = apply_affine(self.camera, grid)
        places, on_sprite = background, torch.zeros_like(background[..., 0], dtype=torch.bool)
        hidden = torch.zeros_like(background[:, 0, ..., 0])
        for look, poses, present in zip(self.looks, self.poses, self.present.T, strict=True):
            _, coverage = draw_sprites(look, poses, height, width)
            coverage = coverage * present[:, None, None, None]
            to_first = compose_affine(invert_affine(poses[:, :1]).expand_as(poses), poses)
            covered = coverage > 0.5
            places = torch.where(covered[..., None], apply_affine(to_first, grid), places)
            on_sprite, hidden = on_sprite | covered, torch.maximum(hidden, coverage[:, 0])
        come_from = hidden[:, None, None].expand(-1, background.shape[1], -1, -1, -1).flatten(0, 1)
        uncovered = warp(come_from, (background - grid).movedim(-1, 2).flatten(0, 1)).view_as(on_sprite) > 0.1
        return torch.cat([(places - grid).movedim(-1, 2), (on_sprite | ~uncovered)[:, :, None]], dim=2)


@dataclass(frozen=True)
class SceneChoice:
    """What may be drawn. Fixed choices make a few-shot set of one motion; the defaults cover everything.

    Attributes:
        moves: camera moves of `UNIT_MOVES`, drawn evenly.
        speed: range of camera speeds in unit moves, about pixels per frame.
        motions: subject motions of `SUBJECT_MOTIONS`, drawn evenly.
        sprites: chances of 0, 1, 2 … sprites.
        subject_speed: range of subject speeds, pixels per frame.
        others: motions of all sprites but the first, drawn evenly for each; default that of the first.
    """

    moves: tuple[str, ...] = tuple(UNIT_MOVES)
    speed: tuple[float, float] = (0.7, 1.1)
    motions: tuple[str, ...] = SUBJECT_MOTIONS
    sprites: tuple[float, ...] = (0.3, 0.5, 0.2)
    subject_speed: tuple[float, float] = (0.7, 1.1)
    others: tuple[str, ...] | None = None


def draw_scenes(
    count: int,
    generator: torch.Generator,
    choice: SceneChoice,
    picture_count: int,
    picture_size: int,
    size: int,
    frames: int,
) -> Scenes:
    """Draw random scenes.

    Args:
        generator: a CPU generator; the same seed draws the same scenes on every device.
        picture_size: side of the pictures to be filmed; they should exceed `size` by the camera's travel.
        size: frame side in pixels, the unit of sprite sizes and positions.

    Raises:
        MIVAError: `choice` names an unknown move or motion.
    """
    subjects = choice.motions + (choice.others or ())
    for kind, chosen, known in (("camera", choice.moves, UNIT_MOVES), ("subject", subjects, SUBJECT_MOTIONS)):
        for name in chosen:
            if name not in known:
                raise MIVAError(f"{name!r} is no {kind} motion; known are {', '.join(known)}.")
    picture = torch.randint(0, picture_count, (count,), generator=generator)
    mirrored = uniform(generator, count) < 0.5

    moves = _draw_names(choice.moves, count, generator)
    speed = uniform(generator, count, low=choice.speed[0], high=choice.speed[1])
    velocity = torch.tensor([[*UNIT_MOVES[m].pan, UNIT_MOVES[m].zoom, UNIT_MOVES[m].roll] for m in moves])
    velocity = velocity * speed[:, None]
    camera = camera_transforms(velocity[:, :2], velocity[:, 2], velocity[:, 3], frames)

    room = picture_size / size
    scale = uniform(generator, count, low=0.55 * room, high=0.75 * room)
    # Start off-centre by half the travel, so that both ends of the path stay on the picture.
    aim = -camera[:, -1, :, 2] / 2 + uniform(generator, count, 2, low=-0.1, high=0.1) * size

    number = torch.multinomial(torch.tensor(choice.sprites), count, replacement=True, generator=generator)
    present = torch.arange(len(choice.sprites) - 1)[None] < number[:, None]
    motions = _draw_names(choice.motions, count, generator)
    low, high = choice.subject_speed
    subject_speed = uniform(generator, count, low=low, high=high)
    looks, poses = [], []
    for k in range(len(choice.sprites) - 1):
        looks.append(random_looks(count, generator))
        pose = sprite_poses(
            _draw_names(choice.others, count, generator) if k and choice.others else motions,
            position=uniform(generator, count, 2, low=-0.28, high=0.28) * size,
            size=uniform(generator, count, low=0.11, high=0.22) * size,
            angle=uniform(generator, count, low=-0.5, high=0.5),
            speed=subject_speed,
            frames=frames,
        )
        poses.append(compose_affine(pose, camera))

    subject = ["no subject" if n == 0 else f"subject {m}" for n, m in zip(number, motions, strict=True)]
    words = [[WORDS.index(f"camera {m}"), WORDS.index(w)] for m, w in zip(moves, subject, strict=True)]
    speeds = torch.stack([speed, subject_speed], dim=1)
    return Scenes(picture, mirrored, camera, aim, scale, looks, poses, present, torch.tensor(words), speeds)


def _draw_names(names: tuple[str, ...], count: int, generator: torch.Generator) -> list[str]:
    return [names[k] for k in torch.randint(0, len(names), (count,), generator=generator)]
