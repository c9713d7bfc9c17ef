"""The tables, and the limits that the model is held to."""

from collections.abc import Sequence

import torch

from benchmarks.miramo.cases import OTHER_SIZES, SPEEDS, Case, measured
from benchmarks.miramo.models import Answer
from benchmarks.miramo.scores import Scores
from tools.motion_world.clips import World

ERRORS = {
    "camera": 0.08,
    "depth": 0.1,
    "drift": 0.1,
    "flag": 0.25,
    "ripple": 0.25,
    "breathe": 0.45,
    "sway": 0.45,
}
"""Greatest relative error of each kind or word, with its guide."""
UNGUIDED_DEPTH = 0.35
SPEED_RANGE = (0.85, 1.15)
"""Of what is asked for: of cameras, depth moves and drifts."""


def error_limit(case: Case) -> float | None:
    """The greatest relative error that is allowed, or None where there is no limit."""
    if case.hard or (case.kind in ("region", "carried") and not case.guided):
        return None
    if case.kind == "depth" and not case.guided:
        return UNGUIDED_DEPTH
    return next((limit for name, limit in ERRORS.items() if case.kind == name or case.word.startswith(name)), None)


def missed(case: Case, scores: Scores) -> list[str]:
    """Which limits a case misses, in words."""
    limit, fails = error_limit(case), []
    if limit is None:
        return fails
    if scores.relative > limit:
        fails.append(f"error > {limit:g}")
    if float(scores.right.float().mean()) < (1.0 if case.kind == "camera" else 0.95):
        fails.append("direction")
    speed = float(scores.speed.mean())
    in_range = SPEED_RANGE[0] <= speed <= SPEED_RANGE[1]
    if (case.kind in ("camera", "depth") or case.word.startswith("drift")) and case.guide != "none" and not in_range:
        fails.append("speed")
    return fails


def case_line(case: Case, scores: Scores) -> str:
    """A row of `case_table`."""
    leak = float(scores.leak.nanmean())
    fails, limit = missed(case, scores), error_limit(case)
    kept = "" if limit is None else ", ".join(fails) or f"kept (≤ {limit:g})"
    return (
        f"| {case.label} | {case.guide} | {float(scores.error.mean()):.2f} / {float(scores.size.mean()):.2f} "
        f"| {scores.relative:.2f} | {float(scores.right.float().mean()):.0%} "
        f"| {float(scores.speed.mean()):.2f} ({float(scores.speed.std()):.2f}) "
        f"| {'' if leak != leak else f'{leak:.2f}'} | {kept} |"
    )


CASE_HEAD = (
    "| motion | guide | error / motion, px | relative | right way | speed (sd) | leak outside, px | limit |\n"
    "|---|---|---|---|---|---|---|---|"
)


def case_table(model: Answer, world: World, asked: Sequence[Case], seeds: Sequence[int]) -> list[str]:
    """A row for each case, at 64x64."""
    lines = [CASE_HEAD]
    for case in asked:
        lines.append(case_line(case, measured(model, world, case, seeds)))
        print(lines[-1], flush=True)
    return lines


def speed_table(model: Answer, world: World, asked: Sequence[Case]) -> list[str]:
    """What speeds come of those that are asked for, and how often more is more."""
    head = "| motion | guide | " + " | ".join(f"{speed:g}" for speed in SPEEDS) + " | within 15 % | more is more |"
    lines = [head, "|---" * (len(SPEEDS) + 4) + "|"]
    for case in asked:
        got = torch.stack([speed * measured(model, world, case, [0], speed=speed).speed for speed in SPEEDS])
        means, wanted = got.mean(1), torch.tensor(SPEEDS)
        close = "yes" if bool(((means / wanted - 1).abs() <= 0.15).all()) else "no"
        rising = float((got[1:] > got[:-1]).float().mean())
        shown = " | ".join(f"{mean:.2f}" for mean in means.tolist())
        lines.append(f"| {case.label} | {case.guide} | {shown} | {close} | {rising:.0%} |")
        print(lines[-1], flush=True)
    return lines


def size_table(model: Answer, world: World, asked: Sequence[Case]) -> list[str]:
    """Relative error and speed at sizes that are not square."""
    names = [f"{width}×{height}" for height, width in OTHER_SIZES]
    lines = ["| motion | guide | " + " | ".join(names) + " |", "|---" * (len(OTHER_SIZES) + 2) + "|"]
    for case in asked:
        found = [measured(model, world, case, [0], size) for size in OTHER_SIZES]
        shown = [f"{scores.relative:.2f}, {float(scores.speed.mean()):.2f}" for scores in found]
        lines.append(f"| {case.label} | {case.guide} | {' | '.join(shown)} |")
        print(lines[-1], flush=True)
    return lines
