"""One picture and some motions in, a clip out."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from ..attention.turns import take_turn
from ..bases.base import Base
from ..errors import MIVAError
from ..media.pixel_values import clamp_unit
from .captions import check_said
from .clip import Clip
from .decoding import Decoding
from .degree_notes import degree_notes
from .full_size import FullSize
from .motion import Motion, adapters_among, base_for, named, said_among
from .notes import run_notes
from .options import RunOptions, renders_full
from .rows import apart_rows, painted_row
from .run import ProgressCallback, Run
from .said import Said
from .said_notes import said_notes
from .steps import check_strengths, choose_steps
from .words import encode_words, words_notes


def animate(
    base: Base,
    picture: Tensor,
    motions: Sequence[Motion | Said] = (),
    options: RunOptions | None = None,
    callback: ProgressCallback | None = None,
) -> Clip:
    """Animate a picture by motions.

    At full size masked motions are denoised apart from all others, and put together by their flows.

    A base that moves by words takes `Said` beside motions from files.

    Threads may share a base: its model makes one clip at a time, and a second thread waits until the first is done.
    A `MIVAWarning` tells of masks that were changed, of steps in weak noise and of motions whose span loses them.

    Args:
        base: from `load_base`.
        picture: (H, W, 3) in [0, 1], any size; it is fitted to the clip, see `RunOptions.fit`.
        motions: to act together; without any that acts, a base with captions of motions runs under one of them, which
            the seed draws, and another base moves as it likes. What is said at the speed 0 stands still.
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
    options, by_name = _check_options(options), named(motions)
    run = _prepared(base, _check_picture(picture), by_name, options)
    if callback is not None and not callable(callback):
        raise MIVAError(f"The callback is a {type(callback).__name__}, expected a function of the progress.")
    with take_turn(base.model):
        sampled, masks = run.denoise(callback)
    frames, oddities = run.output.render(sampled, masks)
    return Clip(
        frames,
        run.output.fps,
        flow=None if sampled.flow is None else sampled.flow[0].float().cpu(),
        notes=(*_notes(run.base, by_name, options, run.steps.count), *oddities),
        fitting=run.output.fitting,
    )


def _prepared(base: Base, picture: Tensor, motions: Mapping[str, Motion | Said], options: RunOptions) -> Run:
    """A run, if it can be made.

    Raises:
        MIVAError: see `animate`.
    """
    adapters = adapters_among(motions)
    if not motions and base.text is None:
        raise MIVAError(f"The {base.name} base runs without its text encoder, so it needs an adapter: name a motion.")
    check_said(base, said_among(motions))
    encode_words(base, adapters)
    steps = choose_steps(base, options)
    check_strengths(adapters, steps)
    captioned = base_for(base, list(motions.values()), options.seed)
    if not renders_full(base, options):
        return Run(captioned, (painted_row(motions),), options, steps, Decoding.of(base, picture, motions, options))
    if not base.guided:
        return Run(captioned, apart_rows(motions), options, steps, FullSize.of(base, picture, motions, options))
    # Late, since what renders layers needs OpenCV.
    from .layered_full_size import LayeredFullSize

    output = LayeredFullSize.of(base, picture, motions, options)
    return Run(captioned, output.rows, options, steps, output)


def _notes(base: Base, motions: Mapping[str, Motion | Said], options: RunOptions, steps: int) -> list[str]:
    """What is to be said of the motions of a run."""
    adapters = list(adapters_among(motions).values())
    return [
        *run_notes(base, list(motions.values()), steps),
        *words_notes(adapters),
        *degree_notes(adapters, base.size),
        *said_notes(base, motions, options.nearness),
    ]


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
