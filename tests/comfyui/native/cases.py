"""A MODEL of each kind with motions on it, and what the engine's diffusers path answers to the same call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from comfyui_miva.miva_core import MIVAAdapter, Strength, inject
from comfyui_miva.miva_core.adapters.backbone import Backbone
from comfyui_miva.miva_core.animation.readout import LinearReadout
from comfyui_miva.miva_core.attention.strength import Level
from comfyui_miva.miva_core.diffusion.noise_share import noise_share
from comfyui_miva.nodes.comfy_bridge.native.apply import apply_plan
from comfyui_miva.nodes.comfy_bridge.native.plan import Plan, PlannedMask
from torch import Tensor, nn

from .adapters import planned
from .runs import Conditioning, Seen, text

Acting = Mapping[str, tuple[MIVAAdapter, Level | Strength]]
"""Adapters by name, in the order of depth, and how strongly each acts."""
Order = Literal["before", "after"]
"""Where another node stands, as seen from Apply MIVA."""


@dataclass(frozen=True, eq=False)
class Case:
    """A MODEL before Apply MIVA, and the diffusers model of the same weights.

    Attributes:
        name: "wan" or "sd15".
        picture: (1, C, 1, h, w) as the VAE gives it.
        latent: of zeros, as the sampler gets it. frames: latent frames in it.
        positive, negative: texts, which are heard where motions leave room.
    """

    name: str
    model: Any
    reference: nn.Module
    backbone: Backbone
    picture: Tensor
    latent: Tensor
    frames: int
    positive: Conditioning
    negative: Conditioning

    @classmethod
    def of(cls, name: str, model: Any, reference: nn.Module, backbone: Backbone) -> Case:
        """Of clips of three latent frames, 12 x 8 each."""
        channels, words, width = (16, 7, 4096) if name == "wan" else (4, 77, 768)
        shape = (1, 16, 3, 8, 12) if name == "wan" else (3, 4, 8, 12)
        picture = torch.randn(1, channels, 1, 8, 12, generator=torch.Generator().manual_seed(3))
        texts = (text(seed, words, width) for seed in (1, 2))
        return cls(name, model, reference, backbone, picture, torch.zeros(shape), 3, *texts)

    @property
    def net(self) -> nn.Module:
        return self.model.get_model_object("diffusion_model")

    def applied(self, *motions: Any, model: Any = None, **plan: Any) -> Any:
        """The MODEL with motions, whose start noise stays as the sampler draws it and whose statistics stay.

        Args:
            *motions: PlannedMotion. model: in place of this case's own. **plan: fields of the Plan.
        """
        fields = {"picture": self.picture, "frames": self.frames, "noise": None, "adain": False, "record": None}
        return apply_plan(self.model if model is None else model, Plan(motions, **fields | plan))

    def masked(self, adapter: MIVAAdapter, strength: float = 1.0, left: int = 0, name: str = "masked") -> Any:
        """PlannedMotion of a subject that is five places wide, from this column of the latents on."""
        height, width = self.picture.shape[-2:]
        first = torch.zeros(8 * height, 8 * width)
        first[16:-16, 8 * left : 8 * (left + 5)] = 1
        generator = torch.Generator().manual_seed(left)
        readout = LinearReadout(0.1 * torch.randn(self.picture.shape[1], generator=generator), torch.tensor(0.5))
        mask = PlannedMask(first, torch.randn(self.picture.shape, generator=generator), readout)
        return replace(planned(adapter, strength, name=name), mask=mask)

    def beside(self, change: Callable[[Any], Any], order: Order, *motions: Any, **plan: Any) -> Any:
        """The MODEL with motions and with what another node does to a MODEL, before Apply MIVA or after it."""
        if order == "before":
            return self.applied(*motions, model=change(self.model), **plan)
        return change(self.applied(*motions, **plan))

    def count(self, kind: str) -> int:
        """How many attentions of a kind ("sa", "ca", "ta") the model has."""
        return sum(site.kind == kind for site in self.backbone.sites)

    def first_frame(self, result: Tensor) -> Tensor:
        """(1, C, 1, h, w) of what a sampler gave."""
        return result[:, :, :1] if self.name == "wan" else result[:1, :, None]

    def expected(
        self,
        seen: Seen,
        call: int,
        acting: Acting,
        reference: nn.Module | None = None,
        progress: tuple[float, float] = (0.0, 0.0),
        shares: Sequence[float] = (),
    ) -> Tensor:
        """What the engine's diffusers path answers to a call of the network, of one chunk without mask rows.

        Args:
            progress: see `Injection.set_progress`. shares: see `Injection.set_frames`.
        """
        model = self.reference if reference is None else reference
        with inject(model, **{name: adapter for name, (adapter, _) in acting.items()}) as injection:
            injection.set_weights(**{name: strength for name, (_, strength) in acting.items()})
            injection.set_progress(*progress)
            injection.set_frames(shares)
            return self.bare(seen, call, model)

    @property
    def shares(self) -> list[float]:
        """Of the clip, at its frames."""
        return [k / (self.frames - 1) for k in range(self.frames)]

    def progress(self, levels: Tensor, step: int) -> tuple[float, float]:
        """How far a whole run is before a step: shares of its steps that are done, and of its noise that is gone.

        Args:
            levels: (steps + 1,) of the run.
        """
        sigma, done = float(levels[step]), step / (len(levels) - 1)
        if self.name == "wan":
            return done, noise_share(1000 * sigma, 1000, is_flow=True)
        table = self.model.get_model_object("model_sampling").sigmas
        return done, 1 - int((table - sigma).abs().argmin()) / 1000

    def bare(self, seen: Seen, call: int, reference: nn.Module | None = None) -> Tensor:
        """The same without motions."""
        model = self.reference if reference is None else reference
        x, time, words = seen.x[call], seen.timestep[call], seen.context[call]
        if self.name == "wan":
            return model(x, time, encoder_hidden_states=words).sample
        return model(x.transpose(0, 1)[None], time[:1], words).sample[0].transpose(0, 1)
