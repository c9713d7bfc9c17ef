"""The workflows on ComfyUI's own MODELs, opened at a size for a processor."""

import json
from typing import Any

import numpy as np
from PIL import Image

from .browser import Page
from .server import ROOT, Server

WAN, SD15, LONGER = "8_wan_native", "9_sd15_native", "15_longer_clip_natively"
TWO, MOVED = "16_two_checkpoints", "17_motion_of_a_clip_natively"
SIZE = (64, 96)
LENGTHS = {WAN: 9, SD15: 6, LONGER: 6, TWO: 5, MOVED: 9}
"""Frames of a clip of each; where there are several, of each clip."""
LENGTH_OF = {TWO: ("SVD_img2vid_Conditioning", "video_frames"), MOVED: ("ImageFromBatch", "length")}
"""Kind of the node that says how long a clip is, and its widget, where that is not Apply MIVA."""
PICTURE, MASK = "picture.png", "mask.png"
LORAS = {WAN: "wan_lora.safetensors", SD15: "sd15_lora.safetensors"}
ON, MUTED, BYPASSED = 0, 2, 4
"""Modes of nodes."""


def read(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "workflows" / f"{name}.json").read_text("utf-8"))


def put_pictures(server: Server) -> None:
    """A picture of the clips' size, so that nothing is scaled, and a mask of what is in its middle."""
    picture = Image.open(ROOT / "workflows" / "pictures" / "miva_crab.jpg").convert("RGB")
    picture.resize(SIZE[::-1]).save(server.base / "input" / PICTURE)
    mask = np.zeros(SIZE, np.uint8)
    mask[16:48, 32:72] = 255
    Image.fromarray(mask).save(server.base / "input" / MASK)


def load(page: Page, name: str) -> None:
    """Open a workflow, and make its clips small and its runs short."""
    page.load(read(name), name)
    page.set("LoadImage", "image", PICTURE)
    kind, length = LENGTH_OF.get(name, ("MIVAApply", "length"))
    page.set(kind, length, LENGTHS[name])
    for widget, value in {"height": SIZE[0], "width": SIZE[1]}.items():
        page.set("ImageScale" if name == MOVED else kind, widget, value)
    page.set("KSampler", "steps", 4)


def switch_lora_on(page: Page, name: str) -> None:
    """Do with the bypassed Load LoRA as the note says."""
    page.set_mode("LoraLoaderModelOnly", ON)
    page.set("LoraLoaderModelOnly", "lora_name", LORAS[name])


def without_text_encoder(prompt: dict[str, Any]) -> dict[str, Any]:
    """The same, with `random_texts` in place of Load CLIP and prompts."""
    told = {
        name: {"class_type": "RandomText", "inputs": {"text": one["inputs"]["text"]}}
        for name, one in prompt.items()
        if one["class_type"] == "CLIPTextEncode"
    }
    return {name: one for name, one in prompt.items() if one["class_type"] != "CLIPLoader"} | told
