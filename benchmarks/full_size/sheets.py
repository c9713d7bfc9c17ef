"""Frames of clips of the bundled photographs, side by side at a size at which faults are seen."""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from benchmarks.full_size.runs import shipped
from benchmarks.full_size.tables import header, row
from miva_core import Motion, RunOptions, animate
from miva_core.bases.base import Base
from miva_core.media.pictures import read_mask, read_picture
from miva_core.rendering.timing import Timing

PHOTOGRAPHS = Path(__file__).parents[2] / "workflows" / "pictures"
SHOWN = (0, 5, 10, 15)
LONG_SIDE, GAP, LARGEST = 896, 6, 400_000
"""Pixels of a frame's longer side and between frames; bytes of a sheet."""


@dataclass(frozen=True)
class Sheet:
    """A photograph, the motions it is animated by, and the masks of those that have one."""

    photograph: str
    motions: tuple[str, ...]
    masks: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"full_size_{'_'.join(self.motions)}.jpg"


SHEETS = (
    Sheet("miva_petra.jpg", ("pan_left",)),
    Sheet("miva_machu_picchu.jpg", ("zoom_in",)),
    Sheet("miva_red_panda.jpg", ("zoom_out",)),
    Sheet("miva_citrus.jpg", ("roll_cw",)),
    Sheet("miva_kingfisher.jpg", ("jump_masked",), {"jump_masked": "miva_kingfisher_mask.png"}),
    Sheet("miva_kingfisher.jpg", ("sway_masked",), {"sway_masked": "miva_kingfisher_mask.png"}),
    Sheet(
        "miva_lemurs.jpg",
        ("sway_masked", "jump_masked"),
        {"sway_masked": "miva_lemur_back.png", "jump_masked": "miva_lemur_front.png"},
    ),
    Sheet("miva_lemurs.jpg", ("pan_left", "jump_masked"), {"jump_masked": "miva_lemur_front.png"}),
)


def sheets_section(base: Base, out: Path) -> list[str]:
    """Write the sheets, and tell what is on them."""
    for sheet in SHEETS:
        frames = animated(base, sheet)
        tall, wide = frames[0].shape[:2]
        beside = 2 if wide >= tall else 4
        rows = [np.hstack([padded(frame) for frame in frames[k : k + beside]]) for k in range(0, len(frames), beside)]
        content = compressed(np.vstack(rows)[:-GAP, :-GAP])
        (out / sheet.name).write_bytes(content)
        print(f"{sheet.name}: {len(content) // 1000} kB", flush=True)
    rows = [row([f"[{s.name}]({s.name})", s.photograph, " + ".join(s.motions)]) for s in SHEETS]
    introduction = (
        f"Frames {', '.join(map(str, SHOWN))} of 16; photographs were chosen so that their subject stays in view.\n"
    )
    return [introduction, header("sheet", "photograph", "motions"), *rows]


def animated(base: Base, sheet: Sheet) -> list[Tensor]:
    """The frames to be shown, as users get them."""
    picture = read_picture(PHOTOGRAPHS / sheet.photograph)
    masks = {name: read_mask(PHOTOGRAPHS / file) for name, file in sheet.masks.items()}
    motions = [Motion(shipped(base, name), mask=masks.get(name), name=name) for name in sheet.motions]
    clip = animate(base, picture, motions, RunOptions(timing=Timing(fps=8)))
    return [clip.source.frame(k).pixels for k in SHOWN]


def padded(frame: Tensor) -> np.ndarray:
    """uint8 BGR, no larger than it is shown, with a gap to the right and below."""
    share = min(1.0, LONG_SIDE / max(frame.shape[:2]))
    small = cv2.resize(frame.numpy(), None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    pixels = (small[..., ::-1] * 255).round().clip(0, 255).astype(np.uint8)
    return np.pad(pixels, ((0, GAP), (0, GAP), (0, 0)), constant_values=255)


def compressed(picture: np.ndarray) -> bytes:
    """A JPEG as good as its size allows."""
    for quality in range(90, 40, -5):
        content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(content) <= LARGEST:
            break
    return content
