"""How fast the motions are that the built-in MiraMo is trained on."""

from collections.abc import Mapping

SPEEDS: Mapping[str, tuple[float, float]] = {
    "camera": (0.2, 1.5),
    "depth": (0.2, 1.3),
    "region": (0.15, 1.1),
    "carried": (0.2, 1.2),
    "shake": (0.3, 1.2),
}
"""The slowest and the fastest one, by kind of motion."""
