import os
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from video_files import read_at_constant_rate

from miva_core.errors import MIVAError
from miva_core.measure.metrics import psnr
from miva_core.media import video
from miva_core.media.contact_sheet import contact_sheet, frames_over_masks
from miva_core.media.video import check_writable, video_writer, write_png, write_video
from miva_core.storage import files


def soft_clip(frames: int = 8, height: int = 48, width: int = 64) -> torch.Tensor:
    """Saturated soft colours that differ along x, y and time: swaps, shifts and wrong colour matrices show."""
    t, y, x = torch.meshgrid(*(torch.linspace(0, 1, n) for n in (frames, height, width)), indexing="ij")
    return torch.stack([x, y, t], dim=-1)


def red_clip(frames: int = 3) -> torch.Tensor:
    return torch.tensor([1.0, 0.0, 0.0]).expand(frames, 32, 32, 3)


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "gif", "webp", "MP4"])
def test_a_clip_comes_back_with_its_frames_and_rate(tmp_path: Path, extension: str):
    clip = soft_clip()
    write_video(clip, tmp_path / f"clip.{extension}", 8)
    frames, fps = read_at_constant_rate(tmp_path / f"clip.{extension}")
    assert frames.shape == clip.shape and frames.dtype == torch.float32
    assert fps == pytest.approx(8, rel=0.01)
    assert psnr(frames, clip) > (22 if extension == "gif" else 32)
    assert [p.name for p in tmp_path.iterdir()] == [f"clip.{extension}"]


@pytest.mark.parametrize("fps", [24, 29.97, 16, 0.5])
def test_rates_survive_the_coarse_clock_of_gif(tmp_path: Path, fps: float):
    clip = soft_clip(12, 8, 8)
    for name in ("clip.gif", "clip.webp", "clip.mp4"):
        write_video(clip, tmp_path / name, fps)
        frames, read = read_at_constant_rate(tmp_path / name)
        assert len(frames) == 12 and read == pytest.approx(fps, rel=0.02)


def test_equal_frames_of_a_gif_come_back_although_it_stores_them_once(tmp_path: Path):
    clip = red_clip(6).clone()
    clip[3:] = 1 - clip[3:]
    write_video(clip, tmp_path / "clip.gif", 10)
    with Image.open(tmp_path / "clip.gif") as image:
        assert image.n_frames == 2 and image.info["loop"] == 0
    frames, fps = read_at_constant_rate(tmp_path / "clip.gif")
    assert torch.allclose(frames[0], clip[0], atol=0.02) and fps == pytest.approx(10 / 3)


def test_all_frames_of_a_gif_share_one_palette(tmp_path: Path):
    clip = soft_clip(1).repeat(6, 1, 1, 1)
    for i in range(6):
        clip[i, 10:20, 8 * i : 8 * i + 8] = torch.rand(3)
    write_video(clip, tmp_path / "clip.gif", 10)
    frames, _ = read_at_constant_rate(tmp_path / "clip.gif")
    # Dithering carries a change on downwards, so only what lies above it can stay exactly as it was.
    assert (frames[:, :10] == frames[:1, :10]).all()


@pytest.mark.parametrize("size", [(33, 47), (32, 47), (9, 8)])
def test_odd_sides_are_made_even_by_their_edge(tmp_path: Path, size: tuple[int, int]):
    height, width = size
    clip = soft_clip(3, height, width)
    write_video(clip, tmp_path / "clip.mp4", 8)
    frames, _ = read_at_constant_rate(tmp_path / "clip.mp4")
    assert frames.shape[1:3] == (height + height % 2, width + width % 2)
    assert psnr(frames[:, :height, :width], clip) > 25
    assert psnr(frames[:, -1], frames[:, height - 1]) > 28 and psnr(frames[:, :, -1], frames[:, :, width - 1]) > 28


def test_h264_is_what_players_expect_and_marked_with_its_colours(tmp_path: Path):
    write_video(red_clip(), tmp_path / "clip.mp4", 8)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        frame = next(container.decode(video=0))
        assert int(frame.colorspace) == 1
        luma, blue, red = (np.asarray(plane).reshape(-1, plane.line_size)[0, 0] for plane in frame.planes)
    # BT.709, limited range: Y = 16 + 219 * 0.2126 and so on. BT.601 would give a luma of 81.
    assert (int(luma), int(blue), int(red)) == (
        pytest.approx(63, abs=2),
        pytest.approx(102, abs=2),
        pytest.approx(240, abs=2),
    )


@pytest.mark.skipif(not hasattr(av.VideoStream, "set_display_rotation"), reason="this PyAV cannot write the mark")
def test_a_rotation_mark_is_applied(tmp_path: Path):
    """Phones film upright by a mark in the container."""
    clip = soft_clip(3)
    with av.open(str(tmp_path / "phone.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=8, options={"crf": "10"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.set_display_rotation(90)
        for image in clip:
            pixels = image.mul(255).round().byte().numpy()
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    frames, _ = read_at_constant_rate(tmp_path / "phone.mp4")
    assert psnr(frames, clip.rot90(1, (1, 2))) > 28  # counter-clockwise by a quarter


@pytest.mark.parametrize("name", ["clip.mp4", "clip.gif", "clip.webp"])
def test_an_interrupt_leaves_the_earlier_file_and_nothing_else(tmp_path: Path, name: str, monkeypatch):
    path = tmp_path / name
    path.write_bytes(b"earlier")
    calls = []

    def interrupt(original):
        def wrapper(*args, **kwargs):
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return original(*args, **kwargs)

        return wrapper

    if name == "clip.mp4":
        monkeypatch.setattr(av.VideoFrame, "from_ndarray", interrupt(av.VideoFrame.from_ndarray), raising=True)
    else:
        monkeypatch.setattr(Image, "fromarray", interrupt(Image.fromarray))
    with pytest.raises(KeyboardInterrupt):
        write_video(soft_clip(), path, 8)
    assert path.read_bytes() == b"earlier" and os.listdir(tmp_path) == [name]


def test_a_write_that_fails_at_the_end_leaves_nothing(tmp_path: Path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    for name in ("clip.mp4", "clip.gif"):
        with pytest.raises(MIVAError, match="No space left"):
            write_video(red_clip(), tmp_path / name, 8)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot limit the size of files")
@pytest.mark.parametrize("name", ["clip.mp4", "clip.gif", "clip.webp"])
def test_a_disk_that_fills_up_while_a_clip_is_written(tmp_path: Path, name: str):
    import resource

    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    clip = torch.rand(12, 64, 64, 3)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, usual[1]))
    try:
        with pytest.raises(MIVAError, match=rf"{name} .*: File too large"):
            write_video(clip, tmp_path / name, 8)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["clip.mp4", "clip.gif"])
def test_a_link_to_a_file_of_another_ending(tmp_path: Path, name: str):
    (tmp_path / name).symlink_to(tmp_path / "stored")
    write_video(red_clip(), tmp_path / name, 8)
    assert (tmp_path / "stored").stat().st_size > 0 and (tmp_path / name).is_symlink()


def test_a_link_is_written_through(tmp_path: Path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "clip.gif"
    link.symlink_to(tmp_path / "real" / "clip.gif")
    write_video(red_clip(), link, 8)
    assert link.is_symlink() and (tmp_path / "real" / "clip.gif").is_file()


def test_what_cannot_be_written_is_told_before_sampling(tmp_path: Path, monkeypatch):
    (tmp_path / "folder.mp4").mkdir()
    assert check_writable(tmp_path / "new.mp4") == tmp_path / "new.mp4"
    assert os.listdir(tmp_path) == ["folder.mp4"]
    for name, message in [
        ("missing/clip.mp4", "There is no folder .*missing"),
        ("folder.mp4", "is a folder"),
        ("clip.avi", r"\.mp4, \.mov, \.mkv, \.gif or \.webp"),
        ("clip", "ending in"),
        ("x" * 300 + ".mp4", "cannot be written"),
    ]:
        with pytest.raises(MIVAError, match=message):
            check_writable(tmp_path / name)
    assert not (tmp_path / "missing").exists()

    def forbidden(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.tempfile, "TemporaryFile", forbidden)
    with pytest.raises(MIVAError, match=r"folder .*: Permission denied"):
        check_writable(tmp_path / "new.mp4")


@pytest.mark.parametrize(
    ("clip", "fps", "message"),
    [
        (torch.rand(3, 16, 16), 8, r"A picture \(H, W, 3\) of floats is needed"),
        (torch.rand(0, 16, 16, 3), 8, "without frames"),
        ([torch.rand(16, 16, 3), torch.rand(16, 18, 3)], 8, "a frame of 18×16 follows one of 16×16"),
        ([], 8, "without frames"),
        (torch.zeros(2, 16, 16, 3, dtype=torch.uint8), 8, "of floats is needed"),
        (torch.full((2, 16, 16, 3), float("nan")), 8, "NaN"),
        (torch.rand(1, 8, 8200, 3), 8, "A clip of 8200×8 cannot be written"),
        (torch.rand(2, 16, 16, 3), 0, "cannot play 0 frames"),
        (torch.rand(2, 16, 16, 3), float("nan"), "cannot play nan frames"),
    ],
)
@pytest.mark.parametrize("ending", ["mp4", "gif", "webp"])
def test_wrong_clips_are_refused(tmp_path: Path, clip: Iterable[torch.Tensor], fps: float, message: str, ending: str):
    with pytest.raises(MIVAError, match=message):
        write_video(clip, tmp_path / f"clip.{ending}", fps)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["clip.gif", "clip.webp"])
def test_animations_that_would_fill_the_memory_are_refused(tmp_path: Path, name: str, monkeypatch):
    monkeypatch.setattr(video, "MAX_CLIP_PIXELS", 4 * 48 * 64)
    write_video(soft_clip(4), tmp_path / f"short_{name}", 8)
    write_video(soft_clip(8), tmp_path / "clip.mp4", 8)
    with pytest.raises(MIVAError, match=r"of 64×48 can have up to 4 frames, .*: write an \.mp4"):
        write_video(soft_clip(8), tmp_path / name, 8)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("ending", ["mp4", "gif", "webp"])
def test_frames_that_are_made_one_by_one_give_the_same_file(tmp_path: Path, ending: str):
    clip = soft_clip(12)
    write_video(clip, tmp_path / f"whole.{ending}", 8)
    write_video((frame.clone() for frame in clip), tmp_path / f"streamed.{ending}", 8)
    whole, streamed = tmp_path / f"whole.{ending}", tmp_path / f"streamed.{ending}"
    if ending == "mp4":
        # Threads of x264 may spend their bits differently.
        assert psnr(read_at_constant_rate(whole)[0], read_at_constant_rate(streamed)[0]) > 45
    else:
        assert whole.read_bytes() == streamed.read_bytes()


def test_frames_of_a_video_are_let_go_while_it_is_written(tmp_path: Path):
    """However long a clip is, memory holds some of its frames."""
    alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
    most = 0

    def frames() -> Iterator[torch.Tensor]:
        nonlocal most
        for share in torch.linspace(0, 1, 100):
            frame = share.expand(32, 32, 3).clone()
            alive.add(frame)
            most = max(most, len(alive))
            yield frame
            del frame

    write_video(frames(), tmp_path / "clip.mp4", 24)
    assert 1 <= most <= 2


def test_frames_that_fail_on_the_way_leave_the_earlier_file(tmp_path: Path):
    def frames() -> Iterator[torch.Tensor]:
        yield torch.rand(16, 16, 3)
        raise MIVAError("The second frame is missing.")

    for name in ("clip.mp4", "clip.gif", "clip.webp"):
        (tmp_path / name).write_bytes(b"earlier")
        with pytest.raises(MIVAError, match="second frame"):
            write_video(frames(), tmp_path / name, 8)
        assert (tmp_path / name).read_bytes() == b"earlier"
    assert sorted(os.listdir(tmp_path)) == ["clip.gif", "clip.mp4", "clip.webp"]


def test_several_clips_grow_together(tmp_path: Path):
    clip = soft_clip(6)
    with video_writer(tmp_path / "clip.mp4", 8) as add, video_writer(tmp_path / "mask.mp4", 8) as add_mask:
        for frame in clip:
            add(frame)
            add_mask(1 - frame)
    for name, expected in (("clip.mp4", clip), ("mask.mp4", 1 - clip)):
        assert psnr(read_at_constant_rate(tmp_path / name)[0], expected) > 32
    with (
        pytest.raises(MIVAError, match="one size"),
        video_writer(tmp_path / "new.mp4", 8) as add,
        video_writer(tmp_path / "new_mask.mp4", 8) as add_mask,
    ):
        add_mask(clip[0])
        add(clip[0])
        add(clip[0, :20])
    assert sorted(os.listdir(tmp_path)) == ["clip.mp4", "mask.mp4"]


def test_gif_refuses_rates_that_players_would_slow_down(tmp_path: Path):
    with pytest.raises(MIVAError, match="60 frames per second: choose at most 50"):
        write_video(red_clip(), tmp_path / "clip.gif", 60)


def test_files_that_are_no_videos_are_told(tmp_path: Path):
    Image.new("RGB", (16, 16)).save(tmp_path / "picture.png")
    Image.new("RGB", (16, 16)).save(tmp_path / "still.webp")
    (tmp_path / "words.mp4").write_text("just some words\n" * 50)
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:9,\npicture.png\n#EXT-X-ENDLIST\n")
    (tmp_path / "empty.mp4").touch()
    for name, message in [
        ("picture.png", "still PNG picture"),
        ("still.webp", "still WEBP picture"),
        ("words.mp4", "looks like a text file"),
        ("list.mp4", "looks like a text file"),
        ("empty.mp4", "is empty"),
        ("none.mp4", "There is no video"),
        (".", "is a folder"),
    ]:
        with pytest.raises(MIVAError, match=message):
            read_at_constant_rate(tmp_path / name)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.gif", "clip.webp"])
def test_a_truncated_video_is_told(tmp_path: Path, name: str):
    write_video(torch.rand(6, 32, 32, 3), tmp_path / name, 8)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(MIVAError, match="damaged or cut short"):
        read_at_constant_rate(tmp_path / name)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.gif"])
def test_films_that_would_fill_the_memory_are_refused(tmp_path: Path, name: str, monkeypatch):
    write_video(soft_clip(8), tmp_path / name, 8)
    monkeypatch.setattr(video, "MAX_CLIP_PIXELS", 4 * 48 * 64)
    with pytest.raises(MIVAError, match="cut it to 4 frames"):
        read_at_constant_rate(tmp_path / name)


def test_a_contact_sheet_shows_every_nth_frame_enlarged_under_its_label():
    clip = soft_clip(5, 30, 50)
    sheet = contact_sheet([("pan left", clip), ("a large one", torch.rand(2, 100, 200, 3))], every=2)
    # rows: label, 30 * 4 high, label, 100 high; columns: 3 frames of 50 * 4
    assert sheet.dtype == torch.uint8 and sheet.shape == (24 + 122 + 24 + 102, 3 * 202, 3)
    pixels = (clip * 255).round().byte()
    for cell, frame in enumerate((0, 2, 4)):
        assert torch.equal(sheet[24 : 24 + 120 : 4, 202 * cell : 202 * cell + 200 : 4], pixels[frame])
    assert (sheet[:24] < 128).any() and (sheet[170:, 202:] == 255).all()


def test_a_contact_sheet_needs_rows():
    with pytest.raises(MIVAError, match="needs rows"):
        contact_sheet([])


def test_a_png_comes_back(tmp_path: Path):
    image = (torch.rand(9, 7, 3) * 255).byte()
    write_png(image, tmp_path / "a.png")
    write_png(image.float() / 255, tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        assert np.array_equal(np.asarray(Image.open(tmp_path / name)), image.numpy())
    with pytest.raises(MIVAError, match=r"ending in \.png"):
        write_png(image, tmp_path / "a.jpg")
    with pytest.raises(MIVAError, match="A picture"):
        write_png(image[..., :1], tmp_path / "a.png")


def test_frames_over_masks() -> None:
    """Each subject has a colour of its own, and a later one lies on top."""
    frames = torch.rand(2, 3, 4, 3)
    left, right = torch.zeros(2, 2, 3, 4).unbind()
    left[..., :2], right[..., 1:3] = 1, 1
    shown = frames_over_masks(frames, [left, right])
    assert shown.shape == (2, 6, 4, 3)
    assert torch.equal(shown[:, :3], frames)
    below = shown[:, 3:]
    assert not below[:, :, 3].any()
    assert torch.equal(below[:, :, 1], below[:, :, 2]) and not torch.equal(below[:, :, 0], below[:, :, 1])
    half = frames_over_masks(frames, [left / 2])[:, 3:]
    torch.testing.assert_close(half[:, :, 0], below[:, :, 0] / 2)
    assert frames_over_masks(frames, [left] * 9).shape == shown.shape
