"""Temporal self-attention of motion modules, which adapters change by LoRA (3.3)."""

from __future__ import annotations

import torch
from torch import Tensor

from .context import Group
from .guidance import GridGuidance
from .linear_maps import each, each_delta, fan_in_deltas, fan_out
from .port import AttentionPort
from .processor import Processor, base_share, total
from .softmax_attention import map_bias
from .strength import Part


class TemporalAttention(Processor):
    """A mean of the base's attention over time and of the same with each adapter's LoRA in it, by their strengths.

    y = Σ_j w_j tSA_j(f) + (1 - Σ_j w_j) tSA(f), tokens (b h w, f, d).

    The outputs of several adapters are summed, not their LoRA matrices (B.2.1). Under guidance tSA_j is biased by the
    mask of j. In a mask stream its own adapter acts alone. An adapter that hears words adds what it hears of them, g_j,
    to its input, frame by frame: tSA_j(f + E_j g_j) (EDG, stage 1).
    """

    def __call__(self, port: AttentionPort, x: Tensor, text: Tensor | None = None) -> Tensor:
        tokens = x, port.query(x), port.key(x), port.value(x)
        guidance = self.context.guided(len(x) // len(self.context.time_embedding()))
        clips = self.context.clip_rows(len(x))
        clip_tokens = [part[:clips] for part in tokens]
        mixed = port.attend(*clip_tokens[1:])
        mixed = base_share(_of_frames(self.context.strengths_of(Part.TEMPORAL)), mixed) * mixed
        extras = []
        for group in self.groups:
            strengths = _of_frames(group.strengths(self.context, Part.TEMPORAL))
            attended = self._attend(group, port, guidance, *clip_tokens)
            mixed = mixed + torch.einsum(_SUMS[strengths.ndim], strengths.to(attended), attended)
            extras.append(fan_in_deltas(attended, group.temporals.out, _scale(group) * strengths))
        extra = total(extras)
        if self.context.streams:
            mask_parts = [
                self._attend_masks(group, port, *(group.mask_rows(part, clips) for part in tokens))
                for group in self.groups
                if group.config.mask
            ]
            mixed, extra = (torch.cat(parts) for parts in zip((mixed, extra), *mask_parts, strict=True))
        # all shares sum to 1, so one projection of their mean counts its bias exactly once
        return port.output(mixed) + extra

    def _attend(
        self,
        group: Group,
        port: AttentionPort,
        guidance: GridGuidance | None,
        x: Tensor,
        q: Tensor,
        k: Tensor,
        v: Tensor,
    ) -> Tensor:
        """Every adapter's temporal attention of the clips before its output map: (n, b h w, f, d)."""
        lora = group.temporals
        changes = each(fan_out(x, lora.down) * _scale(group), lora.up).chunk(3)
        changed = self._with_words(group, port, [b + c for b, c in zip((q, k, v), changes, strict=True)])
        q, k, v = (tokens.flatten(0, 1) for tokens in changed)
        bias = None
        if guidance is not None:
            assert guidance.temporal is not None  # as it is wherever there is attention over time
            bias = map_bias(lambda x: x[group.columns].flatten(0, 1), guidance.temporal)
        return port.attend(q, k, v, bias).unflatten(0, (len(group.modules), -1))

    def _attend_masks(
        self, group: Group, port: AttentionPort, xs: Tensor, q: Tensor, k: Tensor, v: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Every adapter's temporal attention of its mask stream, (n b h w, f, d): what goes to the base's output map,
        and what the adapter's own output map adds."""
        lora, scale = group.temporals, _scale(group)
        maps = zip(lora.down.chunk(3), lora.up.chunk(3), strict=True)
        changes = (each(each(xs, down), up) for down, up in maps)
        changed = self._with_words(group, port, [b + scale * c for b, c in zip((q, k, v), changes, strict=True)])
        q, k, v = (tokens.flatten(0, 1) for tokens in changed)
        attended = port.attend(q, k, v)
        extra = scale * each_delta(attended.unflatten(0, xs.shape[:2]), lora.out)
        return attended, extra.flatten(0, 1)

    def _with_words(self, group: Group, port: AttentionPort, tokens: list[Tensor]) -> list[Tensor]:
        """Every adapter's queries, keys and values, (n, b h w, f, d) each, of an input to which its words are added.

        All maps are linear, so that those of what is added suffice, which is the same at all places of a frame.
        """
        lora, words = group.temporals, self.context.words
        if lora.words is None or words is None:
            return tokens
        added = each(words[group.columns].to(tokens[0]), lora.words)
        nothing = torch.zeros_like(added[:1, :1, :1])
        base = [layer(added) - layer(nothing) for layer in (port.query, port.key, port.value)]
        changes = each(each(added.repeat(3, 1, 1, 1), lora.down) * _scale(group), lora.up).chunk(3)
        clips = added.shape[1]
        return [
            (own.unflatten(1, (clips, -1)) + (plain + change)[:, :, None]).flatten(1, 2)
            for own, plain, change in zip(tokens, base, changes, strict=True)
        ]


_SUMS = {1: "n,nbfd->bfd", 3: "nbf,nbfd->bfd"}
"""Sums over the adapters, by strengths of so many dimensions."""


def _of_frames(strengths: Tensor) -> Tensor:
    """(n,) as it is; (n, f) as (n, 1, f), for rows that hold a place in all frames."""
    return strengths if strengths.ndim == 1 else strengths[:, None]


def _scale(group: Group) -> float:
    return group.config.ta_alpha / group.config.ta_rank
