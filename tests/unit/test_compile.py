"""One graph, and no second one when a weight or the time changes. The backend runs graphs as they are, to be fast."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

from miva_core.inject import inject


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def model(make_unet: Callable) -> nn.Module:
    return make_unet()


@pytest.fixture
def noise() -> Callable[[nn.Module, int], Tensor]:
    latents = torch.randn(1, 4, 3, 8, 8)

    @torch.no_grad()
    def run(model: nn.Module, t: int) -> Tensor:
        return model(latents, torch.tensor(t), None, return_dict=False)[0]

    return run


def test_the_whole_model_is_one_graph(model: nn.Module, make_adapter: Callable, noise: Callable) -> None:
    counter = CompileCounter()
    compiled = torch.compile(model, backend=counter, fullgraph=True)
    with inject(model, pan=make_adapter(model), jump=make_adapter(model)) as miva:
        for t, pan in ((900, 1.0), (500, 0.3), (20, 0.0)):
            miva.set_weights(pan=pan, jump=1 - pan)
            torch.testing.assert_close(noise(compiled, t), noise(model, t))
    assert counter.frame_count == 1


def test_compiled_models_forget_removed_adapters(model: nn.Module, make_adapter: Callable) -> None:
    latents, text = torch.randn(1, 4, 2, 8, 8), torch.randn(2, 5, 16)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        base = model(latents, torch.tensor(5), text).sample
        with inject(model, pan=make_adapter(model)):
            assert not torch.allclose(compiled(latents, torch.tensor(5), text).sample, base)
        torch.testing.assert_close(compiled(latents, torch.tensor(5), text).sample, base)


def test_blocks_compiled_one_by_one_share_their_graphs(
    make_unet: Callable, make_adapter: Callable, noise: Callable
) -> None:
    """Blocks of one width: one graph for all spatial blocks, one for all temporal ones."""
    model = make_unet(block_out_channels=(16, 16), num_attention_heads=2, motion_num_attention_heads=2)
    counter = CompileCounter()
    adapters = {"pan": make_adapter(model), "jump": make_adapter(model)}
    with inject(model, **adapters) as miva:
        expected = noise(model, 900)
        blocks = [module for module in model.modules() if type(module).__name__ == "BasicTransformerBlock"]
        for block in blocks:
            block.compile(backend=counter, fullgraph=True, dynamic=True)
        torch.testing.assert_close(noise(model, 900), expected)
        graphs = counter.frame_count
        miva.set_weights(pan=0.2)
        noise(model, 100)
    assert len(blocks) > graphs
    assert counter.frame_count == graphs == 2
