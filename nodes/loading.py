"""Load a base, and load a motion."""

from pathlib import Path
from typing import Any

import torch
from comfy_api.v0_0_2 import io

from ..miva_core.adapters.degree import check_degree
from ..miva_core.adapters.info import read_info
from ..miva_core.attention.strength import Strength
from ..miva_core.bases.registry import BASES
from ..miva_core.bases.spec import BaseFile
from ..miva_core.errors import MIVAError
from . import comfy_bridge
from .comfy_bridge import comfy_folders
from .messages import collect_warnings, friendly_errors
from .sockets import MivaModel, ModelSocket, StackSocket, StrengthSocket
from .stacks import MivaStack, StackedMiva, stamp_of
from .words import check_words

_GONE = "is no longer in"
_NOTHING = "no file in models/"
_USUAL = "spiral.safetensors"
"""The motion that is chosen at first, which fits the first base of the other menu."""
_AS_TRAINED = -1.0
"""The degree of a motion that none is chosen for."""


def menu(folder: str) -> list[str]:
    """Files of a kind; without any an entry that says so, since a menu below a menu cannot be empty."""
    return comfy_folders.files_in(folder) or [_NOTHING + folder]


def find_file(folder: str, name: str, what: str) -> Path:
    """The file behind a name in a menu.

    Raises:
        MIVAError: it is gone, or there is none.
    """
    path = comfy_folders.file_in(folder, name)
    if path is None or not path.exists():
        places = " or ".join(comfy_folders.folder_paths_of(folder))
        if name.startswith(_NOTHING):
            raise MIVAError(f"There is no {what} in {places}: put one there, press R, and choose it.")
        raise MIVAError(
            f"The {what} {name!r} {_GONE} {places}: put it back, or choose another one (R refreshes menus)."
        )
    return path


def stamp_in(folder: str, name: str | None) -> tuple[int, int] | None:
    """The stamp of a file in a menu; None if it is gone, or if another node feeds the menu, which comes too late."""
    path = comfy_folders.file_in(folder, name) if name else None
    return stamp_of(path) if path and path.exists() else None


class MIVALoadBase(io.ComfyNode):
    """The frozen video model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIVALoadBase",
            display_name="Load MIVA Base",
            category="MIVA",
            description="Loads a video model as this pack runs it, for MIVA Sampler. The built-in ones need no "
            "download and no graphics card, and their clips have the picture's own size. There is no prompt. Wan and "
            "Stable Diffusion 1.5 as ComfyUI itself loads them take motions by Apply MIVA.",
            search_aliases=[
                "miva",
                "image to video",
                "animatediff loader",
                "wan loader",
                "animate picture",
                "i2v",
                "miramo tiny",
            ],
            inputs=[
                io.DynamicCombo.Input(
                    "base",
                    options=[
                        io.DynamicCombo.Option(spec.menu, [_file_menu(file) for file in spec.files])
                        for spec in BASES.values()
                    ],
                    tooltip="Which video model. A motion works only on the one it was trained on.",
                )
            ],
            outputs=[ModelSocket.Output("model", tooltip="For MIVA Sampler, DCTInit Noise and the training nodes.")],
        )

    @classmethod
    def fingerprint_inputs(cls, base: Any = None) -> Any:
        files = [file for spec in BASES.values() for file in spec.files]
        folders = {file.input: file.folder for file in files}
        none = {file.without for file in files if file.without}
        return [
            stamp_in(folders[key], name) for key, name in _flat(base).items() if key in folders and name not in none
        ]

    @classmethod
    @friendly_errors
    def execute(cls, base: dict[str, str]) -> io.NodeOutput:
        from ..miva_core.bases.loading import load_base

        spec = next(spec for spec in BASES.values() if spec.menu == base["base"])
        files: dict[str, Any] = {
            file.argument: find_file(file.folder, base[file.input], file.what)
            for file in spec.files
            if not file.without or base.get(file.input, file.without) != file.without
        }
        half = getattr(torch, spec.half_precision) if spec.half_precision else None
        # Tensors made in inference mode could not be trained with.
        with torch.inference_mode(False), collect_warnings() as remarks:
            loaded = load_base(spec.name, dtype=comfy_bridge.working_dtype(half) if half else None, **files)
        # Shown by the sampler, since a note on this node would outlive the files that it is about.
        return io.NodeOutput(MivaModel.of(loaded, files.values(), remarks))


def _file_menu(file: BaseFile) -> io.Combo.Input:
    """The menu for a file of a base."""
    if not file.without:
        return io.Combo.Input(file.input, options=menu(file.folder), tooltip=file.tooltip)
    options = [file.without, *comfy_folders.files_in(file.folder)]
    return io.Combo.Input(file.input, options=options, default=file.without, tooltip=file.tooltip, advanced=True)


def _flat(base: Any) -> dict[str, str]:
    """The chosen files, of what may be a name alone."""
    return {key: value for key, value in base.items() if isinstance(value, str)} if isinstance(base, dict) else {}


class MIVALoad(io.ComfyNode):
    """One motion."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        motions = comfy_folders.files_in("miva")
        return io.Schema(
            node_id="MIVALoad",
            display_name="Load MIVA",
            category="MIVA",
            description="Loads one motion. Chain several by `prev`, as LoRA loaders are chained, or join them with "
            "Stack MIVAs, and give them to MIVA Sampler for the built-in bases, or to Apply MIVA for ComfyUI's own "
            "models. Files are in models/miva; pan_left, zoom_in, jump and their kin come with this pack, for tiny, "
            "and spiral for MiraMo tiny.",
            search_aliases=["motion", "motion lora", "camera move", "miva adapter", "load motion"],
            inputs=[
                io.Combo.Input(
                    "miva_name",
                    options=motions,
                    default=_USUAL if _USUAL in motions else None,
                    tooltip="The motion's file, in models/miva. MIVA Info shows which base it is for.",
                ),
                io.Float.Input(
                    "weight",
                    default=1.0,
                    min=-2.0,
                    max=2.0,
                    step=0.05,
                    tooltip="How strongly it acts. Of several motions the weights should sum to 1, as 0.5 and 0.5 do; "
                    "masked ones each keep 1. On tiny 1.5 is about a quarter to a third faster and about "
                    "1 dB worse, 0.5 has three fifths of the speed. Towards 2 it is strongest; beyond, as two that sum "
                    "to more, it turns back. Below 0 a motion is not reversed: the clip breaks into noise, take the "
                    "opposite motion.",
                ),
                io.Float.Input(
                    "start_percent",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="From which share of the steps on it acts. Early steps decide on large movements.",
                    advanced=True,
                ),
                io.Float.Input(
                    "end_percent",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Up to which share of the steps it acts.",
                    advanced=True,
                ),
                StackSocket.Input("prev", optional=True, tooltip="Motions that this one is added to."),
                StrengthSocket.Input(
                    "strength",
                    optional=True,
                    tooltip="From Strength over Time: how strongly it acts in the course of the steps or of the clip, "
                    "in place of `weight` and both percents.",
                ),
                io.Float.Input(
                    "degree",
                    optional=True,
                    default=_AS_TRAINED,
                    min=_AS_TRAINED,
                    max=1.0,
                    step=0.05,
                    tooltip="How fast it is: 0 as slow as its file knows, 1 as fast. The camera motions of this pack "
                    "go from a quarter to five quarters of their usual speed; slow ones are cleaner than by a small "
                    "weight. -1: as it was trained. For motions trained with a degree alone; MIVA Info shows the "
                    "speeds.",
                ),
                io.String.Input(
                    "words",
                    optional=True,
                    default="",
                    tooltip="Which motion, for a file that holds several, in words that its base knows. Empty for all "
                    "other files. MIVA Info shows the words.",
                ),
            ],
            outputs=[StackSocket.Output("mivas", tooltip="The motions before it, and this one on top.")],
        )

    @classmethod
    def fingerprint_inputs(cls, miva_name: str, **rest: Any) -> Any:
        return stamp_in("miva", miva_name)

    @classmethod
    @friendly_errors
    def execute(
        cls,
        miva_name: str,
        weight: float,
        start_percent: float,
        end_percent: float,
        prev: MivaStack | None = None,
        strength: Strength | None = None,
        degree: float = _AS_TRAINED,
        words: str = "",
    ) -> io.NodeOutput:
        path = find_file("miva", miva_name, "MIVA adapter")
        if strength is None and start_percent >= end_percent:
            raise MIVAError(
                f"{path.stem} would act from {start_percent:g} to {end_percent:g} of the steps, which is none of them: "
                "set end_percent above start_percent."
            )
        info, asked = read_info(path), None if degree == _AS_TRAINED else degree
        check_degree(path.stem, asked, info.degree)
        entry = StackedMiva(
            path,
            stamp_of(path),
            info,
            weight if strength is None else strength,
            (start_percent, end_percent) if strength is None else (0.0, 1.0),
            degree=asked,
            words=words.strip(),
        )
        check_words(path.stem, entry)
        return io.NodeOutput((*(prev or ()), entry))
