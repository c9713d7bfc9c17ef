"""Workflows that say how much a motion moves, when it acts, and whose it is; all without other people's models."""

from .graph import Graph, Node
from .pieces import (
    BUILT_IN,
    Link,
    bind_mask,
    load_base,
    load_mask,
    load_miva,
    load_picture,
    miva_sampler,
    note,
    outputs,
    preview,
    stack_mivas,
)

HAND_HELD = "miva_hand_held.mp4"
_DEGREES = {"slow": 0.0, "middle": 0.5, "fast": 1.0}


def load_clip() -> Node:
    return Node("LoadVideo", {"file": HAND_HELD}, title="Load Video: whose motion it is", width=320, height=330)


def frames_of(video: str) -> Node:
    return Node("GetVideoComponents", {}, {"video": (video, "VIDEO")}, width=260)


def transfer_motion(frames: Link, picture: Link) -> Node:
    # Room for what it says.
    return Node("MIVATransferMotion", {}, {"frames": frames, "picture": picture}, width=320, room=140)


def measure_motion(frames: Link, title: str) -> Node:
    # Room for its plot and what it says, beside a MIVA Sampler.
    return Node("MIVAMeasureMotion", {}, {"frames": frames}, title=title, width=360, room=695)


def _strength(title: str, strength: float, how: str, **curve: float | str) -> Node:
    over_frames = {"over_frames": how} | {f"over_frames.{name}": value for name, value in curve.items()}
    # Room for its plot.
    return Node("MIVAStrength", {"strength": strength} | over_frames, {}, title=title, width=340, room=260)


def _beside(left: Link, right: Link) -> Node:
    return Node("ImageStitch", {}, {"image1": left, "image2": right}, width=280)


CONTROL_GRAPHS: dict[str, Graph] = {
    "10_how_much_motion": Graph(
        [
            {
                "note": note(
                    f"""
## One motion at three speeds

**degree** of *Load MIVA* says how fast a motion is: **0** as slow as it has learnt, **1** as fast, **−1** as it was
trained. Seed and all else are the same. *Measure Motion* under each clip says how fast it became, in pixels of the
clip a frame, and plots it over the frames. The video shows the three beside each other.

**degree or weight?** A small **weight** makes a motion weak, and the clip soft; a small **degree** makes it slow, and
the clip stays sharp. A **weight** of 1.5 is about a quarter to a third faster than 1, and about 1 dB worse;
from 2 on it turns back.

**Which motions have one?** All camera moves that come with the pack, and any that is trained with *degree*. *MIVA
Info* tells. *Measure Motion* takes any frames: a video from *Load Video*, or what Wan has made.
{BUILT_IN}
""",
                    360,
                )
            },
            {
                "base": load_base(),
                "picture": load_picture("miva_red_panda.jpg"),
                **{
                    name: load_miva("zoom_in", degree=degree, title=f"Load MIVA: {name}")
                    for name, degree in _DEGREES.items()
                },
            },
            {
                f"sampler {name}": miva_sampler((name, "mivas"), 1, width=512, title=f"MIVA Sampler: {name}")
                for name in _DEGREES
            },
            {
                f"measure {name}": measure_motion((f"sampler {name}", "frames"), f"Measure Motion: {name}")
                for name in _DEGREES
            },
            {"two": _beside(("sampler slow", "frames"), ("sampler middle", "frames"))},
            {"three": _beside(("two", "IMAGE"), ("sampler fast", "frames"))},
            *outputs("how_much_motion", ("three", "IMAGE"), ("sampler slow", "fps")),
        ],
        ("sampler fast", "frames"),
    ),
    "11_motion_of_a_clip": Graph(
        [
            {
                "note": note(
                    """
## The motion of a clip, on your picture

Somebody walks up to Petra with a camera in their hands, and **Machu Picchu** sways and comes closer in the same way.
No model is asked: *Transfer Motion* measures where everything moves in the clip, and moves your picture so, sharp and
at its own size.

**Try next**
- a clip of yours in *Load Video*, with one steady shot: hands, a drone, a train window, waves
- **strength** 0.5 for half of the motion, 2 for twice as much
- a **mask** of one subject, where the clip shows one that moves on a resting ground

**What had to be invented** is white below: what came into view from beyond the edge, or where the clip's motion
cannot be followed. *Transfer Motion* says so in words, too. The workflow **17_motion_of_a_clip_natively** has Wan
paint that anew.

*Create Video* takes the speed of the clip. Cuts, noise and very fast motion cannot be followed: the clip ends before
a cut.
""",
                    330,
                )
            },
            {"clip": load_clip(), "picture": load_picture("miva_machu_picchu.jpg")},
            {"parts": frames_of("clip")},
            {"transfer": transfer_motion(("parts", "images"), ("picture", "IMAGE"))},
            {
                **outputs("motion_of_a_clip", ("transfer", "clip"), ("parts", "fps"))[0],
                "to picture": Node("MaskToImage", {}, {"mask": ("transfer", "invented")}, title="Mask as pictures"),
            },
            {
                **outputs("motion_of_a_clip", ("transfer", "clip"), ("parts", "fps"))[1],
                "invented": preview(("to picture", "IMAGE"), "What had to be invented"),
            },
        ],
        ("transfer", "clip"),
    ),
    "12_hand_over": Graph(
        [
            {
                "note": note(
                    f"""
## One motion hands over to the next

The camera pans and comes to rest; then the crab jumps. Both motions are in the stack from the first frame to the
last: *Strength over Time* says when each acts, in the course of the clip, and its plot shows it. The camera **eases
out** from 0.15 to 0.45 of the clip. The crab's **points** let it jump from 0.5 on, and land at the end, since a subject
is as far from its place as its curve says.

The **duration** is 1.9 seconds, which the built-in base fills; what is longer goes on beyond its last frame.

**Try next**
- **pulse**, **ease in**, or **points** such as **0:1, 0.25:0, 0.5:1, 0.75:0, 1:1**
- **drawn**: a curve by hand, or from *Curve Editor*; **values**: a list of numbers, as from audio
- one curve into two *Load MIVA*: they act together

A strength takes the place of **weight** and percents. Curves over **steps** are for Wan and Stable Diffusion 1.5:
with the built-in base the last step alone decides.
{BUILT_IN}
""",
                    370,
                )
            },
            {
                "first half": _strength("First the camera", 1.0, "ease out", begin=0.15, end=0.45),
                "second half": _strength(
                    "Then the crab", 2.0, "points", points="0.5:0, 0.6:1, 0.8:1, 1:0", between="cosine"
                ),
            },
            {
                "camera": load_miva("pan_left", strength=("first half", "strength")),
                "subject": load_miva("jump_masked", strength=("second half", "strength")),
                "mask": load_mask("miva_crab_mask.png", "Mask of the crab"),
            },
            {"bind": bind_mask("subject", "mask", "MASK")},
            {
                "stack": stack_mivas("camera", "bind"),
                "base": load_base(),
                "picture": load_picture("miva_crab.jpg"),
            },
            {"sampler": miva_sampler(("stack", "mivas"), 1, duration=1.9)},
            *outputs("hand_over"),
        ],
        ("sampler", "frames"),
    ),
}
