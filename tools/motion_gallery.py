"""Make the clips that README shows of the motions that come with the pack, by the commands that stand beside them.

    python -m tools.motion_gallery [pan_left jump …]

The commands are read from README's table, and write into docs/motions. What they wrote is then compressed to at most
350 kB.
"""

import argparse
import re
import shlex
import subprocess
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageSequence

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "motions"
LIMIT = 350_000
_COMMAND = re.compile(r"`python (-m miva_core animate .* --out docs/motions/(\w+)\.webp)`")


def commands() -> dict[str, list[str]]:
    """What follows `python` in the command of each motion."""
    readme = (ROOT / "README.md").read_text("utf-8")
    return {name: shlex.split(command) for command, name in _COMMAND.findall(readme)}


def animation(frames: list[Image.Image], durations: list[int], limit: int) -> bytes:
    """The best endless WebP of some frames that is no larger than so many bytes.

    Args:
        durations: of each frame, in ms.
    """
    for quality in range(80, 0, -5):
        written = BytesIO()
        options = {"save_all": True, "append_images": frames[1:], "duration": durations, "loop": 0}
        frames[0].save(written, "WEBP", quality=quality, method=4, **options)
        if written.tell() <= limit:
            break
    return written.getvalue()


def compress(path: Path) -> None:
    """Write a WebP animation anew so that it takes no more than `LIMIT` bytes."""
    frames, durations = [], []
    with Image.open(path) as clip:
        for frame in ImageSequence.Iterator(clip):
            frames.append(frame.convert("RGB"))
            durations.append(frame.info["duration"])
    path.write_bytes(animation(frames, durations, LIMIT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("motions", nargs="*", help="default: all")
    chosen = parser.parse_args().motions
    FOLDER.mkdir(exist_ok=True)
    for name, command in commands().items():
        if not chosen or name in chosen:
            subprocess.run([sys.executable, *command], cwd=ROOT, check=True)
            compress(FOLDER / f"{name}.webp")


if __name__ == "__main__":
    main()
