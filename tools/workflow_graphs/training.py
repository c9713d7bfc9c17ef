"""Workflows that learn a motion and use it."""

from typing import Any

from .graph import Graph, Node
from .model_files import CHECKPOINT, MOTION_MODULE, as_markdown
from .native_pieces import FPS, SD15_STEPS, apply_miva, decode, ksampler, load_checkpoint, load_motion_module
from .pieces import BUILT_IN, load_base, load_picture, load_sd15, miva_sampler, note, outputs, preview


def _training(chosen: dict[str, Any], picture: str) -> dict[str, Node]:
    """A training, and beside it the picture on which its motion is then used."""
    links = {"model": ("base", "model"), "dataset": ("clips", "dataset")}
    return {
        # Room for the samples and the curve that it shows while it learns.
        "train": Node("MIVATrain", chosen, links, width=360, room=330),
        "picture": load_picture(picture),
        "clip": preview(("clips", "preview"), "One of the clips"),
    }


def _trained(name: str) -> dict[str, Node]:
    """What is kept and shown of a motion that has been learnt."""
    return {
        "save": Node("MIVASave", {"filename_prefix": name}, {"mivas": ("train", "mivas")}, room=80),
        "samples": preview(("train", "samples"), "What it has learnt"),
    }


TRAINING_GRAPHS: dict[str, Graph] = {
    "5_train_a_camera_motion": Graph(
        [
            {
                "note": note(
                    f"""
## Train a camera motion from stills

*Motion Clips* films twenty stills: five clips of a rising camera from each. *Train MIVA* learns the motion from them
(about two minutes on a laptop's processor), and the sampler uses it at once. *Save MIVA* keeps it in **models/miva**,
where *Load MIVA* lists it after a refresh (**R**).

- Pressing **×** stops the training and keeps what it has learnt; run the same settings again and it goes on.
- **preset** *quick* is a first try; *normal* takes four times as long.
- The stills' content does not matter; sharpness and variety do. Put yours into a folder in **input**.
- A subject's motion is learnt from clips: use *MIVA Dataset* in place of *Motion Clips*.
{BUILT_IN}
""",
                    350,
                )
            },
            {"base": load_base()},
            {
                "clips": Node(
                    "MIVACameraClips",
                    {"stills": "folder", "stills.folder": "miva_stills", "motion": "pan-up"},
                    {"model": ("base", "model")},
                    width=340,
                    room=80,
                ),
            },
            _training({"name": "my_pan_up", "preset": "quick"}, "miva_petra.jpg"),
            {"sampler": miva_sampler(("train", "mivas"), 1), **_trained("my_pan_up")},
            *outputs("trained_motion"),
        ],
        ("sampler", "frames"),
    ),
    "6_train_a_zoom_on_sd15": Graph(
        [
            {
                "note": note(
                    f"""
## Learn a zoom on Stable Diffusion 1.5, and use it

The same on a real base, for a graphics card. It runs once two files are there; ComfyUI offers them when this opens:
{as_markdown(CHECKPOINT)}, or a fine-tune of SD 1.5
{as_markdown(MOTION_MODULE)}: AnimateDiff v3

*Motion Clips* films stills with a camera that comes closer, in clips of 512 × 320 pixels and 16 frames. *Train MIVA*
learns that from the same two files, in *Load MIVA Base*.

**The motion is used on ComfyUI's own MODEL**: *Apply MIVA* puts it into what *Load Checkpoint* and *Load Motion Module*
give, and *KSampler* zooms into another picture. *Save MIVA* keeps it as **sd15_zoom_in** in **models/miva**: from then
on **9_sd15_native** does without the training.

**What to expect.** The training needs 5.9 GB of the card's memory, as counted. It learns for 1500 steps (**preset**
*quick*; *normal* is 6000). How long that takes, and how good the motion becomes, is not measured on a card. Pressing
**×** stops it and keeps what it has learnt; run the same settings again and it goes on.

**Your own stills.** The twenty that come with this pack are small, so *Upscale Image* enlarges them, and the clips are
soft: enough to see it learn. For a motion to keep put about twenty sharp pictures of 640 × 400 pixels or more into a
folder in **input**, press **R**, and choose it in *Load Image (from Folder)*.
""",
                    520,
                ),
                "stills": Node("LoadImageDataSetFromFolder", {"folder": "miva_stills"}),
            },
            {
                "base": load_sd15(),
                "scale": Node(
                    "ImageScale",
                    {"upscale_method": "lanczos", "width": 640, "height": 400, "crop": "center"},
                    {"image": ("stills", "images")},
                ),
                "checkpoint": load_checkpoint(),
            },
            {
                "clips": Node(
                    "MIVACameraClips",
                    {"stills": "connected", "motion": "zoom-in"},
                    {"model": ("base", "model"), "stills.images": ("scale", "IMAGE")},
                    width=340,
                    room=80,
                ),
                "module": load_motion_module(("checkpoint", "MODEL")),
            },
            _training({"name": "sd15_zoom_in", "preset": "quick"}, "miva_lemurs.jpg"),
            {
                "apply": apply_miva(("module", "model"), ("checkpoint", "VAE"), ("train", "mivas")),
                **_trained("sd15_zoom_in"),
            },
            {"sampler": ksampler("apply", 1, **SD15_STEPS)},
            {"decode": decode("sampler", ("checkpoint", "VAE"))},
            *outputs("sd15_zoom_in", ("decode", "IMAGE"), FPS),
        ],
        None,
    ),
}
