"""Another program than diffusers can hold the model: an installer that changes it for a forward pass alone.

It replaces `forward` of the attention modules, keeps nothing between passes, serves any copy of the model by one set of
processors, and its ports compute attention, maps and positions in their own way.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from miva_core.adapters.backbone import Backbone, Site
from miva_core.adapters.config import MIVAConfig
from miva_core.attention.context import Context
from miva_core.attention.injection import Injection
from miva_core.attention.processor import Processor
from miva_core.attention.softmax_attention import Bias, attend
from miva_core.attention.strength import Strength
from miva_core.bases.describe import describe
from miva_core.bases.inject import inject
from miva_core.bases.registry import find_architecture

RANKS = {"cfa_rank": 3, "ca_rank": 4, "ta_rank": 2}
CONFIGS = {"pan": MIVAConfig(**RANKS), "jump": MIVAConfig(**RANKS, mask=True, cfa_softmax="joint")}
STRENGTHS = {"pan": Strength(0.4, 0.7, -0.3), "jump": Strength(0.5, 0.2, 0.9)}
FRAMES, SIDE = 3, 4


def layer(linear: nn.Linear, x: Tensor) -> Tensor:
    return x @ linear.weight.T + (0 if linear.bias is None else linear.bias)


def one_head(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = torch.exp(q @ k.mT / q.shape[-1] ** 0.5)
    return (weights / weights.sum(-1, keepdim=True)) @ v


class OwnPort:
    """Attention written out, head by head, and rotary positions as complex numbers."""

    def __init__(
        self, module: Any, inner: Callable[..., Tensor], rotary: tuple[Tensor, Tensor] | None, calls: list[str]
    ) -> None:
        self.module, self.inner, self.rotary, self.calls = module, inner, rotary, calls

    def query(self, x: Tensor) -> Tensor:
        return layer(self.module.to_q, x)

    def query_matrix(self, x: Tensor) -> None:
        return None

    def key(self, x: Tensor) -> Tensor:
        key = layer(self.module.to_k, x)
        return key if self.module.norm_k is None else self.module.norm_k(key)

    def value(self, x: Tensor) -> Tensor:
        return layer(self.module.to_v, x)

    def norm_query(self, query: Tensor) -> Tensor:
        return query if self.module.norm_q is None else self.module.norm_q(query)

    def rotate(self, tokens: Tensor) -> Tensor:
        if self.rotary is None:
            return tokens
        cos, sin = (table[0, :, 0, ::2].double() for table in self.rotary)
        pairs = torch.view_as_complex(tokens.double().unflatten(-1, (self.module.heads, -1, 2)))
        turned = pairs * torch.complex(cos, sin)[:, None]
        return torch.view_as_real(turned).flatten(-3).to(tokens)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, bias: Bias | None = None) -> Tensor:
        self.calls.append("plain" if bias is None else "guided")
        if bias is not None:
            return attend(q, k, v, self.module.heads, bias)
        heads = (tokens.chunk(self.module.heads, -1) for tokens in (q, k, v))
        return torch.cat([one_head(*parts) for parts in zip(*heads, strict=True)], -1)

    def output(self, y: Tensor) -> Tensor:
        return layer(self.module.to_out[0], y)

    def attend_text(self, x: Tensor, text: Tensor) -> Tensor:
        """By what stood at the module before, as a program would that lets others replace it."""
        return self.inner(x, text)


class ForwardInstaller:
    device, dtype = torch.device("cpu"), torch.float64

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self.processors: Mapping[Site, Processor] = {}
        self.calls: list[str] = []

    def install(self, processors: Mapping[Site, Processor], context: Context) -> None:
        self.processors, self.context = processors, context

    def remove(self) -> None:
        self.processors = {}

    def run(self, model: nn.Module, latents: Tensor, t: Tensor, text: Tensor | None) -> Tensor:
        rows, _, frames, height, width = latents.shape
        self.context.begin(rows, frames, height, width)
        with ExitStack() as stack:
            stack.enter_context(replaced(model, self.backbone.time_path, self.remember))
            for site, processor in self.processors.items():
                stack.enter_context(replaced(model, site.path, self.forward(model, site, processor)))
            return model(latents, t, text).sample

    def remember(self, plain: Callable[..., Tensor], *args: Any) -> Tensor:
        self.context.temb = plain(*args)
        return self.context.temb

    def forward(self, model: nn.Module, site: Site, processor: Processor) -> Callable[..., Tensor]:
        module = model.get_submodule(site.path)

        def run(plain: Any, hidden_states: Tensor, encoder_hidden_states=None, attention_mask=None, rotary_emb=None):
            return processor(OwnPort(module, plain, rotary_emb, self.calls), hidden_states, encoder_hidden_states)

        return run


@contextmanager
def replaced(model: nn.Module, path: str, forward: Callable[..., Tensor]) -> Iterator[None]:
    module = model.get_submodule(path)
    plain = module.forward
    module.__dict__["forward"] = lambda *args, **options: forward(plain, *args, **options)
    try:
        yield
    finally:
        del module.__dict__["forward"]


@pytest.fixture(params=["unet", "wan"])
def model(request: pytest.FixtureRequest, make_unet: Callable, make_wan: Callable) -> nn.Module:
    return (make_unet() if request.param == "unet" else make_wan()).double()


@pytest.fixture
def adapters(model: nn.Module, make_adapter: Callable) -> dict[str, Any]:
    return {name: make_adapter(model, config) for name, config in CONFIGS.items()}


@pytest.fixture
def foreign(model: nn.Module, adapters: dict[str, Any]) -> tuple[Injection, ForwardInstaller]:
    """The adapters' state, with an installer that knows nothing of processors of diffusers."""
    backbone = describe(model)
    architecture, installer = find_architecture(backbone.family), ForwardInstaller(backbone)
    miva = Injection(
        adapters,
        backbone,
        installer,
        architecture.processors(),
        grids=architecture.attention_grids,
        spans_frames=architecture.attention_spans_frames,
    )
    return miva, installer


def batch(model: nn.Module, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    latents = torch.randn(rows, 4, FRAMES, SIDE, SIDE).double()
    per_clip = 1 if describe(model).family == "wan" else FRAMES
    return latents, torch.full((rows,), 400), torch.randn(rows * per_clip, 5, 16).double()


@pytest.mark.parametrize("guided", [False, True])
@torch.no_grad()
def test_an_installer_of_another_kind_gives_the_same(
    model: nn.Module, adapters: dict[str, Any], foreign: tuple[Injection, ForwardInstaller], guided: bool
) -> None:
    other, installer = foreign
    inputs, bare = batch(model, 2), batch(model, 1)
    plain = model(*bare).sample
    masks = {"jump": torch.rand(1, FRAMES, SIDE, SIDE)}
    with inject(model, **adapters) as miva:
        for one in (miva, other):
            one.set_weights(**STRENGTHS)
            one.set_mask_streams(True)
            one.set_masks(masks if guided else None)
        expected = model(*inputs).sample
    output = installer.run(model, *inputs)
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-6)
    assert set(installer.calls) == ({"plain", "guided"} if guided else {"plain"})
    # the very processors, in a copy of the model
    assert torch.equal(installer.run(copy.deepcopy(model), *inputs), output)
    other.remove()
    assert torch.equal(model(*bare).sample, plain)


@torch.no_grad()
def test_a_text_whose_share_is_none_may_be_left_out(
    model: nn.Module, adapters: dict[str, Any], foreign: tuple[Injection, ForwardInstaller]
) -> None:
    """A program that knows the share drops the text, and what it costs."""
    miva, installer = foreign
    miva.set_weights(pan=Strength(0.3, 0.4, 0.2), jump=Strength(0.3, 0.6, 0.2))
    site = next(site for site in describe(model).sites if site.kind == "ca")
    family = describe(model).family
    processor = installer.processors[site]
    module = model.get_submodule(site.path)
    port = OwnPort(module, module, None, [])
    miva.context.begin(1, FRAMES, SIDE, SIDE)
    x = torch.randn(1, FRAMES * 4, site.dim) if family == "wan" else torch.randn(FRAMES, 4, site.dim)
    x, text = x.double(), torch.randn(len(x), 5, 24 if family == "wan" else 16).double()
    with FlopCounterMode(display=False) as whole:
        expected = processor(port, x, text)
    with FlopCounterMode(display=False) as part:
        output = processor(port, x)
    torch.testing.assert_close(output, expected, rtol=1e-9, atol=1e-9)
    assert part.get_total_flops() < whole.get_total_flops()
