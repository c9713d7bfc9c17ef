from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from diffusers import UNetMotionModel
from torch import Tensor

from miva_core.bases.base import Base
from miva_core.bases.recipe import Recipe
from miva_core.training.gradient_checkpointing import gradient_checkpointing
from miva_core.training.latent_clips import LatentClip
from miva_core.training.loop import draw_step
from miva_core.training.step import TrainStep


def gradients(
    base: Base, recipe: Recipe, clips: list[list[LatentClip]], make_adapter: Callable
) -> tuple[dict[str, Tensor], int]:
    """Gradients of one step, and the bytes that it kept for the backward pass."""
    torch.manual_seed(4)
    adapter = make_adapter(base.model, recipe.config)
    step, kept = TrainStep(base, adapter, recipe), {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    batch, draws = draw_step(clips, base, recipe, 0, 0, 1)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), step.injected():
        loss = step(batch, draws)
        held = sum(kept.values())
        loss.backward()
    return {name: p.grad for name, p in adapter.named_parameters()}, held


@pytest.mark.parametrize(("name", "subjects"), [("animatediff", 0), ("animatediff", 1), ("wan", 0), ("wan", 1)])
def test_gradients_are_the_same_and_less_is_kept(
    name: str,
    subjects: int,
    make_base: Callable[..., Base],
    make_clips: Callable[..., list[list[LatentClip]]],
    make_recipe: Callable[..., Recipe],
    make_adapter: Callable,
) -> None:
    base = make_base(name)
    recipe = make_recipe(rolled_out=0.5)
    recipe = replace(recipe, config=replace(recipe.config, mask=bool(subjects)))
    clips = make_clips(base, subjects)
    plain, much = gradients(base, recipe, clips, make_adapter)
    checkpointed, little = gradients(base, replace(recipe, checkpointing=True), clips, make_adapter)
    assert little < 0.6 * much
    for key, gradient in plain.items():
        # A gate may be so sure of one frame that in float32 it has no slope.
        assert gradient.abs().sum() > 0 or ".gate." in key, key
        torch.testing.assert_close(checkpointed[key], gradient, rtol=1e-4, atol=1e-6)


def test_motion_modules_are_covered_and_given_back(make_unet: Callable[..., UNetMotionModel]) -> None:
    unet = make_unet()
    motion = [m for m in unet.modules() if type(m).__name__ == "AnimateDiffTransformer3D"]
    before = {m: dict(vars(m)) for m in unet.modules()}
    with pytest.raises(RuntimeError, match="inside"), gradient_checkpointing(unet):
        assert motion and all("forward" in vars(module) for module in motion)
        assert unet.is_gradient_checkpointing
        raise RuntimeError("inside")
    assert not unet.is_gradient_checkpointing
    for module, attributes in before.items():
        assert vars(module).keys() == attributes.keys()
    unet.enable_gradient_checkpointing()
    with gradient_checkpointing(unet):
        pass
    assert unet.is_gradient_checkpointing
