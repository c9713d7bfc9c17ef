"""What cameras and editors write besides plain frames, and files that are damaged."""

import random
import struct
import warnings
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional
from video_files import TRANSPARENT, cut_out, encode, read_at_constant_rate

from miva_core.clips.videos import read_masked_video
from miva_core.errors import MIVAError, MIVAWarning
from miva_core.measure.metrics import psnr
from miva_core.media import video_decoding
from miva_core.media.video import read_video


def soft(frames: int = 4, height: int = 48, width: int = 64) -> np.ndarray:
    """(F, H, W, 3) uint8, soft colours that differ along x, y and time."""
    t, y, x = np.meshgrid(*(np.linspace(0, 255, n) for n in (frames, height, width)), indexing="ij")
    return np.stack([x, y, t], -1).round().astype(np.uint8)


def floats(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frames).float() / 255


@pytest.mark.parametrize(("name", "codec", "pixels"), TRANSPARENT)
def test_videos_with_opacity_are_shown_over_white(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    """As pictures are; what lies under transparent pixels is left over from editing."""
    frames = cut_out()
    encode(tmp_path / name, frames, codec, pixels, range(6), 8)
    opacity = floats(frames[..., 3:])
    expected = floats(frames[..., :3]) * opacity + 1 - opacity
    with pytest.warns(MIVAWarning, match=rf"transparent in .*{name}"):
        shown, fps, _ = read_masked_video(str(tmp_path / name), tmp_path / name, torch.ones(6, 48, 64))
    assert fps == pytest.approx(8) and psnr(shown, expected) > 25
    found = read_video(tmp_path / name, lambda frame: frame).opacity
    assert ((found > 0.5) == (opacity > 0.5)).float().mean() > 0.995


@pytest.mark.parametrize(("name", "codec", "pixels"), TRANSPARENT)
def test_videos_that_are_opaque_throughout_need_no_note(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    frames = cut_out()
    frames[..., 3] = 255
    encode(tmp_path / name, frames, codec, pixels, range(6), 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown, _, masks = read_masked_video("clip", tmp_path / name, None)
    assert masks is None and psnr(shown, floats(frames[..., :3])) > 25
    assert read_video(tmp_path / name, lambda frame: frame).opacity is None


def test_opaque_frames_among_transparent_ones(tmp_path: Path) -> None:
    frames = cut_out()
    frames[:4, ..., 3] = 255
    encode(tmp_path / "a.mkv", frames, "ffv1", "bgra", range(6), 8)
    video = read_video(tmp_path / "a.mkv", lambda frame: frame)
    torch.testing.assert_close(video.opacity, floats(frames[..., 3:]).expand(-1, -1, -1, 3))


def test_a_video_whose_opacity_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode(tmp_path / "a.webm", cut_out(), "libvpx-vp9", "yuva420p", range(6), 8)
    monkeypatch.setattr(av, "codecs_available", {"vp9"})
    with pytest.warns(MIVAWarning, match=r"a\.webm .* lacks libvpx-vp9"):
        assert len(read_at_constant_rate(tmp_path / "a.webm")[0]) == 6


@pytest.mark.parametrize(
    ("name", "codec", "aspect", "size"),
    [
        ("a.mp4", "libx264", "16/11", (33, 64)),
        ("a.mkv", "libx264", "4/3", (36, 64)),
        ("a.mov", "libx264", "8/9", (54, 64)),
        ("a.ts", "mpeg2video", "4/3", (36, 64)),
        ("a.avi", "mpeg4", "1/2", (48, 32)),
        ("a.mpg", "mpeg2video", "4/3", (36, 64)),
    ],
)
def test_oblong_pixels_are_made_square(
    tmp_path: Path, name: str, codec: str, aspect: str, size: tuple[int, int]
) -> None:
    """DVDs, camcorders and broadcasts squeeze pictures: a circle is one only at the ratio that they are marked with."""
    frames = soft()
    encode(tmp_path / name, frames, codec, "yuv420p", range(4), 25, aspect=Fraction(aspect))
    video = read_video(tmp_path / name, lambda frame: frame)
    assert video.stored_size == (48, 64) and video.size == tuple(video.frames.shape[1:3]) == size
    planes = floats(frames).movedim(-1, 1)
    expected = functional.interpolate(planes, size, mode="bilinear", antialias=True, align_corners=False)
    assert psnr(video.frames, expected.movedim(1, -1)) > 25


@pytest.mark.skipif(not hasattr(av.VideoStream, "set_display_rotation"), reason="this PyAV cannot write the mark")
def test_oblong_pixels_of_a_clip_that_is_to_be_turned(tmp_path: Path) -> None:
    frames = cut_out()
    frames[..., :3] = soft(6)
    encode(tmp_path / "a.mov", frames, "qtrle", "argb", range(6), 8, aspect=Fraction(2), quarters=1)
    video = read_video(tmp_path / "a.mov", lambda frame: frame)
    assert video.stored_size == (64, 48) and video.frames.shape[1:3] == (64, 24)
    opacity = floats(frames[..., 3])[:, None].rot90(1, (2, 3))
    expected = functional.interpolate(opacity, (64, 24), mode="area")
    torch.testing.assert_close(video.opacity[..., 0], expected[:, 0], atol=0.4, rtol=0)
    assert (video.opacity[..., 0] - expected[:, 0]).abs().mean() < 0.02


def test_pixels_that_cannot_be_so_oblong_are_told(tmp_path: Path) -> None:
    encode(tmp_path / "a.mov", soft(), "qtrle", "rgb24", range(4), 8, aspect=Fraction(9))
    with pytest.warns(MIVAWarning, match=r"a\.mov .* 9 times"):
        assert read_at_constant_rate(tmp_path / "a.mov")[0].shape == (4, 48, 64, 3)


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.gif", "a.avif"])
def test_animated_pictures(tmp_path: Path, name: str) -> None:
    frames = np.kron(cut_out(), np.ones((1, 2, 2, 1), np.uint8))
    images = [Image.fromarray(frame) for frame in frames]
    options = {"disposal": 2} if name == "a.gif" else {"quality": 95} if name != "a.png" else {}
    try:
        images[0].save(tmp_path / name, save_all=True, append_images=images[1:], duration=[100, 200] * 3, **options)
    except (KeyError, ValueError):
        pytest.skip("this Pillow knows no AVIF")
    video = read_video(tmp_path / name, lambda frame: frame)
    opacity = floats(frames[..., 3:])
    assert (video.repeats, video.fps) == ((1, 2) * 3, pytest.approx(10))
    assert psnr(video.frames, floats(frames[..., :3]) * opacity + 1 - opacity) > 25
    assert ((video.opacity[..., :1] > 0.5) == (opacity > 0.5)).float().mean() > 0.995


def test_an_animation_that_this_pillow_does_not_know_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.init()
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    (tmp_path / "a.avif").write_bytes(b"\0\0\0\x20ftypavis" + b"\0" * 100)
    with pytest.raises(MIVAError, match=r"a\.avif .* release of Pillow"):
        read_at_constant_rate(tmp_path / "a.avif")


def test_a_frame_that_sticks_out_of_an_animation(tmp_path: Path) -> None:
    """It is refused before it is decoded: two bytes would ask for any amount of memory."""
    images = [Image.fromarray(frame) for frame in np.random.default_rng(0).integers(0, 255, (4, 48, 64, 3), np.uint8)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:])
    data = bytearray((tmp_path / "a.gif").read_bytes())
    third = [at for at in range(len(data)) if data[at : at + 9] == b"," + struct.pack("<4H", 0, 0, 64, 48)][2]
    data[third + 5 : third + 9] = struct.pack("<2H", 9000, 9000)
    (tmp_path / "a.gif").write_bytes(data)
    with pytest.raises(MIVAError, match=r"a\.gif .* frame 3"):
        read_at_constant_rate(tmp_path / "a.gif")


def test_words_in_a_header_that_are_not_utf_8_do_not_matter(tmp_path: Path) -> None:
    encode(tmp_path / "a.mkv", soft(), "libx264", "yuv420p", range(4), 8, title="Gruesse")
    data = (tmp_path / "a.mkv").read_bytes()
    assert data.count(b"Gruesse") == 1
    (tmp_path / "a.mkv").write_bytes(data.replace(b"Gruesse", b"Gr\xfc\xdfe \x87"))
    with pytest.raises(UnicodeDecodeError):
        av.open(str(tmp_path / "a.mkv"))
    assert psnr(read_at_constant_rate(tmp_path / "a.mkv")[0], floats(soft())) > 25


def test_a_codec_that_is_not_known(tmp_path: Path) -> None:
    """FFmpeg crashes where packets of such a stream are decoded."""
    encode(tmp_path / "a.mkv", soft(), "libx264", "yuv420p", range(4), 8)
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(data.replace(b"V_MPEG4/ISO/AVC", b"V_MADE_UP_CODEC"))
    with pytest.raises(MIVAError, match=r"a\.mkv .* not known here"):
        read_at_constant_rate(tmp_path / "a.mkv")


@pytest.mark.parametrize("name", ["a.mkv", "a.gif"])
def test_frames_that_are_far_too_large_are_refused_before_they_are_decoded(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "a.gif":
        Image.fromarray(soft()[0]).save(tmp_path / name)
    else:
        encode(tmp_path / name, soft(), "libx264", "yuv420p", range(4), 8)
    for limit, value in (("MAX_PIXELS", 48 * 64 - 1), ("_MAX_SIDE", 63)):
        with monkeypatch.context() as patch, pytest.raises(MIVAError, match="64×48"):
            patch.setattr(video_decoding, limit, value)
            read_at_constant_rate(tmp_path / name)


def test_a_lack_of_memory_is_not_taken_for_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode(tmp_path / "a.mkv", soft(), "libx264", "yuv420p", range(4), 8)

    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(video_decoding, "_upright", full)
    with pytest.raises(MIVAError, match=r"memory to decode .*a\.mkv"):
        read_at_constant_rate(tmp_path / "a.mkv")


def made(folder: Path) -> list[Path]:
    """A small clip of every kind."""
    folder.mkdir()
    for name, codec, pixels in [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mkv", "libx264", "yuv420p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.flv", "flv", "yuv420p"),
        ("a.ts", "mpeg2video", "yuv420p"),
        ("a.mpg", "mpeg1video", "yuv420p"),
        ("b.mov", "qtrle", "argb"),
        ("b.webm", "libvpx-vp9", "yuva420p"),
    ]:
        frames = cut_out(6)
        encode(folder / name, frames, codec, pixels, range(6), 25, title="Grüße")
    images = [Image.fromarray(frame) for frame in cut_out(6)]
    for name in ("c.gif", "c.webp"):
        images[0].save(folder / name, save_all=True, append_images=images[1:], duration=[40, 80] * 3)
    return sorted(folder.iterdir())


def damaged(data: bytes, draw: random.Random) -> bytes:
    kind, at = draw.randrange(5), draw.randrange(len(data))
    if kind == 0:
        return data[: max(1, at)]
    if kind == 1:
        return data[:at] + data[at + draw.randrange(1, 500) :] or data[:1]
    if kind == 2:
        return data[:at] + data[at // 2 : at // 2 + draw.randrange(1, 500)] + data[at:]
    spoilt = bytearray(data)
    for _ in range(draw.choice([1, 3, 10])):
        spoilt[draw.randrange(len(data) if kind == 3 else min(len(data), 1000))] = draw.randrange(256)
    return bytes(spoilt)


@pytest.mark.filterwarnings("ignore::miva_core.errors.MIVAWarning")
def test_damaged_files_are_read_or_told_in_one_sentence(tmp_path: Path) -> None:
    draw = random.Random(3)
    for source in made(tmp_path / "whole"):
        data = source.read_bytes()
        for k in range(40):
            path = tmp_path / f"{k}{source.name}"
            path.write_bytes(damaged(data, draw))
            try:
                frames, fps = read_at_constant_rate(path)
                assert len(frames) <= 2000 and 0 < fps < 1e6
            except MIVAError as error:
                assert str(path) in str(error) and len(str(error)) < len(str(path)) + 150
