"""The workflow that weighs two checkpoints of one network, by ComfyUI's own nodes alone."""

from .graph import Graph, Node
from .model_files import SVD, SVD_XT, as_markdown
from .native_pieces import decode
from .pieces import load_picture, note, outputs

_FPS = 6.0
"""Frames a second that Stable Video Diffusion is told, and its clip is played at."""


def _checkpoint(link: dict[str, str], title: str) -> Node:
    return Node("ImageOnlyCheckpointLoader", {"ckpt_name": link["name"]}, title=title, width=360, models=[link])


CHECKPOINT_GRAPHS: dict[str, Graph] = {
    "16_two_checkpoints": Graph(
        [
            {
                "note": note(
                    f"""
## More motion than a fine-tune left

Training a video model on often makes it calmer. What it has unlearnt is the difference of both checkpoints, and more
of that can be added to the older one, without any training: **older + 0.25 × (older − newer)**. All nodes here are
ComfyUI's own.

**Files.** ComfyUI offers both when this opens, 9.6 GB each; their pages may ask you to accept a licence:
{as_markdown(SVD)}: the older one
{as_markdown(SVD_XT)}: trained on from it

**multiplier** of *ModelMergeSubtract* says how far: 0 is the older checkpoint, **−1** is exactly the newer one, −1.25
more of the newer one than it is. Which way there is more motion depends on the pair: try 0.25 and −1.25 with one
seed, and let *Measure Motion* behind *VAE Decode* tell.

**Over time**, as Extrapolating-and-Decoupling does it: two *KSampler (Advanced)* share the 20 steps. The first 13
have the multiplier 0.1875, the rest −1.25.

**Your own pair.** Two checkpoints of one network and size fit: for Wan two *Load Diffusion Model*. For a LoRA no
subtraction is needed: its strength may be below 0 or above 1, and *Create Hook LoRA (MO)* with two *Create Hook
Keyframe* changes it over the steps.

**What to expect.** The formula is tested on small models; these two were not run here, so what they gain is not
known.
""",
                    430,
                )
            },
            {
                "older": _checkpoint(SVD, "The older checkpoint"),
                "newer": _checkpoint(SVD_XT, "What it became"),
                "picture": load_picture("miva_petra.jpg"),
            },
            {
                "change": Node(
                    "ModelMergeSubtract",
                    {"multiplier": 0.25},
                    {"model1": ("older", "MODEL"), "model2": ("newer", "MODEL")},
                    width=300,
                ),
            },
            {
                "sum": Node(
                    "ModelMergeAdd",
                    {},
                    {"model1": ("older", "MODEL"), "model2": ("change", "MODEL")},
                    width=300,
                ),
            },
            {
                "guidance": Node("VideoLinearCFGGuidance", {"min_cfg": 1.0}, {"model": ("sum", "MODEL")}, width=320),
                "beginning": Node(
                    "SVD_img2vid_Conditioning",
                    {"width": 1024, "height": 576, "video_frames": 14, "fps": int(_FPS)},
                    {
                        "clip_vision": ("older", "CLIP_VISION"),
                        "init_image": ("picture", "IMAGE"),
                        "vae": ("older", "VAE"),
                    },
                    width=320,
                ),
            },
            {
                "sampler": Node(
                    "KSampler",
                    {
                        "seed": 1,
                        "control_after_generate": "fixed",
                        "steps": 20,
                        "cfg": 2.5,
                        "sampler_name": "euler",
                        "scheduler": "karras",
                    },
                    {
                        "model": ("guidance", "MODEL"),
                        "positive": ("beginning", "positive"),
                        "negative": ("beginning", "negative"),
                        "latent_image": ("beginning", "latent"),
                    },
                    width=340,
                    room=330,
                )
            },
            {"decode": decode("sampler", ("older", "VAE"))},
            *outputs("two_checkpoints", ("decode", "IMAGE"), _FPS),
        ],
        None,
        {
            "What you have": ("older", "newer", "picture"),
            "older + multiplier × (older − newer)": ("change", "sum"),
            "Picture to clip": ("guidance", "beginning", "sampler"),
            "The clip": ("decode", "video", "animation", "file"),
        },
    ),
}
