"""The state of a training in one file, written whole or not at all; nothing in it is code."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..checks import LARGEST_VALUE, is_number, is_whole
from ..errors import MIVAError
from ..storage.identify import LONGEST_HEADER, header_length
from ..storage.weights import save_weights

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What AdamW keeps of a parameter."""
_OPTIMISER = "optimiser."
_ENTRY = "miva_training"
_COUNTED = ("growth_interval", "_growth_tracker")
_SCALE = {"scale", "growth_factor", "backoff_factor", *_COUNTED}
"""What a scale of losses is made of."""


@dataclass(frozen=True)
class TrainingState:
    """Where a training stands.

    The random numbers of a step, and with them the clips that it takes, follow from the seed and the step alone: the
    number of steps done stands for both.

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
        path: the file.
        state: where the training stands.
        learners: by the part they play, such as "adapter".
        optimiser: AdamW, with the moments of all of their parameters.

    Raises:
        MIVAError: the file cannot be written, or a value is not finite; an earlier file is kept then.
    """
    tensors = {"losses": state.losses.clone()}
    for name, parameter in _parameters(learners):
        tensors[name] = parameter.detach().cpu()
        for key, value in optimiser.state.get(parameter, {}).items():
            tensors[f"{_OPTIMISER}{name}.{key}"] = value.detach().cpu().contiguous()
    header = {"settings": dict(state.settings), "scale": dict(state.scale)}
    save_weights(path, tensors, {_ENTRY: json.dumps(header)}, "The state of the training")


def read_state(path: Path) -> TrainingState:
    """Read the state alone, without what it belongs to.

    Args:
        path: the file.

    Raises:
        MIVAError: the file is missing, damaged or something else.
    """
    try:
        if (header_length(path) or 0) > LONGEST_HEADER:
            raise ValueError("a header as long as no checkpoint has it")
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_ENTRY])
            losses = file.get_tensor("losses")
        settings, scale = dict(header["settings"]), dict(header["scale"])
        _check_header(losses, settings, scale)
    except (OSError, SafetensorError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise MIVAError(
            f"{path} holds no state of a training that can be read: remove its folder to begin anew."
        ) from error
    return TrainingState(len(losses), losses, settings, scale)


def _check_header(losses: Tensor, settings: Mapping[str, Any], scale: Mapping[str, Any]) -> None:
    """Check that what a file tells of a training could come from one.

    Raises:
        ValueError: it could not.
    """
    if losses.dtype != torch.float64 or losses.ndim != 1 or not losses.float().isfinite().all():
        raise ValueError("losses that are no list of numbers")
    if not all(re.fullmatch(r"[\w ]{1,40}", name) and _is_setting(value) for name, value in settings.items()):
        raise ValueError("settings that are no names with numbers and short texts")
    if not is_whole(settings.get("steps")) or not is_number(settings.get("lr")):
        raise ValueError("settings without steps or a learning rate")
    counted = all(is_whole(scale.get(name)) for name in _COUNTED)
    positive = all(is_number(value) and value >= 0 for value in scale.values())
    if scale and not (scale.keys() == _SCALE and counted and positive):
        raise ValueError("a scale of losses that is none")


def _is_setting(value: Any) -> bool:
    """What may stand in a message as it is."""
    if isinstance(value, str):
        return len(value) <= 100 and value.isprintable()
    return value is None or isinstance(value, bool) or is_number(value)


def restore(path: Path, learners: Mapping[str, nn.Module], optimiser: torch.optim.Optimizer) -> None:
    """Put saved values into what learns and its optimiser.

    Args:
        path: the file.
        learners: by the part they play, as in `save_state`.
        optimiser: AdamW, which gets the saved moments.

    Raises:
        MIVAError: the file's tensors are not those of these learners, or hold what no training writes.
    """
    state = read_state(path)
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
        # In float16 the steps before a first stop may all have been left out.
        rested = bool(state.scale) and not any(name.startswith(_OPTIMISER) for name in names)
        for name, parameter in _parameters(learners):
            value = _tensor(path, file, names, name, parameter.shape)
            with torch.no_grad():
                parameter.copy_(value)
            if parameter.requires_grad and not rested:
                optimiser.state[parameter] = _moments(path, file, names, name, parameter, state.step)


def _moments(path: Path, file: Any, names: set[str], name: str, parameter: Tensor, steps: int) -> dict[str, Tensor]:
    """What the optimiser keeps of one parameter."""
    shapes = {"step": torch.Size(), "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}
    kept = {key: _tensor(path, file, names, f"{_OPTIMISER}{name}.{key}", shapes[key]) for key in _MOMENTS}
    if not 0 <= kept["step"] <= steps or (kept["exp_avg_sq"] < 0).any():
        raise _damaged(path, f"{_OPTIMISER}{name}", "values that no training reaches")
    # AdamW counts its steps on the CPU.
    return {key: value if key == "step" else value.to(parameter.device) for key, value in kept.items()}


def _tensor(path: Path, file: Any, names: set[str], name: str, shape: torch.Size) -> Tensor:
    """A tensor of the file, checked before a training computes with it."""
    if name not in names:
        raise _damaged(path, name, "nothing")
    found = file.get_slice(name)
    if tuple(found.get_shape()) != tuple(shape):
        raise MIVAError(f"{path} belongs to an adapter of another structure: remove its folder to begin anew.")
    if found.get_dtype() != "F32":
        raise _damaged(path, name, f"{found.get_dtype()} in place of F32")
    value = file.get_tensor(name).clone()
    if not value.isfinite().all():
        raise _damaged(path, name, "NaN or infinite values")
    # What has no dimension is a number of steps, which may be large.
    if value.ndim and value.numel() and value.abs().amax() > LARGEST_VALUE:
        raise _damaged(path, name, "absurdly large values")
    return value


def _damaged(path: Path, name: str, found: str) -> MIVAError:
    return MIVAError(f"{path} is damaged, it holds {found} for {name}: remove its folder to begin anew.")


def _parameters(learners: Mapping[str, nn.Module]) -> Iterator[tuple[str, nn.Parameter]]:
    for part, learner in learners.items():
        for name, parameter in learner.named_parameters():
            yield f"{part}.{name}", parameter
