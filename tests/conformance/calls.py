"""How these tests call the engine: all that they need of its interface stands here."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from miva_core import Base, Clip, MIVAAdapter, MIVAConfig, Motion, Progress, RunOptions, animate
from miva_core.adapters.degree import DegreeRange
from miva_core.attention.injection import Injection
from miva_core.attention.strength import Level
from miva_core.bases.recipe import Recipe
from miva_core.bases.registry import find_architecture
from miva_core.training.latent_clips import LatentClip, Pixels, encode
from miva_core.training.loop import draw_step, train
from miva_core.training.recipes import recipe
from miva_core.training.step import TrainStep

CLIPS, FRAMES, HEIGHT, WIDTH = 2, 4, 4, 6
SMALL = MIVAConfig(cfa_rank=3, ca_rank=4, ta_rank=2)
"""The default config with tiny ranks."""
DEGREES = DegreeRange("flow", tuple(k / 10 for k in range(1, 20)), tuple(k / 10 + 0.05 for k in range(20)), 0.7)
"""Of motions from 0.05 to 1.95 pixels a frame."""
GATE_STD = 0.02
QUICK = {"steps": 2, "adain": False, "render": "latents"}


def fresh_adapter(base: Base, config: MIVAConfig) -> MIVAAdapter:
    """As training begins with it, in the dtype of the base."""
    return MIVAAdapter(base.backbone, config).to(base.model.dtype)


def random_adapter(base: Base, config: MIVAConfig = SMALL) -> MIVAAdapter:
    """Every parameter random, so that no zero hides a mistake; gates mix both references at all times."""
    adapter = fresh_adapter(base, config)
    for name, parameter in adapter.named_parameters():
        is_gate = name.endswith("gate.weight")
        nn.init.normal_(parameter, std=config.gate_temperature * GATE_STD if is_gate else 0.3)
    adapter.degree = DEGREES if config.degree else None
    return adapter


def is_linear(base: Base) -> bool:
    """Whether its self-attention and attention over time are linear."""
    return find_architecture(base.backbone.family).attention_is_linear


# --- the network -----------------------------------------------------------------------------------------------------


def latents(base: Base, rows: int = CLIPS, frames: int = FRAMES) -> Tensor:
    """Clips (rows, C, frames, h, w) that are the same in every call."""
    shape = rows, base.model.config.in_channels, frames, HEIGHT, WIDTH
    return torch.randn(shape, generator=torch.Generator().manual_seed(7)).to(base.model.dtype)


def words(base: Base, clips: int = 1, count: int = 5) -> Tensor:
    """A caption (clips, count, width) that is the same in every call."""
    width = base.model.config.cross_attention_dim if base.text is None else base.text.shape[-1]
    count = base.backbone.caption[0] if base.backbone.caption else count
    return torch.randn(clips, count, width, generator=torch.Generator().manual_seed(8)).to(base.model.dtype)


def denoise(base: Base, clips: Tensor, text: Tensor | None, t: Tensor | int = 500) -> Tensor:
    """What the network answers of clips (B, C, F, h, w) under captions (B or 1, words, width) at steps t (B,)."""
    if text is not None:
        copies = clips.shape[2] if base.text_per_frame else 1
        text = text.expand(len(clips), -1, -1).repeat_interleave(copies, dim=0)
    return base.model(clips, torch.as_tensor(t).expand(len(clips)), encoder_hidden_states=text).sample


@dataclass
class Attended:
    """One call of an attention, and what it returned."""

    site: Any
    attention: nn.Module
    args: tuple
    kwargs: dict[str, Any]
    output: Tensor

    def again(self) -> Tensor:
        """What it returns for the same input now."""
        return self.attention(*self.args, **self.kwargs)


@contextmanager
def watched(base: Base) -> Iterator[tuple[list[Attended], list[Tensor]]]:
    """The calls of all attentions that adapters change, and the time embeddings of these calls."""
    calls: list[Attended] = []
    embeddings: list[Tensor] = []
    hooks = [
        base.model.get_submodule(base.backbone.time_path).register_forward_hook(
            lambda module, args, output: embeddings.append(output)
        )
    ]
    for site in base.backbone.sites:
        hooks.append(
            base.model.get_submodule(site.path).register_forward_hook(
                lambda module, args, kwargs, output, site=site: calls.append(
                    Attended(site, module, args, kwargs, output)
                ),
                with_kwargs=True,
            )
        )
    try:
        yield calls, embeddings
    finally:
        for hook in hooks:
            hook.remove()


# --- clips -----------------------------------------------------------------------------------------------------------


def clip_frames(base: Base) -> int:
    """Of short clips, which have at least three latent frames: a first one, and one before another that is not it."""
    return max(5, 2 * base.stride + 1)


def run(
    base: Base,
    picture: Tensor,
    adapters: Mapping[str, tuple[MIVAAdapter, Level]],
    masks: Mapping[str, Tensor] | None = None,
    spans: Mapping[str, tuple[float, float]] | None = None,
    callback: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Clip:
    """A short clip as the network paints it, by adapters with their strengths, masks and spans, all by name."""
    motions = [
        Motion(adapter, strength, (masks or {}).get(name), name, (spans or {}).get(name, (0.0, 1.0)))
        for name, (adapter, strength) in adapters.items()
    ]
    return animate(base, picture, motions, RunOptions(**(QUICK | {"frames": clip_frames(base)} | options)), callback)


# --- training --------------------------------------------------------------------------------------------------------


def quick_recipe(base: Base, config: MIVAConfig) -> Recipe:
    """Three steps of two clips, for the structure of an adapter."""
    quick = {"config": config, "steps": 3, "lr": 1e-2, "batch": 2, "checkpointing": False, "rolled_out": 0.5}
    return replace(recipe(base.name, masked=config.mask), **quick)


def sliding_squares(base: Base, masked: bool) -> list[list[LatentClip]]:
    """Two encoded clips of a square that slides by a pixel a frame over noise, with its mask.

    The first is said to move by 0.2, the second by 1.2, whatever that is taken for.
    """
    generator, clips = torch.Generator().manual_seed(5), []
    side = base.size[0] // 3
    for speed in (0.2, 1.2):
        frames = torch.rand(3, *base.size, generator=generator).repeat(base.frames, 1, 1, 1)
        masks = torch.zeros(1, base.frames, *base.size)
        for i in range(base.frames):
            masks[0, i, 2 : 2 + side, i : i + side] = 1
        frames = torch.where(masks[0, :, None] > 0, 0.9, frames)
        flow = torch.zeros(int(base.predicts_flow), base.frames, 3, *base.size)
        motion = torch.full((3, base.frames), speed)
        clips.append(encode(base, Pixels(frames, masks, flow, motion), masked=masked))
    return clips


class Step:
    """One batch and one set of draws: `loss()` inside of a with block, where the adapter is injected."""

    def __init__(self, base: Base, adapter: MIVAAdapter) -> None:
        chosen = quick_recipe(base, adapter.config)
        batch, draws = draw_step(sliding_squares(base, adapter.config.mask), base, chosen, 0, 0, 1)
        # The gradient takes as given what the model itself brings to its step, and the masks that it predicts.
        nobody = torch.zeros_like(draws.rolled_out)
        draws = draws._replace(rolled_out=nobody, truth=~nobody, unguided=torch.zeros_like(draws.unguided))
        self._step, self.batch, self._draws = TrainStep(base, adapter, chosen), batch, draws
        self._injected = ExitStack()

    def __enter__(self) -> "Step":
        self._injected.enter_context(self._step.injected())
        return self

    def __exit__(self, *error: Any) -> None:
        self._injected.close()

    def loss(self) -> Tensor:
        return self._step(self.batch, self._draws)

    @property
    def injection(self) -> Injection:
        return self._step._injection


def training(
    base: Base, chosen: Recipe, clips: list[list[LatentClip]], folder: Path
) -> tuple[MIVAAdapter, Sequence[float]]:
    """The adapter that a training made, and its losses."""
    outcome = train(base, clips, chosen, folder=folder)
    return outcome.adapter, outcome.losses
