"""The captions that adapters have learnt, added to those that a model is run under."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ..adapters.adapter import MIVAAdapter


class Captions:
    """Σ_j w_j c_j, the learnt captions of adapters, by the strengths of their prompts.

    Args:
        learnt: (slots, dim) of each adapter, in their order.
        streams: which of them have a mask stream, in the order of these. In its stream an adapter acts alone.
    """

    def __init__(self, learnt: Sequence[Tensor], streams: Sequence[int]) -> None:
        self._learnt = learnt
        self._streams = streams
        self._frozen: Tensor | None = None

    def freeze(self, dtype: torch.dtype, device: torch.device) -> None:
        """Keep them as they are now, see `Injection.freeze`.

        Args:
            dtype: that the model computes in.
            device: where the model is.
        """
        self._frozen = torch.stack(list(self._learnt)).detach().to(device, dtype)

    def add(self, captions: Tensor, weights: Tensor) -> Tensor:
        """Add them to the captions of a forward pass.

        Args:
            captions: (streams, clips, k, slots, dim), of the clips and of the mask sequences that follow them, if any.
            weights: (n,), or (n, f) where they differ from frame to frame, in the clips.

        Returns:
            (streams, clips, k, slots, dim), or with f in the place of k.
        """
        learnt = torch.stack(list(self._learnt)) if self._frozen is None else self._frozen
        weights = (weights if weights.ndim == 2 else weights[:, None]).to(learnt)
        of_clips = torch.einsum("nf,nsd->fsd", weights, learnt)
        alone = (learnt[j, None].expand_as(of_clips) for j in self._streams)
        added = torch.stack([of_clips, *alone])[: len(captions), None]
        return captions + added.to(captions)


def captions_of(adapters: Iterable[MIVAAdapter]) -> Captions | None:
    """Those of all adapters in their order; None where the base has none to add to."""
    adapters = list(adapters)
    learnt = [adapter.caption for adapter in adapters if adapter.caption is not None]
    streams = [j for j, adapter in enumerate(adapters) if adapter.config.mask]
    return Captions(learnt, streams) if learnt else None
