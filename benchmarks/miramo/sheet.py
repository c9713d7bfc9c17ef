"""A contact sheet: what the flow makes of frame 1, beside the true flow."""

from pathlib import Path

import cv2
import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from benchmarks.miramo.cases import Case, clips_of
from benchmarks.miramo.models import Answer
from benchmarks.miramo.scores import scores_of
from miva_core.media.contact_sheet import contact_sheet
from miva_core.media.flow_warp import warp
from tools.motion_world.clips import World

SHOWN = (
    Case("zoom_in"),
    Case("roll_cw"),
    Case("truck_left", guided=True),
    Case("dolly_in", guided=True),
    Case("dolly_out"),
    Case("drift_left", guided=True),
    Case("sway", guided=True),
    Case("flag", guided=True),
    Case("ripple", guided=True),
    Case("breathe", guided=True),
    Case("rise", guided=True),
    Case("jump", guided=True),
)
SPEED = 1.0
FULL = 5.0
"""Pixels of flow that have full colour."""


def write_sheet(model: Answer, world: World, path: Path) -> None:
    """Write a row for each of `SHOWN`: the guide, frame 1 moved to five times, the flow at the fourth, the true one."""
    rows = [_row(model, world, case, number % len(world.photographs)) for number, case in enumerate(SHOWN)]
    sheet = contact_sheet(rows, every=1).numpy()
    cv2.imwrite(str(path), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 70])


def _row(model: Answer, world: World, case: Case, number: int) -> tuple[str, Tensor]:
    batch = clips_of(world, case, [number], seed=0, speed=SPEED)
    found, true = model(batch, 0)[0], batch.flow[0]
    moved = (warp(batch.frames[0, :1].expand(len(found), -1, -1, -1), found) + 1) / 2
    cells = [
        batch.guide.expand(3, -1, -1),
        *moved[[0, 2, 4, 5, 7]].unbind(),
        _coloured(found[5]),
        _coloured(true[5]),
    ]
    label = f"{case.label}, guide: {case.guide}. Relative error {scores_of(found[None], batch).relative:.2f}"
    return label, rearrange(torch.stack(cells), "n c h w -> n h w c").clamp(0, 1)


def _coloured(flow: Tensor) -> Tensor:
    """A flow (2, H, W) as colours (3, H, W): hue is the way, saturation how far."""
    x, y = flow.numpy()
    hue = (np.degrees(np.arctan2(y, x)) % 360).astype(np.float32)
    far = np.clip(np.hypot(x, y) / FULL, 0, 1).astype(np.float32)
    return rearrange(
        torch.from_numpy(cv2.cvtColor(np.dstack([hue, far, np.ones_like(far)]), cv2.COLOR_HSV2RGB)), "h w c -> c h w"
    )
