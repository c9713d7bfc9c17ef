"""What a motion is learnt from: clips filmed over stills."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..miva_core.clips.camera import EASINGS, Easing
from ..miva_core.errors import MIVAError
from ..miva_core.media.pixel_values import mask_batch
from ..miva_core.motion_fields.motions import MOTIONS, MotionField, spoken
from . import comfy_bridge
from .masks import frames_of
from .messages import collect_warnings, friendly_errors
from .sockets import Dataset, DatasetSocket, ModelSocket
from .training_clips import CONNECTED, FOLDER, chosen_folder, contents_of, dataset_output, folder_input, over_white

if TYPE_CHECKING:
    from ..miva_core.filming.still import Still

_FEW_STILLS = 8
_STILLS = "miva_stills"
"""The folder of the example workflows."""


class MIVACameraClips(io.ComfyNode):
    """Clips of motions over stills (D.2) as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIVACameraClips",
            display_name="Motion Clips",
            category="MIVA/training",
            description="Films stills: five clips of one motion from each, by which Train MIVA learns that motion. The "
            "camera moves, also past near and far things, or what masks show moves by itself. About twenty stills are "
            "enough; their content does not matter, sharpness and variety do.",
            search_aliases=["camera motion", "ken burns", "pan zoom clips", "training data", "film stills", "parallax"],
            is_input_list=True,
            inputs=[
                ModelSocket.Input("model", tooltip="The base that will learn: the clips get its size and length."),
                io.DynamicCombo.Input(
                    "stills",
                    options=[
                        io.DynamicCombo.Option(
                            FOLDER, [folder_input("A folder of pictures in ComfyUI's input folder.", _STILLS)]
                        ),
                        io.DynamicCombo.Option(
                            CONNECTED, [io.Image.Input("images", tooltip="Pictures, as a batch or a list.")]
                        ),
                    ],
                    tooltip="Where the stills come from.",
                ),
                io.Combo.Input(
                    "motion",
                    options=[spoken(name) for name in MOTIONS],
                    tooltip="What moves: the camera (pan to roll; what is seen moves the other way), the camera past "
                    "near and far (truck, dolly), the inside of a mask (drift to breathe), what a mask cuts out (rise "
                    "to jump), or all, or a mask, by a hand that trembles (shake).",
                ),
                io.Float.Input(
                    "speed",
                    default=1.0,
                    min=0.1,
                    max=10.0,
                    step=0.1,
                    tooltip="1 is normal, 0.5 slow, 2 fast. At 1 a pan moves by a 64th of the frame's width in a "
                    "frame, a zoom by 2.4 % of size, a roll by 1.5 degrees, all else by about a 64th of the frame; of "
                    "these 4 is the most.",
                ),
                io.Combo.Input(
                    "easing",
                    options=list(EASINGS),
                    tooltip="Whether the motion starts or stops gently; what comes back, as sway does, runs evenly.",
                    advanced=True,
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0x7FFFFFFF,
                    control_after_generate=False,
                    tooltip="Which parts of the stills are filmed, and how a hand trembles.",
                    advanced=True,
                ),
                io.Boolean.Input(
                    "vary_speed",
                    default=False,
                    optional=True,
                    tooltip="Film each clip at another speed, a quarter to five quarters of `speed`, from which Train "
                    "MIVA can learn a degree.",
                ),
                io.Mask.Input(
                    "masks",
                    optional=True,
                    tooltip="For drift to jump, and for shake: one mask for each still, white on what moves by itself; "
                    "for stills in a folder they may lie beside them, for still.jpg as still_mask.png.",
                ),
                io.Image.Input(
                    "depth",
                    optional=True,
                    tooltip="For truck and dolly: one depth map for each still, white where it is near, from any depth "
                    "node; for stills in a folder they may lie beside them, for still.jpg as still_depth.png. Without "
                    "them the lower half is taken to be near.",
                ),
            ],
            outputs=[
                DatasetSocket.Output("dataset", tooltip="For Train MIVA."),
                io.Image.Output("preview", tooltip="The first clip, to be looked at."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, stills: Any = None, **rest: Any) -> Any:
        return contents_of(stills)

    @classmethod
    @friendly_errors
    def execute(
        cls,
        model: list[Any],
        stills: Mapping[str, list[Any]],
        motion: list[str],
        speed: list[float],
        easing: list[Easing],
        seed: list[int],
        vary_speed: Sequence[bool] = (False,),
        masks: Sequence[Tensor | None] = (),
        depth: Sequence[Tensor | None] = (),
    ) -> io.NodeOutput:
        from ..miva_core.filming.shooting import PACES, Shooting
        from ..miva_core.filming.still import read_mapped_stills
        from ..miva_core.training.training_set import film_clips

        base = model[0].base
        shooting = Shooting(motion[0], base.size, base.frames, speed=speed[0], easing=easing[0])
        if vary_speed[0]:
            shooting = replace(shooting, paces=PACES)
        with collect_warnings() as warned:
            if stills["stills"][0] == FOLDER:
                folder = chosen_folder(stills["folder"][0])
                given = read_mapped_stills(folder, shooting.field, shooting.needed_side)
            else:
                given = _connected_stills(stills["images"])
            warned += _unused(shooting.field, masks, depth)
            given = _with_maps(given, shooting.field, masks, depth)
            clips, source = film_clips(given, shooting, seed[0], comfy_bridge.progress_callback())
        if len(given) < _FEW_STILLS:
            warned.append(f"{len(given)} still{'s' * (len(given) > 1)}: about twenty are better.")
        masked = all(len(clip.masks) for clip in clips)
        return dataset_output(Dataset(clips, base.name, motion[0], masked, source), warned)


def _connected_stills(images: Sequence[Tensor]) -> "list[Still]":
    from ..miva_core.filming.still import Still

    batches = [_of_stills(f"batch {k} of stills", batch) for k, batch in enumerate(images, start=1)]
    return [Still(f"still {k}", one) for k, one in enumerate((one for batch in batches for one in batch), start=1)]


def _of_stills(name: str, images: Tensor) -> Tensor:
    """Pictures (N, H, W, 3) of an IMAGE, over white."""
    # With masks that are given none are taken from its transparency.
    return frames_of(over_white(name, images, torch.ones(()).expand(images.shape[:-1]))[0])


def _with_maps(
    stills: "list[Still]", motion: MotionField, masks: Sequence[Tensor | None], depth: Sequence[Tensor | None]
) -> "list[Still]":
    """Stills with the masks or depth maps that are connected, in place of those beside them."""
    if motion.needs == "nearness":
        maps = [plane for batch in depth if batch is not None for plane in frames_of(batch, "depth")]
        _check_count(len(maps), len(stills), "depth map")
        return [still.with_depth(plane) for still, plane in zip(stills, maps, strict=True)] if maps else stills
    if motion.kind == "camera":
        return stills
    planes = [plane for batch in masks if batch is not None for plane in mask_batch(batch, "The mask")]
    _check_count(len(planes), len(stills), "mask")
    return [still.with_mask(plane) for still, plane in zip(stills, planes, strict=True)] if planes else stills


def _check_count(maps: int, stills: int, what: str) -> None:
    if maps and maps != stills:
        raise MIVAError(
            f"There {'are' if stills > 1 else 'is'} {stills} still{'s' * (stills > 1)}, but {maps} "
            f"{what}{'s' * (maps > 1)}: connect one for each."
        )


def _unused(motion: MotionField, masks: Sequence[Tensor | None], depth: Sequence[Tensor | None]) -> list[str]:
    """Say which maps are connected that a motion does not need."""
    name = spoken(motion.name)
    notes = []
    if motion.needs != "nearness" and any(one is not None for one in depth):
        notes.append(f"`depth` is not used: {name} is the same near and far.")
    if motion.kind in ("camera", "depth") and any(one is not None for one in masks):
        notes.append(f"`masks` is not used: {name} moves the whole picture.")
    return notes
