"""Which motions are shown on which photographs, at what speed and when."""

from benchmarks.looks.sheets import Group, Sheet

CAMERAS = (*("pan_left", "pan_right", "pan_up", "pan_down", "zoom_in", "zoom_out", "roll_cw", "roll_ccw"),)
DEPTH = ("truck_left", "truck_right", "dolly_in", "dolly_out")
DRIFTS = ("drift_left", "drift_right", "drift_up", "drift_down")
LATE, MIDDLE_AND_LATE, SLOW_WAVE, FAST_WAVE = (15,), (7, 15), (4, 8, 12), (2, 4, 6)
"""Frames of 16, from 0. Waves of 16 and 8 frames are shown a quarter, a half and three quarters through."""

VIEWS = tuple(
    (name, "")
    for name in ("place-machu-picchu", "animal-kitten", "world-koala", "animal-kingfisher", "place-pontdu-gard")
)
MAPPED = tuple(
    (name, "")
    for name in ("place-machu-picchu", "animal-kitten", "animal-crab", "animal-kingfisher", "miva_chenonceau")
)
"""The first without a map."""
SKIES = tuple(
    (name, "sky")
    for name in (
        *("place-berlin-cathedral", "lomiri-picosdeeuropa", "place-machu-picchu", "sklearn-china", "place-colosseum"),
    )
)
PLANTS = (
    ("place-schwerin-palace", "branch"),
    ("sklearn-china", "tree"),
    ("sklearn-flower", "flower"),
    ("place-colosseum", "tree"),
    ("scipy-raccoon", "leaves"),
)
CLOTH = (
    ("skimage-astronaut", "flag"),
    ("lomiri-picture-1a", "bristles"),
    ("world-lemur", "tail"),
    ("scipy-raccoon", "leaves"),
    ("world-hedgehog", "grass"),
)
WATER = (
    ("place-schwerin-palace", "water"),
    ("place-pontdu-gard", "water"),
    ("miva_chenonceau", "water"),
    ("place-golden-temple", "water"),
    ("world-narwhal", "water"),
)
BREATHING = (
    ("animal-kitten", "cat"),
    ("world-hedgehog", "hedgehog"),
    ("world-koala", "koala"),
    ("animal-red-panda", "panda"),
    ("world-polar-bear", "bear"),
)
FLYING = (
    ("skimage-rocket", "rocket"),
    ("world-polar-bear", "bear"),
    ("animal-kitten", "cat"),
    ("world-hedgehog", "hedgehog"),
    ("animal-kingfisher", "bird"),
)
WALKING = (*FLYING[:4], ("animal-crab", "crab"))
STANDING = (
    ("animal-kingfisher", "bird"),
    ("sklearn-flower", "flower"),
    ("animal-kitten", "cat"),
    ("skimage-rocket", "rocket"),
    ("world-hedgehog", "hedgehog"),
)

FLAG = Group({"flag": SLOW_WAVE}, 0.5, CLOTH)
RIPPLE = Group({"ripple": FAST_WAVE}, 0.5, WATER)

OF_FILM = (Sheet("film_flag", (FLAG,)), Sheet("film_ripple", (RIPPLE,)))
"""The other sheets of films are older, and show their frames from left to right."""
OF_MIRAMO = (
    Sheet("miramo_cameras", (Group({name: LATE for name in (*CAMERAS, "shake")}, 0.8, VIEWS),)),
    Sheet("miramo_depth", (Group({name: MIDDLE_AND_LATE for name in DEPTH}, 0.8, MAPPED, deep=True),)),
    Sheet("miramo_drifts", (Group({name: MIDDLE_AND_LATE for name in DRIFTS}, 0.5, SKIES),)),
    Sheet(
        "miramo_regions",
        (Group({"sway": SLOW_WAVE}, 0.7, PLANTS), FLAG, RIPPLE, Group({"breathe": (4, 8)}, 0.4, BREATHING)),
    ),
    Sheet(
        "miramo_subjects",
        (
            Group({"rise": (5, 10)}, 0.7, FLYING),
            Group({"slide_left": (6, 12), "slide_right": (6, 12), "jump": (2, 4, 6)}, 0.7, WALKING),
        ),
    ),
    Sheet("miramo_files", (Group({"spiral": MIDDLE_AND_LATE, "pan_up_left": MIDDLE_AND_LATE}, 1.0, VIEWS),)),
)
OF_TINY = (
    Sheet("tiny_cameras", (Group({name: LATE for name in CAMERAS}, 1.0, VIEWS),)),
    Sheet("tiny_depth", (Group({"dolly_in": (3, 7, 11, 15)}, 1.0, VIEWS),)),
    Sheet(
        "tiny_subjects",
        (
            Group({"jump_masked": FAST_WAVE}, 1.0, FLYING[1:] + WALKING[4:]),
            Group({"sway_masked": SLOW_WAVE}, 1.0, STANDING),
        ),
    ),
)
