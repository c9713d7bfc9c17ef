"""The layers of a model's flow as functions of places and times, as the renderer asks for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..diffusion.flow_layers import FlowLayers
from ..rendering.layered_motion import Displacement

_POWERS = 7
"""Of nearness, by which maps are told for each place at once: off by less than 1/1000 unit within ten base clips."""

_UNSEEN_POWER = 2e-6
"""Of a matrix, by which places a hundred units off the centre are a hundredth of a pixel off."""
_LITTLE = 1e-4
"""What nobody sees, in field units and their shares."""
_UNSEEN_BEND = 0.02
"""Field units, a fifth of a pixel of 640: noise of a network that has nothing left to say."""


@dataclass(frozen=True, eq=False)
class LayerFunctions:
    """One clip's layers.

    Attributes:
        layers: of one clip.
        last: time of its last frame.
        pace: how fast it goes on after that, by its mean speed until then, see `last_pace`.
    """

    layers: FlowLayers
    last: float
    pace: float = 1.0

    def camera(self, time: float) -> np.ndarray:
        """The matrix (2, 3) of the camera at a time."""
        return _array(self.layers.camera_maps(self._times(time))[0, 0])

    def seen(self, places: np.ndarray, time: float, nearness: np.ndarray | float) -> np.ndarray:
        """Where what is so near comes from, see `rendering.layered_motion.DepthMove`."""
        if isinstance(nearness, float | int):
            return _moved(_array(self.layers.depth_maps(self._times(time), float(nearness))[0, 0]), places)
        powers = self._by_nearness(time)
        x, y = (np.ascontiguousarray(places[..., axis]) for axis in (0, 1))
        rows = [[_polynomial(powers[:, row, column], nearness) for column in range(3)] for row in range(2)]
        return np.stack([across * x + down * y + along for across, down, along in rows], -1)

    def staying(self, places: np.ndarray, time: float) -> np.ndarray:
        """Displacements of a region that stays."""
        return _array(self.layers.staying_displacement(_places(places), self._times(time))[0, 0])

    def carried(self, places: np.ndarray, time: float) -> np.ndarray:
        """Displacements of a subject that is carried along."""
        return _array(self.layers.carried_displacement(_places(places), self._times(time))[0, 0])

    def residual(self, places: np.ndarray, time: float) -> np.ndarray:
        """What is left of the flow."""
        return _sampled(self.layers.residual_flow(self._times(time))[0, 0], places)

    def whole(self, places: np.ndarray, time: float) -> np.ndarray:
        """All of the flow."""
        return _sampled(self.layers.flow(self._times(time))[0, 0], places)

    @property
    def moves_depth(self) -> bool:
        """Whether what is near goes another way than what is far."""
        near, far = (self.layers.depth_maps(_times(self.last), nearness) for nearness in (1.0, 0.0))
        return bool((near - far).abs().max() > _LITTLE)

    @property
    def is_bent(self) -> bool:
        """Whether something is left of the flow."""
        return bool(self.layers.residual_flow(_times(self.last)).abs().max() > _UNSEEN_BEND)

    def reach(self, displace: Displacement, mask: np.ndarray, times: range) -> float:
        """The largest displacement in field units within a mask (H, W) of the frame, of some moments of a clip."""
        height, width = mask.shape
        y, x = (np.arange(side, dtype=np.float32) - (side - 1) / 2 for side in (height, width))
        scale = self.layers.size[0] / height
        places = np.stack(np.meshgrid(x, y), -1) * np.float32(scale)
        return max(float((mask * np.linalg.norm(displace(places, time), axis=-1)).max()) for time in times)

    def _times(self, time: float) -> Tensor:
        """The moment of the layers at a time of the clip, (1,)."""
        return _times(min(time, self.last) + self.pace * max(0.0, time - self.last))

    def _by_nearness(self, time: float) -> np.ndarray:
        """(`_POWERS`, 2, 3): the maps at a time as a polynomial of nearness."""
        nearness = (1 - np.cos(np.pi * (np.arange(_POWERS) + 0.5) / _POWERS)) / 2
        maps = self.layers.depth_maps(self._times(time).repeat(_POWERS), torch.from_numpy(nearness).float())[0]
        powers = np.linalg.solve(np.vander(nearness, increasing=True), _array(maps).reshape(_POWERS, -1))
        return powers.reshape(_POWERS, 2, 3)


def added(*displacements: Displacement) -> Displacement:
    """The sum of displacements."""
    return lambda places, time: sum((one(places, time) for one in displacements), np.zeros_like(places))


def _polynomial(powers: np.ndarray, values: np.ndarray) -> np.ndarray | np.float32:
    """The polynomial of these powers, those left out that nobody sees; a number where it is the same everywhere."""
    seen = powers[: 1 + max((k for k, power in enumerate(powers) if abs(power) > _UNSEEN_POWER), default=0)]
    result: np.ndarray | np.float32 = np.float32(seen[-1])
    for power in seen[-2::-1]:
        result = result * values + np.float32(power)
    return result


def _times(time: float) -> Tensor:
    return torch.tensor([time], dtype=torch.float32)


def _places(places: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(places, dtype=np.float32))[None, None]


def _array(values: Tensor) -> np.ndarray:
    return values.detach().float().cpu().numpy()


def _moved(matrix: np.ndarray, places: np.ndarray) -> np.ndarray:
    return places @ matrix[:, :2].T + matrix[:, 2]


def _sampled(flow: Tensor, places: np.ndarray) -> np.ndarray:
    """A flow (2, h, w), one pixel a field unit, at places (H, W, 2); beyond its edge it is as there."""
    half = torch.tensor([flow.shape[2] / 2, flow.shape[1] / 2])
    grid = (torch.from_numpy(np.ascontiguousarray(places, dtype=np.float32)) / half)[None]
    found = F.grid_sample(flow[None].float(), grid, padding_mode="border", align_corners=False)[0]
    return _array(found.movedim(0, -1))
