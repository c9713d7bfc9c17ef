"""What differs between motion modules: how v1 normalises, and positional encodings that are not the sinusoid."""

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from types import MethodType

import pytest
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, UNetMotionModel
from diffusers.models.resnet import ResnetBlock2D
from safetensors.torch import save_file
from single_files import UNET, VAE, motion_module, stable_diffusion, write_configs
from torch import Tensor, nn

from miva_core import MIVAAdapter, MIVAConfig, inject
from miva_core.bases.animatediff import loading
from miva_core.bases.animatediff.loading import CONFIGS, load_animatediff
from miva_core.bases.animatediff.per_frame_norm import use_per_frame_norm
from miva_core.bases.animatediff.pooled_norm import PooledGroupNorm, use_pooled_norm
from miva_core.bases.base import Base
from miva_core.errors import MIVAError, MIVAWarning

CLIPS, FRAMES = 2, 3


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, UNetMotionModel]]:
    """write(reach, middle, change): a folder with a base whose motion module `change` has edited, and its U-Net."""
    torch.manual_seed(1)
    vae = AutoencoderKL(**VAE).eval()
    made: dict[tuple[int, bool], UNetMotionModel] = {}

    def write(
        reach: int, middle: bool = False, change: Callable[[dict[str, Tensor]], None] = lambda tensors: None
    ) -> tuple[Path, UNetMotionModel]:
        torch.manual_seed(2)
        if (reach, middle) not in made:
            unet = UNetMotionModel(**UNET, motion_max_seq_length=reach, use_motion_mid_block=middle)
            made[reach, middle] = unet.eval().requires_grad_(False)
        unet = made[reach, middle]
        folder = tmp_path_factory.mktemp("base")
        write_configs(folder, CONFIGS)
        save_file(stable_diffusion(unet, vae), folder / "sd15.safetensors")
        motion = motion_module(unet)
        change(motion)
        save_file(motion, folder / "mm.safetensors")
        return folder, unet

    return write


def load(folder: Path) -> Base:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "CONFIGS", folder)
        return load_animatediff(folder / "sd15.safetensors", folder / "mm.safetensors")


def load_quietly(folder: Path) -> Base:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load(folder)


def output(model: nn.Module, quiet: bool = False) -> Tensor:
    """Of fixed clips, of which a quiet one has a calm first frame, as clean ones are."""
    generator = torch.Generator().manual_seed(5)
    latents = torch.randn(CLIPS, 4, FRAMES, 8, 8, generator=generator)
    if quiet:
        latents[:, :, 0] *= 0.1
    return model(latents, torch.tensor(300), torch.zeros(CLIPS * FRAMES, 2, 768)).sample


def distance(found: Tensor, expected: Tensor) -> float:
    """Root mean square, in standard deviations."""
    return ((found - expected).square().mean().sqrt() / expected.std()).item()


# --- v1 --------------------------------------------------------------------------------------------------------------


def slow_pooled(x: Tensor, norm: nn.GroupNorm, frames: int) -> Tensor:
    """(B F, C, h, w): for every clip and group the mean and variance of what all its frames hold, from the formula."""
    x, result = x.double(), torch.empty_like(x, dtype=torch.float64)
    size = x.shape[1] // norm.num_groups
    for clip in range(len(x) // frames):
        for group in range(norm.num_groups):
            place = slice(clip * frames, (clip + 1) * frames), slice(group * size, (group + 1) * size)
            values = [x[i, c].flatten() for i in range(len(x))[place[0]] for c in range(x.shape[1])[place[1]]]
            values = torch.cat(values)
            mean = values.sum() / len(values)
            variance = (values - mean).square().sum() / len(values)
            result[place] = (x[place] - mean) / math.sqrt(variance + norm.eps)
    return result * norm.weight.double()[:, None, None] + norm.bias.double()[:, None, None]


def original_v1(unet: UNetMotionModel) -> UNetMotionModel:
    """A copy whose ResNets and last norm pool the frames, by the slow formula, and nothing else does."""
    model = UNetMotionModel(**UNET, motion_max_seq_length=24, use_motion_mid_block=False)
    model.load_state_dict(unet.state_dict())
    use_per_frame_norm(model)
    resnets = [module for module in model.modules() if isinstance(module, ResnetBlock2D)]
    for norm in (*(r.norm1 for r in resnets), *(r.norm2 for r in resnets), model.conv_norm_out):
        norm.forward = MethodType(lambda self, x: slow_pooled(x, self, FRAMES).float(), norm)
    return model.eval()


def test_v1_pools_frames_in_its_resnets_and_the_last_norm_alone(write: Callable) -> None:
    folder, unet = write(24)
    base = load_quietly(folder)
    original = original_v1(unet)
    for quiet in (False, True):
        expected = output(original, quiet)
        torch.testing.assert_close(output(base.model, quiet), expected, rtol=1e-3, atol=1e-4)
        per_frame = UNetMotionModel(**UNET, motion_max_seq_length=24, use_motion_mid_block=False).eval()
        per_frame.load_state_dict(unet.state_dict())
        use_per_frame_norm(per_frame)
        assert distance(output(per_frame, quiet), expected) > 0.05


@pytest.mark.parametrize("version", [(32, True), (32, False)], ids=["v2", "v3"])
def test_later_versions_normalise_every_frame_by_itself(write: Callable, version: tuple[int, bool]) -> None:
    base = load_quietly(write(*version)[0])
    assert not any(isinstance(module, PooledGroupNorm) for module in base.model.modules())


def test_clips_of_another_length_and_of_adapters_are_pooled_by_themselves(write: Callable) -> None:
    """The rows of a batch do not hear of each other, whatever their length is; an adapter's hooks come on top."""
    model = load_quietly(write(24)[0]).model
    clips, text = torch.randn(2, 4, 5, 8, 8), torch.zeros(10, 2, 768)
    both = model(clips, torch.tensor(300), text).sample
    alone = model(sample=clips[1:], timestep=torch.tensor(300), encoder_hidden_states=text[:5]).sample
    torch.testing.assert_close(both[1:], alone, rtol=1e-4, atol=1e-5)
    backbone = load_quietly(write(24)[0]).backbone
    with inject(model, pan=MIVAAdapter(backbone, MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=2))) as miva:
        miva.set_weights(pan=0.0)
        torch.testing.assert_close(model(clips, torch.tensor(300), text).sample, both, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("frames", [1, 4])
def test_the_pooled_norm_is_the_formula(make_unet: Callable, frames: int) -> None:
    model = make_unet().double()
    norm = model.conv_norm_out
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    names, parameters = list(model.state_dict()), {id(parameter) for parameter in model.parameters()}
    use_pooled_norm(model)
    assert list(model.state_dict()) == names and {id(parameter) for parameter in model.parameters()} == parameters
    model(torch.randn(2, 4, frames, 8, 8).double(), 1, torch.zeros(2 * frames, 5, 16).double())
    x = torch.randn(2 * frames, norm.num_channels, 3, 5).double() * torch.arange(1, 2 * frames + 1).view(-1, 1, 1, 1)
    torch.testing.assert_close(model.conv_norm_out(x), slow_pooled(x, norm, frames), rtol=1e-9, atol=1e-9)


# --- positional encodings --------------------------------------------------------------------------------------------


def stretched(encoding: Tensor) -> Tensor:
    """Twice as far apart, as community modules have them for longer clips: the first rows of the stretched table."""
    longer = F.interpolate(encoding.transpose(1, 2), scale_factor=2, mode="linear", align_corners=True)
    return longer.transpose(1, 2)[:, : encoding.shape[1]].contiguous()


def change_positions(change: Callable[[Tensor], Tensor], attentions: str = "") -> Callable[[dict[str, Tensor]], None]:
    def edit(tensors: dict[str, Tensor]) -> None:
        for name in tensors:
            if name.endswith(f"{attentions}.pos_encoder.pe"):
                tensors[name] = change(tensors[name])

    return edit


def sinusoid(frames: int, width: int) -> Tensor:
    """Of every frame and channel, from the formula."""
    table = torch.empty(1, frames, width)
    for i in range(frames):
        for c in range(width):
            angle = i / 10000 ** ((c - c % 2) / width)
            table[0, i, c] = math.cos(angle) if c % 2 else math.sin(angle)
    return table


def with_positions(unet: UNetMotionModel, change: Callable[[Tensor], Tensor]) -> UNetMotionModel:
    model = UNetMotionModel(**UNET, use_motion_mid_block=False, motion_max_seq_length=32)
    state = {name: change(tensor) if name.endswith(".pe") else tensor for name, tensor in unet.state_dict().items()}
    model.load_state_dict(state)
    use_per_frame_norm(model)
    return model.eval()


def test_stretched_positions_are_used_and_told(write: Callable) -> None:
    folder, unet = write(32, change=change_positions(stretched))
    with pytest.warns(MIVAWarning, match=r"mm\.safetensors has positional encodings"):
        base = load(folder)
    expected = output(with_positions(unet, stretched))
    assert torch.equal(output(base.model), expected)
    assert distance(output(with_positions(unet, lambda encoding: encoding)), expected) > 0.02


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_usual_positions_are_exact_however_they_are_stored(write: Callable, dtype: torch.dtype) -> None:
    base = load_quietly(write(32, change=change_positions(lambda encoding: encoding.to(dtype)))[0])
    tables = [tensor for name, tensor in base.model.state_dict().items() if name.endswith(".pe")]
    assert tables
    for table in tables:
        torch.testing.assert_close(table, sinusoid(*table.shape[1:]), rtol=0, atol=1e-5)


def test_motions_fit_a_module_with_other_positions(write: Callable) -> None:
    usual = load_quietly(write(32)[0])
    with pytest.warns(MIVAWarning):
        other = load(write(32, change=change_positions(stretched))[0])
    assert other.backbone.fingerprint == usual.backbone.fingerprint


@pytest.mark.parametrize(
    ("change", "attentions", "message"),
    [
        (lambda encoding: encoding * math.nan, "", "positional encodings that are no numbers"),
        (lambda encoding: encoding * 0.5, "attention_blocks.1", "two positional encodings that differ in one block"),
        (lambda encoding: encoding[..., :-2].clone(), "", "pe of shape"),
        (lambda encoding: encoding[:, :1].clone(), "", "of one length"),
        (lambda encoding: encoding[:, :1].repeat(1, 1025, 1), "", "of one length"),
    ],
    ids=["NaN", "two in a block", "narrow", "one frame", "endless"],
)
def test_positions_that_cannot_be_used_are_refused(
    write: Callable, change: Callable[[Tensor], Tensor], attentions: str, message: str
) -> None:
    folder, _ = write(32, change=change_positions(change, attentions))
    with pytest.raises(MIVAError, match=message):
        load(folder)
