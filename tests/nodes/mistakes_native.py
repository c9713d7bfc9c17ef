"""What artists get wrong with ComfyUI's own models."""

from types import SimpleNamespace

import torch
from artist import Artist, Mistake, mask, picture
from comfy_api.v0_0_2 import io
from fake_native import CausalWanModel, Model, UNetModel, Vae, WanModel, sd15, wan

from miva_core.bases.tiny.spec import SHIPPED
from miva_core.bases.wan.sites import wan_backbone

SMALL_WAN = f"wan, {wan_backbone(8, 2, 2, 16).fingerprint}"
WORKS_ON = "Apply MIVA works on Wan and on Stable Diffusion 1.5 with a motion module, but this MODEL is"
ANOTHER_MODEL = "load another model, or use MIVA Sampler with a base of Load MIVA Base."
ONE_LATENT = "connect the LATENT of a sampler that has made one with"
FAR = "64×64 is far from the 832×480 that this base was trained on; it may not move."


def two_modules() -> Model:
    """MODEL: Stable Diffusion 1.5 into which two packs have put motion modules."""
    model = sd15()
    model.set_additional_models("another", model.get_additional_models())
    return model


def clip(*shape: int) -> dict[str, torch.Tensor]:
    """LATENT: a clip that was sampled."""
    return {"samples": torch.ones(shape)}


def module_named(artist: Artist, name: str, content: bytes | None = None) -> io.NodeOutput:
    """A file of any kind as a motion module."""
    source = (SHIPPED / "jump.safetensors").read_bytes() if content is None else content
    return artist.motion_module(artist.comfyui.add("animatediff_models", name, source).name)


NATIVE = [
    # The model
    Mistake(
        "SDXL",
        lambda artist: artist.apply(model=Model(UNetModel(text=2048, levels=3), "SDXL", 4)),
        f"{WORKS_ON} SDXL: {ANOTHER_MODEL}",
    ),
    Mistake(
        "Flux",
        lambda artist: artist.apply(model=Model(torch.nn.Identity(), "Flux", 16)),
        f"{WORKS_ON} Flux: {ANOTHER_MODEL}",
    ),
    Mistake(
        "what is no MODEL at all",
        lambda artist: artist.apply(model=Vae(16)),
        f"{WORKS_ON} Vae: {ANOTHER_MODEL}",
    ),
    Mistake(
        "a Wan that makes one frame after the other",
        lambda artist: artist.apply(model=Model(CausalWanModel(), "WAN21_CausalAR", 16, shift=5.0)),
        "This Wan makes its frames one after the other, while a motion needs all of them at once: load a Wan model "
        "that is not autoregressive.",
    ),
    Mistake(
        "Wan 2.2 5B",
        lambda artist: artist.apply(model=Model(WanModel(), "WAN22_T2V", 48, shift=5.0)),
        "Wan 2.2 5B is not supported yet: it is shown its first frame without noise at a step of its own, and there "
        "are no motions trained that way. Load Wan 2.1, or Wan 2.2 14B.",
    ),
    Mistake(
        "Stable Diffusion 1.5 without a motion module",
        lambda artist: artist.apply(model=sd15(frames=None), vae=Vae(4)),
        "This MODEL makes no clips: put Load Motion Module between it and Apply MIVA, or use one of "
        "AnimateDiff-Evolved's nodes that load a motion model.",
    ),
    Mistake(
        "two motion modules",
        lambda artist: artist.apply(model=two_modules(), vae=Vae(4)),
        "This MODEL has more than one motion model, but motions act in one: take out all but the one that they were "
        "trained with.",
    ),
    Mistake(
        "a web page saved in place of a motion module",
        lambda artist: module_named(artist, "mm.safetensors", b"<html>"),
        "{models}/animatediff_models/mm.safetensors is a text file, but a motion module of AnimateDiff was expected.",
    ),
    Mistake(
        "a motion as a motion module",
        lambda artist: module_named(artist, "jump.safetensors"),
        "{models}/animatediff_models/jump.safetensors is a MIVA adapter, but an AnimateDiff motion module was "
        "expected, such as v3_sd15_mm.ckpt from huggingface.co/guoyww/animatediff.",
    ),
    Mistake(
        "a motion module deleted between two runs",
        lambda artist: artist.motion_module("v3.ckpt"),
        "The motion module 'v3.ckpt' is no longer in {models}/animatediff_models: put it back, or choose another one "
        "(R refreshes menus).",
    ),
    Mistake(
        "no motion module at all",
        lambda artist: artist.motion_module("no file in models/animatediff_models"),
        "There is no motion module in {models}/animatediff_models: put one there, press R, and choose it.",
    ),
    Mistake(
        "a Wan with the shift that ComfyUI gives it",
        lambda artist: artist.apply(model=Model(WanModel(), "WAN21_T2V", 16, shift=8.0)),
        note=f"{FAR}\nIts noise schedule has shift 8, and motions are trained with 5: put ModelSamplingSD3 with that "
        "before this node.",
    ),
    Mistake(
        "an image-to-video Wan",
        lambda artist: artist.apply(model=wan(in_dim=36)),
        note=f"{FAR}\nThis is an image-to-video Wan, which is shown the picture in a way of its own, too; motions are "
        "trained on text-to-video.",
    ),
    # The VAE
    Mistake(
        "no VAE for Apply MIVA",
        lambda artist: artist.apply(vae=None),
        "Nothing is connected to `vae`, which takes VAE: connect Load VAE, or another node with such an output.",
    ),
    Mistake(
        "the VAE of a checkpoint that has none",
        lambda artist: artist.apply(vae=Vae(16, stored=False)),
        "What is connected to `vae` holds no VAE, as a checkpoint without one: connect Load VAE.",
    ),
    Mistake(
        "the VAE of another model",
        lambda artist: artist.apply(vae=Vae(4)),
        "The VAE makes latents of 4 channels, but this model takes 16: connect the VAE that belongs to the model.",
    ),
    Mistake(
        "the VAE of Flux, whose latents have as many channels",
        lambda artist: artist.apply(vae=Vae(16, dimensions=2)),
        "The VAE makes latents of pictures, but this model takes those of video: connect the VAE that belongs to the "
        "model.",
    ),
    Mistake(
        "a VAE of video for Stable Diffusion",
        lambda artist: artist.apply(artist.of_sd15("sway"), model=sd15(), vae=Vae(4, dimensions=3)),
        "The VAE makes latents of video, but this model takes those of pictures: connect the VAE that belongs to the "
        "model.",
    ),
    Mistake(
        "a text encoder for a VAE",
        lambda artist: artist.apply(vae=SimpleNamespace(encode=None, decode=None)),
        "`vae` was given a SimpleNamespace, which is no VAE: connect Load VAE, or the VAE of Load Checkpoint.",
    ),
    # Motions
    Mistake(
        "no motion for Apply MIVA",
        lambda artist: artist.apply(()),
        "No motion is connected: connect Load MIVA to `mivas`, and see that it is neither muted nor bypassed.",
    ),
    Mistake(
        "a motion of the built-in U-Net on Wan",
        lambda artist: artist.apply(artist.load("pan_left.safetensors")[0]),
        f"pan_left was trained on another base (the built-in U-Net) than the one that is connected ({SMALL_WAN}): "
        "connect the model that it was trained on, or choose another motion.",
    ),
    Mistake(
        "a masked motion without a mask on Wan",
        lambda artist: artist.apply(artist.of_wan("sway", masked=True)),
        "sway is a masked motion without its mask: put Bind Mask to MIVA behind its Load MIVA, and connect a mask of "
        "its subject.",
    ),
    Mistake(
        "several masks for the one picture",
        lambda artist: artist.apply(artist.bind(artist.of_wan("sway", masked=True), mask(count=3))[0]),
        "sway has 3 masks, and the batch has 1 picture: connect one mask for each picture, or one for all.",
    ),
    Mistake(
        "a mask of another size than the picture on Wan",
        lambda artist: artist.apply(artist.bind(artist.of_wan("sway", masked=True), mask(32, 32))[0]),
        note=f"{FAR}\nThe mask of sway was scaled from 32×32 to the picture's 64×64.",
    ),
    Mistake(
        "a mask of another aspect than the picture on Wan",
        lambda artist: artist.apply(artist.bind(artist.of_wan("sway", masked=True), mask(32, 96))[0]),
        note=f"{FAR}\nThe mask of sway was stretched, which shifts it off its subject, from 96×32 to the picture's "
        "64×64.",
    ),
    Mistake(
        "weights that sum to 2 on Wan",
        lambda artist: artist.apply(artist.of_wan("jump") + artist.of_wan("sway")),
        note=f"The weights sum to 2; a sum of 1 is the most stable: try 0.5, 0.5.\n{FAR}",
    ),
    Mistake(
        "a weight of 0 on Wan",
        lambda artist: artist.apply(artist.of_wan("jump", weight=0.0)),
        note=f"jump has the weight 0 and does nothing.\n{FAR}",
    ),
    # Picture, size and length
    Mistake(
        "a batch of pictures for Apply MIVA",
        lambda artist: artist.apply(image=picture(count=2)),
        "`image` is a batch of 2 pictures, and a clip begins with one: choose it by Get Image from Batch.",
    ),
    Mistake(
        "a picture in values up to 255 for Apply MIVA",
        lambda artist: artist.apply(image=torch.full((1, 64, 64, 3), 255.0)),
        "The picture has values from 255 to 255: scale them to 0 … 1.",
    ),
    Mistake(
        "a picture of another aspect for Apply MIVA",
        lambda artist: artist.apply(image=picture(100, 200)),
        note=f"{FAR}\nThe picture was centre-cropped 200×100 to 100×100, scaled to 64×64.",
    ),
    Mistake(
        "a width that Wan cannot make",
        lambda artist: artist.apply(width=72),
        "The size 72×64 cannot be used: both must be multiples of 16, as in 64×64.",
    ),
    Mistake(
        "a height that Stable Diffusion cannot make",
        lambda artist: artist.apply(artist.of_sd15("sway"), model=sd15(), vae=Vae(4), width=72, height=60),
        "The size 72×60 cannot be used: both must be multiples of 8, as in 72×64.",
    ),
    Mistake(
        "a length that is not 4 k + 1",
        lambda artist: artist.apply(length=16),
        "This model makes clips of 4 k + 1 frames: 16 cannot be made, 17 can.",
    ),
    Mistake(
        "a single frame of Wan",
        lambda artist: artist.apply(length=1),
        "This model makes clips of 4 k + 1 frames: 1 cannot be made, 5 can.",
    ),
    Mistake(
        "a single frame of Stable Diffusion",
        lambda artist: artist.apply(artist.of_sd15("sway"), model=sd15(), vae=Vae(4), length=1),
        "This model makes clips of at least 2 frames: 1 cannot be made, 2 can.",
    ),
    Mistake(
        "more frames than a motion module reaches",
        lambda artist: artist.apply(artist.of_sd15("sway"), model=sd15(), vae=Vae(4), length=33),
        "33 frames are more than the 32 that this motion module has positions for: set `length` lower, go on with a "
        "second Apply MIVA by its `previous`, or put Context Windows (Manual) before this node.",
    ),
    Mistake("a size far from what Wan was trained on", lambda artist: artist.apply(), note=FAR),
    # The clip before
    Mistake(
        "a clip of Stable Diffusion that is to go on with Wan",
        lambda artist: artist.apply(previous=clip(16, 4, 8, 8)),
        f"`previous` has the shape (16, 4, 8, 8), which is no clip of this model: {ONE_LATENT} Wan.",
    ),
    Mistake(
        "a clip of Wan that is to go on with Stable Diffusion",
        lambda artist: artist.apply(artist.of_sd15("sway"), model=sd15(), vae=Vae(4), previous=clip(1, 16, 3, 8, 8)),
        f"`previous` has the shape (1, 16, 3, 8, 8), which is no clip of this model: {ONE_LATENT} Stable Diffusion 1.5 "
        "with a motion module.",
    ),
    Mistake(
        "a clip with sound that is to go on",
        lambda artist: artist.apply(previous={"samples": SimpleNamespace(is_nested=True, shape=(1, 16, 3, 8, 8))}),
        f"`previous` has sound in it, too, which is no clip of this model: {ONE_LATENT} Wan.",
    ),
    Mistake(
        "clips that are to go on",
        lambda artist: artist.apply(previous=clip(2, 16, 3, 8, 8)),
        "`previous` is a batch of 2 clips: choose one by Get Latent From Batch.",
    ),
    Mistake(
        "an empty clip that is to go on",
        lambda artist: artist.apply(previous={"samples": torch.zeros(1, 16, 3, 8, 8)}),
        "`previous` is empty: connect what the sampler gives, not what it is given.",
    ),
    Mistake(
        "a clip that is to go on at another size",
        lambda artist: artist.apply(previous=clip(1, 16, 3, 8, 8), width=128),
        "`previous` is a clip of 64×64, which cannot go on as 128×64: set `width` and `height` to 0.",
    ),
    Mistake(
        "a clip that another Apply MIVA was set for",
        lambda artist: artist.apply(model=artist.apply(length=9)[0], length=13),
        "This MODEL comes from another Apply MIVA, for latents of 8×8×3, but here they are 8×8×4: set the same width, "
        "height and length in both, or put all motions into one stack.",
    ),
    # Masks
    Mistake(
        "the masks of a clip without masked motions",
        lambda artist: artist.masks(clip(1, 16, 3, 8, 8)),
        "This latent comes from no masked motion, so it has no masks: connect the `LATENT` of a sampler that the "
        "`model` and the `latent` of Apply MIVA with a masked motion go to.",
    ),
    Mistake(
        "the masks of a clip before it is sampled",
        lambda artist: artist.masks(artist.apply(artist.bind(artist.of_wan("sway", masked=True), mask())[0])[3]),
        "This latent was not sampled yet, so it has no masks: connect the `LATENT` of the sampler that the `model` and "
        "the `latent` of Apply MIVA go to.",
    ),
]
