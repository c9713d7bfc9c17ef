"""Time of one block of Wan at its full width, on the processor."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from .networks import CPU, operations, wan_network
from .tables import table


def times_table(pairs: int) -> str:
    network = wan_network(CPU, 1, (1, 16, 5, 24, 32))
    plain = network.step((), 512)
    variants = {
        "one motion, no prompt": network.step(network.motions([1.0]), 1),
        "one motion, a prompt that is not heard": network.step(network.motions([1.0]), 512),
        "one motion of weight 0.7, a prompt": network.step(network.motions([0.7]), 512),
        "two motions of 0.5, no prompt": network.step(network.motions([0.5, 0.5]), 1),
    }
    rows = []
    for name, call in variants.items():
        for warm in (plain, call, call):
            warm()
        ratios = []
        for number in range(pairs):
            order = (plain, call) if number % 2 else (call, plain)
            seconds = {one: _seconds(one) for one in order}
            ratios.append(seconds[call] / seconds[plain])
        base, counted = operations(plain), operations(call)
        spread = f"{min(ratios):.2f} … {max(ratios):.2f}"
        rows.append((name, f"{statistics.median(ratios):.3f}", spread, f"{counted / base:.3f}"))
    return f"Medians of {pairs} pairs.\n\n" + table(
        ("one block, 256×192×17", "time to the plain model with a prompt", "spread", "operations"), rows
    )


def _seconds(call: Callable[[], object]) -> float:
    """Of the processor, so that others on the machine are not counted."""
    began = time.process_time()
    call()
    return time.process_time() - began
