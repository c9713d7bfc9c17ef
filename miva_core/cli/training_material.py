"""What the command `train` learns from and tries the adapter on, as its options say."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..adapters.info import read_info
from ..bases.base import Base
from ..checks import printable
from ..clips.files import FindMasks, read_clips
from ..clips.training_clip import ClipSpec
from ..clips.worded import read_worded_clips
from ..errors import MIVAError
from ..filming.shooting import PACES
from ..filming.still import read_mapped_stills
from ..motion_fields.motions import spoken
from ..subject_mask.prompt import split_prompt
from ..training.training_set import Record, TrainingSet, film_clips, has_direction
from ..training.validation import Validation, first_frames, in_words, read_validations
from .arguments.train import VALIDATIONS
from .chosen import chosen_confidence, load_chosen_detector, load_chosen_segmenter
from .motion_clips import chosen_shooting


def subject_phrases(options: argparse.Namespace, partner: Path | None) -> list[str]:
    """The phrases by which masks are found, one for each subject; none if no models are named for it.

    Args:
        options: of the command.
        partner: file of the motion that learns beside the first.

    Raises:
        MIVAError: the options do not go together, or a subject has no phrase that it can be found by.
    """
    named = [name for name in ("detector", "segmenter") if getattr(options, name)]
    if not named:
        for name in ("vocabulary", "confidence"):
            if getattr(options, name) is not None:
                raise MIVAError(f"--{name} is of no use without --detector: add that, or leave it out.")
        return []
    if not _takes_masks(options):
        raise MIVAError(f"Only masked motions need masks: add --masked, or leave --{named[0]} out.")
    if len(named) == 1:
        raise MIVAError(f"Masks are found by two models, --detector and --segmenter, but only --{named[0]} is given.")
    subjects = {"--subject": options.subject}
    if partner:
        subjects[options.beside] = read_info(partner).subject
    words: list[str] = []
    for source, subject in subjects.items():
        phrases = split_prompt(subject) if subject.strip(" .,;?") else []
        if len(phrases) != 1:
            raise MIVAError(
                f"Masks are found by words, but {source} says {subject!r}: a noun or a short phrase is needed, without "
                "commas or full stops."
            )
        words += phrases
    if len(set(words)) < len(words):
        raise MIVAError(f"Both subjects are called {words[0]!r}: give --subject another word, or clips with masks.")
    return words


def material(
    base: Base, options: argparse.Namespace, phrases: Sequence[str]
) -> tuple[TrainingSet, Sequence[Validation]]:
    """What is learnt and tried on; the models that find masks are let go of afterwards.

    Args:
        base: that learns.
        options: of the command.
        phrases: from `subject_phrases`.
    """
    if not phrases:
        training_set = _training_set(base, options, None)
        return training_set, _validations(options, training_set, None)
    # Late, since torchvision takes a second, for which no training without these models shall have to wait.
    from ..subject_mask.search import SearchOptions
    from ..subject_mask.subjects import find_subjects

    detector, segmenter = load_chosen_detector(options), load_chosen_segmenter(options)
    search = SearchOptions(chosen_confidence(options))

    def finder(names: Sequence[str]) -> FindMasks:
        return lambda frames: find_subjects(frames, ". ".join(names), detector, segmenter, search).masks

    training_set = _training_set(base, options, finder(phrases))
    # A still is tried with the first subject alone.
    return training_set, _validations(options, training_set, finder(phrases[:1]))


def _training_set(base: Base, options: argparse.Namespace, find: FindMasks | None) -> TrainingSet:
    source: Record
    if options.film:
        shooting = chosen_shooting(options, base.size, base.frames)
        if options.degree:
            shooting = replace(shooting, paces=PACES)
        stills = read_mapped_stills(options.clips, shooting.field, shooting.needed_side, options.depth)
        clips, source = film_clips(stills, shooting, options.seed)
        if _takes_masks(options) and not len(clips[0].masks):
            asked = "--masked" if options.masked else "--guide mask"
            raise MIVAError(f"Without masks {spoken(shooting.field.name)} moves the whole picture: leave {asked} out.")
    else:
        masks = _takes_masks(options) + (options.beside is not None)
        read = read_worded_clips if options.words else read_clips
        clips = read(options.clips, ClipSpec(base.size, base.frames, base.fps), masks, find)
        source = {"names": ", ".join(printable(clip.name) for clip in clips)}
    if len(clips) == 1:
        print("One clip alone is learnt by heart rather than as a motion: about ten are better.")
    for name, adapter in (("from", options.start), ("beside", options.beside)):
        source = {**source, name: Path(adapter).stem} if adapter else source
    flip = options.flip
    if flip is None:
        filmed = any(options.clips.glob("**/*_flow.json" if options.words else "*_flow.json"))
        said = (options.motion, *(clip.words for clip in clips))
        flip = not (options.film or filmed or any(map(has_direction, said)))
    return TrainingSet(
        options.motion, clips, options.masked, flip, options.subject, source, options.degree, options.guide
    )


def _takes_masks(options: argparse.Namespace) -> bool:
    """Whether the motion is given masks, in its training and in a run."""
    masked: bool = options.masked
    return masked or options.guide == "mask"


def _validations(
    options: argparse.Namespace, training_set: TrainingSet, find: FindMasks | None
) -> Sequence[Validation]:
    """Held-out stills, or where there are none first frames of training clips."""
    if options.stills:
        return in_words(
            read_validations(options.stills, training_set.takes_masks, VALIDATIONS, find), training_set.words
        )
    return in_words(first_frames(training_set, VALIDATIONS), training_set.words)
