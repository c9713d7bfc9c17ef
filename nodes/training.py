"""Learn a motion."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..miva_core.adapters.degree import MEASURES, Measure
from ..miva_core.adapters.info import read_info
from ..miva_core.bases.base import Base
from ..miva_core.bases.recipe import PRESETS, Preset, Recipe
from ..miva_core.errors import MIVAError
from ..miva_core.media.pixel_values import mask_batch
from ..miva_core.training.recipes import expected_of, recipe
from . import comfy_bridge
from .masks import drawn_mask, frames_of
from .messages import collect_warnings, friendly_errors, node_text
from .sockets import Dataset, DatasetSocket, MivaModel, ModelSocket, StackSocket
from .stacks import MivaStack, StackedMiva, stamp_of
from .training_checks import GUIDES, check_guide, check_training

if TYPE_CHECKING:
    from ..miva_core.training.training_set import TrainingSet
    from ..miva_core.training.validation import Validation

_LossMap = io.Custom("LOSS_MAP")
_VALIDATIONS = 4
_FLIP = {"unless it has a direction": None, "yes": True, "no": False}
_DEGREES: dict[str, Measure | None] = {"off": None} | {measure: measure for measure in MEASURES}
_WIDGETS = ("name", "preset", "steps", "seed", "masked", "subject", "learning_rate", "flip", "degree", "guide")
_LATER = {"degree": "off", "guide": "off"}
"""Widgets that older workflows lack, as they run then."""


@dataclass
class _Result:
    """Whether a file was there when it was last looked at, and how often it was found deleted."""

    exists: bool = True
    deletions: int = 0


class Results:
    """The newest files that ComfyUI may hold as results, by the values of the widgets that gave them.

    Args:
        size: how many; if one that is older is deleted, ComfyUI is not told.
    """

    def __init__(self, size: int = 256) -> None:
        self._size = size
        self._results: dict[tuple[tuple[Any, ...], Path], _Result] = {}

    def __len__(self) -> int:
        return len(self._results)

    def add(self, widgets: tuple[Any, ...], path: Path) -> None:
        """Remember a result, as the newest."""
        result = self._results.pop((widgets, path), _Result())
        self._results[widgets, path] = replace(result, exists=True)
        if len(self) > self._size:
            del self._results[next(iter(self._results))]

    def deletions(self, widgets: tuple[Any, ...]) -> int:
        """How often results of these widgets were found deleted."""
        results = {path: result for (values, path), result in self._results.items() if values == widgets}
        for path, result in results.items():
            if result.exists and not path.exists():
                result.exists, result.deletions = False, result.deletions + 1
        return sum(result.deletions for result in results.values())


class MIVATrain(io.ComfyNode):
    """`train_and_save` as a node."""

    _results: ClassVar[Results] = Results()

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIVATrain",
            display_name="Train MIVA",
            category="MIVA/training",
            description="Learns a motion from clips. Stopped, it keeps what it has learnt; queued again with the same "
            "settings, it goes on; any other setting begins a training of its own. What it makes is in "
            "output/miva_training, with a report; keep it by Save MIVA.",
            search_aliases=["train motion", "learn motion", "train lora", "fine-tune motion"],
            is_output_node=True,
            inputs=[
                ModelSocket.Input("model", tooltip="The base that learns; the same as for the dataset."),
                DatasetSocket.Input("dataset", tooltip="From Motion Clips or MIVA Dataset."),
                io.String.Input(
                    "name",
                    default="my_motion",
                    tooltip="What the motion is called, and its file. Save "
                    "MIVA can give the file another name without training anew.",
                ),
                io.Combo.Input(
                    "preset",
                    options=list(PRESETS),
                    default="normal",
                    tooltip="quick is a first try, in fewer steps; paper is what the paper did, for hours.",
                ),
                io.Int.Input(
                    "steps",
                    display_name="steps (0: preset's)",
                    default=0,
                    min=0,
                    max=1_000_000,
                    tooltip="0: the preset's, at normal 300 for tiny, 120 for MiraMo tiny and 6000 for the others.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0x7FFFFFFF,
                    control_after_generate=False,  # which a seed has by its name: it would learn anew every time
                    tooltip="Another seed trains anew.",
                ),
                io.Boolean.Input(
                    "masked",
                    default=False,
                    tooltip="Learn a masked motion, of one subject, which can be bound to a mask. The clips need "
                    "masks.",
                ),
                io.String.Input(
                    "subject",
                    default="",
                    placeholder="horse",
                    tooltip="What moves, in a word or two, by which Subject Mask looks for it; nothing for a camera "
                    "motion.",
                ),
                io.Float.Input(
                    "learning_rate",
                    display_name="learning_rate (0: preset's)",  # whose value reads as off
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.000001,
                    tooltip="0: the preset's: 0.003 for both built-in bases, 0.00003 for the others, three times that "
                    "at quick; 0.00001 at paper.",
                    advanced=True,
                ),
                io.Combo.Input(
                    "flip",
                    options=list(_FLIP),
                    tooltip="Whether it also learns from mirrored copies of the clips. Not for what is called left or "
                    "right, clockwise or not.",
                    advanced=True,
                ),
                StackSocket.Input(
                    "start",
                    optional=True,
                    tooltip="A motion to begin with in place of an empty one: the last connected. So a finished one "
                    "learns more.",
                ),
                io.Image.Input(
                    "try_on",
                    optional=True,
                    tooltip="Pictures that it does not learn from, up to 4, on which it is tried while it learns. "
                    "Without any, first frames of clips are taken.",
                ),
                io.Mask.Input(
                    "try_on_mask",
                    optional=True,
                    tooltip="For masked motions, and those that a mask guides: what moves in each picture to try on.",
                ),
                io.Combo.Input(
                    "degree",
                    options=list(_DEGREES),
                    default="off",
                    optional=True,
                    tooltip="Also learn how fast the motion may be, so that `degree` of Load MIVA can choose it. The "
                    "clips must differ in speed: switch vary_speed of Motion Clips on. flow tells their speed by how "
                    "far things move, ms-ssim by how much neighbouring frames differ, as MiraMo does.",
                ),
                io.Combo.Input(
                    "guide",
                    options=list(GUIDES),
                    default="off",
                    optional=True,
                    tooltip="What the base is shown of each clip while it learns, and of your picture wherever the "
                    "motion acts. mask: the part that moves; the clips need masks, and Bind Mask to MIVA gives the "
                    "motion one. depth: how near each place is; the clips are truck or dolly from Motion Clips, and a "
                    "map goes into `depth` of MIVA Sampler. MiraMo tiny alone takes a guide.",
                ),
            ],
            outputs=[
                StackSocket.Output("mivas", tooltip="The motion, for MIVA Sampler or Apply MIVA; Save MIVA keeps it."),
                _LossMap.Output("loss", tooltip="The loss of each step, for Plot Loss Graph."),
                io.Image.Output(
                    "samples", tooltip="What it makes of the pictures in the end, their frames side by side."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> Any:
        """Has ComfyUI run the node again when the file of its result was deleted."""
        values = _LATER | inputs
        return cls._results.deletions(tuple(values.get(name) for name in _WIDGETS))

    @classmethod
    @friendly_errors
    def execute(
        cls,
        model: MivaModel,
        dataset: Dataset,
        name: str,
        preset: Preset,
        steps: int,
        seed: int,
        masked: bool,
        subject: str,
        learning_rate: float,
        flip: str,
        start: MivaStack = (),
        try_on: Tensor | None = None,
        try_on_mask: Tensor | None = None,
        degree: str = "off",
        guide: str = "off",
    ) -> io.NodeOutput:
        # Missing packages are found before the hours of training, not after them.
        import accelerate  # noqa: F401
        import matplotlib  # noqa: F401

        from ..miva_core.training.validation import in_words
        from .training_run import NodeTraining

        base = model.base
        check_training(base, dataset, masked, start)
        check_guide(base, dataset, masked, start, GUIDES[guide])
        chosen = _recipe(base, preset, steps, learning_rate, masked)
        # What is made in inference mode, as inputs are, cannot be learnt from: latents are made anew outside of it.
        with torch.inference_mode(False):
            training_set = replace(
                _training_set(dataset, name, masked, subject, _FLIP[flip]),
                degree=_DEGREES[degree],
                guide=GUIDES[guide],
            )
            validations = in_words(_validations(training_set, try_on, try_on_mask), training_set.words)
            training = NodeTraining.of(model, training_set, chosen, seed, start)
            with collect_warnings() as warned:
                losses = training.run(validations)
                made = StackedMiva(training.out, stamp_of(training.out), read_info(training.out))
                sheet = training.tried_on(validations, made)
        cls._results.add((name, preset, steps, seed, masked, subject, learning_rate, flip, degree, guide), training.out)
        # Clips are made several times, and warn of the same each time.
        warned = list(dict.fromkeys(warned))
        expected = expected_of(chosen, base.name)
        many = f"{expected} (`steps` 0 takes all)" if expected else f"{len(losses)} steps"
        warned.append(f"Learnt in {many}. It is kept as {training.out.parent.name}")
        return io.NodeOutput(
            (made,), {"loss": losses}, comfy_bridge.to_intermediate(sheet), ui=node_text("\n".join(warned))
        )


def _recipe(base: Base, preset: Preset, steps: int, learning_rate: float, masked: bool) -> Recipe:
    chosen = recipe(base.name, preset, masked)
    return replace(chosen, steps=steps or chosen.steps, lr=learning_rate or chosen.lr)


def _training_set(dataset: Dataset, name: str, masked: bool, subject: str, flip: bool | None) -> "TrainingSet":
    from ..miva_core.training.training_set import TrainingSet, has_direction

    motion = " ".join(name.replace("_", " ").split()) or "motion"
    said = (motion, *(clip.words for clip in dataset.clips))
    mirrored = not (dataset.filmed or any(map(has_direction, said))) if flip is None else flip
    return TrainingSet(motion, dataset.clips, masked, mirrored, " ".join(subject.split()), dataset.source)


def _validations(training_set: "TrainingSet", pictures: Tensor | None, masks: Tensor | None) -> "list[Validation]":
    """What the motion is tried on while it learns."""
    from ..miva_core.training.validation import Validation, first_frames

    if pictures is None:
        return first_frames(training_set, _VALIDATIONS)
    pictures = frames_of(pictures)[:_VALIDATIONS]
    if not training_set.takes_masks:
        return [Validation(f"picture {k + 1}", picture) for k, picture in enumerate(pictures)]
    masks = None if masks is None else mask_batch(masks, "The mask to try on")
    if masks is None or len(masks) < len(pictures):
        raise MIVAError(
            f"{len(pictures)} pictures are to be tried on, but {0 if masks is None else len(masks)} masks of their "
            "subjects are connected: connect one for each to `try_on_mask`, or leave `try_on` free."
        )
    return [
        Validation(f"picture {k + 1}", picture, drawn_mask(mask.clone(), f"The mask of picture {k + 1}"))
        for k, (picture, mask) in enumerate(zip(pictures, masks, strict=False))
    ]
