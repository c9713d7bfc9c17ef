"""Sampling along noise levels that are given, as ComfyUI's SIGMAS are, in place of a scheduler's own."""

import torch
from torch import Tensor

from ..errors import MIVAError
from .noise_process import NoiseProcess
from .step_schedule import StepSchedule

_LEAST_START = 2.0
"""Of sigma; below it the start, which is noise alone, would be taken for half a picture."""
_LEAST_END = 0.03
"""Of the last level, whose noise nobody sees: ComfyUI's Laplace schedule ends at 0.029 in place of 0."""


class SigmaSchedule(StepSchedule):
    """The steps of a base whose noise is nearest to given levels.

    Args:
        process: the noise that the base was trained on.
        sigmas: (steps + 1,) falling to 0: noise over signal where noise preserves variance (14.6 … 0 on Stable
            Diffusion 1.5), the share of noise (1 … 0) in flow matching. The former are moved to the nearest of the
            levels that the model knows. Levels that repeat are one step, and 0 is added to a schedule that ends at
            0.03 or less.

    Raises:
        MIVAError: they are no such levels.
    """

    def __init__(self, process: NoiseProcess, sigmas: Tensor) -> None:
        levels, table = _checked(sigmas), process.alphas_cumprod
        timesteps = _flow_steps(levels, process.length) if table is None else _table_steps(levels, table)
        super().__init__(process, timesteps)


def _flow_steps(levels: Tensor, length: int) -> Tensor:
    if levels[0] > 1 + 1e-5 or levels[0] < 0.5:
        raise MIVAError(
            f"The SIGMAS begin at {levels[0]:g}, but this base is a flow model, whose noise goes from 1 to 0: "
            "take a scheduler made for one, or leave SIGMAS unconnected."
        )
    # ComfyUI shifts levels in float32, which makes 1.0000001 of 1 at some shifts.
    return levels[:-1] / levels[0].clamp(min=1) * length


def _table_steps(levels: Tensor, alphas_cumprod: Tensor) -> Tensor:
    if levels[0] < _LEAST_START:
        raise MIVAError(
            f"The SIGMAS begin at {levels[0]:g}, but this base starts from noise, about 14.6: take all of a "
            "schedule, made for Stable Diffusion 1.5, or leave SIGMAS unconnected."
        )
    # By angle, which is finite where there is no signal left.
    angles = torch.atan2((1 - alphas_cumprod).sqrt(), alphas_cumprod.sqrt())
    nearest = (torch.atan(levels[:-1])[:, None] - angles.to(levels)).abs().argmin(1)
    return torch.unique_consecutive(nearest)


def _checked(sigmas: Tensor) -> Tensor:
    if not isinstance(sigmas, Tensor) or sigmas.ndim != 1 or len(sigmas) < 2:
        what = f"of shape {tuple(sigmas.shape)}" if isinstance(sigmas, Tensor) else f"a {type(sigmas).__name__}"
        raise MIVAError(f"The SIGMAS are {what}, expected one number for each step and a 0 at the end.")
    levels = sigmas.detach().cpu().double()
    whole = 0 <= levels[-1] <= _LEAST_END < levels[0]
    if not levels.isfinite().all() or not whole or (levels[:-1] < levels[1:]).any():
        first = ", ".join(f"{level:g}" for level in levels[:3].tolist())
        raise MIVAError(
            f"The SIGMAS ({first} … {levels[-1]:g}) must never rise, and end at 0, or at {_LEAST_END:g} at most: "
            "connect a whole schedule, neither split nor flipped."
        )
    return torch.unique_consecutive(torch.cat([levels, torch.zeros(1)]))
