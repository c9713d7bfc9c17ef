"""A batch of pictures: each becomes the clip that it would become alone, one after the other."""

from typing import Any

import pytest
import torch
from comfyui_miva.miva_core.errors import MIVAError
from comfyui_miva.nodes import MIVADCTInitNoise, MIVASampler
from fake_comfyui import FakeComfyUI, Interrupted
from node_runs import bound, motion, run, shown
from torch import Tensor

from miva_core.media.pictures import fit_picture

SHORT: dict[str, Any] = {"steps": 2, "frames": 3, "edges": "mirror"}


@pytest.fixture
def three(shapes: Tensor) -> Tensor:
    """IMAGE of three pictures of the size of the clip; the last one is the first one again."""
    small = fit_picture(shapes[0], (64, 64))[0]
    return torch.stack([small, small.flip(1), small])


def squares() -> Tensor:
    """MASK (3, 64, 64), a square in each, at another place."""
    masks = torch.zeros(3, 64, 64)
    for k, mask in enumerate(masks):
        mask[16:40, 8 + 12 * k : 32 + 12 * k] = 1
    return masks


def alone(model: Any, pictures: Tensor, seed: int, mivas: Any) -> tuple[Tensor, Tensor]:
    """Frames and masks of pictures that are queued one by one, with a seed that increments.

    Args:
        mivas: one stack for each picture.
    """
    outputs = [
        run(MIVASampler, model=model, mivas=mivas[k], image=picture[None], seed=(seed + k) % 2**64, **SHORT)
        for k, picture in enumerate(pictures)
    ]
    return torch.cat([output[0] for output in outputs]), torch.cat([output[1] for output in outputs])


@pytest.mark.parametrize("seed", [5, 2**64 - 1])
def test_each_picture_becomes_the_clip_that_it_becomes_alone(model: Any, three: Tensor, seed: int) -> None:
    frames, masks, _ = run(MIVASampler, model=model, mivas=motion(), image=three, seed=seed, **SHORT)
    assert frames.shape == (9, 64, 64, 3) and masks.shape == (9, 64, 64) and not masks.any()
    assert torch.equal(frames, alone(model, three, seed, [motion()] * 3)[0])
    first, _, last = frames.split(3)
    assert torch.equal(first[0], last[0]) and not torch.equal(first, last)  # the same picture, two clips


@pytest.mark.parametrize("nothing", [(), None])
def test_without_a_motion_each_picture_has_a_move_of_its_own_seed(model: Any, three: Tensor, nothing: Any) -> None:
    output = run(MIVASampler, model=model, image=three, mivas=nothing, seed=3, **SHORT)
    moves = [run(MIVASampler, model=model, image=three[k : k + 1], seed=3 + k, **SHORT)[0] for k in range(3)]
    assert torch.equal(output[0], torch.cat(moves))
    assert shown(output).startswith("No motion acts: the base makes one of its camera moves, which the seed chooses.\n")


def test_frames_and_pictures_are_counted_on_the_node(model: Any, three: Tensor, shapes: Tensor) -> None:
    text = shown(run(MIVASampler, model=model, mivas=motion(), image=three, **SHORT))
    assert text == "3 pictures × 3 frames = 9 frames of 64×64, 24 a second, one clip after the other."
    two = torch.cat([shapes, shapes])
    small = {"width": 96, **SHORT}
    text = shown(run(MIVASampler, model=model, mivas=motion(weight=0.0), image=two, **small)).splitlines()
    assert text[2] == "The pictures were scaled 384×384 to 96×96." and text[3].startswith("2 pictures × 3 frames = 6")


def test_notes_of_all_clips_are_told(model: Any, three: Tensor) -> None:
    """Without a motion the seed chooses a camera move, and so how much of each picture is shown."""
    chosen = {"model": model, "frames": 16, "fps": 8.0, "steps": 2}
    moves = range(8)
    text = shown(run(MIVASampler, image=three[:1].expand(8, -1, -1, -1), seed=0, **chosen)).splitlines()
    alone = [shown(run(MIVASampler, image=three[:1], seed=seed, **chosen)).splitlines()[:-1] for seed in moves]
    assert len({tuple(lines) for lines in alone}) > 1
    assert text[:-1] == list(dict.fromkeys(line for lines in alone for line in lines))


def test_a_mask_for_each_picture_or_one_for_all(model: Any, three: Tensor) -> None:
    masks = squares()
    each = run(MIVASampler, model=model, mivas=bound("jump_masked", masks), image=three, seed=2, **SHORT)
    frames, moved = alone(model, three, 2, [bound("jump_masked", mask[None]) for mask in masks])
    assert torch.equal(each[0], frames) and torch.equal(each[1], moved)
    one = bound("jump_masked", masks[:1])
    same = run(MIVASampler, model=model, mivas=one, image=three, seed=2, **SHORT)
    frames, moved = alone(model, three, 2, [one] * 3)
    assert torch.equal(same[0], frames) and torch.equal(same[1], moved)
    assert not torch.equal(same[1], each[1])


@pytest.mark.parametrize(("pictures", "counted"), [(1, "1 picture: "), (2, "2 pictures: ")])
def test_another_number_of_masks_is_refused_before_anything_is_loaded(
    model: Any, three: Tensor, comfyui: FakeComfyUI, pictures: int, counted: str
) -> None:
    mivas = bound("jump_masked", squares())
    with pytest.raises(MIVAError, match=f"the batch has {counted}connect"):
        run(MIVASampler, model=model, mivas=mivas, image=three[:pictures], **SHORT)
    assert not comfyui.loads


def test_a_mask_of_a_batch_that_is_empty_is_named(three: Tensor) -> None:
    masks = squares()
    masks[1] = 0
    with pytest.raises(MIVAError, match="picture 2 is empty"):
        bound("jump_masked", masks)


def test_one_bar_runs_over_all_pictures(model: Any, three: Tensor, comfyui: FakeComfyUI) -> None:
    run(MIVASampler, model=model, mivas=motion(), image=three, **SHORT)
    assert comfyui.progress == [(done, 15) for done in range(1, 16)]  # of each two steps, and then three frames


def test_a_stop_in_the_second_picture_leaves_the_model_as_it_was(
    model: Any, three: Tensor, comfyui: FakeComfyUI
) -> None:
    before = run(MIVASampler, model=model, mivas=motion(), image=three[:1], **SHORT)[0]
    comfyui.progress.clear()
    comfyui.stop_at = (6, 15)
    with pytest.raises(Interrupted):
        run(MIVASampler, model=model, mivas=motion(), image=three, **SHORT)
    assert comfyui.progress[-1] == (6, 15)
    comfyui.stop_at = None
    assert torch.equal(run(MIVASampler, model=model, mivas=motion(), image=three[:1], **SHORT)[0], before)


def test_dctinit_noise_of_a_batch_is_what_the_sampler_draws(model: Any, three: Tensor) -> None:
    noise = run(MIVADCTInitNoise, model=model, image=three, noise_seed=7)[0]
    clip = run(MIVASampler, model=model, mivas=motion(), image=three, noise=noise, **SHORT)[0]
    assert torch.equal(clip, run(MIVASampler, model=model, mivas=motion(), image=three, seed=7, **SHORT)[0])


def test_noise_of_one_picture_serves_all_and_of_another_number_is_refused(model: Any, three: Tensor) -> None:
    one = run(MIVADCTInitNoise, model=model, image=three[:1], noise_seed=7)[0]
    shape = {"samples": torch.zeros(3, *model.base.latent_shape(16, (64, 64))[1:])}
    several = one.generate_noise(shape)
    for k, start in enumerate(several):
        alone = run(MIVADCTInitNoise, model=model, image=three[:1], noise_seed=7 + k)[0]
        assert torch.equal(start[None], alone.generate_noise({"samples": shape["samples"][:1]}))
    two = run(MIVADCTInitNoise, model=model, image=three[:2], noise_seed=7)[0]
    with pytest.raises(MIVAError, match=r"2 pictures, .* 3 clips"):
        run(MIVASampler, model=model, mivas=motion(), image=three, noise=two, **SHORT)


def test_an_empty_batch_is_told(model: Any) -> None:
    with pytest.raises(MIVAError, match="The picture is empty"):
        run(MIVASampler, model=model, mivas=motion(), image=torch.zeros(0, 64, 64, 3), **SHORT)
