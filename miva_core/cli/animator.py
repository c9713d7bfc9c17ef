"""Make clips of pictures as the options of `animate` say, with a base and motions that are loaded once."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..adapters.adapter import MIVAAdapter
from ..animation.animate import animate
from ..animation.clip import Clip, Progress
from ..animation.motion import Motion
from ..animation.options import RunOptions, check_render, check_run
from ..animation.said import Said
from ..bases.base import Base
from ..bases.registry import find_base, no_guide
from ..diffusion.init_noise import NoiseInit
from ..errors import MIVAError
from ..media.pictures import read_large_picture
from ..rendering.timing import Timing
from ..rendering.view import USUAL_SIDE
from .chosen import load_chosen_base
from .chosen_base import choose_base
from .chosen_motions import Chosen, ChosenWords


@dataclass(frozen=True)
class Still:
    """A picture to animate, as it was read.

    Attributes:
        picture: (H, W, 3) in [0, 1].
        size_in_file: its (height, width) before it was scaled down.
        masks: (H, W) in [0, 1] by the name of the motion.
        nearness: its depth map, where one is given, see `check_nearness`.
    """

    picture: Tensor
    size_in_file: tuple[int, int]
    masks: Mapping[str, Tensor]
    nearness: Tensor | None

    @classmethod
    def read(
        cls, path: Path, masks: Mapping[str, Tensor], nearness: Tensor | None, options: argparse.Namespace
    ) -> "Still":
        """Read a picture, as large as its clip needs it."""
        needed = max(side for side in options.size if side) if options.size else USUAL_SIDE
        return cls(*read_large_picture(path, needed), masks, nearness)


@dataclass(frozen=True)
class Animator:
    """A base and motions, and how they are to be run.

    Attributes:
        base: that of all runs.
        motions: without masks.
        run: how each is made, apart from what depends on the picture.
    """

    base: Base
    motions: tuple[Motion | Said, ...]
    run: RunOptions

    @classmethod
    def load(cls, options: argparse.Namespace, motions: Sequence[Chosen], where: torch.device) -> "Animator":
        """Load what the options name, onto a device."""
        options.base = choose_base(options.base, motions)
        if options.depth and not find_base(options.base).guided:
            raise MIVAError(no_guide(options.base))
        check_render(find_base(options.base), options.render, options.segments)
        base = load_chosen_base(options, where)
        run = _run_options(base.noise, options)
        check_run(base, run)
        return cls(base, tuple(_loaded(one, base) for one in motions), run)

    def clip(self, still: Still, on_step: Callable[[Progress], Any] | None = None) -> Clip:
        """Animate a picture; `on_step` is called after each step."""
        motions = [replace(motion, mask=still.masks.get(motion.name or "")) for motion in self.motions]
        run = replace(self.run, size_in_file=still.size_in_file, nearness=still.nearness)
        return animate(self.base, still.picture, motions, run, callback=on_step)


def _loaded(one: Chosen, base: Base) -> Motion | Said:
    if isinstance(one, ChosenWords):
        return one.said
    return Motion(
        MIVAAdapter.load(one.path, base.backbone),
        one.strength,
        None,
        one.name,
        one.text.span,
        words=one.words,
        degree=one.degree,
    )


def _run_options(noise: NoiseInit, options: argparse.Namespace) -> RunOptions:
    return RunOptions(
        seed=options.seed,
        steps=options.steps,
        size=options.size,
        frames=options.frames,
        segments=options.segments,
        fit=options.fit,
        noise=_noise(noise, options),
        adain=options.adain,
        render=options.render,
        edges=options.edges,
        timing=Timing(options.fps, options.duration, options.easing, options.loop),
    )


def _noise(default: NoiseInit, options: argparse.Namespace) -> NoiseInit:
    return replace(
        default,
        dct=default.dct and not options.no_dct,
        strength=default.strength if options.dct_strength is None else options.dct_strength,
        shared_ratio=0.0 if options.no_shared_noise else default.shared_ratio,
    )
