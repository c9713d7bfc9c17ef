"""Workflows in which parts of a photograph move by themselves: by formulas, and by words on the built-in MiraMo."""

from .graph import Graph, Node
from .pieces import (
    BUILT_IN,
    MIRAMO,
    Link,
    bind_mask,
    load_base,
    load_mask,
    load_picture,
    miva_sampler,
    note,
    outputs,
    say,
)

PICTURE = "miva_chenonceau"
MOTIONS = (("drift-right", 0.4, "sky"), ("sway", 0.4, "trees"), ("ripple", 0.5, "water"), ("dolly-in", 0.4, ""))
"""Of the living photograph: what moves, how fast, and what of the picture its mask shows."""


def _load_depth() -> Node:
    return Node("LoadImage", {"image": f"{PICTURE}_depth.png"}, title="Depth: white is near", width=320, height=330)


def _motion(number: int, title: str, mask: str = "", before: str = "") -> Node:
    """One of `MOTIONS`.

    Args:
        number: which.
        title: of its node.
        mask: the node that loads its mask, if it needs one.
        before: the node of the motion before it, if there is one.
    """
    motion, speed, _ = MOTIONS[number]
    links: dict[str, Link] = {"mask": (mask, "MASK")} if mask else {}
    links |= {"motions": (before, "motions")} if before else {}
    return Node("MIVAFilmMotion", {"motion": motion, "speed": speed}, links, title=title, width=320)


LIVING_GRAPHS: dict[str, Graph] = {
    "13_miramo": Graph(
        [
            {
                "note": note(
                    f"""
## Motions by words, on the built-in MiraMo

*Load MIVA Base* holds **MiraMo tiny**, which moves pictures by words of its own: no motion is loaded from a file. Each
*Motion by Words* says one. Here the camera goes into the scene, and the clouds drift.

**dolly in** moves near things more than far ones, so *MIVA Sampler* takes a map of them in **depth**: white is near.
This one was drawn; any depth node's picture will do. Without one the lower half is taken to be near. Its **degree** of
0.5 is half-way between the slowest and the fastest dolly that this base has learnt.

**drift right** moves a part of the picture, the sky, which *Bind Mask to MIVA* tells it. Its **weight** is its speed.

**Try next**
- **truck left**, **dolly out**, **zoom in**, **roll cw** or **shake** in place of **dolly in**
- **degree** 0 and 1, or −1 and a **weight** of your own
- a third *Motion by Words*: **ripple**, with miva_chenonceau_water.png
- a motion of your own: *Train MIVA* learns it on this base as well

**The same without a network** is **14_living_photograph**.
{BUILT_IN}
""",
                    440,
                )
            },
            {"sky": load_mask(f"{PICTURE}_sky.png", "Mask of the sky"), "depth": _load_depth()},
            {"clouds": say("drift right", "Motion by Words: the clouds", weight=0.4)},
            {"bind": bind_mask("clouds", "sky", "MASK")},
            {
                "camera": say("dolly in", "Motion by Words: the camera", "bind", weight=1.0, degree=0.5),
                "base": load_base(base=MIRAMO),
                "picture": load_picture(f"{PICTURE}.jpg"),
            },
            {"sampler": miva_sampler(("camera", "mivas"), 1, links={"depth": ("depth", "IMAGE")})},
            *outputs("miramo"),
        ],
        ("sampler", "frames"),
    ),
    "14_living_photograph": Graph(
        [
            {
                "note": note(
                    """
## A living photograph

Clouds drift, trees sway, water ripples, and the camera slowly goes in and out: four motions of one picture, in a clip
that can be played over and over. **No model is asked**: formulas move the picture itself, at its own size, so there is
nothing to wait for but the drawing of frames.

Each *Motion to Film* is one motion, with the mask of what moves. Masks of **clouds and water** leave out what stands
before them: these go on underneath. Masks of **trees** reach down to where they stand, for the foot of the mask rests.
The **camera** takes no mask, but *Film a Still* takes a **depth** map for it: white is near.

**Masks by words.** These were drawn. *Subject Mask* finds them in a picture of yours: write **sky**, **trees** or
**water**, with models as its help page tells. *Load Image*'s mask editor does as well.

**Depth** comes from any depth node; without one the lower half of the picture is taken to be near.

**Try next**
- other motions: **flag** for cloth, **breathe** for animals, **shake** for a camera in the hand, **jump** for a cut-out
- **speed** below 0: the wind turns. Little is more: at 1 it looks like an effect
- **loop** off: the camera goes on and on
""",
                    460,
                )
            },
            {"sky": load_mask(f"{PICTURE}_sky.png", "Mask of the sky"), "picture": load_picture(f"{PICTURE}.jpg")},
            {
                "clouds": _motion(0, "Clouds", "sky"),
                "wood": load_mask(f"{PICTURE}_trees.png", "Mask of the trees"),
            },
            {
                "trees": _motion(1, "Trees", "wood", "clouds"),
                "river": load_mask(f"{PICTURE}_water.png", "Mask of the water"),
            },
            {"water": _motion(2, "Water", "river", "trees"), "depth": _load_depth()},
            {"camera": _motion(3, "Camera", before="water")},
            {
                "film": Node(
                    "MIVAFilm",
                    {"fps": 16.0, "duration": 4.0, "easing": "ease-in-out", "loop": True, "seed": 0}
                    | {"control_after_generate": "fixed"},
                    {"image": ("picture", "IMAGE"), "motions": ("camera", "motions"), "depth": ("depth", "IMAGE")},
                    width=340,
                    # For what it says.
                    room=110,
                )
            },
            *outputs("living_photograph", ("film", "frames"), ("film", "fps")),
        ],
        ("film", "frames"),
    ),
}
