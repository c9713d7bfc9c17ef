"""How much motion a degree stands for, in words."""

from collections.abc import Sequence

from ..adapters.degree import DegreeRange
from ..media.pictures import format_size
from .motion import Motion


def degree_notes(motions: Sequence[Motion], size: tuple[int, int]) -> list[str]:
    """Say how fast the motions of a run are that act, and were given a degree.

    Args:
        motions: all of the run, with their names.
        size: (height, width) that they were trained at, in pixels.
    """
    return [
        f"{motion.name} at degree {motion.degree:g}: {describe_degree(motion.degree, motion.adapter.degree, size)}."
        for motion in motions
        if motion.acts and motion.degree is not None and motion.adapter.degree
    ]


def describe_range(known: DegreeRange, size: tuple[int, int]) -> str:
    """Say what degrees mean, as "0 to 1 are 0.22 to 1.08 pixels a frame at 64×64; as trained it is at 0.77, with 0.89".

    Args:
        known: what they mean.
        size: (height, width) that they were learnt at, in pixels.
    """
    slowest, fastest = known.speeds[0], known.speeds[-1]
    span = f"0 to 1 are {slowest:.2f} to {fastest:.2f} pixels a frame at {format_size(size)}"
    return f"{span}; as trained it is at {known.usual:.2f}, with {known.speed():.2f}"


def describe_degree(degree: float, known: DegreeRange, size: tuple[int, int]) -> str:
    """Say how fast a degree is, as "about 0.70 pixels a frame at 64×64, 0.79 of its usual speed".

    Args:
        degree: in [0, 1].
        known: what degrees mean.
        size: (height, width) that they were learnt at, in pixels.
    """
    speed = known.speed(degree)
    share = speed / max(known.speed(), 1e-6)
    return f"about {speed:.2f} pixels a frame at {format_size(size)}, {share:.2f} of its usual speed"
