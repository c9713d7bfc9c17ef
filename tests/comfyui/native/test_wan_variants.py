"""Other Wans than text-to-video, and tokens that are not the clip's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from comfy.ldm.flux.math import apply_rope1
from comfy.patcher_extension import WrappersMP
from comfyui_miva.miva_core import MIVAAdapter
from comfyui_miva.nodes.comfy_bridge.native.host import find_host
from torch import Tensor

from .adapters import planned, random_adapter
from .cases import Case
from .runs import error, sample, seeing
from .wan_models import VARIANTS, SmallWan, diffusers_wan, native_wan, random_state

CLOSE = 2e-5


@pytest.fixture(scope="module")
def case(wan: SmallWan) -> Case:
    return Case.of("wan", wan.model, wan.reference, wan.backbone)


def without_the_rest(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The text-to-video model inside of another one."""
    kept = {name: value for name, value in state.items() if not name.startswith("vace_")}
    patches = kept["patch_embedding.weight"]
    return kept | {"patch_embedding.weight": patches[:, :16]}


@pytest.mark.parametrize(
    ("name", "silenced"), [("i2v 2.2", {}), ("vace", {"vace_strength": [0.0]})], ids=lambda value: str(value)
)
def test_motions_act_in_models_that_are_shown_more(case: Case, name: str, silenced: dict[str, Any]) -> None:
    """Silent, what these are shown besides leaves the text-to-video model in them."""
    state = random_state(**VARIANTS[name])
    model = native_wan(state)
    assert find_host(model).backbone(model) == case.backbone
    adapter = random_adapter(case.backbone)
    positive = [[case.positive[0][0], silenced]]
    with seeing(case.applied(planned(adapter, 0.6), model=model)) as seen:
        sample(case.applied(planned(adapter, 0.6), model=model), case.latent, positive, steps=2)
    seen.x[:] = [x[:, :16] for x in seen.x]
    reference = diffusers_wan(without_the_rest(state))
    for call in range(2):
        assert error(seen.output[call], case.expected(seen, call, {"miva": (adapter, 0.6)}, reference)) < CLOSE


@pytest.mark.parametrize("name", ["i2v 2.1", "i2v 2.2", "vace", "ref_conv"])
def test_motions_act_where_more_is_shown_and_heard(case: Case, name: str) -> None:
    model = native_wan(random_state(**VARIANTS[name]))
    shown = {
        "concat_latent_image": torch.randn(1, 32 if name == "ref_conv" else 16, 3, 8, 12),
        "concat_mask": torch.rand(1, 1, 3, 8, 12),
        "vace_frames": [torch.randn(1, 32, 3, 8, 12)],
        "vace_mask": [torch.rand(1, 64, 3, 8, 12)],
        "vace_strength": [1.0],
        "reference_latents": [torch.randn(1, 16, 1, 8, 12)],
    }
    positive = [[case.positive[0][0], shown]]
    motion = planned(random_adapter(case.backbone))
    clips = [
        sample(one, case.latent, positive, positive, steps=3, cfg=cfg)
        for one in (model, case.applied(motion, model=model))
        for cfg in (1.0, 3.0)
    ]
    assert all(clip.isfinite().all() for clip in clips)
    assert all(torch.equal(clip[:, :, :1], case.picture) for clip in clips[2:])
    assert error(clips[2], clips[0]) > 0.02


def test_what_is_odd_about_a_model_is_said(wan: SmallWan) -> None:
    def notes(name: str) -> str:
        model = native_wan(random_state(**VARIANTS.get(name, {})))
        return " ".join(find_host(model).notes(model))

    shift = (
        "Its noise schedule has shift 8, and motions are trained with 5: put ModelSamplingSD3 with that before this "
        "node."
    )
    assert notes("t2v") == shift
    assert notes("i2v 2.1") == (
        "This is an image-to-video Wan, which is shown the picture in a way of its own, too; motions are trained on "
        f"text-to-video. {shift}"
    )
    assert notes("vace") == f"The blocks that VACE adds to Wan hear a prompt, and nothing of the motions. {shift}"


def slow_change(attention: Any, adapter: MIVAAdapter, site: Any, x: Tensor, rotary: Tensor, temb: Tensor) -> Tensor:
    """Cross-frame attention of one clip (1, 3 s, d) in the way of the default config, frame by frame (Eq. 2)."""
    part = adapter.site(site)
    cfa, gate = part["cfa"], part["gate"]
    query = attention.q(x) + x @ cfa.q.down.T @ cfa.q.up.T
    key, value = attention.norm_k(attention.k(x)), attention.v(x)
    heads = attention.num_heads

    def by_frame(tokens: Tensor, turn: bool) -> list[Tensor]:
        tokens = tokens.unflatten(-1, (heads, -1))
        tokens = apply_rope1(tokens, rotary) if turn else tokens
        return list(tokens[0].transpose(0, 1).chunk(3, dim=1))

    turn = adapter.config.cfa_rope
    q, k, v = by_frame(attention.norm_q(query), turn), by_frame(key, turn), by_frame(value, False)
    logits = torch.nn.functional.silu(temb) @ gate.weight.T + (0 if gate.bias is None else gate.bias)
    first, previous = (logits / adapter.config.gate_temperature).softmax(-1)[0]

    def attend(i: int, j: int) -> Tensor:
        return (q[i] @ k[j].mT / q[i].shape[-1] ** 0.5).softmax(-1) @ v[j]

    mixed = torch.cat([first * attend(i, 0) + previous * attend(i, max(i - 1, 0)) for i in range(3)], dim=1)
    return mixed.transpose(0, 1).flatten(1)[None] @ cfa.out.down.T @ cfa.out.up.T


@pytest.mark.parametrize(
    ("name", "shown", "before"),
    [
        ("ref_conv", {"reference_latents": [torch.ones(1, 16, 1, 8, 12)]}, 24),
        ("t2v", {"time_dim_concat": torch.ones(1, 16, 2, 8, 12)}, 0),
        ("t2v", {"context_latents": [torch.ones(1, 16, 1, 8, 12)]}, 0),
    ],
)
def test_tokens_that_are_not_the_clips_stay_the_models_own(
    case: Case, name: str, shown: dict[str, Any], before: int
) -> None:
    model = native_wan(random_state(**VARIANTS.get(name, {})))
    net, adapter = model.get_model_object("diffusion_model"), random_adapter(case.backbone)
    block, clip = net.blocks[0], slice(before, before + 3 * 24)
    seen: dict[str, Any] = {}
    hooks = [
        module.register_forward_hook(
            lambda _, args, named, output, key=key: seen.update({key: (args, named, output)}), with_kwargs=True
        )
        for key, module in (("self", block.self_attn), ("cross", block.cross_attn), ("time", net.time_embedding))
    ]
    sample(case.applied(planned(adapter), model=model), case.latent, [[case.positive[0][0], shown]], steps=1)
    for hook in hooks:
        hook.remove()
    (x, rotary), _, attended = seen["self"]
    own = block.self_attn(x, rotary)
    change = slow_change(block.self_attn, adapter, case.backbone.sites[0], x[:, clip], rotary[:, clip], seen["time"][2])
    assert own.shape[1] > clip.stop - clip.start and change.abs().max() > 0.1 * own.abs().max()
    own[:, clip] += change
    assert error(attended, own) < CLOSE
    (x, text), named, heard = seen["cross"]
    plain = block.cross_attn(x, text, **named)
    others = torch.ones(x.shape[1], dtype=torch.bool)
    others[clip] = False
    assert error(heard[:, others], plain[:, others]) < CLOSE
    assert error(heard[:, clip], plain[:, clip]) > 0.1


def test_a_timestep_for_each_frame_is_as_one_for_all(case: Case) -> None:
    adapter = random_adapter(case.backbone)
    clips = []
    for each in (False, True):

        def of_frames(
            executor: Any, x: Tensor, timestep: Tensor, *rest: Any, each: bool = each, **named: Any
        ) -> Tensor:
            timesteps = timestep[:, None].expand(-1, x.shape[2]) if each else timestep
            return executor(x, timesteps, *rest, **named)

        model = case.applied(planned(adapter, 0.6))
        model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "frames", of_frames)
        clips.append(sample(model, case.latent, case.positive, case.negative, steps=2, cfg=2.0))
    assert error(clips[1], clips[0]) < CLOSE
