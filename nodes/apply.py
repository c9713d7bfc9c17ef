"""Motions in ComfyUI's own models: a MODEL in, a MODEL out."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..miva_core.diffusion.init_noise import NoiseInit
from ..miva_core.errors import MIVAError
from ..miva_core.media.pictures import format_size
from .comfy_bridge.native_vae import check_vae
from .messages import collect_warnings, friendly_errors, node_text
from .native_clip import NativeClip, previous_clip
from .sockets import StackSocket
from .stack_checks import check_base, check_masks
from .stacks import MivaStack, words_in
from .words import untold_notes, with_prompt

if TYPE_CHECKING:
    from ..miva_core.adapters.backbone import Backbone

_LARGEST = 8192


class MIVAApply(io.ComfyNode):
    """A plan of motions, attached to a clone of a MODEL."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIVAApply",
            display_name="Apply MIVA",
            category="MIVA",
            description="Puts motions into one of ComfyUI's own models: Wan, or Stable Diffusion 1.5 with Load Motion "
            "Module. What comes out is for KSampler, KSampler Advanced or SamplerCustomAdvanced; the clip begins with "
            "the picture. LoRAs may stand before or after this node.",
            search_aliases=[
                "miva",
                "motion",
                "image to video",
                "i2v",
                "wan motion",
                "animatediff motion",
                "apply motion",
            ],
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="Wan 2.1 or 2.2 14B from Load Diffusion Model, also as fp8; or Stable Diffusion 1.5 from "
                    "Load Motion Module or AnimateDiff-Evolved. A motion works only on the model it was trained on.",
                ),
                io.Vae.Input("vae", tooltip="The VAE of this model, from Load VAE or Load Checkpoint."),
                io.Image.Input("image", tooltip="The picture that the clip begins with, of any size; one alone."),
                StackSocket.Input(
                    "mivas", optional=True, tooltip="The motions, at least one, from Load MIVA or Stack MIVAs."
                ),
                io.Int.Input(
                    "width",
                    default=0,
                    min=0,
                    max=_LARGEST,
                    step=8,
                    tooltip="Of the clip, in pixels: a multiple of 16 with Wan, of 8 with Stable Diffusion 1.5. 0: "
                    "what they were trained on, which is best (832, 512), or that of `previous`.",
                ),
                io.Int.Input(
                    "height",
                    default=0,
                    min=0,
                    max=_LARGEST,
                    step=8,
                    tooltip="Of the clip, in pixels: a multiple of 16 with Wan, of 8 with Stable Diffusion 1.5. 0: "
                    "what they were trained on, which is best (480, 320), or that of `previous`.",
                ),
                io.Int.Input(
                    "length",
                    default=0,
                    min=0,
                    max=1024,
                    tooltip="Frames of the clip; with Wan 4 k + 1. 0: what they were trained on, which is best (17, "
                    "16). Stable Diffusion 1.5 makes at most 32, 24 with the first motion modules.",
                ),
                io.Combo.Input(
                    "fit",
                    options=["crop", "pad"],
                    default="crop",
                    tooltip="A picture of another aspect than the clip: crop cuts off what sticks out, pad keeps all "
                    "of it. Masks follow.",
                ),
                io.Boolean.Input(
                    "dct_init",
                    default=True,
                    tooltip="Give the sampler's start noise the low frequencies of the picture, which keeps its layout "
                    "steady. The seed counts all the same. Where DCTInit Noise is connected, that stays as it is.",
                    advanced=True,
                ),
                io.Boolean.Input(
                    "adain",
                    default=True,
                    tooltip="Give all frames the colours of the first at the end.",
                    advanced=True,
                ),
                io.Conditioning.Input(
                    "positive",
                    optional=True,
                    tooltip="A prompt, if you want one: no text encoder is needed without. It is heard for the share "
                    "that the weights leave to 1, at steps where no motion acts, and, with masked motions, where no "
                    "subject is.",
                ),
                io.Conditioning.Input(
                    "negative",
                    optional=True,
                    tooltip="A negative prompt. It is heard where a prompt is, with CFG above 1.",
                ),
                io.Latent.Input(
                    "previous",
                    optional=True,
                    tooltip="A clip to go on from, as the sampler gave it: its last frame takes the place of `image`.",
                ),
                io.Conditioning.Input(
                    "words",
                    optional=True,
                    tooltip="Which motion, for files that hold several: a prompt from CLIP Text Encode. Without it "
                    "they hear `positive`.",
                ),
            ],
            outputs=[
                io.Model.Output("model", tooltip="The same model with the motions, for a sampler."),
                io.Conditioning.Output("positive", tooltip="The prompt, or none, for the sampler."),
                io.Conditioning.Output("negative", tooltip="The negative prompt, or none, for the sampler."),
                io.Latent.Output("latent", tooltip="The empty clip, for the sampler."),
            ],
        )

    @classmethod
    @friendly_errors
    def execute(
        cls,
        model: Any,
        vae: Any,
        image: Tensor,
        width: int,
        height: int,
        length: int,
        fit: Literal["crop", "pad"],
        dct_init: bool,
        adain: bool,
        mivas: MivaStack = (),
        positive: Any = None,
        negative: Any = None,
        previous: dict[str, Any] | None = None,
        words: Any = None,
    ) -> io.NodeOutput:
        from .comfy_bridge.native.apply import apply_plan
        from .comfy_bridge.native.host import find_host
        from .comfy_bridge.native.mask_record import MASKS
        from .comfy_bridge.native.plan import KEY, NO_PROMPT
        from .native_notes import motion_notes, prompt_note
        from .native_plan import FirstFrame, plan_run

        host = find_host(model)
        backbone = host.backbone(model)
        _check_stack(mivas, backbone)
        mivas = with_prompt(mivas, words or positive, None, backbone.text_dim)
        check_vae(vae, host.channels, host.stride > 1)
        before = None if previous is None else previous_clip(host, previous)
        clip = NativeClip.of(host, model, (height, width), length, before)
        with collect_warnings() as warned:
            first = FirstFrame.of(image, vae, clip, fit) if before is None else FirstFrame.after(before, vae, clip)
            plan = plan_run(mivas, backbone, first, clip, model, vae, fit)
        changed = apply_plan(model, replace(plan, noise=NoiseInit() if dct_init else None, adain=adain))
        # With the motions of an Apply MIVA before this one.
        whole = changed.get_attachment(KEY)
        # On the node the first lines are seen.
        odd = [
            *untold_notes(mivas),
            *motion_notes(whole.motions, host.size),
            *clip.notes(),
            *host.notes(model),
            *first.notes,
            *warned,
        ]
        usual = [
            prompt_note(whole.motions, bool(positive or negative)),
            f"{clip.length} frames of {format_size(clip.size)}.",
        ]
        silence = [[torch.zeros(1, *host.text), {NO_PROMPT: True}]]
        return io.NodeOutput(
            changed,
            positive or silence,
            negative or silence,
            clip.empty_latent() | ({MASKS: whole.record} if whole.record else {}),
            ui=node_text("\n".join(dict.fromkeys([*odd, *usual]))),
        )


def _check_stack(mivas: MivaStack, backbone: "Backbone") -> None:
    """What the artist can mend before anything is loaded."""
    if not mivas:
        raise MIVAError(
            "No motion is connected: connect Load MIVA to `mivas`, and see that it is neither muted nor bypassed."
        )
    if said := words_in(mivas):
        raise MIVAError(
            f"{said[0].name} is said in words, which ComfyUI's own models do not hear: take a motion that was trained "
            "on this model from Load MIVA, or MIVA Sampler with a base that moves by words."
        )
    check_base(mivas, backbone, lambda _: "connect the model that it was trained on, or choose another motion")
    check_masks(mivas, pictures=1)
