"""One sampling call of a MODEL with motions: what acts now, and what it has made for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ....miva_core.adapters.backbone import Backbone
from ....miva_core.animation.motion import unique_names
from ....miva_core.attention.injection import Injection, by_config
from ....miva_core.attention.strength import Part, Strength
from ....miva_core.bases.registry import find_architecture
from ....miva_core.errors import MIVAError
from .course import Course
from .host_protocol import Host
from .installer import NativeInstaller
from .mask_rows import MaskRows
from .plan import KEY, Plan, PlannedMask, PlannedMotion
from .strengths_now import StrengthsNow


@dataclass(frozen=True, eq=False)
class Installation:
    """Adapters at work in one network; see `Installer`."""

    injection: Injection
    installer: NativeInstaller

    def guide(self, masks: Mapping[str, Tensor]) -> None:
        """See `Injection.set_masks`; the masks may be on another device."""
        self.injection.set_masks({name: mask.to(self.installer.device) for name, mask in masks.items()})


class Run:
    """State of one sampling call. It lives in the options of that call, and nothing of it outlives them.

    Args:
        plan: of the MODEL.
        host: of the MODEL.
        backbone: of the MODEL.
        picture: (1, C, 1, h, w), frame 1 in the MODEL's scale.
        course: of the call.

    Attributes:
        sigma: noise level of the present call of the model; None before the first.
        prompted: whether there is a text to be heard.
        mask_rows: the masks of subjects that are denoised beside the clip; None where no motion has a mask.
    """

    def __init__(self, plan: Plan, host: Host, backbone: Backbone, picture: Tensor, course: Course) -> None:
        self.plan, self.host, self.picture, self._course = plan, host, picture, course
        self.sigma: float | None = None
        self.prompted = True
        self.mask_rows: MaskRows | None = None
        self._backbone = backbone
        names = unique_names([motion.name for motion in plan.motions])
        self._motions = dict(zip(names, plan.motions, strict=True))
        self._strengths = StrengthsNow(self._motions, plan.frames)
        self._installations: dict[nn.Module, Installation] = {}
        self._passed: set[nn.Module] = set()
        self._guiding: dict[str, Tensor] | None = None

    def check_acting(self) -> None:
        """Check that every motion that is to act does so at some step of a whole run.

        Raises:
            MIVAError: one does not.
        """
        steps = self._course.steps
        for name, motion in self._motions.items():
            within = [sigma for sigma in steps if self._course.is_in(motion.span, sigma)]
            if not within:
                start, end = motion.span
                raise MIVAError(
                    f"The span {start:g} to {end:g} of {name} holds none of the {len(steps)} steps: widen it."
                )
            strength = Strength.of(motion.strength)
            if strength.acts and not any(any(strength.over_run().at(*self._course.at(sigma))) for sigma in within):
                raise MIVAError(
                    f"The strength of {name} is 0 at all {len(steps)} steps: let its curve change it earlier."
                )

    @property
    def masked(self) -> bool:
        """Whether some motions follow the masks of subjects."""
        return any(motion.adapter.config.mask for motion in self.plan.motions)

    @property
    def masks(self) -> dict[str, PlannedMask]:
        """The masks of motions by name, in the order of their rows in a batch."""
        adapters = by_config({name: motion.adapter for name, motion in self._motions.items()})
        return {name: mask for name in adapters if (mask := self._motions[name].mask)}

    @property
    def guided(self) -> bool:
        """Whether masks of subjects guide the coming forward passes."""
        return self._guiding is not None

    @property
    def leaves_text(self) -> bool:
        """Whether motions leave a share to the text in the coming forward passes."""
        return self.guided or self._strengths.leaves_text()

    def move_to(self, sigma: float) -> None:
        """Take note of the noise level of the coming forward passes: who acts changes with it.

        All passes at one level, such as those of guidance by other nodes, are guided by the same masks.

        Args:
            sigma: of the sampler.

        Raises:
            MIVAError: see `check_heard`, of those that act no more.
        """
        if sigma != self.sigma:
            self.advance_masks()
        self.sigma = sigma
        before = self._members()
        if not self._strengths.move_to(sigma, self._course):
            return
        if self._members() != before:
            self.check_heard()
            self._installations.clear()
        for installation in self._installations.values():
            self._tell(installation.injection)

    def advance_masks(self) -> None:
        """Let the masks that passes at one level have carried guide those that come, since the former are over."""
        if self.mask_rows is None or self.sigma is None:
            return
        masks = self.mask_rows.advance(self.sigma)
        if masks is not None:
            self._guiding = masks
            for installation in self._installations.values():
                installation.guide(masks)

    @torch.compiler.disable
    def installation(self, net: nn.Module, device: torch.device, dtype: torch.dtype) -> Installation | None:
        """The adapters that act in a network now; None if none does, which then costs nothing.

        Args:
            net: the network of the coming forward pass, or one of its copies on other devices.
            device: it computes on.
            dtype: it computes in.
        """
        members = self._members()
        if not members:
            return None
        if net not in self._installations:
            self._installations[net] = self._installed(members, device, dtype, net in self._passed)
        installation = self._installations[net]
        installation.installer.acting = self._acting()
        installation.installer.hears_text = self.leaves_text and self.prompted
        return installation

    def tell_frames(self, installation: Installation, window: Sequence[int] | None, frames: int) -> None:
        """Let adapters know which frames of the clip the coming forward pass holds, where they act differently in each.

        Args:
            installation: of the network.
            window: see `Host.window`.
            frames: of the pass; those in front of a window count as frame 1.
        """
        if self._strengths.over_frames or any(motion.adapter.config.words for motion in self.plan.motions):
            places = range(frames) if window is None else [*[0] * (frames - len(window)), *window]
            installation.injection.set_frames([self._strengths.share(place) for place in places])

    @torch.compiler.disable
    def has_passed(self, net: nn.Module) -> None:
        """Take note that a forward pass of a network is over."""
        self._passed.add(net)

    def check_heard(self) -> None:
        """Check, once it is over, that all adapters that have acted up to now were called.

        Raises:
            MIVAError: some were not.
        """
        for installation in self._installations.values():
            installation.installer.check_heard()

    def _installed(
        self, members: dict[str, PlannedMotion], device: torch.device, dtype: torch.dtype, cacheable: bool
    ) -> Installation:
        installer = NativeInstaller(device, dtype, cacheable)
        architecture = find_architecture(self._backbone.family)
        injection = Injection(
            {name: motion.adapter for name, motion in members.items()},
            self._backbone,
            installer,
            architecture.processors(),
            grids=architecture.attention_grids,
            spans_frames=architecture.attention_spans_frames,
        )
        self._tell(injection)
        injection.set_words(**{name: one.words.to(device) for name, one in members.items() if one.words is not None})
        injection.set_degrees(**_degrees(members))
        injection.freeze()
        installation = Installation(injection, installer)
        if self._guiding is not None:
            installation.guide(self._guiding)
        return installation

    def _tell(self, injection: Injection) -> None:
        """Let adapters know how strongly they act now."""
        levels, members = self._strengths.levels(), self._members()
        injection.set_weights(**{name: level for name, level in levels.items() if name in members})
        injection.set_progress(self._strengths.done, self._strengths.noise)

    def _members(self) -> dict[str, PlannedMotion]:
        """Motions that act now.

        Where masks guide it is all of them: a subject keeps its region while it rests. So it is where there is no
        prompt: a motion that rests still stands in the place of the text.
        """
        return {
            name: motion
            for name, motion in self._motions.items()
            if self.masked or not self.prompted or self._strengths.acts(name)
        }

    def _acting(self) -> frozenset[Part]:
        """The parts that act now; where masks guide, guidance may act in the place of each."""
        acting = frozenset(Part) if self.masked else self._strengths.acting()
        return acting if self.prompted else acting | {Part.PROMPT}


def _degrees(motions: Mapping[str, PlannedMotion]) -> dict[str, float]:
    """By name, as an `Injection` takes them."""
    known = {name: degrees for name, motion in motions.items() if (degrees := motion.adapter.degree)}
    return {name: degrees.centred(motions[name].degree) for name, degrees in known.items()}


def run_of(options: dict[str, Any]) -> Run:
    """The sampling call that a model is called in.

    Args:
        options: `transformer_options` of the call.

    Raises:
        MIVAError: there is none, so that what acts is not known.
    """
    run: Run | None = options.get(KEY)
    if run is None:
        raise MIVAError(
            "A MODEL with motions was called outside of a sampler of ComfyUI: connect it to KSampler, KSampler "
            "Advanced or SamplerCustomAdvanced."
        )
    return run
