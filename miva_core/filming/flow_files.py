"""The flow of filmed clips, as files beside them."""

import json
from pathlib import Path

from ..storage.files import replacing
from ..storage.weights import save_weights
from .motion_clips import MotionClip


def write_flow(clip: MotionClip, folder: Path, name: str) -> None:
    """Write what the exact flow of a clip follows from.

    `NAME_flow.json` holds, for a camera and a shake of the whole frame, a 2×3 matrix A for each frame but the last: the
    flow at a pixel is A (x, y, 1), in pixels, with x and y in pixels off the centre of the frame. For all others it
    holds the numbers of the formula, and `NAME_maps.safetensors` the mask or the nearness of the first frame.

    Args:
        clip: the clip.
        folder: that the files are written to; older ones are replaced.
        name: of the clip.

    Raises:
        MIVAError: they cannot be written.
    """
    with replacing(folder / f"{name}_flow.json") as temporary:
        temporary.write_text(json.dumps(clip.formula))
    if clip.maps:
        maps = {key: plane.half().contiguous() for key, plane in clip.maps.items()}
        save_weights(folder / f"{name}_maps.safetensors", maps, {}, "The map")
