"""What ComfyUI copies to a second graphics card."""

from __future__ import annotations

import torch
from comfyui_miva.nodes import comfy_bridge
from torch import nn


def test_an_adapter_is_not_copied_since_a_run_takes_it_along() -> None:
    patcher = comfy_bridge.make_patcher(nn.Linear(2, 2))
    copy = patcher.deepclone_multigpu(torch.device("cpu"))
    assert list(copy.model.parameters()) == []
