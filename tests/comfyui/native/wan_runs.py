"""ComfyUI's samplers with the engine's diffusers path as the model, beside clean first frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from comfyui_miva.miva_core import MIVAAdapter, Strength, inject
from torch import Tensor

from .cases import Case

Acting = Mapping[str, tuple[MIVAAdapter, float | Strength, tuple[float, float]]]
"""Adapters by name, how strongly each acts, and in which steps: shares of the run, [start, end)."""


def by_diffusers(case: Case, acting: Acting, sigmas: Tensor) -> Any:
    """A MODEL that any sampler may take, but whose answers are those of the diffusers model with adapters in it.

    Args:
        case: of Wan.
        acting: see `Acting`.
        sigmas: of the run; a call between two of them belongs to the step that begins with the higher one.
    """
    levels, steps = sigmas.tolist(), len(sigmas) - 1
    picture = case.model.model.process_latent_in(case.picture)

    def answer(apply: Any, asked: dict[str, Any]) -> Tensor:
        x, sigma = asked["input"], asked["timestep"]
        first = picture.expand(len(x), -1, -1, -1, -1)
        x = torch.cat([first, x[:, :, 1:]], dim=2)
        done = max(i for i in range(steps) if levels[i] >= float(sigma[0]) - 1e-6) / steps
        with inject(case.reference, **{name: adapter for name, (adapter, _, _) in acting.items()}) as injection:
            injection.set_weights(**{name: strength for name, (_, strength, _) in acting.items()})
            injection.set_spans(**{name: span for name, (_, _, span) in acting.items()})
            injection.set_progress(done, done)
            velocity = case.reference(x, 1000 * sigma, encoder_hidden_states=asked["c"]["c_crossattn"]).sample
        clean = x - sigma.view(-1, 1, 1, 1, 1) * velocity
        return torch.cat([first, clean[:, :, 1:]], dim=2)

    model = case.model.clone()
    model.set_model_unet_function_wrapper(answer)
    return model
