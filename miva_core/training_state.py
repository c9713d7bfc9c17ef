"""The state of a training in one file, written whole or not at all; nothing in it is code."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from .errors import MIVAError
from .weights import save_weights

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What AdamW keeps of a parameter."""


@dataclass(frozen=True)
class TrainingState:
    """Where a training stands. The random numbers of a step follow from the seed and the step alone, and so does which
    clips it meets: the number of steps done stands for both.

    Attributes:
        step: steps done.
        losses: (steps,) of each of them.
        settings: what makes this training this one, as flat JSON.
        scale: of losses in float16, see torch.amp.GradScaler.state_dict; empty elsewhere.
    """

    step: int
    losses: Tensor
    settings: Mapping[str, Any]
    scale: Mapping[str, float]


def save_state(
    path: Path, state: TrainingState, learners: Mapping[str, nn.Module], optimiser: torch.optim.Optimizer
) -> None:
    """Write what learns, its optimiser and the state.

    Args:
        learners: by the part they play, such as "adapter".

    Raises:
        MIVAError: the file cannot be written, or a value is not finite; an earlier file is kept then.
    """
    tensors = {"losses": state.losses.clone()}
    for name, parameter in _parameters(learners):
        tensors[name] = parameter.detach().cpu()
        for key, value in optimiser.state.get(parameter, {}).items():
            tensors[f"optimiser.{name}.{key}"] = value.detach().cpu().contiguous()
    header = {"settings": dict(state.settings), "scale": dict(state.scale)}
    save_weights(path, tensors, {"miva_training": json.dumps(header)}, "The state of the training")


def read_state(path: Path) -> TrainingState:
    """The state alone, without what it belongs to.

    Raises:
        MIVAError: the file is missing, damaged or something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["miva_training"])
            losses = file.get_tensor("losses")
        settings, scale = dict(header["settings"]), dict(header["scale"])
        return TrainingState(len(losses), losses, settings, scale)
    except (OSError, SafetensorError, ValueError, LookupError, TypeError) as error:
        raise MIVAError(
            f"{path} holds no state of a training that can be read: remove its folder to begin anew."
        ) from error


def restore(path: Path, learners: Mapping[str, nn.Module], optimiser: torch.optim.Optimizer) -> None:
    """Put saved values into what learns and its optimiser.

    Raises:
        MIVAError: the file's tensors are not those of these learners.
    """
    with safe_open(path, framework="pt") as file:
        shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
        for name, parameter in _parameters(learners):
            if shapes.get(name) != tuple(parameter.shape):
                raise MIVAError(f"{path} belongs to an adapter of another structure: remove its folder to begin anew.")
            with torch.no_grad():
                parameter.copy_(file.get_tensor(name))
            beginning = f"optimiser.{name}."
            kept = {key: file.get_tensor(beginning + key) for key in _MOMENTS if beginning + key in shapes}
            if len(kept) != len(_MOMENTS) or kept["exp_avg"].shape != parameter.shape:
                raise MIVAError(f"{path} lacks the optimiser's state of {name}: remove its folder to begin anew.")
            # AdamW counts its steps on the CPU.
            placed = {key: value if key == "step" else value.to(parameter.device) for key, value in kept.items()}
            optimiser.state[parameter] = placed


def _parameters(learners: Mapping[str, nn.Module]) -> Iterator[tuple[str, nn.Parameter]]:
    for part, learner in learners.items():
        for name, parameter in learner.named_parameters():
            yield f"{part}.{name}", parameter
