"""Small random models against the engine's path by diffusers, and against themselves in float32."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from comfyui_miva.miva_core import Curve
from comfyui_miva.miva_core.attention.strength import Level
from comfyui_miva.nodes.comfy_bridge.native.motion_module import apply_motion_module, load_motion_module

from tests.comfyui.native.adapters import CONFIGS, planned, random_adapter
from tests.comfyui.native.cases import Case
from tests.comfyui.native.fewer_bits import errors
from tests.comfyui.native.runs import error, sample, seeing, sigmas
from tests.comfyui.native.sd15_models import SmallSD15
from tests.comfyui.native.wan_models import SmallWan, native_wan

from .tables import table

_STEPS = 4
_RISE = Curve(((0.0, 0.2), (1.0, 1.0)))
_FADE = Curve(((0.0, 1.0), (1.0, 0.3)), "cosine", "frames")
_GROW = Curve(((0.0, 0.0), (1.0, 0.7)), over="frames")


def wan_case() -> Case:
    wan = SmallWan.make()
    return Case.of("wan", wan.model, wan.reference, wan.backbone)


def sd15_case(folder: Path) -> Case:
    small = SmallSD15.make(folder)
    base = small.base("v3")
    model = apply_motion_module(small.model, load_motion_module(small.motion("v3")))
    return Case.of("sd15", model, base.model, base.backbone)


def parity_table() -> str:
    with tempfile.TemporaryDirectory() as folder:
        cases = wan_case(), sd15_case(Path(folder))
    mixes: dict[str, list[tuple[str, Level]]] = {name: [(name, 1.0)] for name in CONFIGS}
    mixes |= {
        "default, weight 0.6": [("default", 0.6)],
        "default 0.3 and joint 0.7": [("default", 0.3), ("joint", 0.7)],
    }
    mixes["default 0.5, paper 0.8 and joint -0.2"] = [("default", 0.5), ("paper", 0.8), ("joint", -0.2)]
    mixes |= {
        "default, 0.2 to 1 over the steps": [("default", _RISE)],
        "default, EDG over the noise": [("default", Curve.edg())],
        "default, 1 to 0.3 over the frames": [("default", _FADE)],
        "default over steps and frames, joint over frames": [("default", (_RISE, _FADE)), ("joint", _GROW)],
    }
    rows = [("none", *(f"{_plain_error(case):.1e}" for case in cases))]
    for mix, parts in mixes.items():
        rows.append((mix, *(f"{_mix_error(case, parts):.1e}" for case in cases)))
    return table(("motions", *(case.name for case in cases)), rows)


def _plain_error(case: Case) -> float:
    with seeing(case.model) as seen:
        sample(case.model, case.latent, case.positive, steps=2)
    return max(error(seen.output[call], case.bare(seen, call)) for call in range(2))


def _mix_error(case: Case, parts: Sequence[tuple[str, Level]]) -> float:
    acting = {name: (random_adapter(case.backbone, CONFIGS[name]), weight) for name, weight in parts}
    model = case.applied(*(planned(adapter, weight, name=name) for name, (adapter, weight) in acting.items()))
    levels = sigmas(case.model, _STEPS)
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, steps=levels)
    progress = [case.progress(levels, step) for step in range(_STEPS)]
    wanted = [case.expected(seen, k, acting, progress=progress[k], shares=case.shares) for k in range(_STEPS)]
    return max(map(error, seen.output, wanted))


def dtypes_table() -> str:
    wan = SmallWan.make()
    case = Case.of("wan", wan.model, wan.reference, wan.backbone)
    kinds: dict[str, Any] = {
        f"weights {str(dtype)[6:]}": native_wan(wan.state, dtype=dtype)
        for dtype in (torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)
    }
    for dtype in (torch.float16, torch.bfloat16):
        model = case.model.clone()
        model.set_model_compute_dtype(dtype)
        kinds[f"activations {str(dtype)[6:]}"] = model
    rows = []
    for name, model in kinds.items():
        plain, with_motions = errors(case, model)
        rows.append((name, f"{plain:.1e}", f"{with_motions:.1e}"))
    return table(("Wan", "plain model", "with two motions"), rows)
