"""Nodes that several workflows have, as they set them."""

import re
from typing import Any

from .graph import Node
from .model_files import CHECKPOINT, CHECKPOINT_LINK, MOTION_MODULE, MOTION_MODULE_LINK

TINY = "tiny (built in)"
AD = "SD 1.5 + AnimateDiff"


def note(text: str, height: int) -> Node:
    # In Nodes 2.0, words in back-ticks are unreadable on a note: bold ones take their place. The notes' Markdown drops
    # a line break between two words of different style, so a paragraph is one line.
    lines = re.sub(r"(?<!\n)\n(?![\n-])", " ", text.strip())
    return Node("MarkdownNote", {"": lines}, title="Read me", width=420, height=height)


def load_base(**chosen: str) -> Node:
    return Node("MIVALoadBase", {"base": TINY} | chosen, width=340)


def load_sd15(room: int = 0) -> Node:
    files = {"base": AD, "base.checkpoint": CHECKPOINT, "base.motion_module": MOTION_MODULE}
    return Node("MIVALoadBase", files, width=400, room=room, models=[CHECKPOINT_LINK, MOTION_MODULE_LINK])


def load_miva(name: str, weight: float = 1.0) -> Node:
    return Node("MIVALoad", {"miva_name": f"{name}.safetensors", "weight": weight}, width=320)


def load_picture(name: str) -> Node:
    return Node("LoadImage", {"image": name}, width=320, height=330)


def load_mask(name: str, title: str, late: bool = False) -> Node:
    return Node("LoadImageMask", {"image": name, "channel": "red"}, title=title, width=320, height=330, late=late)


def bind_mask(miva: str, mask: str, output: str, title: str = "", late: bool = False) -> Node:
    links = {"mivas": (miva, "mivas"), "mask": (mask, output)}
    return Node("MIVABindMask", {}, links, title=title, width=300, late=late)


def stack_mivas(*mivas: str) -> Node:
    return Node("MIVAStack", {}, {f"mivas.miva{k}": (name, "mivas") for k, name in enumerate(mivas)}, width=300)


def preview(source: tuple[str, str], title: str) -> Node:
    return Node("PreviewImage", {}, {"images": source}, title=title, width=340, room=310)


def miva_sampler(stack: tuple[str, str], seed: int, **more: Any) -> Node:
    links = {"model": ("base", "model"), "mivas": stack, "image": ("picture", "IMAGE")} | more.pop("links", {})
    widgets = {"seed": seed, "control_after_generate": "fixed"} | more
    # Room for the preview that it shows while it samples, and for what it says.
    return Node("MIVASampler", widgets, links, width=340, room=330)


def outputs(name: str, sampler: str = "sampler", frames: tuple[str, str] | None = None) -> tuple[dict[str, Node], ...]:
    """The nodes that make files of a sampler's frames, in two columns: one that plays by itself, and a video."""
    prefix, links = f"MIVA/{name}", {"images": frames or (sampler, "frames"), "fps": (sampler, "fps")}
    small = {"filename_prefix": prefix, "lossless": False, "quality": 70, "method": "fastest"}
    return {
        "video": Node("CreateVideo", {}, links, width=260),
        # It grows in Nodes 2.0 alone; elsewhere its animation is as large as the room that it has.
        "animation": Node("SaveAnimatedWEBP", small, links, width=320, height=360, room=60, late=True),
    }, {"file": Node("SaveVideo", {"filename_prefix": prefix}, {"video": ("video", "VIDEO")}, width=320, room=400)}


def training(chosen: dict[str, Any], picture: str) -> dict[str, Node]:
    """A training, and beside it the picture on which its motion is then used."""
    links = {"model": ("base", "model"), "dataset": ("clips", "dataset")}
    return {
        # Room for the samples and the curve that it shows while it learns.
        "train": Node("MIVATrain", chosen, links, width=360, room=330),
        "picture": load_picture(picture),
        "clip": preview(("clips", "preview"), "One of the clips"),
    }


def trained(name: str) -> dict[str, Node]:
    """What is done with a motion that has been learnt."""
    return {
        "sampler": miva_sampler(("train", "mivas"), 1),
        "save": Node("MIVASave", {"filename_prefix": name}, {"mivas": ("train", "mivas")}, room=80),
        "samples": preview(("train", "samples"), "What it has learnt"),
    }


BUILT_IN = """
The built-in base runs on any computer. It says where everything moves, and your own picture is moved that way: sharp,
at the picture's own size. *Save Animated WEBP* plays the clip by itself, *Save Video* makes an mp4 of it.
"""
