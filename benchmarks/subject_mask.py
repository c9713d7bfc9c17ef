"""How well the small test models find, mask and track coloured shapes: the pipeline, not quality on photographs.

    python -m benchmarks.subject_mask [--detector FOLDER] [--segmenter FOLDER] [--out FILE.md]

200 pictures of 1 to 3 shapes, and 25 clips of 6 frames with 2 shapes, none of which the models were trained on.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
import transformers
from torch import Tensor
from torchvision.ops import box_iou

from miva_core.subject_mask.detector import Detector
from miva_core.subject_mask.model_files import load_detector, load_segmenter
from miva_core.subject_mask.search import SearchOptions
from miva_core.subject_mask.segmenter import Segmenter
from miva_core.subject_mask.shape_models import SHAPES
from miva_core.subject_mask.subjects import find_subjects, segment
from tools.shapes import KINDS, Scene, boxes_of, draw_scene

PICTURES, CLIPS, FRAMES = 200, 25, 6
SIZES = ((96, 96), (96, 128), (128, 96), (128, 160))
_TRAINED_BELOW = 1_000_000
"""Seeds from here on are of this benchmark."""


def scenes(count: int, frames: int, shapes: tuple[int, int]) -> list[Scene]:
    """Held-out scenes with so many shapes (at least, at most)."""
    drawn = []
    for k in range(count):
        rng = np.random.default_rng(_TRAINED_BELOW + 1000 * frames + k)
        drawn.append(draw_scene(rng, SIZES[k % len(SIZES)], int(rng.integers(shapes[0], shapes[1] + 1)), frames))
    return drawn


def prompt(scene: Scene) -> str:
    return " ".join(f"{name}." for name in scene.names)


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of masks (…, H, W)."""
    a, b = a > 0.5, b > 0.5
    return (a & b).sum((-1, -2)) / (a | b).sum((-1, -2)).clamp(min=1)


def of_pictures(detector: Detector, segmenter: Segmenter) -> dict[str, str]:
    """Boxes, masks from them, and masks from points and shifted masks, on pictures."""
    right, masks, clicked, rough, wanting, absent, seconds = [], [], [], [], [], [], []
    for scene in scenes(PICTURES, 1, (1, 3)):
        started = time.perf_counter()
        found = find_subjects(scene.frames, prompt(scene), detector, segmenter, SearchOptions(0.01, missing="empty"))
        seconds.append(time.perf_counter() - started)
        truth = boxes_of(scene.masks[:, 0])
        for k, boxes in enumerate(of_frame[0] for of_frame in found.boxes):
            right.append(bool(len(boxes)) and box_iou(boxes[:1], truth[k : k + 1]).item() > 0.5)
            score = found.scores[k][0][0].item() if len(boxes) else 0.0
            wanting.append(score < 0.3)
        masks += overlap(found.masks[:, 0], scene.masks[:, 0]).tolist()
        centres = [[(x0 + x1) / 2, (y0 + y1) / 2, 1] for x0, y0, x1, y1 in truth.tolist()]
        masks = segment(scene.frames, segmenter, points=[[centre] for centre in centres])
        clicked += overlap(masks[:, 0], scene.masks[:, 0]).tolist()
        masks = segment(scene.frames, segmenter, rough=torch.roll(scene.masks[:, 0], (2, -2), (1, 2)))
        rough += overlap(masks[:, 0], scene.masks[:, 0]).tolist()
        missing = next(
            f"{colour} {kind}" for colour in ("red", "blue") for kind in KINDS if f"{colour} {kind}" not in scene.names
        )
        absent.append(detector(scene.frames[0], [missing, *scene.names])[0].best_score >= 0.3)
    return {
        f"box IoU > 0.5, of {len(right)} shapes in {PICTURES} pictures": f"{statistics.mean(right):.1%}",
        "… that score less than 0.3": f"{statistics.mean(wanting):.1%}",
        "absent shapes that score 0.3 or more": f"{statistics.mean(absent):.1%}",
        "mask IoU from detected boxes": f"{statistics.mean(masks):.3f}",
        "mask IoU from a point in the middle": f"{statistics.mean(clicked):.3f}",
        "mask IoU from the true mask, moved by 2 pixels in x and y": f"{statistics.mean(rough):.3f}",
        "seconds to detect and mask, median": f"{statistics.median(seconds):.3f}",
    }


def of_clips(detector: Detector, segmenter: Segmenter) -> dict[str, str]:
    """Masks tracked from the first and from a middle frame, which shape they lie on, and prompts in another order."""
    tracked, still, middle, switched, swapped = [], [], [], 0, 0
    for scene in scenes(CLIPS, FRAMES, (2, 2)):
        found = find_subjects(scene.frames, prompt(scene), detector, segmenter, SearchOptions(0.01, missing="empty"))
        tracked += overlap(found.masks, scene.masks).flatten().tolist()
        still += overlap(found.masks[:, :1], scene.masks).flatten().tolist()
        other = overlap(found.masks, scene.masks.flip(0))
        switched += int((other > overlap(found.masks, scene.masks)).sum())
        from_middle = find_subjects(
            scene.frames, prompt(scene), detector, segmenter, SearchOptions(0.01, missing="empty"), key_frame=3
        )
        middle += overlap(from_middle.masks, scene.masks).flatten().tolist()
        turned = ". ".join(reversed(scene.names))
        again = find_subjects(scene.frames[:1], turned, detector, segmenter, SearchOptions(0.01, missing="empty"))
        swapped += overlap(again.masks.flip(0), found.masks[:, :1]).min().item() > 0.9
    tenth = sorted(tracked)[len(tracked) // 10]
    return {
        f"mask IoU, {CLIPS} clips × {FRAMES} frames × 2 shapes, tracked": f"{statistics.mean(tracked):.3f}",
        "… its 10th percentile": f"{tenth:.3f}",
        "… tracked from frame 3, both ways": f"{statistics.mean(middle):.3f}",
        "… if the first mask stood still": f"{statistics.mean(still):.3f}",
        "masks that lie rather on the other shape": str(switched),
        f"clips of {CLIPS} whose masks swap when the prompt does": str(swapped),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", type=Path, default=SHAPES / "grounding-dino")
    parser.add_argument("--segmenter", type=Path, default=SHAPES / "sam2")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    detector, segmenter = load_detector(args.detector), load_segmenter(args.segmenter)
    measured = of_pictures(detector, segmenter) | of_clips(detector, segmenter)
    lines = [
        "# Subject masks with the test models",
        "",
        f"`python -m benchmarks.subject_mask`, transformers {transformers.__version__}, one thread of a processor.",
        "",
        "| what | measured |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in measured.items()),
    ]
    print("\n".join(lines))
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
