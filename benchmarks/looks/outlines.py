"""What is marked on photographs, drawn by hand: corners are shares (x, y) of their whole width and height."""

from dataclasses import dataclass

Corners = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Outline:
    """An outline drawn by hand.

    Attributes:
        corners: of polygons; what lies in two of them is left out.
        refined: whether the edge is looked for around it, else it is taken as it is.
        sure: corners of what surely is inside; by default all that is well inside of the outline.
    """

    corners: tuple[Corners, ...]
    refined: bool = True
    sure: Corners = ()


def _drawn(*corners: Corners) -> Outline:
    return Outline(corners, refined=False)


def _refined(*corners: Corners) -> Outline:
    return Outline(corners)


# fmt: off
OUTLINES: dict[tuple[str, str], Outline] = {
    ("place-machu-picchu", "sky"): _drawn(((0, 0), (1, 0), (1, .18), (.7, .2), (.45, .15), (.3, .22), (0, .2))),
    ("animal-kitten", "cat"): _refined(
        ((.37, .2), (.66, .2), (.68, .5), (.62, .9), (.38, .9), (.36, .5))),
    ("world-hedgehog", "hedgehog"): _refined(
        ((.18, .5), (.3, .2), (.5, .15), (.7, .3), (.85, .5), (.8, .6), (.7, .72), (.3, .72), (.2, .65))),
    ("world-koala", "koala"): _refined(
        ((.35, .35), (.4, .25), (.7, .25), (.75, .4), (.85, .6), (.8, .8), (.5, .85), (.35, .7), (.15, .5), (.2, .45),
         (.35, .5))),
    ("animal-red-panda", "panda"): _refined(
        ((.3, .15), (.4, .1), (.6, .03), (.72, .1), (.75, .3), (.95, .5), (.98, 1), (.65, 1), (.6, .7), (.4, .8),
         (.34, .5))),
    ("world-polar-bear", "bear"): _refined(
        ((.25, .6), (.3, .4), (.4, .33), (.7, .37), (.82, .45), (.8, .52), (.72, .6), (.7, .78), (.6, .75), (.55, .65),
         (.45, .7), (.4, .83), (.35, .8), (.33, .7), (.28, .75))),
    ("animal-crab", "crab"): _refined(
        ((.05, .5), (.15, .4), (.3, .4), (.4, .25), (.6, .25), (.7, .4), (.9, .4), (.95, .6), (.88, .6), (.8, .5),
         (.7, .6), (.68, .8), (.3, .8), (.3, .6), (.2, .55), (.1, .7))),
    ("skimage-rocket", "rocket"): _drawn(
        ((.484, .33), (.497, .29), (.51, .30), (.527, .33), (.53, .6), (.527, .9), (.487, .9))),
    ("sklearn-flower", "flower"): _refined(
        ((.28, .4), (.35, .25), (.48, .18), (.62, .25), (.7, .45), (.68, .65), (.58, .8), (.4, .8), (.3, .65))),
    ("animal-kingfisher", "bird"): _refined(
        ((.38, .2), (.45, .08), (.55, .12), (.65, .27), (.55, .35), (.52, .6), (.4, .72), (.36, .9), (.3, .85),
         (.28, .6), (.33, .4))),
    ("place-schwerin-palace", "branch"): _refined(((0, 0), (.45, 0), (.4, .2), (.2, .35), (.05, .5), (0, .5))),
    ("sklearn-china", "tree"): _refined(((.86, .5), (.9, .42), (1, .38), (1, .75), (.95, .8), (.87, .75))),
    ("place-colosseum", "tree"): _refined(((0, .65), (.08, .6), (.2, .65), (.25, .8), (.2, .9), (0, .9))),
    ("scipy-raccoon", "leaves"): _refined(((0, .7), (.2, .55), (.4, .65), (.5, .8), (.5, 1), (0, 1))),
    ("place-schwerin-palace", "water"): _drawn(((0, .885), (.5, .86), (.8, .85), (1, .85), (1, 1), (0, 1))),
    ("place-pontdu-gard", "water"): _refined(((.05, .85), (.15, .78), (.38, .78), (.35, .9), (.3, .95), (.1, .98))),
    ("place-golden-temple", "water"): _drawn(((0, .665), (.36, .665), (.36, .69), (.66, .69), (.66, .665), (1, .665),
                                              (1, 1), (0, 1))),
    ("world-narwhal", "water"): _drawn(
        ((0, 0), (1, 0), (1, 1), (0, 1)),
        ((.02, .44), (.25, .44), (.33, .42), (.42, .45), (.6, .44), (.8, .46), (.96, .44), (.97, .58), (.82, .58),
         (.66, .58), (.71, .74), (.66, .78), (.5, .73), (.33, .7), (.33, .6), (.25, .52), (.02, .5))),
    ("skimage-astronaut", "flag"): _refined(
        ((0, 0), (.1, 0), (.16, .25), (.2, .42), (.12, .45), (.07, .6), (0, .75))),
    ("lomiri-picture-1a", "bristles"): _drawn(
        ((0, .04), (.29, .05), (.3, .25), (.27, .45), (0, .47)),
        ((.4, .25), (.53, .33), (.57, .42), (.51, .62), (.47, .77), (.42, .73), (.33, .67))),
    ("world-lemur", "tail"): _refined(
        ((.66, .97), (.65, .62), (.67, .52), (.72, .48), (.8, .5), (.86, .58), (.88, .7), (.87, .8), (.83, .8),
         (.8, .6), (.75, .57), (.74, .65), (.76, .97))),
    ("world-hedgehog", "grass"): _drawn(
        ((0, .75), (.2, .74), (.35, .8), (.7, .79), (.85, .64), (1, .6), (1, 1), (0, 1))),
    ("world-bison", "meadow"): _drawn(
        ((0, .4), (.18, .4), (.2, .62), (.3, .72), (.55, .71), (.72, .76), (.82, .72), (.9, .66), (1, .66), (1, 1),
         (0, 1))),
}
# fmt: on
SKIES = {
    "place-berlin-cathedral": (0.62, -0.03, 2.0, 0.8),
    "lomiri-picosdeeuropa": (0.36, 0.06, 0.72, 0.45),
    "sklearn-china": (0.62, 2.0, 0.55, 0.5),
    "place-colosseum": (0.5, 0.03, 2.0, 0.6),
}
"""How blue a sky is at least, by how much more than red, unless it is white from such a red on, and how far down."""
NEARNESS = {
    "animal-kitten": ("cat", 0.8, (0.1, 0.9, 0.4)),
    "world-koala": ("koala", 0.9, (0.1, 0.4, 0.4)),
    "animal-kingfisher": ("bird", 0.9, (0.1, 0.2, 0.4)),
    "animal-crab": ("crab", 0.75, (0.1, 0.9, 0.4)),
}
"""What stands out and how near it is; of the ground how near it is at the far and at the near end, and where, as a
share of the height, it begins to come nearer."""
