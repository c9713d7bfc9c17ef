"""What is cached of a clip, and what is drawn from it."""

import pytest
import torch
from torch import Tensor

from miva_core.bases.base import Base
from miva_core.bases.loading import load_base
from miva_core.training.latent_clips import LatentClip, Pixels, draw_batch, draw_colourings, encode, varied


class Spread:
    """Frames as latents at half the resolution, with a spread of 0.5; clips of stride 4 as groups."""

    def __init__(self, stride: int) -> None:
        self.stride = stride

    def encode(self, pictures: Tensor) -> Tensor:
        return pictures[:, :, ::2, ::2]

    def encode_clip(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        later = frames[1:].unflatten(0, (-1, self.stride)).mean(1)
        latents = self.encode(torch.cat([frames[:1], later]))
        return latents, torch.full_like(latents, 0.5)


def base_of(stride: int, frames: int) -> Base:
    fields = dict.fromkeys(Base.__dataclass_fields__)
    fields |= {"model": torch.nn.Linear(1, 1), "codec": Spread(stride), "stride": stride, "frames": frames}
    return Base(**fields)


def clip_of(frames: int, subjects: int = 1) -> Pixels:
    masks = torch.zeros(subjects, frames, 8, 8)
    masks[:, :, 2:6, 2:6] = 1
    return Pixels(torch.rand(frames, 3, 8, 8), masks, torch.zeros(0, frames))


def test_every_frame_is_encoded_by_itself_where_the_base_does_so() -> None:
    pixels = clip_of(20)
    (clip,) = encode(base_of(1, 5), pixels, masked=False)
    assert len(clip) == 20 and clip.mean.shape == (1, 3, 20, 4, 4) and (clip.std == 0.5).all()
    torch.testing.assert_close(clip.mean[0, :, 7], pixels.frames[7, :, ::2, ::2] * 2 - 1)
    torch.testing.assert_close(clip.masks[0, 7], torch.nn.functional.avg_pool2d(pixels.masks[0, 7:8], 2)[0])
    assert clip.readout_weight.shape == (0, 3)


def test_a_base_that_encodes_whole_clips_gets_windows_from_start_to_end() -> None:
    pixels = clip_of(30)
    pixels.masks[0, 29] = 0
    clips = encode(base_of(4, 9), pixels, masked=False)
    assert len(clips) == 8 and all(len(clip) == 3 for clip in clips)
    for clip, start in ((clips[0], 0), (clips[-1], 21)):
        window = pixels.frames[start : start + 9, :, ::2, ::2] * 2 - 1
        torch.testing.assert_close(clip.mean[0, :, 0], window[0])
        torch.testing.assert_close(clip.mean[0, :, 2], window[5:].mean(0))
    assert clips[-1].masks[0, 2].max().item() == pytest.approx(0.75)  # of four frames one without the subject
    assert len(encode(base_of(4, 9), clip_of(9), masked=False)) == 1


def test_masks_become_pictures_that_their_read_out_turns_back() -> None:
    base = load_base("tiny")
    masks = torch.zeros(2, 16, 64, 64)
    masks[0, :, 8:32, 8:24] = masks[1, :, 40:56, 16:56] = 1
    (clip,) = encode(base, Pixels(torch.rand(16, 3, 64, 64), masks, torch.zeros(0, 16)), masked=True)
    assert clip.mean.shape == (3, 32, 16, 8, 8) and clip.std is None
    for k in range(2):
        read = torch.einsum("c,cfhw->fhw", clip.readout_weight[k], clip.mean[1 + k]) + clip.readout_bias[k]
        torch.testing.assert_close(read.clamp(0, 1), clip.masks[k], atol=0.05, rtol=0)


def numbered(frames: int, std: float | None = None) -> LatentClip:
    """A clip whose latents are the numbers of their frames."""
    mean = torch.arange(frames).float()[None, None, :, None, None].expand(2, 1, -1, 2, 2)
    spread = None if std is None else torch.full_like(mean, std)
    masks = mean[1:, 0] / 100
    flow = torch.stack([mean[0, 0], torch.zeros_like(mean[0, 0]), torch.ones_like(mean[0, 0])], dim=1)[None]
    return LatentClip(mean, spread, masks, torch.full((1, 1), float(frames)), torch.full((1,), frames + 0.5), flow)


def test_windows_lie_inside_their_clip_and_masks_go_with_them() -> None:
    clips = [[numbered(5)], [numbered(9)]]
    starts = {5: set(), 9: set()}
    for seed in range(60):
        batch = draw_batch(clips, 4, full=4, frames=2, generator=torch.Generator().manual_seed(seed))
        assert batch.latents.shape == (2, 4, 1, 2, 2, 2) and batch.masks.shape == (1, 4, 2, 2, 2)
        for b in range(4):
            first, second = batch.latents[0, b, 0, :, 0, 0].tolist()
            assert second == first + 1
            torch.testing.assert_close(batch.masks[0, b, :, 0, 0], torch.tensor([first, second]) / 100)
            length = int(batch.readout_weight[0, b, 0])
            assert batch.readout_bias[0, b].item() == length + 0.5
            starts[length].add(int(first))
    # By the length of a whole window, of which short ones are the first part.
    assert starts == {5: {0, 1}, 9: set(range(6))}


def test_the_flow_of_a_window_leads_to_its_own_first_frame() -> None:
    """Steps of 1, 2, 3 … pixels from frame to frame, as `numbered` has them."""
    drawn = draw_batch([[numbered(9)]], 8, full=4, frames=3, generator=torch.Generator().manual_seed(0))
    assert drawn.flow.shape == (1, 8, 3, 3, 2, 2)
    for b in range(8):
        start = drawn.latents[0, b, 0, 0, 0, 0].item()
        assert drawn.flow[0, b, :, 0, 0, 0].tolist() == [0, start + 1, 2 * start + 3]


def test_clips_whose_flow_is_not_known_have_none() -> None:
    (clip,) = encode(base_of(1, 5), clip_of(6), masked=False)
    assert draw_batch([[clip]], 2, 5, 5, torch.Generator()).flow.shape == (0, 2, 5)


def test_latents_are_drawn_with_the_spread_the_encoder_tells() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([draw_batch([[numbered(4, 0.3)]], 1, 4, 4, generator).latents for _ in range(300)])
    torch.testing.assert_close(drawn.mean(0)[0, 0, 0, :, 0, 0], torch.arange(4).float(), atol=0.08, rtol=0)
    assert drawn.std(0)[:, :, :, 1:].mean().item() == pytest.approx(0.3, abs=0.02)
    assert drawn.std(0)[:, :, :, 0].max() == 0  # the first frame is shown as `animate` shows it
    mixed = draw_batch([[numbered(4, 0.3)], [numbered(4)]], 8, 4, 4, generator).latents
    whole = (mixed == mixed.round()).flatten(2).all(-1).flatten()
    assert whole.any() and not whole.all()


def test_colourings_change_colours_and_mirrors_change_sides_masks_with_them() -> None:
    pixels = Pixels(torch.rand(3, 3, 4, 6), torch.rand(1, 3, 4, 6), torch.rand(1, 3, 3, 4, 6))
    made = list(varied(pixels, draw_colourings(4, torch.Generator().manual_seed(0)), flip=True))
    assert len(made) == 4 and torch.equal(made[0].frames, pixels.frames)
    for k, variant in enumerate(made):
        frames, masks, flow = (x.flip(-1) if k % 2 else x for x in variant[:3])
        assert torch.equal(masks, pixels.masks)
        sideways, *others = flow.unbind(2)
        assert torch.equal(-sideways if k % 2 else sideways, pixels.flow[:, :, 0])
        assert torch.equal(torch.stack(others, 2), pixels.flow[:, :, 1:])
        if k:
            # A monotone curve for each colour, the same at every place.
            order = pixels.frames[:, 0].flatten().argsort()
            assert (frames[:, 0].flatten()[order].diff() >= 0).all() and not torch.equal(frames, pixels.frames)
    plain = list(varied(pixels, [None], flip=True))
    assert len(plain) == 2 and torch.equal(plain[1].frames, pixels.frames.flip(-1))
    assert len(list(varied(pixels, [None], flip=False))) == 1


def test_every_phase_of_the_stride_is_met() -> None:
    pixels = clip_of(20)._replace(flow=torch.rand(1, 20, 3, 8, 8))
    phases = encode(base_of(1, 5), pixels, masked=False, stride=3)
    assert [len(clip) for clip in phases] == [7, 7, 6]
    for k, clip in enumerate(phases):
        shown = pixels.frames[k::3, :, ::2, ::2] * 2 - 1
        torch.testing.assert_close(clip.mean[0], shown.transpose(0, 1))
        assert torch.equal(clip.flow, pixels.flow[:, k::3])
    assert len(encode(base_of(1, 7), pixels, masked=False, stride=3)) == 2  # the third would be too short
    windows = encode(base_of(4, 9), clip_of(40), masked=False, stride=2)
    assert len(windows) == 8 and {tuple(clip.mean.shape) for clip in windows} == {(1, 3, 3, 4, 4)}


def test_clips_are_met_alike_however_many_versions_there_are() -> None:
    clips = [[numbered(4)], [numbered(5)] * 9]
    batch = draw_batch(clips, 400, 4, 4, torch.Generator().manual_seed(0))
    assert (batch.readout_weight[0, :, 0] == 4).float().mean().item() == pytest.approx(0.5, abs=0.08)
    versions = [[numbered(4), numbered(6)]]
    batch = draw_batch(versions, 400, 4, 4, torch.Generator().manual_seed(0))
    assert (batch.readout_weight[0, :, 0] == 4).float().mean().item() == pytest.approx(0.5, abs=0.08)
