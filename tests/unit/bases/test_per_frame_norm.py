from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from torch import nn

from miva_core.bases.animatediff.per_frame_norm import PerFrameGroupNorm, use_per_frame_norm


@pytest.fixture
def norm() -> PerFrameGroupNorm:
    norm = PerFrameGroupNorm(4, 12, eps=1e-3).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm


def motion_modules(model: nn.Module) -> list[AnimateDiffTransformer3D]:
    return [module for module in model.modules() if isinstance(module, AnimateDiffTransformer3D)]


def test_each_frame_is_normalised_by_itself(norm: PerFrameGroupNorm) -> None:
    x = torch.randn(2, 12, 5, 3, 4).double() * torch.linspace(0.1, 9, 5).view(5, 1, 1) + 2
    normed = norm(x)
    for clip in range(2):
        for i in range(5):
            expected = F.group_norm(x[clip : clip + 1, :, i], 4, norm.weight, norm.bias, 1e-3)
            torch.testing.assert_close(normed[clip : clip + 1, :, i], expected, rtol=1e-12, atol=1e-12)


def test_a_frame_does_not_hear_of_the_others(norm: PerFrameGroupNorm) -> None:
    x = torch.randn(1, 12, 4, 3, 4).double()
    other = x.clone()
    other[:, :, 1:] = 50 * torch.randn(1, 12, 3, 3, 4).double()
    assert torch.equal(norm(x)[:, :, 0], norm(other)[:, :, 0])
    pooled = F.group_norm(x, 4, norm.weight, norm.bias, 1e-3), F.group_norm(other, 4, norm.weight, norm.bias, 1e-3)
    assert not torch.allclose(pooled[0][:, :, 0], pooled[1][:, :, 0])  # the pooled one does


def test_a_model_keeps_its_very_parameters_and_their_names(make_unet: Callable) -> None:
    model = make_unet()
    before = {name: id(parameter) for name, parameter in model.named_parameters()}
    keys = list(model.state_dict())
    epsilons = [module.norm.eps for module in motion_modules(model)]
    use_per_frame_norm(model)
    assert {name: id(parameter) for name, parameter in model.named_parameters()} == before
    assert list(model.state_dict()) == keys
    assert motion_modules(model) and all(isinstance(m.norm, PerFrameGroupNorm) for m in motion_modules(model))
    assert [module.norm.eps for module in motion_modules(model)] == epsilons


def test_doing_it_twice_is_doing_it_once(make_unet: Callable) -> None:
    model = make_unet()
    use_per_frame_norm(model)
    norms = [module.norm for module in motion_modules(model)]
    use_per_frame_norm(model)
    assert all(module.norm is norm for module, norm in zip(motion_modules(model), norms, strict=True))


def test_a_motion_module_hands_it_frames_as_it_expects(make_unet: Callable) -> None:
    """With attention silenced, a motion module still runs its norm: what reaches it must be (B, C, F, h, w)."""
    model = make_unet()
    use_per_frame_norm(model)
    seen = []
    for module in motion_modules(model):
        module.norm.register_forward_pre_hook(lambda _, args: seen.append(tuple(args[0].shape)))
    model(torch.randn(2, 4, 3, 8, 8), 1, torch.zeros(6, 5, 16))
    assert len(seen) == len(motion_modules(model))
    assert all(len(shape) == 5 and shape[0] == 2 and shape[2] == 3 for shape in seen)
