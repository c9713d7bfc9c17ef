"""Nodes that several workflows have, as they set them."""

import re
from typing import Any

from .graph import Node
from .model_files import CHECKPOINT, MOTION_MODULE

TINY = "tiny (built in)"
MIRAMO = "MiraMo tiny (built in)"
AD = "SD 1.5 + AnimateDiff"
Link = tuple[str, str]
"""A node and one of its outputs, by name."""


def note(text: str, height: int) -> Node:
    # In Nodes 2.0, words in back-ticks are unreadable on a note: bold ones take their place. The notes' Markdown drops
    # a line break between two words of different style, so a paragraph is one line.
    lines = re.sub(r"(?<!\n)\n(?![\n-])", " ", text.strip())
    return Node("MarkdownNote", {"": lines}, title="Read me", width=420, height=height)


def load_base(**chosen: str) -> Node:
    return Node("MIVALoadBase", {"base": TINY} | chosen, width=340)


def load_sd15(room: int = 0) -> Node:
    files = {"base": AD, "base.checkpoint": CHECKPOINT["name"], "base.motion_module": MOTION_MODULE["name"]}
    return Node("MIVALoadBase", files, width=400, room=room, models=[CHECKPOINT, MOTION_MODULE])


def load_miva(name: str, title: str = "", strength: Link | None = None, **chosen: Any) -> Node:
    links = {"strength": strength} if strength else {}
    return Node("MIVALoad", {"miva_name": f"{name}.safetensors"} | chosen, links, title=title, width=320)


def say(text: str, title: str = "", before: str = "", **widgets: float) -> Node:
    """A motion by words, on top of those of the node `before`, if there is one."""
    links = {"prev": (before, "mivas")} if before else {}
    return Node("MIVASay", {"text": text} | widgets, links, title=title, width=320)


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


def miva_sampler(stack: tuple[str, str], seed: int, title: str = "", **more: Any) -> Node:
    links = {"model": ("base", "model"), "mivas": stack, "image": ("picture", "IMAGE")} | more.pop("links", {})
    widgets = {"seed": seed, "control_after_generate": "fixed"} | more
    # Room for the preview that it shows while it samples, and for what it says.
    return Node("MIVASampler", widgets, links, title=title, width=340, room=330)


def outputs(
    name: str, frames: Link = ("sampler", "frames"), fps: Link | float = ("sampler", "fps")
) -> tuple[dict[str, Node], dict[str, Node]]:
    """The nodes that make files of frames, in two columns: one that plays by itself, and a video."""
    prefix = f"MIVA/{name}"
    links, widgets = {"images": frames}, {}
    if isinstance(fps, tuple):
        links["fps"] = fps
    else:
        widgets["fps"] = fps
    small = {"filename_prefix": prefix, "lossless": False, "quality": 70, "method": "fastest"}
    return {
        "video": Node("CreateVideo", widgets, links, width=260),
        # It grows in Nodes 2.0 alone; elsewhere its animation is as large as the room that it has.
        "animation": Node("SaveAnimatedWEBP", small | widgets, links, width=320, height=360, room=60, late=True),
    }, {"file": Node("SaveVideo", {"filename_prefix": prefix}, {"video": ("video", "VIDEO")}, width=320, room=400)}


BUILT_IN = """
The built-in base runs on any computer. It says where everything moves, and your own picture is moved that way: sharp,
at the picture's own size. *Save Animated WEBP* plays the clip by itself, *Save Video* makes an mp4 of it.
"""
