"""What the processors of one injection share: the state of the running forward pass, and adapters in groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..adapters.config import MIVAConfig
from ..errors import MIVAError
from .caption import Captions
from .guidance import GridGuidance, Guidance
from .stacked import STACKS, CrossFrames, Gates, Prompts, Temporals, frozen
from .strength import Part
from .words import Listener, heard_by_all


@dataclass(eq=False)
class Context:
    """What changes from call to call, shared by all processors of one injection.

    A batch holds the clips first and then, where `streams` says so, the mask sequences of one adapter after the other
    (3.4). Which adapters act in which rows is a matrix of streams by adapters: `strengths` for the clips, and a row of
    zeros with a single one for each mask stream, which thus belongs to one adapter alone.

    Args:
        strengths: (parts, n), of every `Part` of each adapter in the clips; (parts, n, F) where they differ from frame
            to frame of the coming forward passes. Written in place while the shape stays.
        degrees: (n,) in [-1, 1], how much motion each adapter makes, if it has a degree; written in place. In training
            (n, clips), one for each clip of the batch.
        temb: (b, d_t), the time embedding of every row of the running forward pass, before SiLU.
        frames: number of frames of the running forward pass; 0 before the first.
        streams: number of mask sequences to each clip in the running forward pass.
        guidance: by the subjects' masks, once there are any.
        shares: of the clip, at each frame of the coming forward passes; empty where they hold whole clips.
        listeners: the adapters in their order, None for those that hear no words; empty where none does.
        words: (n, b, frames, `WORD_WIDTH`), what each adapter hears in the running forward pass, b being 1 where all
            clips hear the same; None where no adapter hears words.
        captions: what the adapters add to the base's captions; None where those have no slots.
    """

    strengths: Tensor
    degrees: Tensor
    temb: Tensor | None = None
    frames: int = 0
    streams: int = 0
    guidance: Guidance | None = None
    shares: Sequence[float] = ()
    listeners: Sequence[Listener | None] = ()
    words: Tensor | None = None
    captions: Captions | None = None
    _strengths_for: int | None = field(default=None, init=False)

    def set_strengths(self, values: Tensor) -> None:
        """Write `strengths`, (parts, n) or (parts, n, F)."""
        if values.shape != self.strengths.shape:
            # Inference tensors could not be written later, outside of inference mode.
            with torch.inference_mode(False):
                self.strengths = self.strengths.new_empty(values.shape)
        self.strengths.copy_(values)
        self._strengths_for = values.shape[2] if values.ndim == 3 else None

    def begin(self, rows: int, frames: int, height: int, width: int) -> None:
        """Take note of a forward pass that begins, by the size of its latents.

        Args:
            rows: of the batch, clips and mask sequences.
            frames: of each row.
            height: of a latent frame.
            width: of a latent frame.

        Raises:
            MIVAError: the rows do not fit the mask streams that were announced, the size is not that of the masks,
                the frames are not those that strengths or words were set for, or the clips not those that degrees or
                words were.
        """
        if rows % (1 + self.streams):
            raise MIVAError(
                f"The batch has {rows} rows, but each clip was to be followed by {self.streams} mask sequences: call "
                "set_mask_streams(False) where there are none."
            )
        clips = rows // (1 + self.streams)
        if self.guidance is not None and self.guidance.size != (clips, frames, height, width):
            raise MIVAError(
                f"The masks are {self.guidance.size}, but the clips' latents are {(clips, frames, height, width)}: "
                "set masks of their size, or None."
            )
        if self._strengths_for not in (None, frames):
            raise MIVAError(
                f"Strengths over frames are set for {self._strengths_for} frames, but the latents have {frames}: "
                "call set_frames with the share of the clip at each of them."
            )
        if self.degrees.ndim == 2 and self.degrees.shape[1] not in (1, clips):
            raise MIVAError(
                f"Degrees are set for {self.degrees.shape[1]} clips, but the batch has {clips}: call set_degrees with "
                "one for each clip, or with a single one."
            )
        self.frames = frames
        if self.listeners:
            self.words = self._heard(clips, frames)

    def _heard(self, clips: int, frames: int) -> Tensor:
        """`words` of a forward pass."""
        shares = self.shares or [k / max(1, frames - 1) for k in range(frames)]
        if len(shares) != frames:
            raise MIVAError(
                f"Words are said over {len(shares)} frames, but the latents have {frames}: call set_frames with the "
                "share of the clip at each of them."
            )
        return heard_by_all(self.listeners, shares, clips)

    def end(self) -> None:
        """Forget all that came with forward passes."""
        self.temb, self.frames, self.words = None, 0, None
        self.streams, self.guidance = 0, None

    def strengths_of(self, part: Part) -> Tensor:
        """(n,), or (n, F) where they differ from frame to frame, of one part of every adapter."""
        return self.strengths[part]

    def clip_rows(self, rows: int) -> int:
        """How many rows of a batch are of clips, the first ones; the others are of mask sequences."""
        return rows // (1 + self.streams)

    def captioned(self, captions: Tensor) -> Tensor:
        """The captions of a forward pass, with what adapters add to them.

        Args:
            captions: (b, k, slots, dim), k being 1 where all frames of a row have the same.

        Returns:
            (b, k, slots, dim), with one for each frame where strengths differ from frame to frame.
        """
        if self.captions is None:
            return captions
        rows = captions.unflatten(0, (1 + self.streams, -1))
        return self.captions.add(rows, self.strengths_of(Part.PROMPT)).flatten(0, 1)

    def guided(self, tokens: int) -> GridGuidance | None:
        """The guidance for feature maps of `tokens` tokens a frame; None where no masks guide."""
        return None if self.guidance is None else self.guidance.at(tokens)

    def counted_frames(self) -> int:
        """`frames`, once the model has begun.

        Raises:
            MIVAError: it has not, since hooks were bypassed; frames would be taken for clips.
        """
        if not self.frames:
            raise _not_begun()
        return self.frames

    def time_embedding(self) -> Tensor:
        """`temb`, once the model has made it.

        Raises:
            MIVAError: it has not, since hooks were bypassed.
        """
        if self.temb is None:
            raise _not_begun()
        return self.temb


def _not_begun() -> MIVAError:
    return MIVAError("Call the model itself, not its forward: only so do adapters learn the number of frames.")


@dataclass(eq=False)
class Group:
    """Adapters of equal config at one site. Equal shapes let each step be one product for all of them.

    Args:
        modules: the adapters' modules for this site.
        config: their common config.
        start: where they start among all adapters.
        stream: where their mask streams start among all mask streams, if they have any.
    """

    modules: list[nn.ModuleDict]
    config: MIVAConfig
    start: int
    stream: int
    _frozen: dict[str, Any] = field(init=False, default_factory=dict)

    @property
    def columns(self) -> slice:
        """Where they are among all adapters."""
        return slice(self.start, self.start + len(self.modules))

    def strengths(self, context: Context, part: Part) -> Tensor:
        """How strongly one part of each of them acts, (len(modules),) or (len(modules), F)."""
        return context.strengths_of(part)[self.columns]

    def degrees(self, context: Context) -> Tensor:
        """How much motion each of them makes, (len(modules),) or (len(modules), clips), see `Context.degrees`."""
        return context.degrees[self.columns]

    def mask_rows(self, xs: Tensor, clips: int) -> Tensor:
        """Their mask streams' part of a batch.

        Args:
            xs: (b, ...), whose first rows are of clips.
            clips: how many they are.

        Returns:
            (len(modules), clips, ...)
        """
        start = (1 + self.stream) * clips
        return xs[start : start + len(self.modules) * clips].unflatten(0, (len(self.modules), clips))

    @property
    def cross_frames(self) -> CrossFrames:
        """Of the clips."""
        return self._stacked("cfa")

    @property
    def mask_cross_frames(self) -> CrossFrames:
        """Of the mask streams."""
        return self._stacked("cfa_mask")

    @property
    def gates(self) -> Gates:
        """Of cross-frame attention."""
        return self._stacked("gate")

    @property
    def prompts(self) -> Prompts:
        """At a site of text cross-attention."""
        return self._stacked("ca")

    @property
    def temporals(self) -> Temporals:
        """At a site of temporal attention."""
        return self._stacked("ta")

    def freeze(self, dtype: torch.dtype, device: torch.device) -> None:
        """Stack the parameters once for all coming forward passes, see `Injection.freeze`.

        Args:
            dtype: that attention computes in.
            device: where the model is.
        """
        self._frozen = {name: frozen(self._stack(name), dtype, device) for name in self.modules[0]}

    def _stacked(self, name: str) -> Any:
        return self._frozen[name] if self._frozen else self._stack(name)

    def _stack(self, name: str) -> Any:
        return STACKS[name].of([module[name] for module in self.modules])
