"""The attention processors that take the place of diffusers' own while adapters are injected.

They are plain objects, so that a base neither owns nor saves an adapter's parameters. Each reads only its own
attributes, named alike on all of them, and one shared `Context`: torch.compile then makes one graph for all blocks of a
kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..adapters.config import MIVAConfig
from ..errors import MIVAError
from .formulas import (
    Bias,
    CrossFrameBias,
    attend,
    collect,
    cross_frame_output,
    cross_frame_queries,
    each,
    fan_in,
    fan_out,
    joint_cross_frame,
    own_output,
    own_queries,
    prompt_activation,
    reference_weights,
    separate_cross_frame,
    spread_own,
)
from .guidance import GridGuidance, Guidance


@dataclass(eq=False)
class Context:
    """What changes from call to call, shared by all processors of one injection.

    A batch holds the clips first and then, where `streams` says so, the mask sequences of one adapter after the other
    (3.4). Which adapters act in which rows is a matrix of streams by adapters: `weights` for the clips, and a row of
    zeros with a single one for each mask stream, which thus belongs to one adapter alone.

    Args:
        weights: (n,), one weight for each adapter in the clips; written in place.
        temb: (b, d_t), the time embedding of the running forward pass, before SiLU.
        frames: number of frames of the running forward pass; 0 before the first.
        streams: number of mask sequences to each clip in the running forward pass.
        guidance: by the subjects' masks, once they are known.
    """

    weights: Tensor
    temb: Tensor | None = None
    frames: int = 0
    streams: int = 0
    guidance: Guidance | None = None

    def begin(self, rows: int, frames: int, height: int, width: int) -> None:
        """Take note of a forward pass that begins, by the size of its latents.

        Raises:
            MIVAError: they are not of the size that was announced by mask streams, or of that of the masks.
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
        self.frames = frames

    def end(self) -> None:
        """Forget all that came with forward passes."""
        self.temb, self.frames = None, 0
        self.streams, self.guidance = 0, None

    def clip_rows(self, rows: int) -> int:
        """How many of a batch's first rows are of clips; the others are of mask sequences."""
        return rows // (1 + self.streams)

    def guided(self, tokens: int) -> GridGuidance | None:
        """The guidance for feature maps of so many tokens a frame."""
        return None if self.guidance is None else self.guidance.at(tokens)

    def counted_frames(self) -> int:
        """`frames`, once the model has told them.

        Raises:
            MIVAError: it has not, since hooks were bypassed; frames would be taken for clips.
        """
        if not self.frames:
            raise MIVAError("Call the model itself, not its forward: only so do adapters learn the number of frames.")
        return self.frames


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

    @property
    def adapters(self) -> slice:
        """Where they are among all adapters."""
        return slice(self.start, self.start + len(self.modules))

    def weights(self, context: Context) -> Tensor:
        """(len(modules),)"""
        return context.weights[self.adapters]

    def own_rows(self, xs: Tensor, clips: int) -> Tensor:
        """Their mask streams' part of a batch whose first rows are clips: (b, ...) gives (len(modules), clips, ...)."""
        start = (1 + self.stream) * clips
        return xs[start : start + len(self.modules) * clips].unflatten(0, (len(self.modules), clips))

    def parts(self, name: str) -> list[nn.Module]:
        """One part of every adapter, such as "cfa"."""
        return [module[name] for module in self.modules]


class Processor:
    """What all of them hold; see the module's text."""

    def __init__(self, context: Context, groups: list[Group]) -> None:
        self.context = context
        self.groups = groups


class SelfAttention(Processor):
    """y_i = SA(f^i) + Σ_j w_j W_O^j(λ2^j A(f^i, f^1) + λ3^j A(f^i, f^prev(i))) (Eq. 2), tokens (b f, s, d).

    The references use the keys and values that SA has just made. Under guidance SA is biased by all masks, each A by
    the mask of j (Eq. 3, S6). A mask stream has a W_Q and a W_O of its own, its own frames as references, and with
    image guidance the frame of its clip as a third one.
    """

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        refuse_mask(attention_mask)
        tokens = hidden_states, attn.to_q(hidden_states), attn.to_k(hidden_states), attn.to_v(hidden_states)
        guidance = self.context.guided(hidden_states.shape[1])
        clips = self.context.clip_rows(len(hidden_states))
        y = project_out(attn, attend_guided(*tokens[1:], attn.heads, guidance and guidance.self_attention, clips))
        of_clips = [x[:clips] for x in tokens]
        change = sum(self._cross_frame(group, attn, guidance, *of_clips) for group in self.groups)
        if not self.context.streams:
            return y + change
        of_masks = [self._mask_cross_frame(group, attn, clips, *tokens) for group in self.groups if group.config.mask]
        return y + torch.cat([change, *of_masks])

    def _cross_frame(
        self, group: Group, attn: nn.Module, guidance: GridGuidance | None, x: Tensor, q: Tensor, k: Tensor, v: Tensor
    ) -> Tensor:
        branches = group.parts("cfa")
        queries = cross_frame_queries(x, q, branches)
        bias = guidance and guidance.cross_frame.of(group.adapters)
        mixed = mix_references(self.context, group, queries, k, v, attn.heads, bias)
        return cross_frame_output(mixed, branches, group.weights(self.context))

    def _mask_cross_frame(
        self, group: Group, attn: nn.Module, clips: int, x: Tensor, q: Tensor, k: Tensor, v: Tensor
    ) -> Tensor:
        branches = group.parts("cfa_mask")
        own_x, own_q, own_k, own_v = (group.own_rows(tokens, clips) for tokens in (x, q, k, v))
        queries = own_queries(own_x, own_q, branches)
        mixed = mix_own_references(self.context, group, queries, own_k, own_v, k[:clips], v[:clips], attn.heads)
        return own_output(mixed, branches).flatten(0, 1)


class CrossAttention(Processor):
    """y = Σ_j w_j W2_j(act(norm_j(W1_j f W_Q))) + (1 - Σ_j w_j) CA(f, text) (3.3.2), tokens (b f, s, d).

    Without a text there is no CA(f, text), and its share is dropped: real bases run without their text encoder. Under
    guidance w_j is multiplied by the mask of j, so that what no subject claims is left to the base. Mask streams hear
    their own adapter alone.
    """

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        refuse_mask(attention_mask)
        clips = self.context.clip_rows(len(hidden_states))
        of_clips = hidden_states[:clips]
        gates = prompt_gates(self.context, hidden_states.shape[1])
        y = sum(self._prompt(group, attn, of_clips, gates[group.adapters]) for group in self.groups)
        if encoder_hidden_states is not None:
            text = encoder_hidden_states[:clips]
            heard = project_out(attn, attend(attn.to_q(of_clips), attn.to_k(text), attn.to_v(text), attn.heads))
            y = y + base_share(gates, heard) * heard
        if not self.context.streams:
            return y
        of_masks = [
            self._mask_prompt(group, attn, group.own_rows(hidden_states, clips))
            for group in self.groups
            if group.config.mask
        ]
        return torch.cat([y, *of_masks])

    def _prompt(self, group: Group, attn: nn.Module, x: Tensor, gates: Tensor) -> Tensor:
        prompts = group.parts("ca")
        x, first = self._first_maps(attn, x, prompts)
        hidden = prompt_activation(fan_out(x, first), prompts, group.config.ca_act)
        return fan_in(hidden, [prompt.second for prompt in prompts], gates)

    def _mask_prompt(self, group: Group, attn: nn.Module, xs: Tensor) -> Tensor:
        prompts = group.parts("ca")
        xs, first = self._first_maps(attn, xs, prompts)
        hidden = prompt_activation(each(xs, first), prompts, group.config.ca_act)
        return each(hidden, [prompt.second for prompt in prompts]).flatten(0, 1)

    def _first_maps(self, attn: nn.Module, x: Tensor, prompts: list[nn.Module]) -> tuple[Tensor, list[Tensor]]:
        """What the adapters' first matrices are to be applied to, and those matrices."""
        first = [prompt.first for prompt in prompts]
        if is_plain(attn.to_q, x):
            # W1 W_Q is a far smaller matrix than W_Q
            return x, [matrix @ attn.to_q.weight.to(matrix) for matrix in first]
        return attn.to_q(x), first


class TemporalAttention(Processor):
    """y = Σ_j w_j tSA_j(f) + (1 - Σ_j w_j) tSA(f), tokens (b h w, f, d).

    The outputs of several adapters are summed, not their LoRA matrices (B.2.1). Under guidance tSA_j is biased by the
    mask of j. A mask stream is attended by its own adapter alone.
    """

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        refuse_mask(attention_mask)
        qkv = attn.to_q(hidden_states), attn.to_k(hidden_states), attn.to_v(hidden_states)
        guidance = self.context.guided(len(hidden_states) // len(self.context.temb))
        clips = self.context.clip_rows(len(hidden_states))
        mixed = attend(*(x[:clips] for x in qkv), attn.heads)
        mixed = base_share(self.context.weights, mixed) * mixed
        extra = 0
        for group in self.groups:
            weights = group.weights(self.context)
            attended = self._attend(group, attn, guidance, *(x[:clips] for x in (hidden_states, *qkv)))
            mixed = mixed + torch.einsum("n,nbfd->bfd", weights.to(attended), attended)
            extra = extra + collect(attended, self._out(group), self._scale(group) * weights)
        if self.context.streams:
            own = [
                self._attend_own(group, attn, *(group.own_rows(x, clips) for x in (hidden_states, *qkv)))
                for group in self.groups
                if group.config.mask
            ]
            mixed, extra = (torch.cat(parts) for parts in zip((mixed, extra), *own, strict=True))
        # all shares sum to 1, so one projection of their mean counts its bias exactly once
        return project_out(attn, mixed) + extra

    def _attend(self, group: Group, attn: nn.Module, guidance: GridGuidance | None, x: Tensor, *qkv: Tensor) -> Tensor:
        """Every adapter's own temporal attention of the clips before its output map: (n, b h w, f, d)."""
        deltas = [getattr(site, name) for name in ("q", "k", "v") for site in group.parts("ta")]
        down = fan_out(x, [delta.down for delta in deltas]) * self._scale(group)
        changes = each(down, [delta.up for delta in deltas]).chunk(3)
        q, k, v = ((base + change).flatten(0, 1) for base, change in zip(qkv, changes, strict=True))
        bias = None if guidance is None else guidance.temporal[group.adapters].flatten(0, 1)
        return attend(q, k, v, attn.heads, bias).unflatten(0, (len(group.modules), -1))

    def _attend_own(self, group: Group, attn: nn.Module, xs: Tensor, *qkv: Tensor) -> tuple[Tensor, Tensor]:
        """Every adapter's temporal attention of its mask stream, (n b h w, f, d): what goes to the base's output map,
        and what its own adds."""
        lora, scale = group.parts("ta"), self._scale(group)
        changes = (spread_own(xs, [getattr(site, name) for site in lora]) for name in ("q", "k", "v"))
        q, k, v = ((base + scale * change).flatten(0, 1) for base, change in zip(qkv, changes, strict=True))
        attended = attend(q, k, v, attn.heads)
        extra = scale * spread_own(attended.unflatten(0, xs.shape[:2]), self._out(group))
        return attended, extra.flatten(0, 1)

    @staticmethod
    def _scale(group: Group) -> float:
        return group.config.ta_alpha / group.config.ta_rank

    @staticmethod
    def _out(group: Group) -> list[nn.Module]:
        return [site.out for site in group.parts("ta")]


def attend_guided(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Bias | None, clips: int) -> Tensor:
    """Self-attention, with a bias for the first rows, which are of clips; masks are guided by nothing."""
    if bias is None:
        return attend(q, k, v, heads)
    guided = attend(q[:clips], k[:clips], v[:clips], heads, bias)
    return torch.cat((guided, attend(q[clips:], k[clips:], v[clips:], heads))) if len(q) > clips else guided


def mix_references(
    context: Context,
    group: Group,
    queries: Tensor,
    k: Tensor,
    v: Tensor,
    heads: int,
    bias: CrossFrameBias | None,
) -> Tensor:
    """λ2^j A(q_i, f^1) + λ3^j A(q_i, f^prev(i)) of all adapters of a group, in the form their config asks for.

    queries (n, b f, s, d), k and v (b f, s, d) give (n, b f, s, d).
    """
    lambdas, frames = _lambdas(context, group), context.frames
    cross_frame = separate_cross_frame if group.config.cfa_softmax == "separate" else joint_cross_frame
    return cross_frame(queries, k, v, lambdas, heads, frames, bias)


def mix_own_references(
    context: Context,
    group: Group,
    queries: Tensor,
    k: Tensor,
    v: Tensor,
    k_clip: Tensor,
    v_clip: Tensor,
    heads: int,
) -> Tensor:
    """`mix_references` of the mask streams, each the first and previous frame of its own, and, with image guidance, the
    frame of the clip that it belongs to, at weight 1.

    queries, k and v (n, b f, s, d), k_clip and v_clip (b f, s, d) give (n, b f, s, d).
    """
    lambdas, frames = _lambdas(context, group), context.frames
    n = len(queries)
    image = (k_clip, v_clip) if group.config.image_guidance else None
    # to attention, streams are clips of one adapter
    merged = queries.flatten(0, 1)[None], k.flatten(0, 1), v.flatten(0, 1), lambdas.flatten(0, 1)[None], heads, frames
    if group.config.cfa_softmax == "joint":
        image = image and tuple(x.repeat(n, 1, 1) for x in image)
        return joint_cross_frame(*merged, image=image)[0].unflatten(0, (n, -1))
    mixed = separate_cross_frame(*merged)[0].unflatten(0, (n, -1))
    if image is None:
        return mixed
    seen = attend(queries.transpose(0, 1).flatten(1, 2), *image, heads)
    return mixed + seen.unflatten(1, (n, -1)).transpose(0, 1)


def _lambdas(context: Context, group: Group) -> Tensor:
    """(n, b f, 2), of the clips; a mask stream is as noisy as its clip."""
    frames = context.counted_frames()
    temb = context.temb[: context.clip_rows(len(context.temb))]
    lambdas = reference_weights(temb, group.parts("gate"), group.config.gate_temperature)
    return lambdas.repeat_interleave(frames, dim=1)


def prompt_gates(context: Context, tokens: int) -> Tensor:
    """How much each adapter's prompt counts: its weight, (n,), and with guidance that times its mask, (n, b f, s)."""
    guidance = context.guided(tokens)
    if guidance is None:
        return context.weights
    return context.weights[:, None, None] * guidance.gate.flatten(1, 2)


def project_out(attn: nn.Module, hidden_states: Tensor) -> Tensor:
    projection, dropout = attn.to_out
    return dropout(projection(hidden_states))


def is_plain(linear: nn.Module, x: Tensor) -> bool:
    """Whether `linear(x)` is x times its weight: it may also be quantised, offloaded or carry a LoRA of its own."""
    return type(linear) is nn.Linear and linear.bias is None and linear.weight.device == x.device


def base_share(shares: Tensor, like: Tensor) -> Tensor:
    """What adapters leave to the base: of one share each, (n,), or one for each token, (n, b, s)."""
    # arithmetic on a tensor, never a branch: a new weight must not trigger a new compilation
    share = (1 - shares.sum(0)).to(like)
    return share if share.ndim == 0 else share[..., None]


def refuse_mask(attention_mask: Tensor | None) -> None:
    if attention_mask is not None:
        raise MIVAError("The model was called with an attention mask, which adapters do not support; leave it out.")
