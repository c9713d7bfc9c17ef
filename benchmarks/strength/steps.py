"""What curves over the steps do on the built-in base, where the last step decides."""

from benchmarks.full_size.tables import gates, header, row
from benchmarks.strength.scores import Trial, shipped
from miva_core import Curve, Motion

MOVE = "pan_left"
CURVES = {
    "EDG, whose second half is never reached": (Curve.edg(), -0.1875),
    "more motion early (1.5, then 1)": (Curve.more_early(), 1.0),
    "1, then 1.5": (Curve.more_early(1.0, 1.5), 1.5),
    "0 until the last step, then 1": (Curve.of_values([0.0, 0.0, 0.0, 1.0], "steps"), 1.0),
}
NEAR = 0.02


def steps_section(trial: Trial) -> list[str]:
    adapter = shipped(MOVE, trial.base)

    def speed(name: str, strength: float | Curve) -> float:
        return trial.speeds(f"steps_{name}", [MOVE], [Motion(adapter, strength)]).median().item()

    lines = [
        f"{MOVE}, {len(trial.pictures)} pictures, one seed: speed with a curve over the four steps, and with its "
        "last strength alone.",
        "",
        header("curve", "speed", "speed with its last strength"),
    ]
    furthest = 0.0
    for name, (curve, last) in CURVES.items():
        with_curve, constant = speed(name.split(",")[0].replace(" ", "_"), curve), speed(f"last_{last}", last)
        furthest = max(furthest, abs(with_curve - constant))
        lines.append(row([name, f"{with_curve:.3f}", f"{constant:.3f} ({last:g})"]))
    return [*lines, "", gates({f"within {NEAR} of each other (most: {furthest:.3f})": furthest <= NEAR})]
