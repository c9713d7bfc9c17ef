"""Workflows that animate by ComfyUI's own MODELs."""

from .graph import Graph, Node
from .model_files import CHECKPOINT, MOTION_MODULE, WAN, WAN_VAE, as_markdown
from .native_pieces import (
    FPS,
    SD15_STEPS,
    apply_miva,
    decode,
    ksampler,
    load_checkpoint,
    load_motion_module,
    load_wan,
    load_wan_vae,
    lora,
)
from .pieces import load_miva, load_picture, note, outputs

_SD15_FILES = f"{as_markdown(CHECKPOINT)}, or a fine-tune of SD 1.5\n{as_markdown(MOTION_MODULE)}: AnimateDiff v3"
_SD15_MOTION = "- **sd15_zoom_in.safetensors** in **models/miva**, which the workflow **6_train_a_zoom_on_sd15** makes"
_SD15_SOCKETS = ("module", "model"), ("model", "VAE"), ("miva", "mivas")
_FRAMES = {
    "What you have": ("model", "lora", "shift", "vae", "module"),
    "Picture and motion": ("picture", "miva"),
    "The motion acts": ("apply", "sampler"),
    "The clip": ("decode", "video", "animation", "file"),
}
"""Frames around nodes of a workflow with one clip, and the names that nodes have in it."""


def _groups(columns: list[dict[str, Node]]) -> dict[str, tuple[str, ...]]:
    here = {name for column in columns for name in column}
    return {title: tuple(name for name in names if name in here) for title, names in _FRAMES.items()}


def _one_clip(columns: list[dict[str, Node]]) -> Graph:
    return Graph(columns, None, _groups(columns))


NATIVE_GRAPHS: dict[str, Graph] = {
    "8_wan_native": _one_clip(
        [
            {
                "note": note(
                    f"""
## A motion on ComfyUI's own Wan 2.1

*Apply MIVA* puts a motion into the MODEL that you have. All around it is ComfyUI's own: loaders, LoRAs, samplers,
caches. No prompt is needed, and so no text encoder. Frame 1 of the clip is your picture.

**Files.** ComfyUI offers the first two when this opens:
{as_markdown(WAN)}
{as_markdown(WAN_VAE)}
- **wan_zoom_in.safetensors** in **models/miva**, or another motion for Wan 2.1 1.3B. None comes with the pack: train
it with the nodes up to *Save MIVA* of **6_train_a_zoom_on_sd15**, and *Wan 2.1 1.3B* in *Load MIVA Base*.

**Settings.** 832 × 480 pixels and 17 frames, shift 5 in *ModelSamplingSD3* and 8 frames a second are what motions are
learnt with; other lengths are 4 k + 1 frames. CFG stays at 1, and a prompt is not heard: the motion is all that is
said. 50 steps are the method's own, 30 are quicker.

**LoRA.** *Load LoRA* is bypassed. Choose one of yours there and press **Ctrl+B**; it may stand before or after
*Apply MIVA*.

**What to expect.** Tested on small models of the same layout; time, memory and looks are not measured on a card.
""",
                    450,
                )
            },
            {"model": load_wan()},
            {"lora": lora(("model", "MODEL"))},
            {
                "shift": Node("ModelSamplingSD3", {"shift": 5.0}, {"model": ("lora", "MODEL")}, width=340),
                "vae": load_wan_vae(),
                "picture": load_picture("miva_red_panda.jpg"),
                "miva": load_miva("wan_zoom_in"),
            },
            {"apply": apply_miva(("shift", "MODEL"), ("vae", "VAE"), ("miva", "mivas"))},
            {"sampler": ksampler("apply", 1, steps=30, scheduler="simple")},
            {"decode": decode("sampler", ("vae", "VAE"))},
            *outputs("wan_native", ("decode", "IMAGE"), FPS),
        ]
    ),
    "9_sd15_native": _one_clip(
        [
            {
                "note": note(
                    f"""
## A motion on ComfyUI's own Stable Diffusion 1.5

*Load Motion Module* makes a video model of a checkpoint, and *Apply MIVA* puts a motion into it. All else is ComfyUI's
own: loaders, LoRAs, samplers. No prompt is needed. Frame 1 of the clip is your picture.

**Files.** ComfyUI offers the first two when this opens:
{_SD15_FILES}
{_SD15_MOTION}

**Settings.** 512 × 320 pixels, 16 frames and 8 frames a second are what motions are learnt with. CFG stays at 1, and a
prompt is not heard: the motion is all that is said. *euler* with *ddim_uniform* is the sampler of *MIVA Sampler*;
others work, too.

**LoRA.** *Load LoRA* is bypassed. Choose one of yours there and press **Ctrl+B**.

**AnimateDiff-Evolved.** Its MODEL also goes into *Apply MIVA*, in place of that of *Load Motion Module*.

**What to expect.** Tested on small models of the same layout; time, memory and looks are not measured on a card.
""",
                    470,
                )
            },
            {"model": load_checkpoint()},
            {"lora": lora(("model", "MODEL"))},
            {
                "module": load_motion_module(("lora", "MODEL")),
                "picture": load_picture("miva_lemurs.jpg"),
                "miva": load_miva("sd15_zoom_in"),
            },
            {"apply": apply_miva(*_SD15_SOCKETS)},
            {"sampler": ksampler("apply", 1, **SD15_STEPS)},
            {"decode": decode("sampler", ("model", "VAE"))},
            *outputs("sd15_native", ("decode", "IMAGE"), FPS),
        ]
    ),
    "15_longer_clip_natively": Graph(
        [
            {
                "note": note(
                    f"""
## A longer clip, in two parts

A base makes clips of the length that it was trained on. The second part here begins with the last frame of the first:
**previous** of the second *Apply MIVA* takes its LATENT, in place of the picture. Both parts have that frame, so *Get
Image from Batch* leaves it out of the second, and *Batch Images* joins the rest: 16 + 15 frames.

**Files** as in **9_sd15_native**:
{_SD15_FILES}
{_SD15_MOTION}

**More parts.** Copy *Apply MIVA*, *KSampler*, *VAE Decode* and *Get Image from Batch* of the second part, and connect
its LATENT to **previous** of the copy. *Batch Images* grows another socket.

**What goes on and what does not.** A steady motion, as of a camera or of rain, goes on at its speed. One that speeds up
or turns, as a jump does, begins anew. Each part is a little softer than the one before. A second *Load MIVA* gives the
second part another motion.
""",
                    450,
                )
            },
            {"model": load_checkpoint()},
            {
                "module": load_motion_module(("model", "MODEL")),
                "miva": load_miva("sd15_zoom_in"),
                "picture": load_picture("miva_lemurs.jpg"),
            },
            {"first": apply_miva(*_SD15_SOCKETS, title="Apply MIVA: first part")},
            {"sampler 1": ksampler("first", 1, "KSampler: first part", **SD15_STEPS)},
            {"second": apply_miva(*_SD15_SOCKETS, title="Apply MIVA: second part", previous=("sampler 1", "LATENT"))},
            {"sampler 2": ksampler("second", 2, "KSampler: second part", **SD15_STEPS)},
            {
                "decode 1": decode("sampler 1", ("model", "VAE"), "VAE Decode: first part"),
                "decode 2": decode("sampler 2", ("model", "VAE"), "VAE Decode: second part"),
            },
            {
                "rest": Node(
                    "ImageFromBatch",
                    {"batch_index": 1, "length": 4096},
                    {"image": ("decode 2", "IMAGE")},
                    title="All but the doubled frame",
                    width=280,
                )
            },
            {
                "join": Node(
                    "BatchImagesNode",
                    {},
                    {"images.image0": ("decode 1", "IMAGE"), "images.image1": ("rest", "IMAGE")},
                    width=260,
                )
            },
            *outputs("longer_clip", ("join", "IMAGE"), FPS),
        ],
        None,
        {
            "What you have": ("model", "module"),
            "Picture and motion": ("picture", "miva"),
            "First part": ("first", "sampler 1"),
            "Second part": ("second", "sampler 2"),
            "The clip": ("decode 1", "decode 2", "rest", "join", "video", "animation", "file"),
        },
    ),
}
