"""Motions on Stable Diffusion 1.5 beside other nodes: who else is heard, and what is refused in one sentence."""

from typing import Any

import pytest
import torch
from comfy.patcher_extension import WrappersMP
from comfy_extras.nodes_context_windows import ContextWindowsManualNode
from comfyui_miva.miva_core import MIVAError, inject
from comfyui_miva.miva_core.bases.diffusers_port import DiffusersPort
from comfyui_miva.nodes.comfy_bridge.native.host import find_host
from comfyui_miva.nodes.comfy_bridge.native.motion_module import apply_motion_module, load_motion_module
from comfyui_miva.nodes.comfy_bridge.native.motion_network import MotionModule
from torch import Tensor

from .adapters import planned, random_adapter
from .cases import Case, Order
from .runs import error, sample, seeing
from .sd15_models import SmallSD15, as_rows

CLOSE = 2e-5
SCALE = 0.18215
"""From latents of the VAE to those of the U-Net."""
BOTH = pytest.mark.parametrize("order", ["before", "after"])


@BOTH
@pytest.mark.parametrize("place", [{}, {"transformer_index": 0}], ids=["block", "transformer"])
def test_what_answers_in_place_of_a_text_has_the_texts_share(
    sd15_case: Case, order: Order, place: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As IP-Adapters do it: they replace the attention to the text, of a whole block or of one transformer in it."""
    case, adapter, asked = sd15_case, random_adapter(sd15_case.backbone), []
    acting = {"miva": (adapter, 0.6)}

    def replacing(q: Tensor, k: Tensor, v: Tensor, extra: dict[str, Any]) -> Tensor:
        asked.append(extra["block"])
        return 0.5 * q

    def with_replacement(model: Any) -> Any:
        model = model.clone()
        model.set_model_patch_replace(replacing, "attn2", "input", 4, **place)
        return model

    model = case.beside(with_replacement, order, planned(adapter, 0.6))
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, steps=1)
    assert asked == [("input", 4)]
    assert error(seen.output[0], case.expected(seen, 0, acting)) > 1e-3

    replaced = case.reference.get_submodule("down_blocks.1.attentions.0.transformer_blocks.0.attn2")
    own = DiffusersPort.attend_text

    def attend_text(port: DiffusersPort, x: Tensor, text: Tensor) -> Tensor:
        return port.output(0.5 * port.query(x)) if port._attention is replaced else own(port, x, text)

    monkeypatch.setattr(DiffusersPort, "attend_text", attend_text)
    assert error(seen.output[0], case.expected(seen, 0, acting)) < CLOSE


@BOTH
def test_what_is_put_in_place_of_self_attention_answers_beside_a_motion(
    sd15_case: Case, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As perturbed attention guidance does it, which leaves the values as they are."""
    case, adapter = sd15_case, random_adapter(sd15_case.backbone)

    def with_replacement(model: Any) -> Any:
        model = model.clone()
        model.set_model_patch_replace(lambda q, k, v, extra: v, "attn1", "middle", 0)
        return model

    model = case.beside(with_replacement, order, planned(adapter))
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, steps=1)
    replaced = case.reference.get_submodule("mid_block.attentions.0.transformer_blocks.0.attn1")
    own = DiffusersPort.attend

    def attend(port: DiffusersPort, q: Tensor, k: Tensor, v: Tensor, bias: Any = None) -> Tensor:
        # The base's own attention is the one of as many tokens as values.
        is_base = port._attention is replaced and q.shape == v.shape and len(v) == case.frames
        return v if is_base else own(port, q, k, v, bias)

    monkeypatch.setattr(DiffusersPort, "attend", attend)
    assert error(seen.output[0], case.expected(seen, 0, {"miva": (adapter, 1.0)})) < CLOSE


def test_residuals_of_a_controlnet_are_added(sd15_case: Case) -> None:
    case, adapter = sd15_case, random_adapter(sd15_case.backbone)
    sizes = [(8, 12)] * 3 + [(4, 6)] * 3 + [(2, 3)] * 3 + [(1, 2)] * 3
    widths = [32, 32, 32, 32, 64, 64, 64, 128, 128, 128, 128, 128]
    residuals = [torch.randn(3, width, *size) for width, size in zip(widths, sizes, strict=True)]
    middle = torch.randn(3, 128, 1, 2)

    def controlled(executor: Any, x: Tensor, t: Tensor, context: Tensor, y: Any, control: Any, *rest: Any) -> Tensor:
        return executor(x, t, context, y, {"middle": [middle], "output": list(residuals)}, *rest)

    model = case.applied(planned(adapter, 0.6)).clone()
    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "controlnet", controlled)
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, steps=1)
    with inject(case.reference, miva=adapter) as injection:
        injection.set_weights(miva=0.6)
        expected = case.reference(
            seen.x[0].transpose(0, 1)[None],
            seen.timestep[0][:1],
            seen.context[0],
            down_block_additional_residuals=tuple(residuals),
            mid_block_additional_residual=middle,
        ).sample
    assert error(seen.output[0], as_rows(expected)) < CLOSE
    assert error(seen.output[0], case.expected(seen, 0, {"miva": (adapter, 0.6)})) > 0.05


def windows(model: Any, **settings: Any) -> Any:
    """The MODEL in windows of 8 frames that overlap by 4."""
    settings = {"dim": 0, "freenoise": False} | settings
    return ContextWindowsManualNode.execute(model, 8, 4, "standard_static", 1, False, "pyramid", **settings)[0]


@BOTH
def test_context_windows_begin_with_the_picture(sd15_case: Case, order: Order) -> None:
    """Their causal fix puts one more frame in front of all but the first."""
    case, adapter = sd15_case, random_adapter(sd15_case.backbone)
    model = case.beside(windows, order, planned(adapter), frames=12)
    with seeing(model) as seen:
        result = sample(model, torch.zeros(12, 4, 8, 12), case.positive, steps=2)
    picture = case.picture[0].transpose(0, 1) * SCALE
    assert [len(x) for x in seen.x] == [8, 9, 8, 9]
    for call, x in enumerate(seen.x):
        assert torch.equal(x[:1], picture)
        assert error(seen.output[call], case.expected(seen, call, {"miva": (adapter, 1.0)})) < CLOSE
    assert torch.equal(result[:1], case.picture[:, :, 0]) and result.isfinite().all()


def test_windows_without_the_picture_are_refused(sd15_case: Case) -> None:
    model = sd15_case.applied(planned(random_adapter(sd15_case.backbone)), frames=12)
    with pytest.raises(MIVAError, match="picture in front of each context window: switch causal_window_fix on"):
        sample(windows(model, causal_window_fix=False), torch.zeros(12, 4, 8, 12), sd15_case.positive, steps=1)


def test_windows_over_anything_but_frames_are_refused(sd15_case: Case) -> None:
    model = sd15_case.applied(planned(random_adapter(sd15_case.backbone)), frames=12)
    with pytest.raises(MIVAError, match="divide dimension 2 of the latent, but its frames are dimension 0: set `dim`"):
        sample(windows(model, dim=2), torch.zeros(12, 4, 8, 12), sd15_case.positive, steps=1)


def test_windows_of_another_pack_without_the_picture_are_refused(sd15_case: Case) -> None:
    model = sd15_case.applied(planned(random_adapter(sd15_case.backbone))).clone()
    model.model_options["transformer_options"]["ad_params"] = {"sub_idxs": [1, 2, 3]}
    with pytest.raises(MIVAError, match="AnimateDiff-Evolved's context windows do not all begin with the picture"):
        sample(model, sd15_case.latent, sd15_case.positive, steps=1)


def test_attention_in_tiles_is_refused(sd15_case: Case) -> None:
    model = sd15_case.applied(planned(random_adapter(sd15_case.backbone))).clone()

    def in_tiles(*tokens: Any) -> tuple[Tensor, ...]:
        return tuple(part.unflatten(1, (2, -1)).flatten(0, 1) for part in tokens[:3])

    model.set_model_attn1_patch(in_tiles)
    with pytest.raises(MIVAError, match="cuts attention into tiles"):
        sample(model, sd15_case.latent, sd15_case.positive, steps=1)


def test_an_area_is_refused_before_sampling(sd15_case: Case) -> None:
    model = sd15_case.applied(planned(random_adapter(sd15_case.backbone)))
    (words, settings), *_ = sd15_case.positive
    with seeing(model) as seen, pytest.raises(MIVAError, match="set to an area"):
        sample(model, sd15_case.latent, [[words, settings | {"area": (4, 4, 0, 0), "strength": 1.0}]])
    assert not seen.x


def test_a_model_without_a_motion_module_is_told_of_both_ways_to_get_one(sd15: SmallSD15, sd15_case: Case) -> None:
    with pytest.raises(MIVAError, match=r"put Load Motion Module between .* or use one of AnimateDiff-Evolved's"):
        sd15_case.applied(planned(random_adapter(sd15_case.backbone)), model=sd15.model)


def test_two_motion_models_are_refused(sd15: SmallSD15, sd15_case: Case) -> None:
    model = sd15_case.model.clone()
    model.set_additional_models("another pack", [load_motion_module(sd15.motion("v3"))])
    with pytest.raises(MIVAError, match="more than one motion model, but motions act in one: take out all but"):
        sd15_case.applied(planned(random_adapter(sd15_case.backbone)), model=model)


def test_betas_are_pinned_whoever_set_others(sd15: SmallSD15, sd15_case: Case) -> None:
    model = sd15_case.model.clone()
    linear = type(model.get_model_object("model_sampling"))()
    linear.set_sigmas(torch.linspace(0.02, 25, 1000))
    model.add_object_patch("model_sampling", linear)
    applied = sd15_case.applied(planned(random_adapter(sd15_case.backbone)), model=model)
    assert [len(find_host(one).notes(one)) for one in (model, applied)] == [1, 0]
    assert 14.6 < applied.get_model_object("model_sampling").sigma_max < 14.62
    assert model.get_model_object("model_sampling") is linear


def test_a_motion_of_another_version_is_not_taken_for_this_one(sd15: SmallSD15, sd15_case: Case) -> None:
    second = apply_motion_module(sd15.model, load_motion_module(sd15.motion("v2")))
    assert find_host(second).backbone(second).fingerprint != sd15_case.backbone.fingerprint


def test_motions_that_are_not_heard_are_an_error(sd15_case: Case) -> None:
    """As where another node runs a motion module's parts itself."""
    model = sd15_case.applied(planned(random_adapter(sd15_case.backbone))).clone()
    patches = model.model_options["transformer_options"]["patches"]
    patches["forward_timestep_embed_patch"].insert(0, (MotionModule, lambda layer, x, *rest: x))
    with pytest.raises(MIVAError, match=r"not heard at down_blocks.0.motion_modules.0.* and 39 more"):
        sample(model, sd15_case.latent, sd15_case.positive, steps=1)
