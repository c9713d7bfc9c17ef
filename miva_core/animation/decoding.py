"""Frames decoded from what a base has denoised: the method's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from ..bases.base import Base
from ..diffusion.loop import Sampled
from ..media.nearness import check_nearness
from ..media.pictures import fit_mask, fit_picture
from .conditioning import Conditioning
from .frame_source import StoredFrames
from .mask_sequences import enlarge
from .masks import fit_masks, picture_masks
from .motion import Motion
from .notes import segment_notes, size_notes, unused_options
from .options import RunOptions, denoised_shape
from .rows import Row
from .said import Said
from .segments import finished, join


@dataclass(frozen=True, eq=False)
class Decoding:
    """An `Output` as the base paints it, at the size and length that it denoises.

    Attributes:
        base: that of the run.
        options: those of the run.
        conditioning: see `Output`.
        fitting: see `Clip`.
    """

    base: Base
    options: RunOptions
    conditioning: Conditioning
    fitting: str

    @classmethod
    def of(cls, base: Base, picture: Tensor, motions: Mapping[str, Motion | Said], options: RunOptions) -> Decoding:
        """Fit a picture and its masks to a clip.

        Args:
            base: that of the run.
            picture: (H, W, 3) in [0, 1].
            motions: by name.
            options: those of the run.

        Raises:
            MIVAError: the base cannot make such clips, or masks are not those that the motions need.
        """
        whole = options.size_in_file or (picture.shape[0], picture.shape[1])
        frames, size = denoised_shape(base, options, whole)
        fitted, fitting = fit_picture(picture, size, options.fit, whole)
        masks = fit_masks(picture_masks(motions, whole), size, options.fit)
        nearness = None
        if options.nearness is not None:
            nearness = fit_mask(check_nearness(options.nearness, whole), size, options.fit)
        return cls(base, options, Conditioning(fitted, masks, frames, nearness), fitting)

    @property
    def fps(self) -> float:
        """See `Clip`."""
        return self.base.fps

    def __len__(self) -> int:
        return self.conditioning.frames

    def part(self, rows: Sequence[Row]) -> Decoding:
        """See `Output`; it is the same for all."""
        return self

    def render(self, sampled: Sampled, masks: Mapping[str, Tensor]) -> tuple[StoredFrames, list[str]]:
        """Decode a clip; see `Output`."""
        latents = finished(self.base, self.options, sampled.latents)
        frames = join([self.base.decode(segment[None]) for segment in latents])
        first = self.conditioning.masks
        stored = StoredFrames(frames, {name: enlarge(mask, first[name], len(frames)) for name, mask in masks.items()})
        at_joins = {name: mask[:: self.conditioning.frames - 1][1:-1] for name, mask in stored.masks.items()}
        return stored, [
            *size_notes(stored.size, self.base.size),
            *segment_notes(len(latents), at_joins),
            *unused_options(self.options, len(frames), self.fps),
        ]

    def preview(self, sampled: Sampled, frame: int) -> Tensor:
        """Decode one frame; see `Output`."""
        return self.base.decode(sampled.latents)[frame]
