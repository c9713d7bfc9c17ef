"""Train the small Grounding DINO or SAM 2 that the tests use, on drawn shapes.

    python -m tools.train_shapes detector --start FOLDER --out FOLDER --minutes 15
    python -m tools.train_shapes segmenter --start FOLDER --out FOLDER --minutes 20

A folder is as transformers saves a model. Its configuration and vocabulary, and with --go-on its weights, are what
training begins with. Without --go-on they are drawn as PyTorch draws them, since the library's narrow draws starve such
small models. Figures: `python -m benchmarks.subject_mask`.
"""

import argparse
import copy
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from tokenizers import Tokenizer
from torch import Tensor, nn
from torchvision.ops import box_convert
from tqdm import tqdm
from transformers import GroundingDinoForObjectDetection, Sam2Model, Sam2VideoModel, Sam2VideoProcessor
from transformers import Sam2VideoVideoProcessor as VideoProcessor

from miva_core.subject_mask.images import image_processor
from miva_core.subject_mask.sam2_names import image_configuration
from tools.shapes import NAMES, Scene, boxes_of, draw_scene

_MEAN = torch.tensor([0.485, 0.456, 0.406])
_STD = torch.tensor([0.229, 0.224, 0.225])
_CLS, _SEP, _STOP = 101, 102, 1012
_EVERY = 200
"""Steps between files."""
_PICTURES_TO_A_CLIP = 4
"""Steps with pictures for one with clips."""


def normalised(frames: Tensor) -> Tensor:
    """Frames (F, H, W, 3) in [0, 1] as the models see them, (F, 3, H, W)."""
    return rearrange((frames - _MEAN) / _STD, "f h w c -> f c h w")


def detector_batch(rng: np.random.Generator, tokenizer: Tokenizer, count: int) -> dict[str, Any]:
    """Pictures of one size with one prompt, which names most of their shapes and some that are not there.

    One prompt for all, since the library's loss gives the pictures of a batch the phrases of one another.
    """
    size = ((96, 96), (96, 128), (128, 96), (96, 160))[rng.integers(4)]
    asked = [str(name) for name in rng.permutation(NAMES)[: rng.integers(1, 7)]]
    others = [name for name in NAMES if name not in asked]
    pool = [*asked, *rng.permutation(others)[: max(2, 4 - len(asked))].tolist()]
    article = ("", "", "a ", "the ")[rng.integers(4)]
    ids = [_CLS]
    for name in asked:
        ids += [*tokenizer.encode(article + name, add_special_tokens=False).ids, _STOP]
    text = torch.tensor([[*ids, _SEP]]).expand(count, -1)
    scenes, labels = [], []
    while len(scenes) < count:
        scene = draw_scene(rng, size, int(rng.integers(1, 4)), names=pool)
        named = [k for k, name in enumerate(scene.names) if name in asked]
        if not named:
            continue
        corners = boxes_of(scene.masks[named, 0]) / torch.tensor([size[1], size[0]] * 2)
        classes = torch.tensor([asked.index(scene.names[k]) for k in named])
        scenes.append(scene)
        labels.append({"class_labels": classes, "boxes": box_convert(corners, "xyxy", "cxcywh")})
    return {
        "pixel_values": normalised(torch.cat([scene.frames for scene in scenes])),
        "pixel_mask": torch.ones(count, *size, dtype=torch.long),
        "input_ids": text,
        "token_type_ids": torch.zeros_like(text),
        "attention_mask": torch.ones_like(text),
        "labels": labels,
    }


def detector_loss(model: GroundingDinoForObjectDetection, tokenizer: Tokenizer) -> Callable:
    return lambda rng: model(**detector_batch(rng, tokenizer, 12)).loss


def mask_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy and Dice loss of logits (N, h, w) against masks (N, H, W)."""
    full = F.interpolate(logits[:, None], masks.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    chance = full.sigmoid()
    dice = 1 - (2 * (chance * masks).sum((1, 2)) + 1) / (chance.sum((1, 2)) + masks.sum((1, 2)) + 1)
    return 5 * F.binary_cross_entropy_with_logits(full, masks) + dice.mean()


def squares(rng: np.random.Generator, count: int, shapes: int, frames: int, side: int) -> list[Scene]:
    """Scenes with so many shapes, brought to the square that SAM 2 sees; in some clips a shape vanishes."""
    scenes = []
    for _ in range(count):
        size = ((96, 96), (96, 128), (128, 96), (128, 160))[rng.integers(4)]
        gone = int(rng.integers(1, frames)) if frames > 1 and rng.random() < 0.3 else None
        scene = draw_scene(rng, size, shapes, frames, gone)
        seen = F.interpolate(normalised(scene.frames), (side, side), mode="bilinear", antialias=True)
        masks = (F.interpolate(scene.masks, (side, side), mode="bilinear", antialias=True) > 0.5).float()
        scenes.append(Scene(seen, masks, scene.names))
    return scenes


def picture_loss(model: Sam2Model, rng: np.random.Generator, side: int) -> Tensor:
    """Masks from boxes, points, or a rough mask with its box."""
    shapes = int(rng.integers(1, 4))
    scenes = squares(rng, 8, shapes, 1, side)
    pixels = torch.cat([scene.frames for scene in scenes])
    truth = torch.stack([scene.masks[:, 0] for scene in scenes])
    jitter = torch.from_numpy(rng.normal(size=(len(scenes), shapes, 4))).float() * 2
    boxes = torch.stack([boxes_of(masks) for masks in truth]) + jitter
    kind = rng.integers(3)
    if kind == 0:
        prompts = {"input_boxes": boxes}
    elif kind == 1:
        inside = [[_point_in(mask, rng) for mask in masks] for masks in truth]
        places, labels = torch.tensor(inside)[:, :, None], torch.ones(*truth.shape[:2], 1).int()
        if shapes > 1 and rng.integers(2):
            # A point on another shape, beside the one that is meant.
            places = torch.cat([places, places.roll(1, 1)], dim=2)
            labels = torch.cat([labels, torch.zeros_like(labels)], dim=2)
        prompts = {"input_points": places, "input_labels": labels}
    else:
        # One thing a picture, as a mask belongs to a whole row of the batch.
        truth, boxes = truth[:, :1], boxes[:, :1]
        shift = rng.integers(-4, 5, 2).tolist()
        rough = F.interpolate(
            torch.roll(truth, shift, (-2, -1)), (side // 4, side // 4), mode="bilinear", antialias=True
        )
        prompts = {"input_boxes": boxes, "input_masks": (rough > 0.5).float() * 20 - 10}
    found = model(pixel_values=pixels, multimask_output=False, **prompts)
    return mask_loss(found.pred_masks.flatten(0, 2), truth.flatten(0, 1))


def _point_in(mask: Tensor, rng: np.random.Generator) -> list[float]:
    places = (mask > 0.5).nonzero()
    y, x = places[rng.integers(len(places))].tolist()
    return [float(x), float(y)]


def clip_loss(model: Sam2VideoModel, processor: Sam2VideoProcessor, rng: np.random.Generator, side: int) -> Tensor:
    """Masks of later frames, tracked from the true ones of the first."""
    forward = type(model).forward.__wrapped__
    losses = []
    for scene in squares(rng, 2, int(rng.integers(1, 4)), 4, side):
        session = processor.init_video_session(dtype=torch.float32)
        for k, mask in enumerate(scene.masks[:, 0]):
            processor.add_inputs_to_inference_session(session, frame_idx=0, obj_ids=k, input_masks=[mask > 0.5])
            forward(model, session, frame_idx=0, frame=scene.frames[0])
        for k in range(1, len(scene.frames)):
            found = forward(model, session, frame_idx=k, frame=scene.frames[k])
            seen, sure = scene.masks[:, k].flatten(1).any(1), found.object_score_logits.flatten()
            losses.append(F.binary_cross_entropy_with_logits(sure, seen.float()))
            # What the model holds to be out of sight has a constant for a mask.
            learnt = seen & (sure > 0)
            if learnt.any():
                losses.append(mask_loss(found.pred_masks[learnt, 0], scene.masks[learnt, k]))
    return torch.stack(losses).mean()


def segmenter_loss(model: Sam2VideoModel) -> Callable:
    side = model.config.image_size
    pictures = Sam2Model.from_pretrained(None, config=image_configuration(model.config), state_dict=model.state_dict())
    _share(pictures, model)
    prepare = image_processor("sam2", "Sam2ImageProcessor")(size={"height": side, "width": side})
    processor = Sam2VideoProcessor(prepare, VideoProcessor())

    def loss(rng: np.random.Generator) -> Tensor:
        # Clips take four times as long as pictures, and teach less about edges.
        if rng.integers(_PICTURES_TO_A_CLIP + 1):
            return picture_loss(pictures, rng, side)
        return clip_loss(model, processor, rng, side)

    return loss


def _share(model: nn.Module, other: nn.Module) -> None:
    """Give a model the parameters of another one that have its names."""
    theirs = dict(other.named_parameters())
    for name, _ in list(model.named_parameters()):
        *path, last = name.split(".")
        setattr(model.get_submodule(".".join(path)), last, theirs[name])


def draw_weights(model: nn.Module) -> nn.Module:
    """The model with new weights as PyTorch draws them; a segmenter is sure at first that it sees something."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            module.reset_parameters()
    if isinstance(model, Sam2VideoModel):
        nn.init.constant_(model.mask_decoder.pred_obj_score_head.proj_out.bias, 3.0)
        # One and the same in the files of old releases.
        shared = model.prompt_encoder.shared_embedding.positional_embedding
        model.shared_image_embedding.positional_embedding.data.copy_(shared)
    return model


def train_model(model: nn.Module, loss_of: Callable, args: argparse.Namespace, save: Callable[[], None]) -> None:
    """AdamW whose rate rises over 100 steps and falls to 0 by half a cosine over the time there is."""
    # Dropout has nothing to do here, and SAM 2 keeps no scores in training mode.
    model.eval().requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=1e-4)
    rng = np.random.default_rng(args.seed)
    started, mean = time.monotonic(), None
    with tqdm(unit="step") as bar:
        while (spent := (time.monotonic() - started) / (60 * args.minutes)) < 1:
            rate = args.lr * min(1, (bar.n + 1) / 100) * 0.5 * (1 + math.cos(math.pi * spent))
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = loss_of(rng)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
            bar.set_postfix(loss=f"{mean:.4f}", refresh=False)
            bar.update()
            if bar.n % _EVERY == 0:
                save()
    save()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("detector", "segmenter"))
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--go-on", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0, help="below 1000000, where the seeds of the benchmark begin")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    kind = {"detector": GroundingDinoForObjectDetection, "segmenter": Sam2VideoModel}[args.kind]
    if args.go_on:
        model = kind.from_pretrained(args.start, local_files_only=True, dtype=torch.float32)
    else:
        model = draw_weights(kind(kind.config_class.from_pretrained(args.start)))
    if args.kind == "detector":
        loss = detector_loss(model, Tokenizer.from_file(str(args.start / "tokenizer.json")))
    else:
        loss = segmenter_loss(model)
    shutil.copytree(args.start, args.out, copy_function=shutil.copyfile)

    def save() -> None:
        # Half precision, since the files stand in a repository.
        copy.deepcopy(model).half().save_pretrained(args.out)

    train_model(model, loss, args, save)


if __name__ == "__main__":
    main()
