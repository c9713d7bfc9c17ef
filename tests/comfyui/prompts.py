"""Prompts for the built-in base, as the frontend would send them."""

from typing import Any

from .server import Prompt, node

TINY, MIRAMO = "tiny (built in)", "MiraMo tiny (built in)"
DEMO = "drawn shapes (built-in demo)"
EDITS = {"key_frame": 0, "grow": 0, "feather": 0, "keep_largest": False, "fill_holes": False, "invert": False}


def motion(name: str, weight: float = 1.0, **more: Any) -> dict[str, Any]:
    inputs = {"start_percent": 0.0, "end_percent": 1.0} | more
    return node("MIVALoad", miva_name=f"{name}.safetensors", weight=weight, **inputs)


def sampler(**changed: Any) -> dict[str, Any]:
    """A clip of 16 frames, small to be quick, unless that is changed; what is None is left out."""
    inputs = {"model": ["base", 0], "mivas": ["miva", 0], "image": ["picture", 0], "seed": 1, "steps": 0}
    inputs |= {
        "width": 160,
        "height": 0,
        "frames": 0,
        "fit": "crop",
        "adain": "as the base needs",
        "fps": 8.0,
    } | changed
    return node("MIVASampler", **{name: value for name, value in inputs.items() if value is not None})


def animate(picture: str = "miva_machu_picchu.jpg", **changed: Any) -> Prompt:
    """One picture, one motion."""
    return {
        "base": node("MIVALoadBase", base=TINY),
        "miva": motion("pan_left"),
        "picture": node("LoadImage", image=picture),
        "sampler": sampler(**changed),
        "shown": node("PreviewImage", images=["sampler", 0]),
    }


def masked(mask: dict[str, Any], picture: str = "miva_shapes.jpg", slot: int = 0) -> Prompt:
    """A masked motion, bound to the mask that a node makes at one of its outputs."""
    return animate(picture, mivas=["bound", 0]) | {
        "miva": motion("jump_masked"),
        "mask": mask,
        "bound": node("MIVABindMask", mivas=["miva", 0], mask=["mask", slot], grow=0, feather=0),
        "masks": node("MaskToImage", mask=["sampler", 1]),
        "masks shown": node("PreviewImage", images=["masks", 0]),
    }


def subject(**method: Any) -> dict[str, Any]:
    """Subject Mask; `method` is the chosen method, the rest its widgets."""
    chosen = {"method" if name == "method" else f"method__{name}": value for name, value in method.items()}
    return node("MIVASubjectMask", image=["picture", 0], **chosen, **EDITS)


def words(prompt: str) -> dict[str, Any]:
    return subject(
        method="words",
        prompt=prompt,
        detector=DEMO,
        segmenter=DEMO,
        confidence=0.3,
        max_boxes=1,
        frames="find in the key frame, then follow",
    )


def train(steps: int, seed: int = 0) -> Prompt:
    """A camera motion from stills, and all that may come after it."""
    return {
        "base": node("MIVALoadBase", base=TINY),
        "clips": node(
            "MIVACameraClips",
            model=["base", 0],
            stills="folder",
            stills__folder="miva_stills",
            motion="pan-up",
            speed=1.0,
            easing="linear",
            seed=0,
        ),
        "train": node(
            "MIVATrain",
            model=["base", 0],
            dataset=["clips", 0],
            name="my_pan",
            preset="quick",
            steps=steps,
            seed=seed,
            masked=False,
            subject="",
            learning_rate=0.0,
            flip="unless it has a direction",
        ),
        "info": node("MIVAInfo", mivas=["train", 0]),
        "save": node("MIVASave", mivas=["train", 0], filename_prefix="mine/my_pan", author="", licence="CC0-1.0"),
        "samples": node("PreviewImage", images=["train", 2]),
        "curve": node("LossGraphNode", loss=["train", 1], filename_prefix="loss"),
    }
