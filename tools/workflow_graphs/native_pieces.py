"""Nodes around Apply MIVA: ComfyUI's own loaders, samplers and decoders, as several workflows set them."""

from typing import Any

from .graph import Node
from .model_files import CHECKPOINT, MOTION_MODULE, WAN, WAN_VAE
from .pieces import Link

FPS = 8.0
"""Frames a second of what Stable Diffusion 1.5 and Wan paint: those of the clips that motions are learnt from."""

SD15_STEPS: dict[str, Any] = {"steps": 25, "scheduler": "ddim_uniform"}
"""With euler: the steps that MIVA Sampler makes."""


def load_checkpoint() -> Node:
    return Node("CheckpointLoaderSimple", {"ckpt_name": CHECKPOINT["name"]}, width=380, models=[CHECKPOINT])


def load_motion_module(model: Link) -> Node:
    chosen = {"motion_module": MOTION_MODULE["name"]}
    return Node("MIVAMotionModule", chosen, {"model": model}, width=340, models=[MOTION_MODULE])


def load_wan() -> Node:
    return Node("UNETLoader", {"unet_name": WAN["name"]}, width=380, models=[WAN])


def load_wan_vae() -> Node:
    return Node("VAELoader", {"vae_name": WAN_VAE["name"]}, width=340, models=[WAN_VAE])


def lora(model: Link) -> Node:
    """A place for a LoRA: bypassed, since which ones there are is everybody's own."""
    title = "Load LoRA (bypassed: choose one, press Ctrl+B)"
    return Node("LoraLoaderModelOnly", {}, {"model": model}, title=title, width=360, bypassed=True)


def apply_miva(model: Link, vae: Link, mivas: Link, title: str = "", **links: Link) -> Node:
    """Apply MIVA, at the size and length that motions were learnt at."""
    sockets = {"model": model, "vae": vae, "image": ("picture", "IMAGE"), "mivas": mivas}
    # Room for what it says.
    return Node("MIVAApply", {}, sockets | links, title=title, width=340, room=120)


def ksampler(applied: str, seed: int, title: str = "", **chosen: Any) -> Node:
    """KSampler after an Apply MIVA; at CFG 1, since a motion leaves a prompt nothing to say."""
    outputs = {"model": "model", "positive": "positive", "negative": "negative", "latent_image": "latent"}
    links = {socket: (applied, output) for socket, output in outputs.items()}
    widgets = {"seed": seed, "control_after_generate": "fixed", "cfg": 1.0, "sampler_name": "euler"} | chosen
    # Room for its preview.
    return Node("KSampler", widgets, links, title=title, width=340, room=330)


def decode(sampler: str, vae: Link, title: str = "") -> Node:
    return Node("VAEDecode", {}, {"samples": (sampler, "LATENT"), "vae": vae}, title=title, width=260)
