"""Workflows that learn a motion and use it."""

from .graph import Graph, Node
from .pieces import BUILT_IN, load_base, load_sd15, note, outputs, trained, training

TRAINING_GRAPHS: dict[str, Graph] = {
    "5_train_a_camera_motion": Graph(
        [
            {
                "note": note(
                    f"""
## Train a camera motion from stills

*Camera Clips* films twenty stills: five clips of a rising camera from each. *Train MIVA* learns the motion from them
(about two minutes on a laptop's processor), and the sampler uses it at once. *Save MIVA* keeps it in **models/miva**,
where *Load MIVA* lists it after a refresh (**R**).

- Pressing **×** stops the training and keeps what it has learnt; run the same settings again and it goes on.
- **preset** *quick* is a first try; *normal* takes four times as long.
- The stills' content does not matter; sharpness and variety do. Put yours into a folder in **input**.
- A subject's motion is learnt from clips: use *MIVA Dataset* in place of *Camera Clips*.
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
            training({"name": "my_pan_up", "preset": "quick"}, "miva_petra.jpg"),
            trained("my_pan_up"),
            *outputs("trained_motion"),
        ],
        ("sampler", "frames"),
    ),
    "6_train_a_zoom_on_sd15": Graph(
        [
            {
                "note": note(
                    """
## Learn a zoom on Stable Diffusion 1.5, and use it

The same on a real base, for a graphics card. It runs once two files are there; ComfyUI offers them when this opens:

- **v1-5-pruned-emaonly-fp16.safetensors**, or a fine-tune of SD 1.5, in **models/checkpoints**
- **mm_sd15_v3.safetensors**, the AnimateDiff v3 motion module, in **models/animatediff_models**

*Camera Clips* films stills with a camera that comes closer, in clips of 512 × 320 pixels and 16 frames. *Train MIVA*
learns that, the sampler zooms into another picture with it, and *Save MIVA* keeps it as **sd15_zoom_in** in
**models/miva**: from then on *Load MIVA* takes the place of the training.

**What to expect.** The training needs 5.9 GB of the card's memory, as counted. It learns for 1500 steps (**preset**
*quick*; *normal* is 6000). How long that takes, and how good the motion becomes, is not measured on a card. Pressing
**×** stops it and keeps what it has learnt; run the same settings again and it goes on.

**Your own stills.** The twenty that come with this pack are small, so *Upscale Image* enlarges them, and the clips are
soft: enough to see it learn. For a motion to keep put about twenty sharp pictures of 640 × 400 pixels or more into a
folder in **input**, press **R**, and choose it in *Load Image (from Folder)*.
""",
                    415,
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
            },
            {
                "clips": Node(
                    "MIVACameraClips",
                    {"stills": "connected", "motion": "zoom-in"},
                    {"model": ("base", "model"), "stills.images": ("scale", "IMAGE")},
                    width=340,
                    room=80,
                ),
            },
            training({"name": "sd15_zoom_in", "preset": "quick"}, "miva_lemurs.jpg"),
            trained("sd15_zoom_in"),
            *outputs("sd15_zoom_in"),
        ],
        None,
    ),
}
