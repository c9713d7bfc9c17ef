"""Make the animation at the top of README: four clips of the built-in base beside each other, without a seam in time.

    python -m tools.readme_animation

It is compressed to at most 3 MB.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from miva_core import Base, MIVAAdapter, Motion, RunOptions, animate, load_base
from miva_core.bases.tiny.spec import SHIPPED
from miva_core.media.pictures import read_mask, read_picture
from miva_core.media.pixel_values import to_bytes
from miva_core.rendering.timing import Timing

from .motion_gallery import ROOT, animation

PICTURES = ROOT / "workflows" / "pictures"
FILE = ROOT / "docs" / "animation.webp"
LIMIT = 3_000_000
SIZE = 288, 512
"""Height and width of each clip."""
GAP = 4
FPS = 12
THERE_AND_BACK = Timing(FPS, 4.0, "ease-in-out", loop=True)
CLIPS: tuple[tuple[str, dict[str, str | None], Timing], ...] = (
    ("machu_picchu", {"pan_left": None}, THERE_AND_BACK),
    ("red_panda", {"zoom_in": None}, THERE_AND_BACK),
    ("lemurs", {"sway_masked": "lemur_back", "jump_masked": "lemur_front"}, Timing(FPS, 4.0, loop=True)),
    ("crab", {"zoom_in": None, "jump_masked": "crab_mask"}, THERE_AND_BACK),
)
"""Pictures, their motions with masks of their subjects, and times; the first two in the upper row."""


def clip_frames(base: Base, picture: str, masks: dict[str, str | None], timing: Timing) -> Iterator[np.ndarray]:
    """Frames (H, W, 3) uint8 of a bundled picture, animated."""
    motions = [
        Motion(
            MIVAAdapter.load(SHIPPED / f"{name}.safetensors", base.backbone),
            mask=None if mask is None else read_mask(PICTURES / f"miva_{mask}.png"),
            name=name,
        )
        for name, mask in masks.items()
    ]
    options = RunOptions(size=SIZE, timing=timing)
    for frame in animate(base, read_picture(PICTURES / f"miva_{picture}.jpg"), motions, options):
        yield to_bytes(frame.pixels).numpy()


def beside(clips: tuple[np.ndarray, ...]) -> Image.Image:
    """Four frames in two rows on white."""
    height, width = SIZE
    sheet = Image.new("RGB", (2 * width + GAP, 2 * height + GAP), "white")
    for index, frame in enumerate(clips):
        row, column = divmod(index, 2)
        sheet.paste(Image.fromarray(frame), (column * (width + GAP), row * (height + GAP)))
    return sheet


def main() -> None:
    base = load_base("tiny")
    together = zip(*(clip_frames(base, *clip) for clip in CLIPS), strict=True)
    frames = [beside(clips) for clips in together]
    FILE.write_bytes(animation(frames, [round(1000 / FPS)] * len(frames), LIMIT))
    print(f"{FILE.relative_to(ROOT)}: {FILE.stat().st_size / 1e6:.2f} MB.")


if __name__ == "__main__":
    main()
