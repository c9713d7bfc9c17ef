"""Folders of training clips as people have them, and what is wrong with them."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from miva_core.clip_files import Wanted, read_clips
from miva_core.errors import MIVAError, MIVAWarning
from miva_core.video import read_video, write_png, write_video

WANTED = Wanted(size=(32, 48), frames=5, fps=8)


def counting(frames: int, height: int = 40, width: int = 60) -> Tensor:
    """Frame i is a grey of i / 100, so that it can be told afterwards."""
    return (torch.arange(frames) / 100)[:, None, None, None].expand(-1, height, width, 3)


def numbers(clip: Tensor) -> list[int]:
    """Which frames of `counting` a clip (N, 3, H, W) uint8 shows."""
    return (clip.float().mean((1, 2, 3)) / 2.55).round().int().tolist()


def write_frames(folder: Path, frames: Tensor) -> None:
    folder.mkdir()
    for i, frame in enumerate(frames):
        write_png(frame, folder / f"{i + 1}.png")


def encode(path: Path, frames: np.ndarray, codec: str, pixels: str, times: list[int], rate: int) -> None:
    """A video by hand, its frames at multiples of 1 / rate seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options={"crf": "10"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        stream.codec_context.time_base = Fraction(1, rate)
        for image, time in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = time, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def bytes_of(frames: Tensor) -> np.ndarray:
    return np.ascontiguousarray((frames * 255).round().byte().numpy())


@pytest.mark.filterwarnings("ignore::miva_core.errors.MIVAWarning")
@pytest.mark.parametrize(("fps", "frames", "stride"), [(8, 6, 1), (24, 20, 3), (30, 12, 2), (60, 41, 8), (4, 9, 1)])
def test_the_stride_comes_near_the_rate_and_leaves_enough_frames(
    fps: int, frames: int, stride: int, tmp_path: Path
) -> None:
    """Never so large that less than the base's five frames are left."""
    write_video(counting(frames), tmp_path / "a.mp4", fps)
    (clip,) = read_clips(tmp_path, WANTED, masks=0)
    assert clip.stride == stride
    assert clip.frames.shape[1:] == (3, 32, 48) and clip.frames.dtype == torch.uint8
    assert numbers(clip.frames) == pytest.approx(list(range(frames)), abs=1)
    assert clip.masks.shape == (0, len(clip.frames), 32, 48)


@pytest.mark.parametrize("name", ["a.mp4", "a.MOV", "a.mkv", "a.gif", "a.webp", "a.webm", "a:b.mp4", "folder"])
def test_every_kind_of_clip_is_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "folder":
        write_frames(path, counting(12))
    elif name == "a.webm":
        encode(path, bytes_of(counting(12)), "libvpx-vp9", "yuv420p", list(range(12)), 8)
    else:
        write_video(counting(12), path, 8)
    (clip,) = read_clips(tmp_path, WANTED, masks=0)
    assert clip.name == path.stem
    assert numbers(clip.frames) == pytest.approx(list(range(12)), abs=1)  # and 10.png behind 2.png


def test_ten_bits_and_portraits_are_read(tmp_path: Path) -> None:
    encode(tmp_path / "ten.mp4", bytes_of(counting(6)), "libx265", "yuv420p10le", list(range(6)), 8)
    write_video(counting(6, height=90, width=40), tmp_path / "upright.mp4", 8)
    ten, upright = read_clips(tmp_path, WANTED, masks=0)
    for clip in (ten, upright):
        assert clip.frames.shape == (6, 3, 32, 48) and numbers(clip.frames) == pytest.approx(list(range(6)), abs=1)


def test_the_middle_of_a_portrait_is_kept(tmp_path: Path) -> None:
    frames = torch.zeros(6, 90, 48, 3)
    frames[:, 29:61] = 1  # just what a crop of 48×32 keeps
    write_frames(tmp_path / "a", frames)
    (clip,) = read_clips(tmp_path, WANTED, masks=0)
    assert (clip.frames == 255).all()


def test_uneven_frames_are_shown_as_long_as_they_last(tmp_path: Path) -> None:
    """A screen recording leaves out frames where nothing changes."""
    times = [0, 1, 2, 3, 7, 8, 9, 10]
    encode(tmp_path / "a.mkv", bytes_of(counting(8)), "libx264", "yuv420p", times, 8)
    (clip,) = read_clips(tmp_path, WANTED, masks=0)
    assert numbers(clip.frames) == pytest.approx([0, 1, 2, 3, 3, 3, 3, 4, 5, 6, 7], abs=1)


def test_masks_of_uneven_frames_are_shown_as_long_as_those(tmp_path: Path) -> None:
    encode(tmp_path / "a.mkv", bytes_of(counting(8)), "libx264", "yuv420p", [0, 1, 2, 3, 7, 8, 9, 10], 8)
    write_frames(tmp_path / "a_masks", counting(8) + 0.5)
    (clip,) = read_clips(tmp_path, WANTED, masks=1)
    assert numbers(clip.masks[0][:, None]) == pytest.approx([50, 51, 52, 53, 53, 53, 53, 54, 55, 56, 57], abs=1)


def test_rates_are_not_misjudged_by_rounded_times(tmp_path: Path) -> None:
    """Matroska keeps milliseconds: 33, 33, 34 for thirtieths of a second."""
    times = [k for k in range(90) if k != 40]
    encode(tmp_path / "a.mkv", bytes_of(counting(89) / 2), "libx264", "yuv420p", times, 30)
    frames, fps = read_video(tmp_path / "a.mkv")
    assert fps == pytest.approx(30, abs=0.05) and len(frames) == 90


def test_names_with_dots_and_names_like_masks(tmp_path: Path) -> None:
    for name in ("shot.1", "man_with_mask"):
        write_frames(tmp_path / name, counting(6))
    write_video(counting(6), tmp_path / "clip.v2.mp4", 8)
    for name in ("shot.1_masks", "man_with_mask_masks", "clip.v2_masks"):
        write_frames(tmp_path / name, counting(6) + 0.8)
    (tmp_path / "clip.v2_mask.txt").write_text("not these")
    clips = read_clips(tmp_path, WANTED, masks=1)
    assert [clip.name for clip in clips] == ["clip.v2", "man_with_mask", "shot.1"]
    assert all(clip.masks.shape == (1, 6, 32, 48) for clip in clips)


def test_masks_that_only_some_clips_have_are_left_out(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_frames(tmp_path / name, counting(6))
        write_frames(tmp_path / f"{name}_beside_masks", counting(6) + 0.8)
    write_frames(tmp_path / "a_masks", counting(6) + 0.8)
    with pytest.warns(MIVAWarning) as told:
        assert [len(clip.masks) for clip in read_clips(tmp_path, WANTED, masks=0)] == [0, 0]
    assert [str(one.message) for one in told] == [
        "1 of 2 clips have masks, which are not used, since these have none: b."
    ]
    write_frames(tmp_path / "b_masks", counting(6) + 0.8)
    for masks, found in ((0, 1), (1, 1), (2, 2)):
        assert [len(clip.masks) for clip in read_clips(tmp_path, WANTED, masks)] == [found] * 2


def test_transparent_animations_are_shown_over_white(tmp_path: Path) -> None:
    pictures = []
    for i in range(6):
        pixels = np.zeros((40, 60, 4), np.uint8)
        pixels[:, i * 10 : i * 10 + 10] = (255, 0, 0, 255)
        pictures.append(Image.fromarray(pixels))
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=120, disposal=2)
    (clip,) = read_clips(tmp_path, WANTED, masks=0)
    assert clip.frames[0, :, 16, 40].tolist() == [255, 255, 255]
    assert clip.frames[0, :, 16, 2].tolist() == pytest.approx([255, 0, 0], abs=6)


@pytest.mark.parametrize("kind", ["folder", "video"])
def test_masks_take_the_same_frames_and_the_same_crop(kind: str, tmp_path: Path) -> None:
    frames, masks = counting(20, height=90, width=48), torch.zeros(20, 90, 48, 3)
    for i in range(20):
        masks[i, 29 + i : 61] = 1
    write_video(frames, tmp_path / "a.mp4", 24)
    if kind == "folder":
        write_frames(tmp_path / "a_masks", masks)
    else:
        write_video(masks, tmp_path / "a_mask.mov", 24)
    write_frames(tmp_path / "a_beside_masks", 1 - masks)
    with pytest.warns(MIVAWarning, match="^The subject of a_beside_masks is seen from frame 2 on only: "):
        (clip,) = read_clips(tmp_path, WANTED, masks=2)
    assert clip.stride == 3 and clip.masks.shape == (2, 20, 32, 48)
    covered = (clip.masks > 127).float().mean((2, 3))
    torch.testing.assert_close(covered[0], 1 - torch.arange(20) / 32, atol=0.04, rtol=0)
    torch.testing.assert_close(covered[1], torch.arange(20) / 32, atol=0.01, rtol=0)


def test_clips_that_cannot_be_used_are_all_named_with_the_reason(tmp_path: Path) -> None:
    write_video(counting(8), tmp_path / "good.mp4", 8)
    write_video(counting(3), tmp_path / "short.mp4", 8)
    (tmp_path / "broken.mp4").write_bytes((tmp_path / "good.mp4").read_bytes()[:600])
    (tmp_path / "text.mov").write_text("not a film")
    (tmp_path / "empty.webm").touch()
    write_frames(tmp_path / "odd", counting(6))
    write_png(torch.rand(20, 20, 3), tmp_path / "odd" / "7.png")
    with pytest.raises(MIVAError) as told:
        read_clips(tmp_path, WANTED, masks=0)
    message = str(told.value)
    assert message.startswith(f"5 of 6 clips in {tmp_path} cannot be used; remove or mend them: ")
    for part in ("broken.mp4", "empty.webm is empty", "text.mov is not a video", "odd changes its size at 7.png"):
        assert part in message
    assert "short.mp4 has 3 frames, but 5 are needed" in message and "good.mp4" not in message


def test_masks_that_do_not_match_are_told(tmp_path: Path) -> None:
    write_video(counting(8), tmp_path / "a.mp4", 8)
    write_video(counting(8), tmp_path / "b.mp4", 8)
    write_video(counting(8), tmp_path / "c.mp4", 8)
    write_video(counting(8), tmp_path / "d.mp4", 8)
    write_frames(tmp_path / "a_masks", counting(7) + 0.8)
    write_frames(tmp_path / "b_masks", counting(8, height=60, width=40) + 0.8)
    write_frames(tmp_path / "d_masks", counting(8))
    with pytest.raises(MIVAError) as told:
        read_clips(tmp_path, WANTED, masks=1)
    message = str(told.value)
    assert "a_masks holds 7 masks, but a.mp4 has 8 frames" in message
    assert "b_masks is 40×60, but b.mp4 is 60×40" in message
    assert "d_masks shows no subject" in message
    assert "c.mp4 has no masks: put one picture for each of its 8 frames into c_masks" in message


def test_folders_without_clips_are_told(tmp_path: Path) -> None:
    with pytest.raises(MIVAError, match=r"There are no clips in .*, put videos"):
        read_clips(tmp_path, WANTED, masks=0)
    write_png(torch.rand(9, 9, 3), tmp_path / "1.png")
    with pytest.raises(MIVAError, match="but pictures: a camera motion is filmed over them"):
        read_clips(tmp_path, WANTED, masks=0)
    with pytest.raises(MIVAError, match="is a file: name the folder"):
        read_clips(tmp_path / "1.png", WANTED, masks=0)
    with pytest.raises(MIVAError, match="There is no folder"):
        read_clips(tmp_path / "none", WANTED, masks=0)


def test_a_pace_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    write_video(counting(9), tmp_path / "fast.mp4", 60)
    write_video(counting(9), tmp_path / "slow.mp4", 2)
    with pytest.warns(MIVAWarning) as told:
        read_clips(tmp_path, WANTED, masks=0)
    texts = [str(warning.message) for warning in told]
    assert any("fast.mp4 has 9 frames at 60 a second" in text and "3.8 times as slow" in text for text in texts)
    assert any("slow.mp4" in text and "4.0 times as fast" in text for text in texts)


def test_the_folder_of_a_training_is_no_clip(tmp_path: Path) -> None:
    write_video(counting(9), tmp_path / "a.mp4", 8)
    write_frames(tmp_path / "rain.training", counting(3))
    (clip,) = read_clips(tmp_path, WANTED, masks=0)
    assert clip.name == "a"
