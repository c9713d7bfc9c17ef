"""How fast each camera motion is at weights below and above 1, and what that costs."""

import torch

from benchmarks.full_size.tables import gates, header, row
from benchmarks.strength.scores import CAMERAS, Trial, shipped
from miva_core import Motion

WEIGHTS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
GATED = (1.0, 1.5)
"""Weights that are measured with all seeds."""
FASTER, LOSS = 1.15, 2.5
"""Least gain in speed and greatest loss in dB at 1.5."""


def weights_section(trial: Trial) -> list[str]:
    scores = {move: _of_move(trial, move) for move in CAMERAS}
    lines = [
        f"{len(trial.pictures)} pictures; one motion at a time; {_seeded(trial, scores)}. Speed: median over clips, 1 "
        "being that of the ideal clip at 0.9 pixels a frame. dB: mean PSNR of frames 2 to 16 to the ideal clip *at the "
        "speed that was reached*, so that it tells damage, and not the speed itself; beside it how far that is from "
        "weight 1.",
        "",
        header("motion", *map(str, WEIGHTS)),
    ]
    for move, by_weight in scores.items():
        lines.append(row([move, *(_cell(by_weight, weight) for weight in WEIGHTS)]))
    gains = {move: _gain(by_weight) for move, by_weight in scores.items()}
    losses = {move: _psnr(by_weight, 1.0) - _psnr(by_weight, 1.5) for move, by_weight in scores.items()}
    most = max(losses, key=losses.__getitem__)
    least = min(gains, key=gains.__getitem__)
    met = {
        f"1.5 goes at {FASTER} or more of the speed of 1 (least: {least}, {gains[least]:.2f})": gains[least] >= FASTER,
        f"and loses at most {LOSS} dB (most: {most}, {losses[most]:.1f})": losses[most] <= LOSS,
    }
    return [*lines, "", gates(met)]


Scores = dict[float, tuple[torch.Tensor, torch.Tensor]]


def _of_move(trial: Trial, move: str) -> Scores:
    adapter = shipped(move, trial.base)
    scores = {}
    for weight in WEIGHTS:
        seeds = trial.seeds if weight in GATED else 1
        scores[weight] = trial.speed_and_psnr(f"weight_{move}_{weight}", move, [Motion(adapter, weight)], seeds)
    return scores


def _speed(scores: Scores, weight: float) -> float:
    return scores[weight][0].median().item()


def _psnr(scores: Scores, weight: float) -> float:
    return scores[weight][1].mean().item()


def _gain(scores: Scores) -> float:
    return _speed(scores, 1.5) / _speed(scores, 1.0)


def _cell(scores: Scores, weight: float) -> str:
    loss = _psnr(scores, weight) - _psnr(scores, 1.0)
    beside = "" if weight == 1 else f" ({loss:+.1f})"
    return f"{_speed(scores, weight):.2f}, {_psnr(scores, weight):.1f} dB{beside}"


def _seeded(trial: Trial, scores: dict[str, Scores]) -> str:
    if trial.seeds == 1:
        return "one seed"
    weights = " and ".join(map(str, GATED))
    return f"{trial.seeds} seeds at {weights}, which differ by up to {_spread(scores):.3f} in speed, one elsewhere"


def _spread(scores: dict[str, Scores]) -> float:
    """How far the mean speeds of seeds lie from each other, at most."""
    means = [by_weight[weight][0].mean(1) for by_weight in scores.values() for weight in GATED]
    return max((mean.amax() - mean.amin()).item() for mean in means)
