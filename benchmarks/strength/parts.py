"""Which part of a motion carries how much of it: each left out, and each extrapolated, while the others stay at 1."""

from benchmarks.full_size.tables import header, row
from benchmarks.strength.scores import Trial, shipped
from miva_core import Motion, Strength
from miva_core.attention.strength import Part

MOVES = ("pan_left", "zoom_in")
FACTORS = (0.0, 1.5)
NAMES = {part: part.name.lower().replace("_", "-") for part in Part}


def parts_section(trial: Trial) -> list[str]:
    lines = [
        f"{len(trial.pictures)} pictures, one seed, speed and dB as above.",
        "",
        header("strengths", *MOVES),
        row(["all 1", *(_cell(trial, move, Strength(), "all_1") for move in MOVES)]),
    ]
    for part in Part:
        for factor in FACTORS:
            strength = Strength(**{part.name.lower(): factor})
            cells = (_cell(trial, move, strength, f"{part.name.lower()}_{factor:g}") for move in MOVES)
            lines.append(row([f"{NAMES[part]} {factor:g}", *cells]))
    return lines


def _cell(trial: Trial, move: str, strength: Strength, name: str) -> str:
    motions = [Motion(shipped(move, trial.base), strength)]
    speed, psnr = trial.speed_and_psnr(f"part_{move}_{name}", move, motions)
    return f"{speed.median():.2f}, {psnr.mean():.1f} dB"
