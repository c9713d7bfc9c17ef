"""What every base passes: one set of tests, run with each base of `BASES`.

A new base gets all of it for one line here: its name, and a function that makes a small frozen instance of it in a
second. Attention that is not softmax attention also needs its slow formula in `slow_attention.py`. What only one base
does is tested in tests/unit/bases.
"""

from collections.abc import Callable
from dataclasses import replace

from small_bases import small_animatediff, small_miramo, small_wan

from miva_core import Base, load_base
from miva_core.bases.wan.releases import WAN_2_2_HIGH

BASES: dict[str, Callable[[], Base]] = {
    # A quarter of its pixels, for speed.
    "tiny": lambda: replace(load_base("tiny"), size=(32, 32)),
    "miramo": small_miramo,
    "animatediff": small_animatediff,
    # Three latent frames, of which the last has another before it than the first.
    "wan": lambda: replace(small_wan(), frames=9),
    # One of those of 14B stands for all, whose networks are alike: the one that learns a part of the timesteps.
    "wan-2.2-high": lambda: small_wan(WAN_2_2_HIGH, num_layers=3),
}
