"""Workflows that animate by a built-in base."""

from .graph import Graph, Node
from .pieces import (
    BUILT_IN,
    MIRAMO,
    bind_mask,
    load_base,
    load_mask,
    load_miva,
    load_picture,
    miva_sampler,
    note,
    outputs,
    preview,
    say,
    stack_mivas,
)

BUILT_IN_GRAPHS: dict[str, Graph] = {
    "1_one_motion": Graph(
        [
            {
                "note": note(
                    f"""
## One motion, one picture

Press **Run**. The picture becomes a clip in which the camera comes closer. *Motion by Words* says one of the motions
that the base knows: it is no prompt.

**Try next**
- other words: **zoom out**, **pan left**, **pan up**, **roll cw**, **shake**
- **dolly in** or **truck left**, which go into the scene
- a picture of yours in *Load Image*
- in *MIVA Sampler* another **duration**, **loop** for there and back, **edges** *mirror* to see all of the picture
- **weight** 0.5 for half of the speed

**More motions.** Words that move a part of the picture, as **drift left**, **ripple** and **jump**, need a mask:
**13_miramo**. Motions from files, on the other built-in base, are in **2_camera_and_subject**.
{BUILT_IN}
""",
                    440,
                )
            },
            {
                "base": load_base(base=MIRAMO),
                "words": say("zoom in", weight=1.0),
                "picture": load_picture("miva_machu_picchu.jpg"),
            },
            {"sampler": miva_sampler(("words", "mivas"), 1)},
            *outputs("one_motion"),
        ],
        ("sampler", "frames"),
    ),
    "2_camera_and_subject": Graph(
        [
            {
                "note": note(
                    f"""
## A camera move and a subject's motion

Two motions at once: the camera comes closer while the bird jumps. *Stack MIVAs* joins them; a new socket grows when the
last one is used.

**The mask** says what jumps. It is tight: what it takes in moves along. Without a mask (**jump** in place of
**jump_masked**) the built-in base bends the ground along, which shows on photographs.

**Weights.** A masked motion has 1. Those of plain motions sum to 1: two camera moves have 0.5 each.

Chaining by **prev** of *Load MIVA* does the same as stacking. To leave one out, select its *Load MIVA* and press
**Ctrl+M**.
{BUILT_IN}
""",
                    345,
                )
            },
            {
                "camera": load_miva("zoom_in"),
                "subject": load_miva("jump_masked"),
                "mask": load_mask("miva_kingfisher_mask.png", "Mask of the bird", late=True),
            },
            {"bind": bind_mask("subject", "mask", "MASK", late=True)},
            {
                "stack": stack_mivas("camera", "bind"),
                "base": load_base(),
                "picture": load_picture("miva_kingfisher.jpg"),
            },
            {"sampler": miva_sampler(("stack", "mivas"), 3)},
            *outputs("camera_and_subject"),
        ],
        ("sampler", "frames"),
    ),
    "3_two_subjects": Graph(
        [
            {
                "note": note(
                    f"""
## Two subjects, each with a motion of its own

A **masked** motion moves one subject alone. *Bind Mask to MIVA* tells it where that subject is in the picture; the
masks of all later frames are made together with the clip, and come out of the sampler as **masks**.

- Give every masked motion the weight 1: it acts on its own subject only.
- The order in *Stack MIVAs* is the depth: where masks overlap, the last one lies on top.
- Make masks tight: each is cut out and moved over a background that is filled in behind it.
- To leave a subject out, select its *Load MIVA* and press **Ctrl+M**.
- Masks come from *Load Image*'s mask editor, from files as here, or from *Subject Mask* (next example).
{BUILT_IN}
""",
                    370,
                )
            },
            {
                "back": load_miva("sway_masked"),
                "back mask": load_mask("miva_lemur_back.png", "Mask of the lemur behind"),
                "front": load_miva("jump_masked"),
                "front mask": load_mask("miva_lemur_front.png", "Mask of the lemur in front"),
            },
            {
                "bind back": bind_mask("back", "back mask", "MASK", "Bind Mask: the lemur behind"),
                "bind front": bind_mask("front", "front mask", "MASK", "Bind Mask: the lemur in front"),
            },
            {
                "stack": stack_mivas("bind back", "bind front"),
                "base": load_base(),
                "picture": load_picture("miva_lemurs.jpg"),
            },
            {"sampler": miva_sampler(("stack", "mivas"), 1)},
            {
                **outputs("two_subjects")[0],
                "to picture": Node("MaskToImage", {}, {"mask": ("sampler", "masks")}, title="Masks as pictures"),
            },
            {**outputs("two_subjects")[1], "masks": preview(("to picture", "IMAGE"), "Masks")},
        ],
        ("sampler", "frames"),
    ),
    "4_subject_by_words": Graph(
        [
            {
                "note": note(
                    f"""
## A subject found by words

*Subject Mask* finds the **green circle**, and *Bind Mask to MIVA* gives it to a masked motion: it jumps, the yellow one
stays. Write **yellow circle** and run again.

**For photographs** choose real models in *Subject Mask*: Grounding DINO in **models/grounding-dino**, SAM 2 in
**models/sam2** (see its help page: select the node, then the tab *Info*). What is chosen here knows nothing but drawn
shapes: red, green, blue or yellow; circle, square or triangle.

No models? Set **method** to *box* and **segmenter** to *by colours*.
{BUILT_IN}
""",
                    265,
                )
            },
            {"picture": load_picture("miva_shapes.jpg")},
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
                "miva": load_miva("jump_masked"),
            },
            {"bind": bind_mask("miva", "subject", "mask"), "base": load_base()},
            {"sampler": miva_sampler(("bind", "mivas"), 1)},
            *outputs("subject_by_words"),
        ],
        ("sampler", "frames"),
    ),
    "7_start_noise": Graph(
        [
            {
                "note": note(
                    f"""
## DCTInit on and off, side by side

*DCTInit Noise* makes the noise that a clip starts from. With **dct** on, its low frequencies come from the picture,
which holds the layout; off, they are noise like all else. Seed and everything else are the same. The left half of the
video is made with, the right half without.

**With the built-in base there is little to see**: its noise is centred on the picture already. With Stable Diffusion
1.5 and Wan the layout is steadier, and a higher **strength** holds it harder and moves less.

The same noise also works in ComfyUI's own *SamplerCustomAdvanced*, with any video model, its VAE and an empty latent.
{BUILT_IN}
""",
                    300,
                )
            },
            {"base": load_base(), "picture": load_picture("miva_citrus.jpg")},
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
                "miva": load_miva("zoom_in"),
            },
            {
                f"sampler {name}": miva_sampler(("miva", "mivas"), 3, width=512, links={"noise": (name, "noise")})
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
            *outputs("start_noise", ("stitch", "IMAGE"), ("sampler on", "fps")),
        ],
        ("sampler on", "frames"),
    ),
}
