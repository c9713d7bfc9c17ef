"""How far MIVA Sampler is, and what the clip looks like on the way."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import comfy_bridge

if TYPE_CHECKING:
    from ..miva_core.animation.clip import Progress
    from ..miva_core.bases.base import Base


class RunProgress:
    """Shows progress over all pictures and, step by step, one frame after the other; stops when the user wants it.

    Args:
        base: that of the run.
        pictures: how many become clips.
        rendered: whether frames are rendered one by one after the last step, which takes time of its own.
    """

    def __init__(self, base: "Base", pictures: int, rendered: bool) -> None:
        self._previewer = comfy_bridge.run_previewer(base)
        self._bar = comfy_bridge.ProgressBar()
        self._pictures, self._rendered = pictures, rendered
        self._steps = self._frames = 0

    def after_step(self, number: int) -> "Callable[[Progress], None]":
        """What is called after each step of a picture, from 0."""

        def watch(progress: "Progress") -> None:
            self._steps, self._frames = progress.steps, progress.frames if self._rendered else 0
            comfy_bridge.check_interrupted()
            frame = round((progress.step - 1) / max(1, progress.steps - 1) * (progress.frames - 1))
            self._show(number, progress.step, self._previewer(progress, frame) if self._previewer else None)

        return watch

    def after_frame(self, number: int) -> Callable[[int], None]:
        """What is called after each frame of a picture, from 0, with the number of those that are rendered."""

        def watch(frames: int) -> None:
            comfy_bridge.check_interrupted()
            if self._rendered:
                self._show(number, self._steps + frames)

        return watch

    def _show(self, number: int, done: int, preview: Any = None) -> None:
        each = self._steps + self._frames
        self._bar.update(number * each + done, self._pictures * each, preview)
