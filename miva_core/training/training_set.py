"""What a training learns from: clips of one motion, encoded for a base."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..adapters.degree import Measure
from ..bases.base import Base
from ..bases.guide import GuideKind
from ..checks import printable
from ..clips.optical_flow import flow_of_steps, measure_flow
from ..clips.training_clip import TrainingClip
from ..errors import MIVAError
from ..filming.motion_clips import CLIPS_PER_STILL, film_stills
from ..filming.shooting import Shooting
from ..filming.still import Still
from ..media.pixel_values import to_bytes
from ..motion_fields.motions import spoken
from .degrees import STRIDES, measured
from .kept_encodings import KeptEncodings
from .latent_clips import Colouring, LatentClip, Pixels, draw_colourings, encode, varied

Record = Mapping[str, str | int | float | bool]
"""Numbers and texts by name, as adapter files hold them."""


@dataclass(frozen=True)
class TrainingSet:
    """Clips of one motion, and what is said of them.

    Attributes:
        motion: its name.
        clips: at the size of the base.
        masked: whether the adapter generates its subject's mask; all clips have masks then.
        flip: whether mirrored clips are learnt from, too; not for what has a direction.
        subject: phrase for what moves, empty for a camera motion.
        source: where the clips come from, for the record: numbers and texts.
        degree: what the adapter's degree is measured by; None for one without. Clips are then met at other strides,
            too, see `degrees.STRIDES`.
        guide: what guides the base while they are learnt, and wherever the adapter acts: the first of their masks, or
            their nearness; all clips have it.
    """

    motion: str
    clips: Sequence[TrainingClip]
    masked: bool = False
    flip: bool = False
    subject: str = ""
    source: Record = field(default_factory=dict)
    degree: Measure | None = None
    guide: GuideKind = ""

    @property
    def takes_masks(self) -> bool:
        """Whether the adapter is given the mask of its subject in a run."""
        return self.masked or self.guide == "mask"

    @property
    def words(self) -> tuple[str, ...]:
        """What is said of the clips, each once."""
        return tuple(dict.fromkeys(clip.words for clip in self.clips if clip.words))

    def digest(self) -> str:
        """A hash of the clips, by which they are known from others: twelve hex digits."""
        digest = hashlib.sha256()
        for clip in self.clips:
            digest.update(clip.name.encode(errors="surrogatepass"))
            digest.update(clip.frames.contiguous().numpy().data)
            digest.update(clip.masks.contiguous().numpy().data)
            digest.update(clip.words.encode(errors="surrogatepass"))
            if self.guide == "nearness" and clip.nearness is not None:
                digest.update(clip.nearness.contiguous().numpy().data)
        return digest.hexdigest()[:12]

    def encode(
        self,
        base: Base,
        colours: int,
        seed: int,
        stop: Callable[[], bool] | None = None,
        on_progress: Callable[[int, int], None] | None = None,
        kept: KeptEncodings | None = None,
    ) -> list[list[LatentClip]]:
        """Encode each clip in all its versions, every frame of them once.

        Args:
            base: that encodes.
            colours: number of random colourings in which each clip is seen.
            seed: of these.
            stop: asked before every version of a clip whether to stop.
            on_progress: called as (done, total) with numbers of clips.
            kept: where encodings of an earlier try are found, and new ones are put.

        Returns:
            Of each clip its versions.

        Raises:
            KeyboardInterrupt: it was stopped.
        """
        generator = torch.Generator().manual_seed(seed)
        encoded = []
        for clip in self.clips:
            colourings = draw_colourings(colours, generator)
            key = self._key(kept, clip, colourings) if kept else ""
            windows = kept.read(key) if kept else None
            if not windows:
                windows = self._encode(base, clip, colourings, stop)
                if kept:
                    kept.write(key, windows)
            said = encode_words(base, clip) if clip.words else None
            encoded.append([replace(window, words=said) for window in windows])
            if on_progress:
                on_progress(len(encoded), len(self.clips))
        if kept:
            kept.remove_others()
        return encoded

    def _encode(
        self,
        base: Base,
        clip: TrainingClip,
        colourings: Sequence[Colouring | None],
        stop: Callable[[], bool] | None,
    ) -> list[LatentClip]:
        windows: list[LatentClip] = []
        for stride in self._strides(base, clip):
            pixels = _pixels(clip, base.predicts_flow, stride)._replace(guide=self._guide(clip))
            if self.degree:
                pace = clip.pace * stride / clip.stride
                pixels = pixels._replace(motion=measured(pixels, self.degree, stride, pace))
            for version in varied(pixels, colourings, self.flip):
                if stop and stop():
                    raise KeyboardInterrupt
                windows += encode(base, version, self.masked, stride)
        return windows

    def _guide(self, clip: TrainingClip) -> Tensor | None:
        """What guides the base in windows of a clip that begin with each of its frames, (N, H, W) in [0, 1]."""
        if not self.guide:
            return None
        masks = clip.masks[0] if len(clip.masks) else None
        maps = masks if self.guide == "mask" else clip.nearness
        if maps is None:
            raise MIVAError(
                f"{printable(clip.name)} has no {self.guide}, by which this motion is guided: leave it out, or train "
                "without the guide."
            )
        return (maps.half() / 255).expand(len(clip.frames), -1, -1)

    def _strides(self, base: Base, clip: TrainingClip) -> Sequence[int]:
        """The strides that a clip is met at: its own, and where a degree is learnt slower and faster ones."""
        if not self.degree:
            return [clip.stride]
        longest = (len(clip.frames) - 1) // (base.frames - 1)
        strides = {round(share * clip.stride) for share in STRIDES}
        return sorted(stride for stride in strides if 1 <= stride <= longest)

    def _key(self, kept: KeptEncodings, clip: TrainingClip, colourings: Sequence[Colouring | None]) -> str:
        """What the encoding of a clip follows from, in one word."""
        drawn = [part for colouring in colourings if colouring for part in colouring]
        options = ((self.degree, clip.pace) if self.degree else ()) + ((self.guide,) if self.guide else ())
        drawn += [part for part in (clip.flow, clip.nearness) if part is not None]
        return kept.key(
            [clip.frames, clip.masks, *drawn], clip.stride, self.masked, self.flip, len(colourings), *options
        )


def film_clips(
    stills: Sequence[Still],
    shooting: Shooting,
    seed: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[list[TrainingClip], Record]:
    """Training clips of a motion over stills, and the record of where they come from; see `film_stills`.

    Args:
        stills: as `film_stills` takes them.
        shooting: how they are filmed.
        seed: of what is drawn.
        on_progress: called as (done, total) with numbers of clips; what it raises ends the work.

    Returns:
        The clips, and numbers and texts for `TrainingSet.source`.
    """
    clips = []
    for name, clip in film_stills(stills, shooting, seed):
        # That of a camera is measured well; of a plain sky that drifts nothing can be measured.
        flow = None if shooting.field.kind == "camera" else clip.flow
        nearness = to_bytes(clip.maps["nearness"]) if "nearness" in clip.maps else None
        clips.append(TrainingClip(name, to_bytes(clip.frames), to_bytes(clip.masks), 1, clip.pace, "", flow, nearness))
        if on_progress:
            on_progress(len(clips), CLIPS_PER_STILL * len(stills))
    return clips, {
        "film": spoken(shooting.field.name),
        "speed": shooting.speed,
        "easing": shooting.easing,
        "stills": len(stills),
    }


_DIRECTIONS = r"left|right|c?cw$|(counter|anti)?clockwise"


def has_direction(motion: str) -> bool:
    """Whether a motion's name, such as "pan left", says that its mirror image is another motion."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", motion)
    return any(re.match(_DIRECTIONS, word.lower()) for word in words)


def encode_words(base: Base, clip: TrainingClip) -> Tensor:
    """Encode what is said of a clip, by the words that a base knows.

    Returns:
        (words, d_text)

    Raises:
        MIVAError: the base knows no words, or not these; the message names the nearest.
    """
    if base.vocabulary is None:
        raise MIVAError(
            f"The {base.name} base runs without its text encoder, so that no words can be learnt with it here."
        )
    try:
        return base.vocabulary.encode(clip.words)
    except MIVAError as error:
        raise MIVAError(f"{printable(clip.name)}: {error}") from error


def _pixels(clip: TrainingClip, with_flow: bool, stride: int) -> Pixels:
    frames = clip.frames.float() / 255
    if not with_flow:
        return Pixels(frames, clip.masks.float() / 255, frames.new_zeros(0, len(frames)))
    flow = measure_flow(frames, stride) if clip.flow is None else flow_of_steps(clip.flow, stride)
    return Pixels(frames, clip.masks.float() / 255, flow[None])
