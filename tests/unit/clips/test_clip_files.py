"""Folders of training clips as people have them, and what is wrong with them."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from video_files import cut_out, encode, read_at_constant_rate

from miva_core.clips.files import read_clips
from miva_core.clips.frames import clip_from_frames
from miva_core.clips.training_clip import ClipSpec
from miva_core.clips.videos import read_masked_video
from miva_core.errors import MIVAError, MIVAWarning
from miva_core.media.video import write_png, write_video

SPEC = ClipSpec(size=(32, 48), frames=5, fps=8)


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


def bytes_of(frames: Tensor) -> np.ndarray:
    return np.ascontiguousarray((frames * 255).round().byte().numpy())


@pytest.mark.filterwarnings("ignore::miva_core.errors.MIVAWarning")
@pytest.mark.parametrize(("fps", "frames", "stride"), [(8, 6, 1), (24, 20, 3), (30, 12, 2), (60, 41, 8), (4, 9, 1)])
def test_the_stride_comes_near_the_rate_and_leaves_enough_frames(
    fps: int, frames: int, stride: int, tmp_path: Path
) -> None:
    """Never so large that less than the base's five frames are left."""
    write_video(counting(frames), tmp_path / "a.mp4", fps)
    (clip,) = read_clips(tmp_path, SPEC, masks=0)
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
    elif name == "a.webp":
        # Lossy, its encoder drops frames that differ as little as these.
        first, *others = (Image.fromarray(frame) for frame in bytes_of(counting(12)))
        first.save(path, save_all=True, append_images=others, duration=125, lossless=True)
    else:
        write_video(counting(12), path, 8)
    (clip,) = read_clips(tmp_path, SPEC, masks=0)
    assert clip.name == path.stem
    assert numbers(clip.frames) == pytest.approx(list(range(12)), abs=1)  # and 10.png behind 2.png


def test_ten_bits_and_portraits_are_read(tmp_path: Path) -> None:
    encode(tmp_path / "ten.mp4", bytes_of(counting(6)), "libx265", "yuv420p10le", list(range(6)), 8)
    write_video(counting(6, height=90, width=40), tmp_path / "upright.mp4", 8)
    ten, upright = read_clips(tmp_path, SPEC, masks=0)
    for clip in (ten, upright):
        assert clip.frames.shape == (6, 3, 32, 48) and numbers(clip.frames) == pytest.approx(list(range(6)), abs=1)


def test_the_middle_of_a_portrait_is_kept(tmp_path: Path) -> None:
    frames = torch.zeros(6, 90, 48, 3)
    frames[:, 29:61] = 1  # just what a crop of 48×32 keeps
    write_frames(tmp_path / "a", frames)
    (clip,) = read_clips(tmp_path, SPEC, masks=0)
    assert (clip.frames == 255).all()


def test_uneven_frames_are_shown_as_long_as_they_last(tmp_path: Path) -> None:
    """A screen recording leaves out frames where nothing changes."""
    times = [0, 1, 2, 3, 7, 8, 9, 10]
    encode(tmp_path / "a.mkv", bytes_of(counting(8)), "libx264", "yuv420p", times, 8)
    (clip,) = read_clips(tmp_path, SPEC, masks=0)
    assert numbers(clip.frames) == pytest.approx([0, 1, 2, 3, 3, 3, 3, 4, 5, 6, 7], abs=1)


def test_masks_of_uneven_frames_are_shown_as_long_as_those(tmp_path: Path) -> None:
    encode(tmp_path / "a.mkv", bytes_of(counting(8)), "libx264", "yuv420p", [0, 1, 2, 3, 7, 8, 9, 10], 8)
    write_frames(tmp_path / "a_masks", counting(8) + 0.5)
    (clip,) = read_clips(tmp_path, SPEC, masks=1)
    assert numbers(clip.masks[0][:, None]) == pytest.approx([50, 51, 52, 53, 53, 53, 53, 54, 55, 56, 57], abs=1)


def test_rates_are_not_misjudged_by_rounded_times(tmp_path: Path) -> None:
    """Matroska keeps milliseconds: 33, 33, 34 for thirtieths of a second."""
    times = [k for k in range(90) if k != 40]
    encode(tmp_path / "a.mkv", bytes_of(counting(89) / 2), "libx264", "yuv420p", times, 30)
    frames, fps = read_at_constant_rate(tmp_path / "a.mkv")
    assert fps == pytest.approx(30, abs=0.05) and len(frames) == 90


def test_a_recording_of_a_browser(tmp_path: Path) -> None:
    """It names no rate, and its frames come when the browser has time; FFmpeg then takes the clock's rate of 1000."""
    generator = np.random.default_rng(1)
    times = np.cumsum([0, *generator.integers(28, 39, 49)]).tolist()
    path = tmp_path / "a.webm"
    encode(path, bytes_of(counting(50)), "libvpx", "yuv420p", times, 1000, options={"live": "1"})
    data = path.read_bytes()
    at = data.index(bytes.fromhex("23e383"))  # the usual duration of a frame, which a browser does not write
    length = data[at + 3] & 0x7F
    void = bytes([0xEC, 0x80 | length + 2]) + bytes(length + 2)
    path.write_bytes(data[:at] + void + data[at + len(void) :])
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.average_rate or stream.guessed_rate) == 1000
    frames, fps = read_at_constant_rate(path)
    assert len(frames) == 50 and fps == pytest.approx(49_000 / times[-1])
    (clip,) = read_clips(tmp_path, SPEC, masks=0)
    assert clip.stride == 4 and numbers(clip.frames) == pytest.approx(list(range(50)), abs=1)


def test_a_rate_that_halves_midway(tmp_path: Path) -> None:
    """Phones do so in the dark; most frames may be of the slower part."""
    times = [*range(10), *range(10, 50, 2)]
    encode(tmp_path / "a.mp4", bytes_of(counting(30)), "libx264", "yuv420p", times, 16)
    (clip,) = read_clips(tmp_path, SPEC, masks=0)
    assert clip.stride == 2
    assert numbers(clip.frames) == pytest.approx([*range(10), *(n for n in range(10, 29) for _ in "ab"), 29], abs=1)


def test_names_with_dots_and_names_like_masks(tmp_path: Path) -> None:
    for name in ("shot.1", "man_with_mask"):
        write_frames(tmp_path / name, counting(6))
    write_video(counting(6), tmp_path / "clip.v2.mp4", 8)
    for name in ("shot.1_masks", "man_with_mask_masks", "clip.v2_masks"):
        write_frames(tmp_path / name, counting(6) + 0.8)
    (tmp_path / "clip.v2_mask.txt").write_text("not these")
    clips = read_clips(tmp_path, SPEC, masks=1)
    assert [clip.name for clip in clips] == ["clip.v2", "man_with_mask", "shot.1"]
    assert all(clip.masks.shape == (1, 6, 32, 48) for clip in clips)


def test_masks_that_only_some_clips_have_are_left_out(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_frames(tmp_path / name, counting(6))
        write_frames(tmp_path / f"{name}_beside_masks", counting(6) + 0.8)
    write_frames(tmp_path / "a_masks", counting(6) + 0.8)
    with pytest.warns(MIVAWarning) as caught:
        assert [len(clip.masks) for clip in read_clips(tmp_path, SPEC, masks=0)] == [0, 0]
    assert [str(one.message) for one in caught] == [
        "1 of 2 clips have masks, which are not used, since these have none: b."
    ]
    write_frames(tmp_path / "b_masks", counting(6) + 0.8)
    for masks, found in ((0, 1), (1, 1), (2, 2)):
        assert [len(clip.masks) for clip in read_clips(tmp_path, SPEC, masks)] == [found] * 2


def test_transparent_animations_are_shown_over_white(tmp_path: Path) -> None:
    pictures = []
    for i in range(6):
        pixels = np.zeros((40, 60, 4), np.uint8)
        pixels[:, i * 10 : i * 10 + 10] = (255, 0, 0, 255)
        pictures.append(Image.fromarray(pixels))
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=120, disposal=2)
    with pytest.warns(MIVAWarning, match=r"transparent in a\.gif"):
        (clip,) = read_clips(tmp_path, SPEC, masks=0)
    assert clip.frames[0, :, 16, 40].tolist() == [255, 255, 255]
    assert clip.frames[0, :, 16, 2].tolist() == pytest.approx([255, 0, 0], abs=6)


def cut_outs(folder: Path, name: str) -> Tensor:
    """A clip that is transparent around its subject, by its ending; what is opaque of it, (6, 48, 64) in [0, 1]."""
    frames = cut_out()
    if name.endswith(".webm"):
        encode(folder / name, frames, "libvpx-vp9", "yuva420p", range(6), 8)
    elif name.endswith(".mov"):
        encode(folder / name, frames, "qtrle", "argb", range(6), 8)
    elif name.endswith((".gif", ".webp")):
        images = [Image.fromarray(frame) for frame in frames]
        images[0].save(folder / name, save_all=True, append_images=images[1:], duration=120, disposal=2, lossless=True)
    else:
        (folder / name).mkdir()
        for i, frame in enumerate(frames):
            Image.fromarray(frame).save(folder / name / f"{i}.png")
    return torch.from_numpy(frames[..., 3]).float() / 255


CUT_OUT = ClipSpec((48, 64), 5, 8)
"""A base of the size of those."""


@pytest.mark.parametrize("masks", [0, 1])
@pytest.mark.parametrize("name", ["a.webm", "a.mov", "a.gif", "a.webp", "a"])
def test_what_is_opaque_of_a_clip_is_its_mask(name: str, masks: int, tmp_path: Path) -> None:
    opacity = cut_outs(tmp_path, name)
    with pytest.warns(MIVAWarning) as caught:
        (clip,) = read_clips(tmp_path, CUT_OUT, masks)
    assert sorted(str(one.message) for one in caught) == [
        f"Masks are taken from the transparency of {name}: opaque is the subject.",
        f"What is transparent in {name} is shown over white.",
    ]
    assert ((clip.masks[0] > 127) == (opacity > 0.5)).float().mean() > 0.995
    assert clip.frames.movedim(1, -1)[opacity == 0].float().mean() > 250
    assert clip.frames[:, :, 12:28, 20:44].float().mean((0, 2, 3)).tolist() == pytest.approx([0, 0, 255], abs=4)


def test_files_of_masks_count_before_opacity_and_opacity_before_a_search(tmp_path: Path) -> None:
    opacity = cut_outs(tmp_path, "a.mov")
    cut_outs(tmp_path, "b.mov")
    painted = torch.zeros(6, 48, 64, 3)
    painted[:, 40:] = 1
    write_frames(tmp_path / "b_masks", painted)

    def find(frames: Tensor) -> Tensor:
        return torch.stack([1 - frames[..., 0], frames[..., 2] * 0 + 0.8])

    with pytest.warns(MIVAWarning) as caught:
        a, b = read_clips(tmp_path, CUT_OUT, 2, find)
    assert [str(one.message) for one in caught if "Masks" in str(one.message)] == [
        "Masks are taken from the transparency of a.mov: opaque is the subject."
    ]
    assert torch.equal(a.masks[0] > 127, opacity > 0.5)
    assert torch.equal(b.masks[0], (painted[..., 0] * 255).byte())
    assert (a.masks[1] == 204).all() and (b.masks[1] == 204).all()


@pytest.mark.parametrize("with_masks", ["file", "opacity"])
def test_opacity_of_only_some_clips_is_left_out(with_masks: str, tmp_path: Path) -> None:
    cut_outs(tmp_path, "a.mov")
    write_frames(tmp_path / "b", counting(6, 48, 64))
    if with_masks == "file":
        write_frames(tmp_path / "c", counting(6, 48, 64))
        write_frames(tmp_path / "c_masks", counting(6, 48, 64) + 0.8)
    with pytest.warns(MIVAWarning) as caught:
        clips = read_clips(tmp_path, CUT_OUT, 0)
    assert [len(clip.masks) for clip in clips] == [0] * len(clips)
    some = "2 of 3" if with_masks == "file" else "1 of 2"
    assert [str(one.message) for one in caught] == [
        f"{some} clips have masks, which are not used, since these have none: b.",
        "What is transparent in a.mov is shown over white.",
    ]
    with pytest.raises(MIVAError, match=r"b has no masks: .*b_masks"):
        read_clips(tmp_path, CUT_OUT, 1)


@pytest.mark.filterwarnings("ignore::miva_core.errors.MIVAWarning")
def test_opacity_and_files_together_give_every_clip_its_mask(tmp_path: Path) -> None:
    opacity = cut_outs(tmp_path, "b.mov")
    for name in ("a", "c"):
        write_frames(tmp_path / name, counting(6, 48, 64))
        write_frames(tmp_path / f"{name}_masks", counting(6, 48, 64) + 0.8)
    clips = read_clips(tmp_path, CUT_OUT, 0)
    assert [clip.name for clip in clips] == ["a", "b", "c"]
    assert torch.equal(clips[1].masks[0] > 127, opacity > 0.5)
    assert numbers(clips[0].masks[0][:, None]) == numbers(clips[2].masks[0][:, None]) == list(range(80, 86))


def test_opacity_lasts_as_long_as_its_frames(tmp_path: Path) -> None:
    encode(tmp_path / "a.mkv", cut_out(), "ffv1", "bgra", [0, 1, 2, 5, 6, 7], 8)
    with pytest.warns(MIVAWarning, match="Masks are taken from"):
        (clip,) = read_clips(tmp_path, CUT_OUT, 1)
    rows = (clip.masks[0, :, :, 32] > 127).sum(1).tolist()
    assert rows == [22, 24, 26, 26, 26, 28, 30, 32]


@pytest.mark.parametrize("colours", ["any", "black and white"])
def test_videos_of_masks_may_be_cut_outs(colours: str, tmp_path: Path) -> None:
    """As pictures of masks may be: what is opaque counts, unless that is black and white itself."""
    write_video(counting(6, 48, 64), tmp_path / "a.mp4", 8)
    frames = cut_out()
    expected = frames[..., 3] > 0
    if colours != "any":
        frames[:, 8:40, 16:48, :3] = 0
        frames[:, 10:20, 20:40, :3] = 255
        expected = (frames[..., 0] == 255) & expected
    encode(tmp_path / "a_mask.mov", frames, "png", "rgba", range(6), 8)
    if colours == "any":
        with pytest.warns(MIVAWarning, match=r"a_mask\.mov .* their transparency"):
            (clip,) = read_clips(tmp_path, CUT_OUT, 1)
    else:
        (clip,) = read_clips(tmp_path, CUT_OUT, 1)
    assert np.array_equal(clip.masks[0].numpy() > 127, expected)


@pytest.mark.parametrize("masks", ["stored", "square", "video", "marked video", "other"])
def test_masks_of_oblong_pixels(masks: str, tmp_path: Path) -> None:
    """The right half of a clip of 64×48 that is to be shown as 64×24, whose masks were made of it either way."""
    half = np.zeros((6, 48, 64, 3), np.uint8)
    half[:, :, 32:] = 255
    encode(tmp_path / "a.mov", half, "qtrle", "rgb24", range(6), 8, aspect=Fraction(2))
    shown = torch.from_numpy(half).float() / 255
    if masks in ("video", "marked video"):
        aspect = Fraction(2) if masks == "marked video" else None
        encode(tmp_path / "a_mask.mov", half, "qtrle", "rgb24", range(6), 8, aspect=aspect)
    else:
        height = {"stored": 48, "square": 24, "other": 32}[masks]
        write_frames(tmp_path / "a_masks", shown[:, :height])
    if masks == "other":
        with pytest.raises(MIVAError, match=r"64×32, but .* 64×24"):
            read_clips(tmp_path, ClipSpec((24, 64), 5, 8), 1)
        return
    (clip,) = read_clips(tmp_path, ClipSpec((24, 64), 5, 8), 1)
    for shown_half in (clip.frames[:, 0], clip.masks[0]):
        assert shown_half[..., :31].max() < 30 and shown_half[..., 33:].min() > 225


def test_masks_of_oblong_pixels_are_the_same_from_files_and_from_a_socket(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6, 48, 64, 3), np.uint8)
    encode(tmp_path / "a.mov", noise, "qtrle", "rgb24", range(6), 8, aspect=Fraction(2))
    masks = torch.from_numpy(noise[..., :1]).float() / 255
    write_frames(tmp_path / "a_masks", masks.expand(-1, -1, -1, 3))
    spec = ClipSpec((20, 48), 5, 8)
    (clip,) = read_clips(tmp_path, spec, 1)
    frames, fps, found = read_masked_video("a", tmp_path / "a.mov", masks[..., 0])
    connected = clip_from_frames("a", frames, fps, spec, found)
    assert torch.equal(connected.frames, clip.frames)
    assert (connected.masks.int() - clip.masks.int()).abs().max() <= 1


def test_a_circle_in_oblong_pixels_is_learnt_as_a_circle(tmp_path: Path) -> None:
    y, x = np.mgrid[:96, :96]
    circle = (((x - 47.5) * 4 / 3) ** 2 + (y - 47.5) ** 2 < 24**2)[None, :, :, None]
    frames = np.ascontiguousarray(np.broadcast_to(circle, (6, 96, 96, 3)) * np.uint8(255))
    encode(tmp_path / "a.mp4", frames, "libx264", "yuv420p", range(6), 8, aspect=Fraction(4, 3))
    (clip,) = read_clips(tmp_path, ClipSpec((72, 72), 5, 8), 0)
    disc = clip.frames[0, 0] > 127
    width, height = int(disc.any(0).sum()), int(disc.any(1).sum())
    assert width == pytest.approx(height, abs=1) and width == pytest.approx(36, abs=1)


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
    with pytest.warns(MIVAWarning, match="a_beside_masks .* from frame 2"):
        (clip,) = read_clips(tmp_path, SPEC, masks=2)
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
    with pytest.raises(MIVAError) as raised:
        read_clips(tmp_path, SPEC, masks=0)
    message = str(raised.value)
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
    with pytest.raises(MIVAError) as raised:
        read_clips(tmp_path, SPEC, masks=1)
    message = str(raised.value)
    assert "a_masks holds 7 masks, but a.mp4 has 8 frames" in message
    assert "b_masks is 40×60, but b.mp4 is 60×40" in message
    assert "d_masks shows no subject" in message
    assert "c.mp4 has no masks: put one picture for each of its 8 frames into c_masks" in message


def test_folders_without_clips_are_told(tmp_path: Path) -> None:
    with pytest.raises(MIVAError, match=r"no clips .*, put videos"):
        read_clips(tmp_path, SPEC, masks=0)
    write_png(torch.rand(9, 9, 3), tmp_path / "1.png")
    with pytest.raises(MIVAError, match="but pictures"):
        read_clips(tmp_path, SPEC, masks=0)
    with pytest.raises(MIVAError, match="is a file"):
        read_clips(tmp_path / "1.png", SPEC, masks=0)
    with pytest.raises(MIVAError, match="There is no folder"):
        read_clips(tmp_path / "none", SPEC, masks=0)


def test_a_pace_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    write_video(counting(9), tmp_path / "fast.mp4", 60)
    write_video(counting(9), tmp_path / "slow.mp4", 2)
    with pytest.warns(MIVAWarning) as caught:
        read_clips(tmp_path, SPEC, masks=0)
    texts = [str(warning.message) for warning in caught]
    assert any("fast.mp4 has 9 frames at 60 a second" in text and "3.8 times as slow" in text for text in texts)
    assert any("slow.mp4" in text and "4.0 times as fast" in text for text in texts)


def test_the_folder_of_a_training_is_no_clip(tmp_path: Path) -> None:
    write_video(counting(9), tmp_path / "a.mp4", 8)
    write_frames(tmp_path / "rain.training", counting(3))
    (clip,) = read_clips(tmp_path, SPEC, masks=0)
    assert clip.name == "a"
