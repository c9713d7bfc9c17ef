"""Masks of subjects: found by words, pointed at, or drawn."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from comfy_api.v0_0_2 import io, ui
from torch import Tensor

from ..miva_core.errors import MIVAError
from ..miva_core.subject_mask.pointed_text import parse_box, parse_points
from ..miva_core.subject_mask.shape_models import SHAPES
from . import comfy_bridge
from .comfy_bridge import comfy_folders
from .loading import find_file, stamp_in
from .masks import check_left, drawn_mask, edge_inputs
from .messages import collect_warnings, friendly_errors, node_text, suggest_another
from .sockets import StackSocket
from .stacks import MivaStack, stamp_of

if TYPE_CHECKING:
    from ..miva_core.subject_mask.detector import Detector
    from ..miva_core.subject_mask.segmenter import Segmenter
    from ..miva_core.subject_mask.subjects import Subjects

WORDS, BOX, POINTS, DRAWN = "words", "box", "points", "drawn mask"
_DEMO = "drawn shapes (built-in demo)"
_GRABCUT = "by colours, without a model"
_AS_IT_IS = "as it is drawn"
_TRACK = "find in the key frame, then follow"
_EVERY_FRAME = "find in every frame"
_MOST_FRAMES = 100_000
_WORKING = 2 * 2**30
"""Bytes that Grounding DINO and SAM 2 take on top of their weights, rounded up."""


class MIVASubjectMask(io.ComfyNode):
    """`find_subjects`, `segment` and `grabcut` as one node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIVASubjectMask",
            display_name="Subject Mask",
            category="MIVA/mask",
            description="Makes a mask of one subject in a picture, or in every frame of a clip; take one node for each "
            "subject. Look at it: what the mask takes in moves with the subject, so it should be tight. "
            "Words need a Grounding DINO model in models/grounding-dino and a SAM 2 model in models/sam2, points the "
            "latter; a box or a rough drawing does without.",
            search_aliases=["segment", "grounding dino", "sam2", "text mask", "auto mask", "select subject", "grabcut"],
            is_output_node=True,
            inputs=[
                io.Image.Input("image", tooltip="A picture, or the frames of a clip."),
                io.DynamicCombo.Input(
                    "method",
                    options=[
                        io.DynamicCombo.Option(WORDS, _word_inputs()),
                        io.DynamicCombo.Option(BOX, _box_inputs()),
                        io.DynamicCombo.Option(POINTS, _point_inputs()),
                        io.DynamicCombo.Option(DRAWN, _drawn_inputs()),
                    ],
                    tooltip="How you say which subject is meant.",
                ),
                StackSocket.Input(
                    "mivas",
                    optional=True,
                    tooltip="With empty words, the subject that the last motion names is looked for.",
                ),
                io.Int.Input(
                    "key_frame",
                    default=0,
                    min=0,
                    max=_MOST_FRAMES,
                    tooltip="Of a clip: the frame, from 0, in which the subject is looked for or pointed at.",
                    advanced=True,
                ),
                *edge_inputs(),
                io.Boolean.Input(
                    "keep_largest", default=False, tooltip="Drop all pieces of the mask but the largest.", advanced=True
                ),
                io.Boolean.Input("fill_holes", default=False, tooltip="Fill holes in the mask.", advanced=True),
                io.Boolean.Input(
                    "invert", default=False, tooltip="Mask all that is not the subject, at the end.", advanced=True
                ),
            ],
            outputs=[
                io.Mask.Output("mask", tooltip="White on the subject, one mask for each frame; for Bind Mask to MIVA."),
                io.Image.Output("preview", tooltip="The frames with the mask, boxes and scores drawn over them."),
                io.String.Output("boxes", tooltip="What was found, as JSON: labels, boxes in pixels and scores."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, method: Any = None, **rest: Any) -> Any:
        folders = {"detector": "grounding-dino", "segmenter": "sam2"}
        chosen = method if isinstance(method, Mapping) else {}
        return [stamp_in(folder, chosen.get(key)) for key, folder in folders.items()]

    @classmethod
    @friendly_errors
    def execute(
        cls,
        image: Tensor,
        method: dict[str, Any],
        key_frame: int,
        grow: int,
        feather: int,
        keep_largest: bool,
        fill_holes: bool,
        invert: bool,
        mivas: MivaStack = (),
    ) -> io.NodeOutput:
        from ..miva_core.subject_mask.edits import Edits
        from ..miva_core.subject_mask.images import check_images
        from ..miva_core.subject_mask.pointing import check_key_frame
        from ..miva_core.subject_mask.report import boxes_json, overlay

        frames = check_images(image)
        check_key_frame(key_frame, len(frames))
        with collect_warnings() as warned:
            found = _find(frames, method, key_frame, mivas)
        edited = Edits(keep_largest, fill_holes, grow, feather, invert).apply(found.masks)
        check_left(edited, found.masks, "the mask", "`grow`, `feather` or `invert`")
        found = found._replace(masks=edited)
        warned.append(f"The mask covers {found.masks.amax(0)[key_frame].mean():.1%} of the picture.")
        shown = torch.stack([overlay(frame, found, k) for k, frame in enumerate(frames)])
        # For several pictures ComfyUI joins the texts, so they must have the same parts for each.
        preview = ui.PreviewImage(shown[key_frame : key_frame + 1], cls=cls).as_dict()
        preview |= node_text("\n".join(warned)).as_dict()
        return io.NodeOutput(
            comfy_bridge.to_intermediate(found.masks.amax(0)),
            comfy_bridge.to_intermediate(shown),
            boxes_json(found),
            ui=preview,
        )


def _word_inputs() -> list[io.Input]:
    return [
        io.String.Input(
            "prompt",
            default="",
            placeholder="horse",
            tooltip="A plain English noun or short phrase. Several, as in: horse. rider. make one mask together. "
            "Empty: what the motion connected to `mivas` was trained on.",
        ),
        io.Combo.Input(
            "detector",
            options=[*comfy_folders.files_in("grounding-dino"), _DEMO],
            tooltip="Grounding DINO, in models/grounding-dino: groundingdino_swint_ogc.pth, or model.safetensors in a "
            "folder of its own. The built-in demo knows only drawn shapes, such as red circle.",
        ),
        io.Combo.Input(
            "segmenter",
            options=[*comfy_folders.files_in("sam2"), _DEMO],
            tooltip="SAM 2, in models/sam2: sam2.1_hiera_tiny.pt and its kin. The built-in demo knows only drawn "
            "shapes.",
        ),
        io.Float.Input(
            "confidence",
            default=0.3,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="Boxes that score less are not taken; 0.25 to 0.4 is usual. Lower it where nothing is found, raise "
            "it where too much is.",
        ),
        io.Int.Input(
            "max_boxes",
            default=1,
            min=1,
            max=100,
            tooltip="How many boxes a phrase may have, as 3 for a herd of three; its mask covers them all.",
            advanced=True,
        ),
        io.Combo.Input(
            "frames",
            options=[_TRACK, _EVERY_FRAME],
            tooltip="Of a clip: follow what the key frame shows, or look anew in each, which suits pictures that are "
            "no clip.",
            advanced=True,
        ),
    ]


def _box_inputs() -> list[io.Input]:
    return [
        io.String.Input(
            "box",
            default="",
            placeholder="10,20,200,180",
            tooltip="Left, top, right and bottom edge in pixels of the image.",
        ),
        _segmenter_input(
            [_GRABCUT], "GrabCut cuts out by colours and needs no model, but may take in ground; SAM 2 is better."
        ),
    ]


def _point_inputs() -> list[io.Input]:
    return [
        io.String.Input(
            "points",
            default="",
            placeholder="120,80 30,40,0",
            tooltip="Points on the subject as x,y in pixels, spaces between them. With ,0 a point lies beside the "
            "subject.",
        ),
        _segmenter_input([], "SAM 2, in models/sam2: sam2.1_hiera_tiny.pt and its kin."),
    ]


def _drawn_inputs() -> list[io.Input]:
    return [
        io.Mask.Input("drawn", tooltip="White on the subject, roughly: from Load Image's mask editor, for instance."),
        _segmenter_input([_AS_IT_IS, _GRABCUT], "What makes the rough mask exact, if anything: colours, or SAM 2."),
    ]


def _segmenter_input(first: list[str], tooltip: str) -> io.Input:
    return io.Combo.Input("segmenter", options=[*first, *comfy_folders.files_in("sam2"), _DEMO], tooltip=tooltip)


def _find(frames: Tensor, method: Mapping[str, Any], key_frame: int, mivas: MivaStack) -> "Subjects":
    from ..miva_core.subject_mask.grabcut import grabcut
    from ..miva_core.subject_mask.subjects import numbered_subjects, segment

    chosen = method["method"]
    shared: dict[str, Any] = {"key_frame": key_frame, "on_progress": comfy_bridge.progress_callback()}
    if chosen == WORDS:
        return _by_words(frames, method, mivas, shared)
    prompts = _prompts(method, frames)
    if method["segmenter"] == _AS_IT_IS:
        return numbered_subjects(prompts["rough"].expand(1, len(frames), -1, -1))
    if method["segmenter"] == _GRABCUT:
        if len(frames) > 1:
            raise MIVAError(
                f"GrabCut works on one picture, but a clip of {len(frames)} frames is connected: choose a SAM 2 model, "
                "which follows the subject, or put Get Image from Batch before this node."
            )
        cut = {"box": tuple(prompts["boxes"][0])} if chosen == BOX else {"rough": prompts["rough"]}
        return numbered_subjects(grabcut(frames, **cut)[None, None])
    segmenter, segmenting = _segmenter(method["segmenter"], len(frames) > 1)
    comfy_bridge.load_to_device([segmenting], _WORKING)
    return numbered_subjects(segment(frames, segmenter, **prompts, **shared))


def _by_words(frames: Tensor, method: Mapping[str, Any], mivas: MivaStack, shared: Mapping[str, Any]) -> "Subjects":
    from ..miva_core.subject_mask.detector import NotFoundError
    from ..miva_core.subject_mask.search import SearchOptions
    from ..miva_core.subject_mask.subjects import find_subjects

    prompt, track = _text_prompt(method["prompt"], mivas), method["frames"] == _TRACK
    detector, detecting = _detector(method["detector"])
    segmenter, segmenting = _segmenter(method["segmenter"], track and len(frames) > 1)
    # Together, since the one that is brought later could drive the other one out.
    comfy_bridge.load_to_device([detecting, segmenting], _WORKING)
    try:
        return find_subjects(
            frames,
            prompt,
            detector,
            segmenter,
            SearchOptions(method["confidence"], method["max_boxes"]),
            mode="track" if track else "every frame",
            **shared,
        )
    except NotFoundError as error:
        sentences = [str(error)]
        if not method["prompt"].strip():
            sentences.append(f"These words are from {mivas[-1].name}, since `prompt` is empty.")
        if method["detector"] == _DEMO:
            sentences.append(
                "The built-in demo knows only drawn shapes, such as red circle: for all else choose a Grounding DINO "
                "model as `detector`."
            )
        raise MIVAError(" ".join(sentences)) from error


def _prompts(method: Mapping[str, Any], frames: Tensor) -> dict[str, Any]:
    """The box, points or rough mask that points at the subject, as arguments of `segment`."""
    chosen = method["method"]
    if chosen == DRAWN:
        from ..miva_core.animation.masks import match_size

        rough = drawn_mask(method["drawn"], "The drawn mask", or_else="")
        return {"rough": match_size("the subject", rough, (frames.shape[1], frames.shape[2]))}
    text = method[chosen].strip()
    if not text:
        edges, point = "10,20,200,180 for its left, top, right and bottom edge", "120,80 for a point on it"
        example = edges if chosen == BOX else point
        raise MIVAError(f"Nothing says where the subject is: write into `{chosen}`, in pixels, {example}.")
    try:
        return {"boxes": [parse_box(text)]} if chosen == BOX else {"points": [parse_points(text)]}
    except MIVAError as error:
        raise MIVAError(f"The widget `{chosen}` cannot be read: {error}.") from error


def _text_prompt(prompt: str, mivas: MivaStack) -> str:
    """The words to look for; those that the last motion names, if there are none."""
    if prompt.strip() or not mivas:
        return prompt
    last = mivas[-1]
    if not last.subject:
        raise MIVAError(
            f"{last.name} does not say what its subject is, and `prompt` is empty: write a noun into it, such as horse."
        )
    return last.subject


def _detector(name: str) -> tuple["Detector", Any]:
    path = SHAPES / "grounding-dino" if name == _DEMO else find_file("grounding-dino", name, "Grounding DINO model")
    return _loaded_detector(path, stamp_of(path))


def _segmenter(name: str, follow: bool) -> tuple["Segmenter", Any]:
    path = SHAPES / "sam2" if name == _DEMO else find_file("sam2", name, "SAM 2 model")
    return _loaded_segmenter(path, stamp_of(path), follow)


# The last model of each kind stays in memory, so that other words or another picture load nothing.
@lru_cache(maxsize=1)
def _loaded_detector(path: Path, stamp: tuple[int, int]) -> tuple["Detector", Any]:
    from ..miva_core.subject_mask.model_files import load_detector

    with torch.inference_mode(False), suggest_another("detector"):
        detector = load_detector(path)
    return detector, comfy_bridge.make_patcher(detector.model)


@lru_cache(maxsize=1)
def _loaded_segmenter(path: Path, stamp: tuple[int, int], follow: bool) -> tuple["Segmenter", Any]:
    from ..miva_core.subject_mask.model_files import load_segmenter

    with torch.inference_mode(False), suggest_another("segmenter"):
        segmenter = load_segmenter(path)
        network = segmenter.with_tracker() if follow else segmenter.model
    return segmenter, comfy_bridge.make_patcher(network)
