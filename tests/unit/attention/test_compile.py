"""One graph, and no second one when a strength or the time changes; strengths that differ from frame to frame have one
of their own. The backend runs graphs as they are, to be fast."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter

from miva_core.adapters.config import MIVAConfig
from miva_core.attention.curve import Curve
from miva_core.attention.strength import Strength
from miva_core.bases.inject import inject
from miva_core.bases.loading import load_base


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def one_level(make_unet: Callable) -> Callable[[int], nn.Module]:
    """A U-Net of one resolution and one width: any further graph would be ours."""

    def make(layers: int) -> nn.Module:
        return make_unet(
            block_out_channels=(16,),
            down_block_types=("CrossAttnDownBlockMotion",),
            up_block_types=("CrossAttnUpBlockMotion",),
            num_attention_heads=2,
            motion_num_attention_heads=2,
            layers_per_block=layers,
        )

    return make


@torch.no_grad()
def test_the_whole_model_is_one_graph(
    one_level: Callable, make_adapter: Callable, call: Callable, small: MIVAConfig
) -> None:
    model = one_level(layers=1)
    counter = CompileCounter()
    compiled = torch.compile(model, backend=counter, fullgraph=True)
    glide = make_adapter(model, replace(small, degree=True))
    with inject(model, pan=make_adapter(model), jump=make_adapter(model), glide=glide) as miva:
        for t, pan in ((900, 1.0), (500, 0.3), (20, 0.0)):
            miva.set_weights(pan=pan, jump=1 - pan)
            miva.set_degrees(glide=2 * pan - 1)
            torch.testing.assert_close(call(compiled, t=t), call(model, t=t))
        for part in ({"cross_frame": 0.4}, {"prompt": -0.3}, {"temporal": 2.0}):
            miva.set_weights(pan=Strength(**part))
            torch.testing.assert_close(call(compiled, t=300), call(model, t=300))
    assert counter.frame_count == 1


@torch.no_grad()
def test_the_built_in_base_is_one_graph(make_adapter: Callable) -> None:
    model = load_base("tiny").model
    counter = CompileCounter()
    compiled = torch.compile(model, backend=counter, fullgraph=True)
    clips, text = torch.randn(1, 32, 16, 8, 8), torch.zeros(16, 2, 64)
    with inject(model, pan=make_adapter(model)) as miva:
        for t, pan in ((900, 1.0), (20, 0.3)):
            miva.set_weights(pan=pan)
            ours, plain = (m(clips, torch.tensor(t), text) for m in (compiled, model))
            torch.testing.assert_close(ours.sample, plain.sample, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(ours.flow, plain.flow, atol=1e-4, rtol=1e-4)
    assert counter.frame_count == 1


@torch.no_grad()
def test_wan_is_one_graph(make_wan: Callable, make_adapter: Callable, small: MIVAConfig) -> None:
    model = make_wan()
    counter = CompileCounter()
    compiled = torch.compile(model, backend=counter, fullgraph=True)
    latents, text = torch.randn(1, 4, 3, 4, 6), torch.zeros(1, 1, 16)
    glide = make_adapter(model, replace(small, degree=True))
    with inject(model, pan=make_adapter(model), jump=make_adapter(model), glide=glide) as miva:
        for t, pan in ((900.0, 1.0), (500.0, 0.3), (20.0, 0.0)):
            miva.set_degrees(glide=2 * pan - 1)
            miva.set_weights(pan=Strength(cross_frame=pan), jump=Strength(prompt=1 - pan))
            miva.set_spans(pan=(0.0, 0.5))
            miva.set_progress(1 - t / 1000, 1 - t / 1000)
            ours, plain = (m(latents, torch.tensor([t]), text).sample for m in (compiled, model))
            torch.testing.assert_close(ours, plain)
        assert counter.frame_count == 1
        for value in (0.5, 1.5):
            miva.set_weights(pan=Curve(((0.0, value), (1.0, 0.2)), over="frames"))
            miva.set_frames([0.0, value / 2, 1.0])
            ours, plain = (m(latents, torch.tensor([20.0]), text).sample for m in (compiled, model))
            torch.testing.assert_close(ours, plain)
    assert counter.frame_count == 2


@torch.no_grad()
@pytest.mark.parametrize("family", ["unet", "wan"])
def test_new_masks_need_no_new_graph(
    one_level: Callable, make_wan: Callable, make_adapter: Callable, small: MIVAConfig, family: str
) -> None:
    """One graph with masks beside the clip and one without, whatever the masks show."""
    model = one_level(layers=1) if family == "unet" else make_wan()
    counter = CompileCounter()
    compiled = torch.compile(model, backend=counter, fullgraph=True, dynamic=False)
    latents, t = torch.randn(2, 4, 3, 4, 6), torch.tensor([500.0, 500.0])
    text = torch.zeros(6 if family == "unet" else 2, 1, 16)
    with inject(model, jump=make_adapter(model, replace(small, mask=True))) as miva:
        for rows in (2, 1, 2, 1, 2, 1):
            miva.set_mask_streams(rows == 2)
            miva.set_masks({"jump": torch.rand(1, 3, 4, 6)})
            words = text[: len(text) * rows // 2]
            ours, plain = (m(latents[:rows], t[:rows], words).sample for m in (compiled, model))
            torch.testing.assert_close(ours, plain)
    assert counter.frame_count == 2


@torch.no_grad()
def test_blocks_compiled_one_by_one_share_two_graphs(
    one_level: Callable, make_adapter: Callable, call: Callable
) -> None:
    """One graph for all spatial blocks and one for all temporal blocks, for all weights and times."""
    model = one_level(layers=2)
    base = call(model, text=True)
    counter = CompileCounter()
    with inject(model, pan=make_adapter(model), jump=make_adapter(model)) as miva:
        expected = call(model, t=900)
        blocks = [module for module in model.modules() if type(module).__name__ == "BasicTransformerBlock"]
        assert len(blocks) == 11
        for block in blocks:
            block.compile(backend=counter, fullgraph=True)
        torch.testing.assert_close(call(model, t=900), expected)
        miva.set_weights(pan=0.2, jump=-1.0)
        call(model, t=100)
        miva.set_weights(pan=Strength(0.1, 0.2, 0.3), jump=Strength(temporal=0.0))
        call(model, t=100)
        assert counter.frame_count == 2
        miva.set_frames([0.0, 0.5, 1.0])
        for end in (0.0, 1.5):
            miva.set_weights(pan=Curve(((0.0, 1.0), (1.0, end)), over="frames"))
            call(model, t=100)
    assert counter.frame_count == 4
    # what was compiled with the adapters is not used without them
    torch.testing.assert_close(call(model, text=True), base)


@torch.no_grad()
def test_frozen_adapters_need_no_more_graphs(one_level: Callable, make_adapter: Callable, call: Callable) -> None:
    """One for each kind of block, as above."""
    model = one_level(layers=2)
    counter = CompileCounter()
    with inject(model, pan=make_adapter(model), jump=make_adapter(model)) as miva:
        expected = call(model)
        miva.freeze()
        for block in (module for module in model.modules() if type(module).__name__ == "BasicTransformerBlock"):
            block.compile(backend=counter, fullgraph=True)
        torch.testing.assert_close(call(model), expected)
        miva.set_weights(pan=0.2, jump=-1.0)
        call(model, t=100)
    assert counter.frame_count == 2


@torch.no_grad()
def test_other_words_need_no_new_graph(
    one_level: Callable, make_adapter: Callable, call: Callable, small: MIVAConfig
) -> None:
    """In a block of attention over time; nor does saying nothing. An adapter that hears none stands beside."""
    model = one_level(layers=1)
    counter = CompileCounter()
    with inject(model, pan=make_adapter(model, replace(small, words=True)), jump=make_adapter(model)) as miva:
        texts = (None, torch.randn(1, 16), torch.randn(3, 16))
        expected = []
        for text in texts:
            miva.set_words(pan=text)
            expected.append(call(model))
        assert not torch.allclose(expected[0], expected[1]) and not torch.allclose(expected[1], expected[2])
        model.down_blocks[0].motion_modules[0].transformer_blocks[0].compile(backend=counter, fullgraph=True)
        for text, wanted in zip(texts, expected, strict=True):
            miva.set_words(pan=text)
            torch.testing.assert_close(call(model), wanted)
    assert counter.frame_count == 1
