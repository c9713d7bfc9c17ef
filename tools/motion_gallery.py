"""Make the clips that README shows of the motions that come with the pack, by the commands that stand beside them.

    python -m tools.motion_gallery [pan_left jump …]

The commands are read from README's table, and write into docs/motions.
"""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "motions"
_COMMAND = re.compile(r"`python (-m miva_core animate .* --out docs/motions/(\w+)\.gif)`")


def commands() -> dict[str, list[str]]:
    """What follows `python` in the command of each motion."""
    readme = (ROOT / "README.md").read_text("utf-8")
    return {name: shlex.split(command) for command, name in _COMMAND.findall(readme)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("motions", nargs="*", help="default: all")
    chosen = parser.parse_args().motions
    FOLDER.mkdir(exist_ok=True)
    for name, command in commands().items():
        if not chosen or name in chosen:
            subprocess.run([sys.executable, *command], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
