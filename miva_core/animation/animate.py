"""One picture and some motions in, a clip out."""

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import reduce

import torch
from torch import Tensor

from ..attention.injection import Injection
from ..attention.turns import take_turn
from ..bases.base import Base
from ..bases.inject import check_bare, inject
from ..bases.model_predictor import ModelPredictor
from ..diffusion.init_noise import NoiseInit
from ..diffusion.loop import Sampled, StepCallback, sample
from ..diffusion.predictor import Predictor
from ..errors import MIVAError
from ..media.flow_warp import warp
from ..media.pixel_values import clamp_unit
from .clip import Clip, Progress
from .decoding import Decoding
from .degree_notes import degree_notes
from .frame_strengths import frame_shares, reached
from .full_size import FullSize
from .mask_guidance import GuidedByMasks, mask_steps
from .mask_sequences import MaskStream
from .motion import Motion, base_for, named
from .notes import run_notes
from .options import RunOptions, renders_full
from .output import Output
from .predictors import FiniteAnswers, WithProgress
from .readout import DecoderReadout, fit_readout
from .segments import Beginning, Chain
from .steps import Steps, check_strengths, choose_steps
from .words import encode_words, words_notes

ProgressCallback = Callable[[Progress], None]


def animate(
    base: Base,
    picture: Tensor,
    motions: Sequence[Motion] = (),
    options: RunOptions | None = None,
    callback: ProgressCallback | None = None,
) -> Clip:
    """Animate a picture by motions.

    At full size masked motions are denoised apart from all others, and put together by their flows.

    Threads may share a base: its model makes one clip at a time, and a second thread waits until the first is done.
    A `MIVAWarning` tells of masks that were changed, of steps in weak noise and of motions whose span loses them.

    Args:
        base: from `load_base`.
        picture: (H, W, 3) in [0, 1], any size; it is fitted to the clip, see `RunOptions.fit`.
        motions: to act together; without any that acts, a base with captions of motions runs under one of them, which
            the seed draws, and another base moves as it likes.
        options: how the run is made; default all as the base has it, with the seed 0.
        callback: called after every step; raising an exception in it stops the run.

    Returns:
        The clip.

    Raises:
        MIVAError: something above is out of range, found before sampling starts; or the run became NaN, or its camera
            leaves the picture too far. Nothing stays injected in the model, whatever happens.

    Example:
        >>> base = load_base("tiny")
        >>> pan = MIVAAdapter.load("pan_left.safetensors", base.backbone)
        >>> clip = animate(base, read_picture("photo.jpg"), [Motion(pan, 0.8)], RunOptions(seed=3))
        >>> write_video((frame.pixels for frame in clip), "clip.mp4", clip.fps)
    """
    run = _prepared(base, picture, motions, _check_options(options))
    if callback is not None and not callable(callback):
        raise MIVAError(f"The callback is a {type(callback).__name__}, expected a function of the progress.")
    with take_turn(base.model):
        sampled, masks = _denoised(run, callback)
    frames, oddities = run.output.render(sampled, masks)
    return Clip(
        frames,
        run.output.fps,
        flow=None if sampled.flow is None else sampled.flow[0].float().cpu(),
        notes=(*run.notes(), *oddities),
        fitting=run.output.fitting,
    )


def _prepared(base: Base, picture: Tensor, motions: Sequence[Motion], options: RunOptions) -> _Run:
    """A run, if it can be made.

    Raises:
        MIVAError: see `animate`.
    """
    picture, by_name = _check_picture(picture), named(motions)
    if not by_name and base.text is None:
        raise MIVAError(f"The {base.name} base runs without its text encoder, so it needs an adapter: name a motion.")
    encode_words(base, by_name)
    steps = choose_steps(base, options)
    check_strengths(by_name, steps)
    kind: type[FullSize] | type[Decoding] = FullSize if renders_full(base, options) else Decoding
    captioned = base_for(base, list(by_name.values()), options.seed)
    return _Run(captioned, by_name, options, steps, kind.of(base, picture, by_name, options))


def _check_start(start: Tensor, drawn: Tensor) -> Tensor:
    if not isinstance(start, Tensor) or start.shape != drawn.shape or not start.isfinite().all():
        what = f"of shape {tuple(start.shape)}" if isinstance(start, Tensor) else f"a {type(start).__name__}"
        raise MIVAError(f"The start noise is {what}, expected finite numbers of shape {tuple(drawn.shape)}.")
    return start.to(drawn)


def _check_options(options: RunOptions | None) -> RunOptions:
    if options is not None and not isinstance(options, RunOptions):
        raise MIVAError(f"The options are a {type(options).__name__}, expected RunOptions, as in RunOptions(seed=1).")
    return options or RunOptions()


def _check_picture(picture: Tensor) -> Tensor:
    """(H, W, 3) float32 in [0, 1]."""
    if not isinstance(picture, Tensor):
        raise MIVAError(f"The picture is a {type(picture).__name__}, expected a float tensor (H, W, 3) in [0, 1].")
    if picture.ndim != 3 or picture.shape[-1] != 3 or not picture.is_floating_point():
        raise MIVAError(
            f"The picture must be a float tensor (H, W, 3) in [0, 1], but it is {picture.dtype} {tuple(picture.shape)}."
        )
    if picture.numel() == 0:
        raise MIVAError("The picture is empty: it has no pixels.")
    return clamp_unit(picture.float(), "The picture")
