"""Make the animation at the top of README: a photograph in motion by formulas, without a seam in time.

    python -m tools.readme_animation

Its motions are those of the workflow 14_living_photograph. It is compressed to at most 3 MB.
"""

from PIL import Image

from miva_core.filming.film import FilmOptions, film
from miva_core.filming.filmed_motion import FilmedMotion
from miva_core.media.pictures import read_mask, read_picture
from miva_core.media.pixel_values import to_bytes
from miva_core.rendering.timing import Timing

from .motion_gallery import ROOT, animation
from .workflow_graphs.living import MOTIONS, PICTURE

PICTURES = ROOT / "workflows" / "pictures"
FILE = ROOT / "docs" / "animation.webp"
LIMIT = 3_000_000
SIZE = 576, 768
FPS = 12


def main() -> None:
    motions = [
        FilmedMotion(name, speed, read_mask(PICTURES / f"{PICTURE}_{part}.png") if part else None)
        for name, speed, part in MOTIONS
    ]
    options = FilmOptions(SIZE, Timing(FPS, 4.0, "ease-in-out", loop=True))
    clip = film(
        read_picture(PICTURES / f"{PICTURE}.jpg"), motions, read_mask(PICTURES / f"{PICTURE}_depth.png"), options
    )
    frames = [Image.fromarray(to_bytes(frame.pixels).numpy()) for frame in clip]
    FILE.write_bytes(animation(frames, [round(1000 / FPS)] * len(frames), LIMIT))
    print(f"{FILE.relative_to(ROOT)}: {FILE.stat().st_size / 1e6:.2f} MB.")


if __name__ == "__main__":
    main()
