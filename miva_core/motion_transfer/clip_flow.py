"""The flow of a whole clip into its first frame, and how far it can be trusted."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from torch import Tensor

from ..clips.optical_flow import search_flow
from ..rendering.flow_fit import centred_grid, fit_similarity
from ..rendering.path import similarity_matrix
from ..rendering.push_pull import push_pull

_SIDES = 128, 320
"""Pixels of the longer side at which a flow is searched for: frames are scaled to that range."""
_GRID = 2
"""Pixels of that size, along each side, that are one of the flow that is kept."""
_AGREES, _AGREES_SHARE = 0.6, 0.05
"""How far the flow there and back may miss its start, in pixels of the search and as a share of its length."""
_WINDOW, _LOOKS_ALIKE = 5, 12.0
"""Pixels of the search over which grey values of 0 to 255 are averaged, and by how much they may differ."""
_STRETCHED = 0.8
"""How often an area may be doubled or halved, beside all others."""
_OVERLAP = 0.6
"""Share of a frame that its key frame must show, so that no nearer one is taken."""
_FAR = 1.5
"""Pixels of the grid beside the similarity, from which on it is told beforehand what has moved so far."""
HALF = 0.5
"""Trust up to which a flow is that of its surroundings."""
_CUT = 0.4
"""Share of what two frames both show, below which nothing says that they follow each other."""


@dataclass(frozen=True, eq=False)
class ClipFlow:
    """The flow of a clip.

    Attributes:
        flow: (N, h, w, 2) float32 in pixels of its grid, x first: what frame i shows at p, frame 1 shows at p + flow.
            N is smaller than the clip's length where it cuts, or moves too far to be followed.
        trust: (N, h, w) in [0, 1]: whether the flow there and back agree, and lead into the picture.
        frames: (N, h, w, 3) in [0, 1], at the size of the grid.
    """

    flow: np.ndarray
    trust: np.ndarray
    frames: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the grid."""
        return self.trust.shape[1], self.trust.shape[2]


def follow(frames: Tensor, on_frame: Callable[[int], object] = lambda _: None) -> ClipFlow:
    """Measure the flow of a clip into its first frame.

    Each frame is compared with a key frame that is moved as far as is known from the frame before, so that errors do
    not add up, and what has gone far is still found. The key is the first frame for as long as others show enough of
    it.

    Args:
        frames: (F, H, W, 3) in [0, 1], at least one.
        on_frame: called after each frame with the number of those that were followed.

    Returns:
        The flow, up to the first frame that does not follow the one before.
    """
    return _Follower(frames).flow(on_frame)


@dataclass(frozen=True, eq=False)
class _Way:
    """A flow of the grid in two parts, which is known everywhere.

    Attributes:
        stiff: (3, 3) from places to those of another frame, off the centre in pixels of the grid.
        rest: (h, w, 2) what the flow differs from that by.
    """

    stiff: np.ndarray
    rest: np.ndarray

    @classmethod
    def fitted(cls, flow: np.ndarray, trust: np.ndarray) -> "_Way":
        """That of a flow (h, w, 2) which is trusted in places (h, w)."""
        similarity = fit_similarity(flow, trust)
        stiff = np.eye(3) if np.isnan(similarity).any() else similarity_matrix(similarity, trust.shape)
        grid = centred_grid(*trust.shape)
        return cls(stiff, push_pull(flow + grid - moved(stiff, grid), trust <= HALF))

    def to(self, places: np.ndarray) -> np.ndarray:
        """Where places (…, 2) go."""
        return moved(self.stiff, places) + sampled(self.rest, places)

    def where_far(self) -> "_Way":
        """The way without what of its rest a search finds by itself, and without the errors that are in it."""
        far = np.clip(np.linalg.norm(self.rest, axis=-1, keepdims=True) / _FAR - 1, 0, 1)
        return _Way(self.stiff, self.rest * far)

    def after(self, first: "_Way") -> "_Way":
        """The way that goes along another one first."""
        stiff, grid = self.stiff @ first.stiff, centred_grid(*self.rest.shape[:2])
        return _Way(stiff, self.to(first.to(grid)) - moved(stiff, grid))


@dataclass(frozen=True, eq=False)
class _Frame:
    """A frame as it is searched.

    Attributes:
        grey: (H, W) uint8.
        half: the same at half of the size.
    """

    grey: np.ndarray
    half: np.ndarray


class _Follower:
    """Goes through a clip, from frame to frame."""

    def __init__(self, frames: Tensor) -> None:
        height, width = frames.shape[1:3]
        scale = np.clip(max(height, width), *_SIDES) / max(height, width)
        grid = [max(8, round(scale * side / _GRID)) for side in (height, width)]
        self._grid = grid[0], grid[1]
        self._size = _GRID * grid[0], _GRID * grid[1]
        self._frames = frames

    def flow(self, on_frame: Callable[[int], object]) -> ClipFlow:
        still = np.zeros((*self._grid, 2), np.float32)
        rests = to_key = key_to_first = _Way(np.eye(3), still)
        key = before = self._frame(0)
        found = [(still, np.ones(self._grid, np.float32))]
        for i in range(1, len(self._frames)):
            now = self._frame(i)
            step = self._step(now, before)
            flow, trust, inside = self._matched(now, key, to_key.after(step))
            if inside < _OVERLAP and key is not before:
                key_to_first, key = key_to_first.after(to_key), before
                flow, trust, inside = self._matched(now, key, step)
            if trust.mean() <= _CUT * inside:
                break
            to_key, before = _Way.fitted(flow, trust), now
            grid = centred_grid(*self._grid)
            found.append((key_to_first.to(grid + flow) - grid if key_to_first is not rests else flow, trust))
            on_frame(len(found))
        small = [cv2.resize(self._pixels(i), self._grid[::-1], interpolation=cv2.INTER_AREA) for i in range(len(found))]
        flows, trusts = zip(*found, strict=True)
        return ClipFlow(np.stack(flows), np.stack(trusts), np.stack(small))

    def _pixels(self, i: int) -> np.ndarray:
        return self._frames[i].float().clamp(0, 1).cpu().numpy()

    def _frame(self, i: int) -> _Frame:
        pixels, size = self._pixels(i), self._size[::-1]
        how = cv2.INTER_AREA if size[0] < pixels.shape[1] else cv2.INTER_CUBIC
        scaled = cv2.resize(pixels, size, interpolation=how).clip(0, 1)
        grey = cv2.cvtColor((scaled * 255).round().astype(np.uint8), cv2.COLOR_RGB2GRAY)
        return _Frame(grey, cv2.resize(grey, self._grid[::-1], interpolation=cv2.INTER_AREA))

    def _step(self, now: _Frame, before: _Frame) -> _Way:
        """The way into the frame before."""
        flow, agrees = _there_and_back(now.half, before.half, 0)
        return _Way.fitted(flow, agrees.astype(np.float32))

    def _matched(self, now: _Frame, key: _Frame, guess: _Way) -> tuple[np.ndarray, np.ndarray, float]:
        """Find the flow into a key frame.

        Args:
            now: a frame.
            key: the other.
            guess: the way there.

        Returns:
            The flow (h, w, 2) in pixels of the grid, its trust (h, w), and the share of the frame that the key shows.
        """
        grid, size = centred_grid(*self._grid), self._size[::-1]
        guessed = cv2.resize(guess.where_far().to(grid), size, interpolation=cv2.INTER_LINEAR) * _GRID
        there, agrees = _there_and_back(now.grey, sampled(key.grey, guessed), 1)
        points = centred_grid(*self._size)
        in_key = sampled(guessed, points + there)
        inside = (np.abs(in_key) <= np.array(size) / 2).all(-1)
        flow, trust = self._on_grid(in_key - points, agrees & inside)
        return flow, trust, float(inside.mean())

    def _on_grid(self, flow: np.ndarray, trusted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A flow in pixels of the grid, the mean of what is trusted, and its trust."""
        size, known = self._grid[::-1], trusted.astype(np.float32)
        trust = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
        all_of_it = cv2.resize(flow, size, interpolation=cv2.INTER_AREA)
        known_of_it = cv2.resize(flow * known[..., None], size, interpolation=cv2.INTER_AREA)
        mean = np.where(trust[..., None] > 0, known_of_it / np.maximum(trust, 1e-6)[..., None], all_of_it)
        flow = (mean / _GRID).astype(np.float32)
        return flow, trust * _keeps_areas(flow)


def _keeps_areas(flow: np.ndarray) -> np.ndarray:
    """Where a flow (h, w, 2) neither stretches nor squeezes nor folds: (h, w) bool.

    It does where something is uncovered or hidden, and what is beside that is dragged along.
    """
    places = cv2.GaussianBlur(flow, (0, 0), 1) + centred_grid(*flow.shape[:2])
    (down_x, down_y), (right_x, right_y) = (np.moveaxis(np.gradient(places, axis=axis), -1, 0) for axis in (0, 1))
    area = right_x * down_y - right_y * down_x
    return np.abs(np.log2(np.maximum(area, 1e-3) / max(np.median(area), 1e-3))) < _STRETCHED


def _there_and_back(later: np.ndarray, earlier: np.ndarray, finest: int) -> tuple[np.ndarray, np.ndarray]:
    """The backward flow (H, W, 2) between grey pictures, and whether the one from there comes back: (H, W) bool."""
    there, back = search_flow(later, earlier, finest), search_flow(earlier, later, finest)
    places = centred_grid(*later.shape) + there
    missed = np.linalg.norm(there + sampled(back, places), axis=-1)
    returns = missed < _AGREES + _AGREES_SHARE * np.linalg.norm(there, axis=-1)
    differs = cv2.blur(later.astype(np.float32) - sampled(earlier, places), (_WINDOW, _WINDOW))
    # All of a frame may become brighter.
    return there, returns & (np.abs(differs - np.median(differs)) < _LOOKS_ALIKE)


def moved(matrix: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Move places (…, 2) by a matrix (3, 3) of x, y, 1."""
    return (places @ matrix[:2, :2].T + matrix[:2, 2]).astype(np.float32)


def sampled(field: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Sample a field (h, w, …) at places (H, W, 2) off its centre, bilinear, with its edge continued."""
    at = (places + (np.array(field.shape[1::-1]) - 1) / 2).astype(np.float32)
    return cv2.remap(field, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
