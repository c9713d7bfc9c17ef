"""The built-in MiraMo's network: what is said moves the first frame, and nothing else does."""

from pathlib import Path

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from small_bases import small_flowing
from torch import nn

from miva_core.bases.miramo.caption_layers import CaptionLayers
from miva_core.bases.miramo.flowing_miramo import FlowingMiraMo, FlowingOutput
from miva_core.bases.miramo.layered_flow import MASK_GUIDE, NEARNESS_GUIDE
from miva_core.diffusion.noise_process import NoiseProcess
from miva_core.media.flow_warp import warp

SLOTS, DIM = 3, 12


@pytest.fixture
def model() -> FlowingMiraMo:
    model = small_flowing()
    for map_ in model.layers.modules():
        if isinstance(map_, nn.Linear):
            nn.init.normal_(map_.weight, std=0.3)
    return model


def run(model: FlowingMiraMo, caption: torch.Tensor, t: float = 900.0, **given: torch.Tensor) -> FlowingOutput:
    """The answer to clips of 4 frames of 16 x 24 pixels, the same for the same batch size."""
    generator = torch.Generator().manual_seed(1)
    clips = torch.randn(len(caption), 4, 4, 2, 3, generator=generator)
    output: FlowingOutput = model(clips, torch.full((len(clips),), t), caption, **given)
    return output


def guides(kind: int) -> dict[str, torch.Tensor]:
    mask = torch.zeros(1, 16, 24)
    mask[:, 4:12, 6:14] = 1
    return {"guide": mask, "guide_kind": torch.tensor([kind])}


def test_nothing_said_is_a_still_picture(model: FlowingMiraMo) -> None:
    assert run(model, torch.zeros(1, SLOTS, DIM), **guides(MASK_GUIDE)).flow.abs().max() < 1e-5


@pytest.mark.parametrize("kind", [MASK_GUIDE, NEARNESS_GUIDE])
def test_frame_1_stays_and_others_move(model: FlowingMiraMo, kind: int) -> None:
    flow = run(model, torch.randn(1, SLOTS, DIM), **guides(kind)).flow
    assert flow[:, 0].abs().max() < 1e-5
    assert flow[:, 1:].abs().amax((0, 2, 3, 4)).min() > 0.1


def test_captions_that_are_added_add_their_motions() -> None:
    layers = CaptionLayers(DIM)
    first, second = torch.randn(2, 1, 1, SLOTS, DIM)
    joint, apart = layers(2 * first - second), (layers(first), layers(second))
    torch.testing.assert_close(joint.depth, 2 * apart[0].depth - apart[1].depth)
    for name in ("camera", "staying", "carried"):
        for part in ("generators", "amplitudes"):
            a, b, both = (getattr(getattr(motions, name), part) for motions in (*apart, joint))
            torch.testing.assert_close(both, 2 * a - b)


@pytest.mark.parametrize(
    ("slot", "half", "moved"),
    [(0, 0, "camera"), (0, 1, "depth"), (1, 0, "staying"), (1, 1, "carried"), (2, 0, "camera")],
)
def test_a_half_of_a_slot_moves_one_layer(slot: int, half: int, moved: str) -> None:
    caption = torch.zeros(1, 1, SLOTS, DIM)
    caption[..., slot, half * DIM // 2 : (half + 1) * DIM // 2] = 1
    motions = CaptionLayers(DIM)(caption)._asdict()
    sizes = {name: getattr(part, "generators", part).abs().sum().item() for name, part in motions.items()}
    assert [name for name, size in sizes.items() if size > 0] == [moved]


def test_the_answer_is_the_velocity_of_the_moved_first_frame(model: FlowingMiraMo) -> None:
    caption = torch.randn(2, SLOTS, DIM)
    clips = torch.randn(2, 4, 4, 2, 3, generator=torch.Generator().manual_seed(1))
    output = run(model, caption)
    process = NoiseProcess(FlowMatchEulerDiscreteScheduler(shift=1.0), centred=True)
    first = clips[:, :, :1]
    clean = process.clean(output.sample, clips - first, torch.tensor(900.0))
    torch.testing.assert_close(clean, output.motion, atol=1e-5, rtol=0)
    nn.init.zeros_(model.proj_out.weight[:4])
    nn.init.zeros_(model.proj_out.bias[:4])
    bare = run(model, caption)
    for frame in range(4):
        picture = warp(model.patches.decode(first[:, :, 0]), bare.flow[:, frame])
        moved = model.patches.encode(picture) - first[:, :, 0]
        torch.testing.assert_close(bare.motion[:, :, frame], moved, atol=1e-5, rtol=0)


def test_a_caption_may_differ_between_frames(model: FlowingMiraMo) -> None:
    slow, fast = torch.randn(SLOTS, DIM), torch.randn(SLOTS, DIM)
    mixed = run(model, torch.stack([slow, slow, fast, fast])[None]).layers
    for frame, said in ((1, slow), (3, fast)):
        alone = run(model, said[None]).layers
        torch.testing.assert_close(mixed.camera.generators[:, frame], alone.camera.generators[:, 0])
        torch.testing.assert_close(mixed.depth[:, frame], alone.depth[:, 0])


def test_times_are_those_of_the_frames_that_are_given(model: FlowingMiraMo) -> None:
    caption, times = torch.randn(1, SLOTS, DIM), torch.tensor([0.0, 2.0, 7.0, 40.0])
    head = run(model, caption, times=times).layers
    maps = head.camera_maps(torch.arange(41.0))
    torch.testing.assert_close(head.camera_maps(times), maps[:, times.long()])


def test_it_is_saved_and_loaded_as_a_model_of_diffusers(model: FlowingMiraMo, tmp_path: Path) -> None:
    caption = torch.randn(1, SLOTS, DIM)
    model.save_pretrained(tmp_path)
    loaded = FlowingMiraMo.from_pretrained(tmp_path, low_cpu_mem_usage=False)
    torch.testing.assert_close(run(loaded, caption).sample, run(model, caption).sample, atol=1e-5, rtol=0)
