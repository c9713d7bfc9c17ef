"""What artists get wrong where they say how strong a motion is, how much of it there is, and whose it is."""

import math
from typing import Any

import torch
from artist import Mistake, mask, panned, picture
from node_runs import motion

WRITE = "write shares and strengths, as in 0:1.5, 0.5:1, or strengths alone, as in 0, 1, 0."
LIST = "connect a list of finite numbers, at least one."
CUT = (
    "The second frame of the clip does not follow its first: it is a cut, mere noise, or all moves too far at once. "
    "Give frames of one shot, and more of them a second where they move far."
)


def points(text: str) -> dict[str, Any]:
    return {"how": "points", "points": text, "between": "linear"}


def values(given: Any) -> dict[str, Any]:
    return {"how": "values", "values": given}


STEERING = [
    # How strong
    Mistake(
        "points of a curve that go back",
        lambda artist: artist.strength(points("0:1, 0.6:0, 0.3:1")),
        "The points of a curve lie at 0, 0.6, 0.3: let them rise.",
    ),
    Mistake(
        "a curve without points",
        lambda artist: artist.strength(points(" ")),
        f"A curve without points was given: {WRITE}",
    ),
    Mistake(
        "a point that is no number",
        lambda artist: artist.strength(points("0:1, 0.5:nan")),
        f"'0.5:nan' is no point of a curve: {WRITE}",
    ),
    Mistake(
        "a point by its frame",
        lambda artist: artist.strength(points("0:1, 16:0")),
        "The point 16:0 lies beyond the clip: its share goes from 0, the beginning, to 1, the end.",
    ),
    Mistake(
        "a point by its step",
        lambda artist: artist.strength(steps=points("0:1, 4:0") | {"over": "steps"}),
        "The point 4:0 lies beyond the run: its share goes from 0, the beginning, to 1, the end.",
    ),
    Mistake(
        "a list of strengths with nothing in it",
        lambda artist: artist.strength(values([])),
        f"`values` holds []: {LIST}",
    ),
    Mistake(
        "a list of strengths with a hole in it",
        lambda artist: artist.strength(values([1.0, math.nan])),
        f"`values` holds [1.0, nan]: {LIST}",
    ),
    Mistake(
        "no list of strengths",
        lambda artist: artist.strength(values(None)),
        "Nothing is connected to `values`, which takes FLOATS or FLOAT: connect a node with such an output.",
    ),
    Mistake(
        "an ease that ends before it begins",
        lambda artist: artist.strength({"how": "ease in", "begin": 0.6, "end": 0.4, "between": "linear"}),
        "It would ease in from 0.6 to 0.4 of the clip: set `end` above `begin`.",
    ),
    Mistake(
        "a list of strengths longer than the run",
        lambda artist: artist.sample(motion(strength=artist.strength(steps=values([1.0, 1.5, 0.5]))[0]), steps=2),
        note="pan_left has 3 strengths over 2 steps, so that not all of them come up: give it fewer, or the run more "
        "steps.\nOn this base the last step alone decides: of the strengths of pan_left, 1 to 1.5, only the last one "
        "counts, 1.5.",
    ),
    Mistake(
        "the schedule of EDG where all of the run is noisy",
        lambda artist: artist.sample(motion(strength=artist.strength(steps="EDG")[0]), steps=2),
        note="On this base the last step alone decides, and there the strength of pan_left is -0.1875: below 0 the "
        "clip stands still or breaks into noise. Choose a curve that ends above 0.",
    ),
    # How much
    Mistake(
        "a degree for a motion that has learnt none",
        lambda artist: artist.load("jump.safetensors", degree=0.5),
        "jump was trained without a degree: leave its degree out (in Load MIVA: -1) and change its weight, or take a "
        "motion with one.",
    ),
    Mistake(
        "a degree that is neither one nor left out",
        lambda artist: artist.load("pan_left.safetensors", degree=-0.5),
        "The degree of pan_left is -0.5, expected a number from 0, its slowest motion, to 1, its fastest (in Load "
        "MIVA also -1: as it was trained).",
    ),
    # By which words
    Mistake(
        "words for a motion that hears none",
        lambda artist: artist.load("jump.safetensors", words="pan left"),
        "jump holds one motion and hears no words: empty `words`, or choose a file that holds several.",
    ),
    Mistake(
        "a word with a slip",
        lambda artist: artist.sample(motion("camera_words", words="pan lefft")),
        "'pan lefft' is unknown to this base; say one of pan left, pan right, zoom in, zoom out.",
    ),
    Mistake(
        "no words for a motion that holds several",
        lambda artist: artist.sample(motion("camera_words")),
        note="camera_words holds several motions, and is not told which: say one of pan left, pan right, zoom in, zoom "
        "out.",
    ),
    # Whose
    Mistake(
        "the motion of a still clip",
        lambda artist: artist.transfer(picture().expand(3, -1, -1, -1)),
        note="Nothing moves in the clip, so nothing moves in the picture.",
    ),
    Mistake(
        "the motion of a picture",
        lambda artist: artist.transfer(picture()),
        "The clip is a single frame, and nothing moves in one: give two frames or more.",
    ),
    Mistake("the motion of noise", lambda artist: artist.transfer(torch.rand(4, 64, 64, 3)), CUT),
    Mistake(
        "the motion of a clip of another aspect",
        lambda artist: artist.transfer(panned(), picture(64, 128)),
        note="The clip is 1 times as wide as high, the picture 2 times: what moves by a share of the clip's width or "
        "height moves by that share of the picture's.",
    ),
    Mistake(
        "the motion of a clip that cuts",
        lambda artist: artist.transfer(torch.cat([panned(), 1 - panned().flip(1)])),
        note="The motion ends after 4 of the clip's 8 frames: frame 5 does not follow the one before, as at a cut, in "
        "mere noise or where all moves too far at once.",
    ),
    Mistake(
        "clip and picture, the one in the place of the other",
        lambda artist: artist.transfer(picture(), panned()),
        "The picture is a batch of 4, and one is moved: choose it by Get Image from Batch. The clip goes into "
        "`frames`.",
    ),
    Mistake(
        "masks of a whole clip for its motion",
        lambda artist: artist.transfer(panned(), mask=mask(count=4)),
        "The mask of the subject is a batch of 4, and one is needed: put Convert Mask to Image, Get Image from Batch "
        "and Convert Image to Mask before this node to choose it.",
    ),
    Mistake(
        "a mask of another aspect for a motion",
        lambda artist: artist.transfer(panned(), mask=mask(64, 128)),
        "The mask is 128×64, the picture 64×64: they must have one aspect, since the mask says where in all of the "
        "picture the subject is.",
    ),
]
