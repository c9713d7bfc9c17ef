"""Make the adapters that come with the built-in bases by the commands anybody has.

    python -m tools.train_shipped --out FOLDER [--list] [pan_left jump …]

Prints each command before it runs it, or only prints them with --list. About two minutes for a camera motion on one
processor core and two more for its degree, two for a move in depth, five for a subject's, 10 to 25 for a masked one.
Those of MiraMo, in a folder of that name, take two. What is there already is left alone, and what was interrupted goes
on.
"""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

STILLS = "workflows/pictures/miva_stills"
LICENCE = ("--author", "The ComfyUI-MIVA contributors", "--licence", "Apache-2.0")
CAMERA = ("pan-left", "pan-right", "pan-up", "pan-down", "zoom-in", "zoom-out", "roll-cw", "roll-ccw")
DEPTH = ("dolly-in",)
SUBJECT = ("rise", "jump")
MASKED = {"jump": (), "sway": ("--no-flip",)}
"""With what has a side: a sway begins to the right."""
OF_MIRAMO = ("spiral", "pan_up_left")
"""Of the built-in MiraMo, which has no words for them."""
OF_A_CAMERA = "150"
"""Steps of motions of the whole frame, whose flow is known everywhere; subjects take the usual number."""
FOR_A_DEGREE = ("--degree", "--steps", "120", "--batch", "2")
"""How a camera motion learns its degree, from what it has learnt at its usual speed."""
OF_A_SUBJECT = "100"
"""Clips, as many as the camera motions have. Of 20, jump and rise learn 0.03 to 0.04 less of the ideal speed."""


def training_commands(out: Path) -> dict[str, list[list[str]]]:
    """What makes each file of the folder, by its stem, after `python -m`."""
    made: dict[str, list[list[str]]] = {}
    for motion in CAMERA:
        name, filmed = motion.replace("-", "_"), ("--film", motion, "--speed", "0.9")
        made[f"{name}_usual"] = [train_command(STILLS, f"{name}_usual", out, *filmed, "--steps", OF_A_CAMERA)]
        made[name] = [train_command(STILLS, name, out, *filmed, "--from", file(out, f"{name}_usual"), *FOR_A_DEGREE)]
    for motion in DEPTH:
        film = ("--film", motion, "--speed", "0.9", "--steps", OF_A_CAMERA)
        made[motion.replace("-", "_")] = [train_command(STILLS, motion, out, *film)]
    for motion in SUBJECT:
        made[motion] = [
            draw_command(out, motion, "--count", OF_A_SUBJECT),
            train_command(clips(out, motion), motion, out, "--subject", "object"),
        ]
    for motion, options in MASKED.items():
        alone = f"{motion}_alone"
        subject = ("--masked", "--motion", motion, "--subject", "object", *options)
        made[alone] = [
            draw_command(out, motion, "--others", name=alone),
            train_command(clips(out, alone), alone, out, *subject),
        ]
    first, second = MASKED
    made[f"{first}_masked"] = [
        draw_command(out, first, "--beside", second, name="together"),
        train_command(
            clips(out, "together"),
            f"{first}_masked",
            out,
            *("--masked", "--motion", first, "--subject", "object", "--no-flip"),
            *("--from", file(out, f"{first}_alone"), "--beside", file(out, f"{second}_alone")),
            *("--beside-out", file(out, f"{second}_masked")),
        ),
    ]
    for motion in OF_MIRAMO:
        made[motion] = [
            ["tools.film_camera", motion, "--out", clips(out, motion)],
            train_command(clips(out, motion), motion, out / "miramo", "--base", "miramo", "--no-flip"),
        ]
    made["camera_words"] = [["tools.train_camera_words", "--out", file(out, "camera_words")]]
    return made


def draw_command(out: Path, motion: str, *options: str, name: str | None = None) -> list[str]:
    return ["tools.draw_clips", motion, *options, "--out", clips(out, name or motion)]


def train_command(source: str, name: str, out: Path, *options: str) -> list[str]:
    return ["miva_core", "train", source, *options, *LICENCE, "--out", file(out, name.replace("-", "_"))]


def clips(out: Path, name: str) -> str:
    return str(out / "clips" / name)


def file(out: Path, name: str) -> str:
    return str(out / f"{name}.safetensors")


def made_by(command: list[str]) -> Path:
    """What a command makes."""
    return Path(command[command.index("--out") + 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="default: all, in an order in which each has what it needs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--list", action="store_true", help="print the commands, and run nothing")
    args = parser.parse_args()
    made = training_commands(args.out)
    for name in args.names or made:
        for command in made[name]:
            begun = (made_by(command).with_suffix(".training") / "checkpoint.safetensors").exists()
            whole = ["-m", *command, *(["--resume"] if begun and command[0] == "miva_core" else [])]
            print(f"python {shlex.join(whole)}", flush=True)
            if not args.list and not made_by(command).exists():
                made_by(command).parent.mkdir(parents=True, exist_ok=True)
                subprocess.run([sys.executable, *whole], check=True)


if __name__ == "__main__":
    main()
