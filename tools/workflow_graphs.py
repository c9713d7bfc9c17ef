"""The example workflows, as nodes in columns and links between them; `make_workflows` has ComfyUI itself write them."""

import re
from dataclasses import dataclass, field
from typing import Any

TINY = "tiny (built in)"
AD = "SD 1.5 + AnimateDiff"
_HUB = "https://huggingface.co"
CHECKPOINT = "v1-5-pruned-emaonly-fp16.safetensors"
MOTION_MODULE = "mm_sd15_v3.safetensors"
MODELS = [
    {
        "name": CHECKPOINT,
        "url": f"{_HUB}/Comfy-Org/stable-diffusion-v1-5-archive/resolve/main/{CHECKPOINT}",
        "directory": "checkpoints",
    },
    {
        "name": MOTION_MODULE,
        "url": f"{_HUB}/conrevo/AnimateDiff-A1111/resolve/main/motion_module/{MOTION_MODULE}",
        "directory": "animatediff_models",
    },
]
"""What the missing-model dialog offers. The motion module is v3_sd15_mm.ckpt as safetensors, which it may fetch."""


@dataclass(frozen=True)
class Node:
    """A node of a graph.

    Attributes:
        kind: its id.
        widgets: what is set, by name.
        links: from its inputs, by name, to (node, output) of the graph, outputs by name.
        width: in pixels, where it is not as it comes; a column is as wide as its widest node.
        height: in pixels, where it is not as it comes.
        room: pixels to leave free below it, by which it grows when it has run.
        late: whether it is made after all that are not, as a node that came to the workflow later: ids count up, and
            those of the others stay.
        models: links for the missing-model dialog.
    """

    kind: str
    widgets: dict[str, Any] = field(default_factory=dict)
    links: dict[str, tuple[str, str]] = field(default_factory=dict)
    title: str = ""
    width: int = 0
    height: int = 0
    room: int = 0
    late: bool = False
    models: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Graph:
    """A workflow.

    Attributes:
        columns: from left to right, each its nodes by name, from top to bottom. Links run to the right.
        shown: the node and output whose frames its thumbnail is made of; None where it needs models that are not here.
    """

    columns: list[dict[str, Node]]
    shown: tuple[str, str] | None


def _note(text: str, height: int) -> Node:
    # In Nodes 2.0, words in back-ticks are unreadable on a note: bold ones take their place. The notes' Markdown drops
    # a line break between two words of different style, so a paragraph is one line.
    lines = re.sub(r"(?<!\n)\n(?![\n-])", " ", text.strip())
    return Node("MarkdownNote", {"": lines}, title="Read me", width=420, height=height)


def _base(**chosen: str) -> Node:
    return Node("MIVALoadBase", {"base": TINY} | chosen, width=340)


def _sd15(room: int = 0) -> Node:
    files = {"base": AD, "base.checkpoint": CHECKPOINT, "base.motion_module": MOTION_MODULE}
    return Node("MIVALoadBase", files, width=400, room=room, models=MODELS)


def _miva(name: str, weight: float = 1.0) -> Node:
    return Node("MIVALoad", {"miva_name": f"{name}.safetensors", "weight": weight}, width=320)


def _picture(name: str) -> Node:
    return Node("LoadImage", {"image": name}, width=320, height=330)


def _mask(name: str, title: str, late: bool = False) -> Node:
    return Node("LoadImageMask", {"image": name, "channel": "red"}, title=title, width=320, height=330, late=late)


def _bind(miva: str, mask: str, output: str, title: str = "", late: bool = False) -> Node:
    links = {"mivas": (miva, "mivas"), "mask": (mask, output)}
    return Node("MIVABindMask", {}, links, title=title, width=300, late=late)


def _stack(*mivas: str) -> Node:
    return Node("MIVAStack", {}, {f"mivas.miva{k}": (name, "mivas") for k, name in enumerate(mivas)}, width=300)


def _preview(source: tuple[str, str], title: str) -> Node:
    return Node("PreviewImage", {}, {"images": source}, title=title, width=340, room=310)


def _sampler(stack: tuple[str, str], seed: int, **more: Any) -> Node:
    links = {"model": ("base", "model"), "mivas": stack, "image": ("picture", "IMAGE")} | more.pop("links", {})
    widgets = {"seed": seed, "control_after_generate": "fixed"} | more
    # Room for the preview that it shows while it samples, and for what it says.
    return Node("MIVASampler", widgets, links, width=340, room=330)


def _outputs(name: str, sampler: str = "sampler", frames: tuple[str, str] | None = None) -> tuple[dict[str, Node], ...]:
    """The nodes that make files of a sampler's frames, in two columns: one that plays by itself, and a video."""
    prefix, links = f"MIVA/{name}", {"images": frames or (sampler, "frames"), "fps": (sampler, "fps")}
    small = {"filename_prefix": prefix, "lossless": False, "quality": 70, "method": "fastest"}
    return {
        "video": Node("CreateVideo", {}, links, width=260),
        # It grows in Nodes 2.0 alone; elsewhere its animation is as large as the room that it has.
        "animation": Node("SaveAnimatedWEBP", small, links, width=320, height=360, room=60, late=True),
    }, {"file": Node("SaveVideo", {"filename_prefix": prefix}, {"video": ("video", "VIDEO")}, width=320, room=400)}


def _training(chosen: dict[str, Any], picture: str) -> dict[str, Node]:
    """A training, and beside it the picture on which its motion is then used."""
    links = {"model": ("base", "model"), "dataset": ("clips", "dataset")}
    return {
        # Room for the samples and the curve that it shows while it learns.
        "train": Node("MIVATrain", chosen, links, width=360, room=330),
        "picture": _picture(picture),
        "clip": _preview(("clips", "preview"), "One of the clips"),
    }


def _trained(name: str) -> dict[str, Node]:
    """What is done with a motion that has been learnt."""
    return {
        "sampler": _sampler(("train", "mivas"), 1),
        "save": Node("MIVASave", {"filename_prefix": name}, {"mivas": ("train", "mivas")}, room=80),
        "samples": _preview(("train", "samples"), "What it has learnt"),
    }


_BUILT_IN = """
The built-in base runs on any computer. It says where everything moves, and your own picture is moved that way: sharp,
at the picture's own size. *Save Animated WEBP* plays the clip by itself, *Save Video* makes an mp4 of it.
"""

GRAPHS: dict[str, Graph] = {
    "1_one_motion": Graph(
        [
            {
                "note": _note(
                    f"""
## One motion, one picture

Press **Run**. The picture becomes a clip in which the camera moves to the left. There is no prompt: the motion is all
that is said.

**Try next**
- another motion in *Load MIVA*: **pan_right**, **zoom_in**, **zoom_out**, **roll_cw**
- a picture of yours in *Load Image*
- in *MIVA Sampler* another **duration**, **loop** for there and back, **edges** *mirror* to see all of the picture
- **weight** 0.5 for half of the motion
{_BUILT_IN}
""",
                    330,
                )
            },
            {"base": _base(), "miva": _miva("pan_left"), "picture": _picture("miva_machu_picchu.jpg")},
            {"sampler": _sampler(("miva", "mivas"), 1)},
            *_outputs("one_motion"),
        ],
        ("sampler", "frames"),
    ),
    "2_camera_and_subject": Graph(
        [
            {
                "note": _note(
                    f"""
## A camera move and a subject's motion

Two motions at once: the camera comes closer while the bird jumps. *Stack MIVAs* joins them; a new socket grows when the
last one is used.

**The mask** says what jumps. It is tight: what it takes in moves along. Without a mask (**jump** in place of
**jump_masked**) the built-in base bends the ground along, which shows on photographs.

**Weights.** A masked motion has 1. Those of plain motions sum to 1: two camera moves have 0.5 each.

Chaining by **prev** of *Load MIVA* does the same as stacking. To leave one out, select its *Load MIVA* and press
**Ctrl+M**.
{_BUILT_IN}
""",
                    345,
                )
            },
            {
                "camera": _miva("zoom_in"),
                "subject": _miva("jump_masked"),
                "mask": _mask("miva_kingfisher_mask.png", "Mask of the bird", late=True),
            },
            {"bind": _bind("subject", "mask", "MASK", late=True)},
            {
                "stack": _stack("camera", "bind"),
                "base": _base(),
                "picture": _picture("miva_kingfisher.jpg"),
            },
            {"sampler": _sampler(("stack", "mivas"), 3)},
            *_outputs("camera_and_subject"),
        ],
        ("sampler", "frames"),
    ),
    "3_two_subjects": Graph(
        [
            {
                "note": _note(
                    f"""
## Two subjects, each with a motion of its own

A **masked** motion moves one subject alone. *Bind Mask to MIVA* tells it where that subject is in the picture; the
masks of all later frames are made together with the clip, and come out of the sampler as **masks**.

- Give every masked motion the weight 1: it acts on its own subject only.
- The order in *Stack MIVAs* is the depth: where masks overlap, the last one lies on top.
- Make masks tight: each is cut out and moved over a background that is filled in behind it.
- To leave a subject out, select its *Load MIVA* and press **Ctrl+M**.
- Masks come from *Load Image*'s mask editor, from files as here, or from *Subject Mask* (next example).
{_BUILT_IN}
""",
                    370,
                )
            },
            {
                "back": _miva("sway_masked"),
                "back mask": _mask("miva_lemur_back.png", "Mask of the lemur behind"),
                "front": _miva("jump_masked"),
                "front mask": _mask("miva_lemur_front.png", "Mask of the lemur in front"),
            },
            {
                "bind back": _bind("back", "back mask", "MASK", "Bind Mask: the lemur behind"),
                "bind front": _bind("front", "front mask", "MASK", "Bind Mask: the lemur in front"),
            },
            {
                "stack": _stack("bind back", "bind front"),
                "base": _base(),
                "picture": _picture("miva_lemurs.jpg"),
            },
            {"sampler": _sampler(("stack", "mivas"), 1)},
            {
                **_outputs("two_subjects")[0],
                "to picture": Node("MaskToImage", {}, {"mask": ("sampler", "masks")}, title="Masks as pictures"),
            },
            {**_outputs("two_subjects")[1], "masks": _preview(("to picture", "IMAGE"), "Masks")},
        ],
        ("sampler", "frames"),
    ),
    "4_subject_by_words": Graph(
        [
            {
                "note": _note(
                    f"""
## A subject found by words

*Subject Mask* finds the **green circle**, and *Bind Mask to MIVA* gives it to a masked motion: it jumps, the yellow one
stays. Write **yellow circle** and run again.

**For photographs** choose real models in *Subject Mask*: Grounding DINO in **models/grounding-dino**, SAM 2 in
**models/sam2** (see its help page: select the node, then the tab *Info*). What is chosen here knows nothing but drawn
shapes: red, green, blue or yellow; circle, square or triangle.

No models? Set **method** to *box* and **segmenter** to *by colours*.
{_BUILT_IN}
""",
                    265,
                )
            },
            {"picture": _picture("miva_shapes.jpg")},
            {
                "subject": Node(
                    "MIVASubjectMask",
                    {
                        "method": "words",
                        "method.prompt": "green circle",
                        "method.detector": "drawn shapes (built-in demo)",
                        "method.segmenter": "drawn shapes (built-in demo)",
                    },
                    {"image": ("picture", "IMAGE")},
                    width=380,
                    room=330,
                ),
                "miva": _miva("jump_masked"),
            },
            {"bind": _bind("miva", "subject", "mask"), "base": _base()},
            {"sampler": _sampler(("bind", "mivas"), 1)},
            *_outputs("subject_by_words"),
        ],
        ("sampler", "frames"),
    ),
    "5_train_a_camera_motion": Graph(
        [
            {
                "note": _note(
                    f"""
## Train a camera motion from stills

*Camera Clips* films twenty stills: five clips of a rising camera from each. *Train MIVA* learns the motion from them
(about two minutes on a laptop's processor), and the sampler uses it at once. *Save MIVA* keeps it in **models/miva**,
where *Load MIVA* lists it after a refresh (**R**).

- Pressing **×** stops the training and keeps what it has learnt; run the same settings again and it goes on.
- **preset** *quick* is a first try; *normal* takes four times as long.
- The stills' content does not matter; sharpness and variety do. Put yours into a folder in **input**.
- A subject's motion is learnt from clips: use *MIVA Dataset* in place of *Camera Clips*.
{_BUILT_IN}
""",
                    350,
                )
            },
            {"base": _base()},
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
            _trained("my_pan_up"),
            *_outputs("trained_motion"),
        ],
        ("sampler", "frames"),
    ),
    "6_train_a_zoom_on_sd15": Graph(
        [
            {
                "note": _note(
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
                "base": _sd15(),
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
            _training({"name": "sd15_zoom_in", "preset": "quick"}, "miva_lemurs.jpg"),
            _trained("sd15_zoom_in"),
            *_outputs("sd15_zoom_in"),
        ],
        None,
    ),
    "7_start_noise": Graph(
        [
            {
                "note": _note(
                    f"""
## DCTInit on and off, side by side

*DCTInit Noise* makes the noise that a clip starts from. With **dct** on, its low frequencies come from the picture,
which holds the layout; off, they are noise like all else. Seed and everything else are the same. The left half of the
video is made with, the right half without.

**With the built-in base there is little to see**: its noise is centred on the picture already. With Stable Diffusion
1.5 and Wan the layout is steadier, and a higher **strength** holds it harder and moves less.

The same noise also works in ComfyUI's own *SamplerCustomAdvanced*, with any video model, its VAE and an empty latent.
{_BUILT_IN}
""",
                    300,
                )
            },
            {"base": _base(), "picture": _picture("miva_citrus.jpg")},
            {
                **{
                    name: Node(
                        "MIVADCTInitNoise",
                        {"noise_seed": 3, "control_after_generate": "fixed", "dct": on},
                        {"model": ("base", "model"), "image": ("picture", "IMAGE")},
                        title=f"DCTInit Noise, dct {'on' if on else 'off'}",
                        width=320,
                    )
                    for name, on in (("on", True), ("off", False))
                },
                "miva": _miva("zoom_in"),
            },
            {
                f"sampler {name}": _sampler(("miva", "mivas"), 3, width=512, links={"noise": (name, "noise")})
                for name in ("on", "off")
            },
            {
                "stitch": Node(
                    "ImageStitch",
                    {},
                    {"image1": ("sampler on", "frames"), "image2": ("sampler off", "frames")},
                    width=300,
                )
            },
            *_outputs("start_noise", "sampler on", ("stitch", "IMAGE")),
        ],
        ("sampler on", "frames"),
    ),
}
