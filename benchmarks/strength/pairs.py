"""Extrapolation by two motions of one kind, a slow and a fast one: the fast one at 1 + a, the slow one at -a."""

from pathlib import Path

from benchmarks.full_size.tables import header, row
from benchmarks.strength.scores import Trial, shipped
from miva_core import MIVAAdapter, Motion
from miva_core.cli.main import main

MOVE, SLOW = "pan_left", 0.45
STILLS = Path(__file__).parents[2] / "workflows" / "pictures" / "miva_stills"
BEYOND = (0.25, 0.5, 1.0)


def pairs_section(trial: Trial) -> list[str]:
    fast, slow = shipped(MOVE, trial.base), _slow(trial)
    lines = [
        f"{MOVE}, {len(trial.pictures)} pictures, one seed. The slow motion was trained as the shipped one was, at "
        f"{SLOW} pixels a frame in place of 0.9. Speed and dB as above.",
        "",
        header("a", "fast 1 + a, slow -a", "fast 1 + a alone"),
        row(["0", _cell(trial, "fast", [Motion(fast)]), ""]),
    ]
    for a in BEYOND:
        pair = _cell(trial, f"pair_{a}", [Motion(fast, 1 + a), Motion(slow, -a)])
        lines.append(row([f"{a:g}", pair, _cell(trial, f"alone_{a}", [Motion(fast, 1 + a)])]))
    return [*lines, "", f"The slow motion alone at 1: {_cell(trial, 'slow', [Motion(slow)])}."]


def _slow(trial: Trial) -> MIVAAdapter:
    """Trained in two minutes, unless it is there."""
    path = trial.work / "slow.safetensors"
    if not path.exists():
        main(["train", str(STILLS), "--film", "pan-left", "--speed", str(SLOW), "--steps", "150", "--out", str(path)])
    return MIVAAdapter.load(path, trial.base.backbone)


def _cell(trial: Trial, name: str, motions: list[Motion]) -> str:
    speed, psnr = trial.speed_and_psnr(f"pair_{name}", MOVE, motions)
    return f"{speed.median():.2f}, {psnr.mean():.1f} dB"
