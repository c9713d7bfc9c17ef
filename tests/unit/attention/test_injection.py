import gc
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from traces import traces

from miva_core.adapters.config import MIVAConfig
from miva_core.adapters.layers import Gate
from miva_core.attention.cross_frame import reference_weights
from miva_core.attention.curve import Curve
from miva_core.attention.stacked import Gates
from miva_core.attention.strength import Strength
from miva_core.bases.inject import inject
from miva_core.errors import MIVAError

EXACT = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture
def untouched(unet: nn.Module, call: Callable) -> Callable[[], None]:
    """untouched(): asserts that the model is what it was before the test."""
    before, output = traces(unet), call(unet, text=True)
    state = {name: tensor.clone() for name, tensor in unet.state_dict().items()}

    def check() -> None:
        assert traces(unet) == before
        assert list(unet.state_dict()) == list(state)
        assert all(torch.equal(tensor, state[name]) for name, tensor in unet.state_dict().items())
        assert torch.equal(call(unet, text=True), output)

    return check


# --- removal ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["unet", "wan"])
def test_a_thousand_injections_leave_nothing(
    family: str, make_unet: Callable, make_wan: Callable, make_adapter: Callable
) -> None:
    """Any of three adapters in any order, one injection tried inside another, removed by block, by call or by error."""
    torch.manual_seed(0)
    model = make_unet() if family == "unet" else make_wan(num_layers=3)
    words = torch.randn(3 if family == "unet" else 1, 5, 16)
    latents, t = torch.randn(1, 4, 3, 4, 4), torch.tensor([500])

    def run() -> Tensor:
        return model(latents, t, words).sample

    adapters = {name: make_adapter(model) for name in ("pan", "jump", "rain")}
    before, output = traces(model), run()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    choices, objects = random.Random(0), 0
    for k in range(1000):
        names = choices.sample(sorted(adapters), choices.randint(1, 3))
        miva = inject(model, **{name: adapters[name] for name in names})
        with pytest.raises(MIVAError, match="already has adapters"):
            inject(model, pan=adapters["pan"])
        if k % 50 == 0:
            assert not torch.equal(run(), output)
        if k % 3 == 0:
            miva.remove()
        else:
            with suppress(KeyError), miva:
                if k % 3 == 1:
                    raise KeyError
        if k % 50 == 0:
            assert torch.equal(run(), output)
        if k in (99, 999):
            gc.collect()
            objects = len(gc.get_objects()) - objects
    assert objects < 20  # the second count less the first
    assert traces(model) == before and torch.equal(run(), output)
    assert list(model.state_dict()) == list(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


# --- what is refused -------------------------------------------------------------------------------------------------


def test_fused_projections_are_refused(unet: nn.Module, make_adapter: Callable) -> None:
    unet.fuse_qkv_projections()
    with pytest.raises(MIVAError, match="unfuse_qkv_projections"):
        inject(unet, pan=make_adapter(unet))


def test_foreign_processors_are_refused(unet: nn.Module, make_adapter: Callable) -> None:
    unet.mid_block.attentions[0].transformer_blocks[0].attn2.set_attention_slice(1)
    with pytest.raises(MIVAError, match="SlicedAttnProcessor"):
        inject(unet, pan=make_adapter(unet))


def test_wrong_adapters_are_refused(unet: nn.Module, make_unet: Callable, make_adapter: Callable) -> None:
    with pytest.raises(MIVAError, match="No adapter"):
        inject(unet)
    with pytest.raises(MIVAError, match="pan is a str"):
        inject(unet, pan="pan.safetensors")
    other = make_unet(block_out_channels=(16, 64), num_attention_heads=(2, 8))
    with pytest.raises(MIVAError, match=r"pan .* another base"):
        inject(unet, pan=make_adapter(other))


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), "1", None, True])
def test_bad_weights_change_nothing(unet: nn.Module, make_adapter: Callable, weight: Any) -> None:
    with inject(unet, pan=make_adapter(unet), jump=make_adapter(unet)) as miva:
        with pytest.raises(MIVAError, match="weight of pan"):
            miva.set_weights(jump=0.5, pan=weight)
        with pytest.raises(MIVAError, match=r"named 'hop'; .*\['pan', 'jump'\]"):
            miva.set_weights(jump=0.5, hop=1.0)
        assert miva.weights == {"pan": 1.0, "jump": 1.0}


@pytest.mark.parametrize(
    "span", [(0.5, 0.5), (0.6, 0.2), (-0.1, 1.0), (0.0, 1.1), (0.0, float("nan")), (0.5,), 0.5, "ab"]
)
def test_bad_spans_change_nothing(unet: nn.Module, make_adapter: Callable, span: Any) -> None:
    with inject(unet, pan=make_adapter(unet), jump=make_adapter(unet)) as miva:
        with pytest.raises(MIVAError, match=r"span of pan is .*expected"):
            miva.set_spans(jump=(0.0, 0.5), pan=span)
        with pytest.raises(MIVAError, match="no adapter named 'hop'"):
            miva.set_spans(jump=(0.0, 0.5), hop=(0.0, 0.5))
        assert miva.spans == {"pan": (0.0, 1.0), "jump": (0.0, 1.0)}


def test_a_span_begins_with_its_start_and_ends_before_its_end(
    unet: nn.Module, make_adapter: Callable, call: Callable
) -> None:
    pan, jump = make_adapter(unet), make_adapter(unet)
    with inject(unet, pan=pan, jump=jump) as miva:
        both = call(unet)
        miva.set_weights(pan=0.0)
        alone = call(unet)
        miva.set_weights(pan=1.0)
        miva.set_spans(pan=(0.25, 0.75))
        for done, expected in ((0.0, alone), (0.2, alone), (0.25, both), (0.7, both), (0.75, alone), (0.9, alone)):
            miva.set_progress(done, 0.5)
            torch.testing.assert_close(call(unet), expected, **EXACT)
        assert miva.weights == {"pan": 1.0, "jump": 1.0}
        for done in (-0.1, 1.0, float("nan"), "0"):
            with pytest.raises(MIVAError, match="share of steps done"):
                miva.set_progress(done, 0.5)
            with pytest.raises(MIVAError, match="share of noise gone"):
                miva.set_progress(0.5, -0.1 if done == 1.0 else done)


def test_strengths_over_frames_need_to_know_the_frames(unet: nn.Module, make_adapter: Callable, call: Callable) -> None:
    with inject(unet, pan=make_adapter(unet)) as miva:
        plain = call(unet)
        miva.set_weights(pan=Curve(((0.0, 0.0), (1.0, 1.0)), over="frames"))
        with pytest.raises(MIVAError, match="set for 0 frames, but the latents have 3: call set_frames"):
            call(unet)
        miva.set_frames([0.0, 0.5])
        with pytest.raises(MIVAError, match="set for 2 frames, but the latents have 3"):
            call(unet)
        with pytest.raises(MIVAError, match=r"are \(0.0, 0.5, 1.5\), expected numbers from 0 to 1"):
            miva.set_frames([0.0, 0.5, 1.5])
        miva.set_frames([0.0, 0.5, 1.0])
        assert miva.context.strengths.tolist() == [[[0.0, 0.5, 1.0]]] * 3
        assert not torch.equal(call(unet), plain)
        miva.set_spans(pan=(0.5, 1.0))
        assert miva.context.strengths.tolist() == [[[0.0, 0.0, 0.0]]] * 3
        miva.set_weights(pan=1.0)
        miva.set_progress(0.5, 0.5)
        miva.set_frames(None)
        assert torch.equal(call(unet), plain)


# --- what adapters do ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["cross_frame", "temporal"])
def test_a_part_of_strength_zero_is_a_part_that_was_never_trained(
    unet: nn.Module, make_adapter: Callable, call: Callable, part: str
) -> None:
    """The other parts of the adapter act as before, and so does another adapter."""
    pan, jump = make_adapter(unet), make_adapter(unet)
    with inject(unet, pan=pan, jump=jump) as miva:
        whole = call(unet)
        miva.set_weights(pan=Strength(**{part: 0.0}))
        silent = call(unet)
    assert not torch.allclose(silent, whole)
    untrained = ".cfa.out." if part == "cross_frame" else ".ta."
    for name, parameter in pan.named_parameters():
        if untrained in name and name.endswith(".up"):
            nn.init.zeros_(parameter)
    with inject(unet, pan=pan, jump=jump):
        torch.testing.assert_close(call(unet), silent, **EXACT)


def test_a_number_is_a_strength_of_all_parts(unet: nn.Module, make_adapter: Callable, call: Callable) -> None:
    with inject(unet, pan=make_adapter(unet)) as miva:
        miva.set_weights(pan=0.3)
        by_number = call(unet, text=True)
        miva.set_weights(pan=Strength(cross_frame=0.3, prompt=0.3, temporal=0.3))
        assert torch.equal(call(unet, text=True), by_number)
        miva.set_spans(pan=(0.0, 0.5))
        miva.set_progress(0.5, 0.5)
        beyond = call(unet, text=True)
        miva.set_weights(pan=0.0)
        assert torch.equal(call(unet, text=True), beyond)


@pytest.mark.parametrize("part", ["cross_frame", "prompt", "temporal"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), "1", None, True, 2e6])
def test_bad_strengths(part: str, value: Any) -> None:
    with pytest.raises(MIVAError, match=f"The {part} strength is"):
        Strength(**{part: value})


# --- training and precision ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config", [None, MIVAConfig(cfa_rank=None, ca_rank=4, ta_rank=2, cfa_softmax="joint", cfa_out_bias=True)]
)
def test_gradients_reach_all_of_the_adapter_and_none_of_the_base(
    unet: nn.Module, make_adapter: Callable, call: Callable, config: MIVAConfig | None
) -> None:
    adapter = make_adapter(unet, *([config] if config else []))
    with inject(unet, pan=adapter):
        call(unet).square().mean().backward()
    silent = [name for name, p in adapter.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []
    assert all(parameter.grad is None for parameter in unet.parameters())


def relative_error(output: Tensor, expected: Tensor) -> float:
    return ((output.double() - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_float32_adapters_in_a_half_precision_model(
    unet: nn.Module, make_adapter: Callable, call: Callable, dtype: torch.dtype
) -> None:
    adapter = make_adapter(unet)
    with inject(unet, pan=adapter):
        expected = call(unet)
    adapter.float()
    unet.to(dtype)
    with inject(unet, pan=adapter) as miva:
        miva.set_weights(pan=1.0)
        output = call(unet)
        output.float().square().mean().backward()
    assert output.dtype == dtype
    assert relative_error(output, expected) < 0.05
    assert all(p.dtype == p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in adapter.parameters())


def test_autocast(unet: nn.Module, make_adapter: Callable, call: Callable) -> None:
    adapter = make_adapter(unet)
    with inject(unet, pan=adapter):
        expected = call(unet)
    adapter.float()
    unet.float()
    with inject(unet, pan=adapter), torch.autocast("cpu", torch.bfloat16):
        output = call(unet)
        output.float().square().mean().backward()
    assert relative_error(output, expected) < 0.05
    assert all(parameter.grad.any() for parameter in adapter.parameters())


def test_gates_keep_their_precision_under_autocast() -> None:
    gate = Gate(1280, MIVAConfig())
    temb = torch.randn(3, 1280)
    expected = torch.softmax((torch.nn.functional.silu(temb) @ gate.weight.T + gate.bias) / 0.2, dim=-1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lambdas = reference_weights(temb, Gates.of([gate]), 0.2)
    torch.testing.assert_close(lambdas[0], expected)


def test_weights_can_be_set_after_an_injection_in_inference_mode(
    unet: nn.Module, make_adapter: Callable, call: Callable
) -> None:
    adapter = make_adapter(unet)
    with torch.inference_mode():
        miva = inject(unet, pan=adapter)
    miva.set_weights(pan=0.0)
    silent = call(unet)
    miva.set_weights(pan=1.0)
    assert not torch.equal(call(unet), silent)
    miva.remove()


def test_the_bare_forward_is_refused(unet: nn.Module, make_adapter: Callable) -> None:
    """It bypasses the hook that reports the number of frames, and frames would be taken for clips."""
    with inject(unet, pan=make_adapter(unet)), pytest.raises(MIVAError, match="Call the model itself"):
        unet.forward(torch.zeros(1, 4, 3, 4, 6, dtype=torch.float64), torch.tensor(5), None)


def test_gradients_with_checkpointing_are_the_same(unet: nn.Module, make_adapter: Callable, call: Callable) -> None:
    adapter = make_adapter(unet)

    def gradients() -> list[torch.Tensor]:
        call(unet).square().mean().backward()
        grads = [p.grad for p in adapter.parameters()]
        adapter.zero_grad(set_to_none=True)
        return grads

    with inject(unet.train(), pan=adapter):
        plain = gradients()
        unet.enable_gradient_checkpointing()
        for checkpointed, expected in zip(gradients(), plain, strict=True):
            torch.testing.assert_close(checkpointed, expected)
