"""What is learnt from: clips filmed over stills, and clips that people have."""

import os
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from comfy_api.v0_0_2 import InputImpl
from comfyui_miva.miva_core.errors import MIVAError
from comfyui_miva.nodes import MIVACameraClips, MIVADataset
from comfyui_miva.nodes.comfy_bridge import comfy_folders
from fake_comfyui import FakeComfyUI, Interrupted, load_picture
from node_pack import PICTURES
from node_runs import run, shown
from PIL import Image
from torch import Tensor

from tests.unit.video_files import encode


def shift_of(later: Tensor, first: Tensor) -> int:
    """By how many pixels to the right what is seen has moved, of pictures (H, W, 3)."""
    errors = {k: (later.roll(-k, 1) - first)[:, 10:-10].abs().mean().item() for k in range(-9, 10)}
    return min(errors, key=lambda k: errors[k])


def write_frames(folder: Path, frames: Tensor) -> None:
    """Pictures (N, H, W, 3) or masks (N, H, W) as files 0.png, 1.png and so on."""
    folder.mkdir(parents=True)
    for k, frame in enumerate(frames):
        Image.fromarray((frame * 255).round().byte().numpy()).save(folder / f"{k}.png")


def noise(count: int, height: int = 64, width: int = 64, seed: int = 0) -> Tensor:
    """Frames (count, height, width, 3) that differ, of values that bytes hold."""
    return torch.randint(0, 256, (count, height, width, 3), generator=torch.Generator().manual_seed(seed)) / 255


def subject(count: int) -> Tensor:
    """Masks (count, 64, 64) of a square that moves."""
    masks = torch.zeros(count, 64, 64)
    for k in range(count):
        masks[k, 20:40, k : k + 20] = 1
    return masks


@pytest.fixture(scope="module")
def stills() -> list[Tensor]:
    """IMAGE of each of three stills, of their own sizes."""
    return [load_picture(path) for path in sorted((PICTURES / "miva_stills").iterdir())[:3]]


@pytest.mark.parametrize(("speed", "moved"), [(0.5, 4), (1.0, 8)])
def test_the_camera_pans_over_a_still(model: Any, stills: list[Tensor], speed: float, moved: int) -> None:
    chosen = {"stills": "connected", "images": stills[0]}
    output = run(MIVACameraClips, model=model, stills=chosen, motion="pan-left", speed=speed)
    dataset, preview = output
    assert (dataset.filmed, dataset.base, dataset.masked) == ("pan-left", "tiny", False)
    assert [clip.name for clip in dataset.clips] == [f"still 1_{k}" for k in range(1, 6)]
    assert all(clip.frames.shape == (16, 3, 64, 64) and clip.frames.dtype == torch.uint8 for clip in dataset.clips)
    assert shown(output) == "5 clips.\n1 still: about twenty are better."
    assert torch.equal(preview, dataset.clips[0].frames.movedim(1, -1) / 255)
    # The camera goes to the left, so that what is seen goes to the right.
    for clip in dataset.clips:
        pictures = clip.frames.movedim(1, -1) / 255
        assert shift_of(pictures[8], pictures[0]) == moved
    assert dataset.source == {"film": "pan-left", "speed": speed, "easing": "linear", "stills": 1}


def test_a_folder_and_connected_pictures_are_filmed_alike(
    quick_model: Any, stills: list[Tensor], comfyui: FakeComfyUI
) -> None:
    for k, still in enumerate(stills):
        write_frames(comfyui.input / "mine" / str(k), still)
        (comfyui.input / "mine" / str(k) / "0.png").rename(comfyui.input / "mine" / f"still_{k}.png")
    folder = {"stills": "folder", "folder": "mine"}
    filmed = run(MIVACameraClips, model=quick_model, stills=folder, motion="zoom-in", seed=3)[0]
    assert [clip.name for clip in filmed.clips] == [f"still_{k}_{j}" for k in range(3) for j in range(1, 6)]
    together = {"stills": "connected", "images": stills}
    connected = run(MIVACameraClips, model=quick_model, stills=together, motion="zoom-in", seed=3)[0]
    assert all(torch.equal(a.frames, b.frames) for a, b in zip(filmed.clips, connected.clips, strict=True))
    other = run(MIVACameraClips, model=quick_model, stills=folder, motion="zoom-in", seed=4)[0]
    assert not torch.equal(filmed.clips[0].frames, other.clips[0].frames)


def test_a_list_of_batches_is_filmed_picture_by_picture(quick_model: Any, stills: list[Tensor]) -> None:
    pair = torch.cat([stills[1], stills[1].flip(2)])
    chosen = {"stills": "connected", "images": [stills[0], pair]}
    dataset = run(MIVACameraClips, model=quick_model, stills=chosen, motion="roll-cw")[0]
    assert [clip.name for clip in dataset.clips] == [f"still {k}_{j}" for k in (1, 2, 3) for j in range(1, 6)]
    assert dataset.source["stills"] == 3


def test_what_masks_cut_out_is_filmed_with_its_masks(
    quick_model: Any, stills: list[Tensor], comfyui: FakeComfyUI
) -> None:
    """Connected, or beside the stills."""
    masks = [torch.zeros(1, *still.shape[1:3]) for still in stills[:1]]
    for mask in masks:
        mask[0, 40:100, 60:120] = 1
    together = {"stills": "connected", "images": stills[:1]}
    output = run(MIVACameraClips, model=quick_model, stills=together, motion="rise", masks=masks)
    dataset = output[0]
    assert (dataset.filmed, dataset.masked, dataset.source["film"]) == ("rise", True, "rise")
    assert shown(output).startswith("5 clips, with masks.")
    rows = torch.arange(64.0)
    for clip in dataset.clips:
        mask = clip.masks[0].float()
        height = [(plane.sum(1) * rows).sum() / plane.sum() for plane in mask[:3]]
        assert mask.shape[1:] == (64, 64) and height[2] < height[1] < height[0]
    for k, (still, mask) in enumerate(zip(stills, masks, strict=False)):
        write_frames(comfyui.input / "mine" / str(k), torch.cat([still, mask[..., None].expand(-1, -1, -1, 3)]))
        (comfyui.input / "mine" / str(k) / "0.png").rename(comfyui.input / "mine" / f"s{k}.png")
        (comfyui.input / "mine" / str(k) / "1.png").rename(comfyui.input / "mine" / f"s{k}_mask.png")
    folder = run(MIVACameraClips, model=quick_model, stills={"stills": "folder", "folder": "mine"}, motion="rise")[0]
    assert all(torch.equal(a.masks, b.masks) for a, b in zip(folder.clips, dataset.clips, strict=True))


def test_near_parts_pass_far_ones(quick_model: Any, stills: list[Tensor]) -> None:
    """By a depth map; without one the lower half is near."""
    chosen = {"stills": "connected", "images": stills[0]}
    left = torch.linspace(1, 0, stills[0].shape[2]).expand(1, stills[0].shape[1], -1)[..., None].expand(-1, -1, -1, 3)
    by_map = run(MIVACameraClips, model=quick_model, stills=chosen, motion="truck-left", depth=left)
    guessed = run(MIVACameraClips, model=quick_model, stills=chosen, motion="truck-left")
    assert "no depth map of the stills: their lower half is taken to be near" in shown(guessed)
    assert "depth" not in shown(by_map) and not by_map[0].masked

    def moved(clips: Any, part: Any) -> float:
        frames = [clip.frames.float() for clip in clips]
        return sum((clip[1] - clip[0])[part].abs().mean().item() for clip in frames)

    left_half, right_half, upper, lower = ((..., slice(32)), (..., slice(32, 64)), (0, slice(32)), (0, slice(32, 64)))
    whole = slice(None)
    assert moved(by_map[0].clips, left_half) > moved(by_map[0].clips, right_half)
    assert moved(guessed[0].clips, (whole, lower[1])) > moved(guessed[0].clips, (whole, upper[1]))


def test_maps_that_do_not_fit_are_told(quick_model: Any, stills: list[Tensor]) -> None:
    chosen, mask = {"stills": "connected", "images": stills[:2]}, torch.zeros(1, *stills[0].shape[1:3])
    mask[0, 40:100, 60:120] = 1
    for settings, message in (
        ({"motion": "sway"}, r"For sway each still needs a mask.*none of still 1, still 2"),
        ({"motion": "sway", "masks": mask}, r"There are 2 stills, but 1 mask: connect one for each\."),
        ({"motion": "sway", "masks": [mask, mask * 0]}, r"The mask of still 2 is empty"),
        ({"motion": "dolly-in", "depth": stills[:2]}, r"The depth map of still 1 is a picture in colours"),
    ):
        with pytest.raises(MIVAError, match=message):
            run(MIVACameraClips, model=quick_model, stills=chosen, **settings)
    output = run(MIVACameraClips, model=quick_model, stills=chosen, motion="pan-up", masks=mask, depth=stills[0])
    assert "`masks` is not used: pan-up moves the whole picture." in shown(output)
    assert "`depth` is not used: pan-up is the same near and far." in shown(output)


def test_a_still_that_is_added_or_changed_films_anew(comfyui: FakeComfyUI) -> None:
    write_frames(comfyui.input / "mine", noise(2))
    chosen = {"stills": ["folder"], "folder": ["mine"]}  # as ComfyUI asks: in lists, or not
    before = MIVACameraClips.fingerprint_inputs(chosen, model=[None])
    assert before == MIVACameraClips.fingerprint_inputs({"stills": "folder", "folder": "mine"}, model=[None])
    os.utime(comfyui.input / "mine" / "0.png", ns=(0, 1))
    changed = MIVACameraClips.fingerprint_inputs(chosen, model=[None])
    (comfyui.input / "mine" / "2.png").touch()
    assert len({str(one) for one in (before, changed, MIVACameraClips.fingerprint_inputs(chosen, model=[None]))}) == 3
    assert MIVACameraClips.fingerprint_inputs({"stills": ["connected"], "images": [None]}) is None
    assert MIVADataset.fingerprint_inputs({"clips": ["folder"], "folder": ["mine"]}) != before


def test_it_is_shown_how_many_clips_are_made_and_a_stop_ends_it(
    quick_model: Any, stills: list[Tensor], comfyui: FakeComfyUI
) -> None:
    chosen = {"stills": "connected", "images": stills[0]}
    run(MIVACameraClips, model=quick_model, stills=chosen, motion="pan-up")
    assert comfyui.progress == [(k, 5) for k in range(1, 6)]
    comfyui.progress.clear()
    comfyui.stop_at = (2, 5)
    with pytest.raises(Interrupted):
        run(MIVACameraClips, model=quick_model, stills=chosen, motion="pan-up")
    assert comfyui.progress == [(1, 5), (2, 5)]
    comfyui.progress.clear()
    for name in ("a", "b", "c"):
        write_frames(comfyui.input / "mine" / name, noise(4))
    comfyui.stop_at = (2, 3)
    with pytest.raises(Interrupted):
        run(MIVADataset, model=quick_model, clips={"clips": "folder", "folder": "mine"})
    assert comfyui.progress == [(1, 3), (2, 3)]


def test_the_folder_of_the_examples_is_offered_first(comfyui: FakeComfyUI) -> None:
    (comfyui.input / "a").mkdir()
    comfy_folders.copy_example_pictures()
    option = MIVACameraClips.define_schema().inputs[1].options[0]
    assert option.inputs[0].options == ["a", "miva_stills"] and option.inputs[0].default == "miva_stills"


def test_clips_with_masks_are_read_from_a_folder(quick_model: Any, comfyui: FakeComfyUI) -> None:
    clips = {name: noise(6, seed=k) for k, name in enumerate(("a", "b", "c"))}
    for name, frames in clips.items():
        write_frames(comfyui.input / "mine" / name, frames)
        write_frames(comfyui.input / "mine" / f"{name}_masks", subject(6))
    output = run(MIVADataset, model=quick_model, clips={"clips": "folder", "folder": "mine"})
    dataset = output[0]
    assert [clip.name for clip in dataset.clips] == ["a", "b", "c"]
    for clip in dataset.clips:
        assert torch.equal(clip.frames, (clips[clip.name] * 255).round().byte().movedim(-1, 1))
        assert torch.equal(clip.masks, (subject(6)[None] * 255).byte())
    assert (dataset.masked, dataset.filmed, dataset.source) == (True, "", {"names": "a, b, c"})
    assert shown(output) == "3 clips, with masks."
    assert torch.equal(output[1], clips["a"])


def test_names_of_clips_that_cannot_be_printed_are_recorded_in_ascii(quick_model: Any, comfyui: FakeComfyUI) -> None:
    """A header takes no others."""
    for name in ("a\u202eb", "c", "d"):
        write_frames(comfyui.input / "mine" / name, noise(6))
    dataset = run(MIVADataset, model=quick_model, clips={"clips": "folder", "folder": "mine"})[0]
    assert dataset.source == {"names": r"'a\u202eb', c, d"}


def test_one_clip_without_masks_makes_a_set_without(quick_model: Any, comfyui: FakeComfyUI) -> None:
    for name in ("a", "b", "c"):
        write_frames(comfyui.input / "mine" / name, noise(6))
    write_frames(comfyui.input / "mine" / "a_masks", subject(6))
    output = run(MIVADataset, model=quick_model, clips={"clips": "folder", "folder": "mine"})
    assert not output[0].masked
    assert shown(output) == "3 clips.\n1 of 3 clips have masks, which are not used, since these have none: b, c."


def test_filmed_clips_in_a_folder_are_known_as_a_camera_motion(quick_model: Any, comfyui: FakeComfyUI) -> None:
    """The command line keeps their exact motion beside them."""
    write_frames(comfyui.input / "mine" / "a", noise(6))
    (comfyui.input / "mine" / "a_flow.json").write_text("{}")
    assert run(MIVADataset, model=quick_model, clips={"clips": "folder", "folder": "mine"})[0].filmed


def test_connected_batches_are_clips(quick_model: Any) -> None:
    videos = [noise(5, 64, 64, 1), noise(4, 64, 64, 2), noise(9, 64, 64, 3)]
    masks = [subject(5), subject(4), subject(9)]
    output = run(MIVADataset, model=quick_model, clips={"clips": "connected", "videos": videos, "masks": masks})
    assert [clip.name for clip in output[0].clips] == ["clip 1", "clip 2", "clip 3"]
    for clip, frames, mask in zip(output[0].clips, videos, masks, strict=True):
        assert torch.equal(clip.frames, (frames * 255).round().byte().movedim(-1, 1))
        assert torch.equal(clip.masks[0], (mask * 255).byte())
    assert output[0].masked and shown(output) == "3 clips, with masks."


def test_fast_clips_are_thinned_out_to_the_rate_of_the_base(quick_model: Any) -> None:
    """Rates of batches are told on the node, those of videos by themselves."""
    fps, frames = quick_model.base.fps, noise(12)
    for rate, stride in ((0.0, 1), (fps, 1), (2.0 * fps, 2), (3.0 * fps, 3)):
        chosen = {"clips": "connected", "videos": [frames] * 3, "fps": rate}
        output = run(MIVADataset, model=quick_model, clips=chosen)
        assert [clip.stride for clip in output[0].clips] == [stride] * 3
        assert torch.equal(output[1], frames[::stride])
    parts = SimpleNamespace(images=frames, frame_rate=np.float64(2 * fps), audio=None)
    video = SimpleNamespace(get_components=lambda: parts)
    output = run(MIVADataset, model=quick_model, clips={"clips": "connected", "videos": [video, frames, frames]})
    assert [clip.stride for clip in output[0].clips] == [2, 1, 1]


def test_a_connected_file_is_read_as_one_in_a_folder(quick_model: Any, comfyui: FakeComfyUI) -> None:
    """By ComfyUI itself a recording of a browser has 1000 frames a second, oblong pixels and no opacity."""
    opaque = subject(6)
    frames = torch.cat([noise(6), opaque[..., None]], -1).mul(255).round().byte().numpy()
    folder = comfyui.input / "mine"
    folder.mkdir()
    encode(folder / "clip 1.mkv", frames, "ffv1", "bgra", [0, 1, 2, 5, 6, 7], 8)
    encode(folder / "clip 2.mov", frames, "qtrle", "argb", range(6), 8, aspect=Fraction(3, 2))
    files = [InputImpl.VideoFromFile(str(path)) for path in sorted(folder.iterdir())]
    connected = run(MIVADataset, model=quick_model, clips={"clips": "connected", "videos": files})
    in_folder = run(MIVADataset, model=quick_model, clips={"clips": "folder", "folder": "mine"})
    assert connected[0].masked and len(connected[0].clips) == 2
    for one, other in zip(connected[0].clips, in_folder[0].clips, strict=True):
        assert torch.equal(one.frames, other.frames) and one.stride == other.stride
        assert (one.masks.int() - other.masks.int()).abs().max() <= 1
    for name in ("clip 1", "clip 2"):
        assert f"What is transparent in {name} is shown over white.\n" in shown(connected)
        assert f"Masks are taken from the transparency of {name}: opaque is the subject." in shown(connected)


def test_transparent_stills_are_told_on_the_node(quick_model: Any, stills: list[Tensor], comfyui: FakeComfyUI) -> None:
    folder = comfyui.input / "mine"
    folder.mkdir()
    pixels = (stills[0][0] * 255).round().byte().numpy()
    Image.fromarray(pixels).save(folder / "a.png")
    Image.fromarray(np.dstack([pixels, np.full(pixels.shape[:2], 99, np.uint8)])).save(folder / "b.png")
    filmed = run(MIVACameraClips, model=quick_model, stills={"stills": "folder", "folder": "mine"}, motion="zoom-in")
    assert shown(filmed).count("What is transparent in b.png is shown over white.") == 1


def test_connected_masks_go_with_the_frames_that_comfyui_has_made_of_a_file(
    quick_model: Any, comfyui: FakeComfyUI
) -> None:
    """It neither makes pixels square nor time even, and so masks that are made of its frames are not either."""
    half = torch.zeros(6, 64, 64, 3)
    half[:, :, 32:] = 1
    half[3:] = 1 - half[3:]
    path, pixels = comfyui.input / "a.mov", half.mul(255).byte().numpy()
    encode(path, pixels, "qtrle", "rgb24", [0, 1, 2, 3, 8, 9], 8, aspect=Fraction(2))
    chosen = {"clips": "connected", "videos": [InputImpl.VideoFromFile(str(path))], "masks": [half[..., 0]]}
    (clip,) = run(MIVADataset, model=quick_model, clips=chosen)[0].clips
    assert len(clip.frames) == 10
    assert torch.equal(clip.frames[:, 0] > 127, clip.masks[0] > 127)


def test_a_part_of_a_file_is_taken_as_comfyui_gives_it(quick_model: Any) -> None:
    frames, opaque = noise(6), subject(6)[..., None]

    class Part(InputImpl.VideoFromFile):
        def get_components(self) -> SimpleNamespace:
            return SimpleNamespace(images=frames, alpha=opaque, frame_rate=Fraction(8))

    video = Part("none.mov", start_time=1)
    output = run(MIVADataset, model=quick_model, clips={"clips": "connected", "videos": [video]})
    (clip,) = output[0].clips
    assert output[0].masked and torch.equal(clip.masks[0], (opaque[..., 0] * 255).byte())
    assert (clip.frames.movedim(1, -1)[opaque[..., 0] == 0] == 255).all()
    assert torch.equal(
        clip.frames.movedim(1, -1)[opaque[..., 0] == 1], (frames * 255).round().byte()[opaque[..., 0] == 1]
    )
    output = run(MIVADataset, model=quick_model, clips={"clips": "connected", "videos": [video, noise(6)]})
    assert not output[0].masked and [len(clip.masks) for clip in output[0].clips] == [0, 0]
    assert "1 of 2 clips have masks, which are not used, since these have none: clip 2." in shown(output)


def test_connected_pictures_that_are_transparent_are_shown_over_white(quick_model: Any) -> None:
    """As they are where a VIDEO or a file has an alpha channel; what lies below it is nobody's to learn."""
    frames, opaque = noise(6), subject(6)[..., None]
    cut_out = torch.cat([frames, opaque], -1)
    grey = torch.cat([frames[..., :1], opaque], -1)
    chosen = {"clips": "connected", "videos": [cut_out, grey]}
    output = run(MIVADataset, model=quick_model, clips=chosen)
    for clip, colours in zip(output[0].clips, (frames, frames[..., :1]), strict=True):
        expected = torch.where(opaque > 0.5, colours.expand(-1, -1, -1, 3), 1).mul(255).round().byte()
        assert torch.equal(clip.frames.movedim(1, -1), expected)
        assert torch.equal(clip.masks[0], (opaque[..., 0] * 255).byte())
    assert "What is transparent in clip 1 is shown over white.\nMasks are taken from the transparency of clip 1: " in (
        shown(output)
    )
    dataset = run(MIVADataset, model=quick_model, clips=chosen | {"masks": [1 - opaque[..., 0]] * 2})
    assert torch.equal(dataset[0].clips[0].masks[0], (1 - opaque[..., 0]).mul(255).byte())
    assert "Masks are taken" not in shown(dataset)
    plain = torch.cat([frames, torch.ones_like(opaque)], -1)
    assert shown(run(MIVADataset, model=quick_model, clips={"clips": "connected", "videos": [plain] * 3})) == "3 clips."


def test_connected_stills_that_are_transparent_are_shown_over_white(quick_model: Any) -> None:
    still = noise(1, 256, 256)
    hidden = torch.cat([still, torch.zeros(1, 256, 256, 1)], -1)
    chosen = {"stills": "connected", "images": [hidden]}
    output = run(MIVACameraClips, model=quick_model, stills=chosen, motion="pan-left")
    assert all((clip.frames == 255).all() for clip in output[0].clips)
    assert "What is transparent in batch 1 of stills is shown over white." in shown(output)


def test_clips_are_cropped_to_the_base_with_their_masks(quick_model: Any) -> None:
    wide, mask = noise(4, 128, 192), torch.zeros(4, 128, 192)
    mask[:, :, 96:] = 1
    chosen = {"clips": "connected", "videos": [wide], "masks": [mask]}
    (clip,) = run(MIVADataset, model=quick_model, clips=chosen)[0].clips
    assert clip.frames.shape == (4, 3, 64, 64)
    assert clip.masks[0, :, :, 34:].min() > 250 and clip.masks[0, :, :, :30].max() < 5


def test_no_byte_of_a_clip_that_was_scaled_by_bicubic_wraps_around(quick_model: Any) -> None:
    small = (noise(4, 16, 16) > 0.5).float().movedim(-1, 1)
    scaled = torch.nn.functional.interpolate(small, (64, 64), mode="bicubic").movedim(1, -1)
    assert scaled.min() < -0.1 and scaled.max() > 1.1
    (clip,) = run(MIVADataset, model=quick_model, clips={"clips": "connected", "videos": [scaled]})[0].clips
    assert (clip.frames.movedim(1, -1) / 255 - scaled.clamp(0, 1)).abs().max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("shape", [(5, 1, 64, 64), (5, 64, 64, 1), (1, 5, 64, 64)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bool])
def test_masks_of_other_shapes_and_labels_are_taken(
    quick_model: Any, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    """And the frames of a clip as a batch of one clip."""
    masks, frames = subject(5).view(shape).to(dtype), noise(5)[None]
    chosen = {"clips": "connected", "videos": [frames], "masks": [masks]}
    (clip,) = run(MIVADataset, model=quick_model, clips=chosen)[0].clips
    assert torch.equal(clip.masks[0], (subject(5) * 255).byte())
    assert torch.equal(clip.frames, (noise(5) * 255).round().byte().movedim(-1, 1))


def test_few_clips_are_advised_against(quick_model: Any) -> None:
    output = run(MIVADataset, model=quick_model, clips={"clips": "connected", "videos": [noise(4)]})
    assert shown(output) == ("1 clip.\nSo few are learnt by heart rather than as a motion: about ten are better.")
