"""Folders as people and other trainers lay them out: what can be read is read, the rest is told with the reason."""

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from video_files import read_at_constant_rate

from miva_core.clips.files import read_clips
from miva_core.clips.stills import find_stills, read_stills
from miva_core.clips.training_clip import ClipSpec
from miva_core.errors import MIVAError, MIVAWarning

SPEC = ClipSpec(size=(16, 24), frames=3, fps=10)
GREYS = (40, 90, 140, 190)


def frames(greys: tuple[int, ...] = GREYS) -> list[Image.Image]:
    return [Image.new("RGB", (24, 16), (grey,) * 3) for grey in greys]


def write_animation(path: Path, kind: str = "PNG", **options: object) -> None:
    path.parent.mkdir(exist_ok=True)
    first, *others = frames()
    first.save(path, kind, save_all=True, append_images=others, duration=100, lossless=True, **options)


def write_frames(folder: Path, greys: tuple[int, ...] = GREYS) -> None:
    folder.mkdir(parents=True)
    for k, frame in enumerate(frames(greys)):
        frame.save(folder / f"{k}.png")


def warned(read: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read()
    return [str(one.message) for one in caught]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jfif", "JPEG"),
        ("a.JPE", "JPEG"),
        ("a.apng", "PNG"),
        ("a.gif", "GIF"),
        ("a.tga", "TGA"),
        ("a.jp2", "JPEG2000"),
        ("a.ppm", "PPM"),
        ("a.qoi", "QOI"),
    ],
)
def test_stills_of_rarer_endings_are_read(tmp_path: Path, name: str, kind: str) -> None:
    if kind == "QOI" and "QOI" not in Image.SAVE:
        pytest.skip("This Pillow writes no QOI")
    frames()[1].save(tmp_path / name, kind)
    ((stem, picture),) = read_stills(tmp_path)
    assert stem == "a" and (picture * 255 - GREYS[1]).abs().max() <= 1
    assert warned(lambda: find_stills(tmp_path)) == []


@pytest.mark.parametrize("ending", ["apng", "png"])
def test_of_an_animated_png_a_still_is_the_first_frame_and_a_clip_is_all(tmp_path: Path, ending: str) -> None:
    write_animation(tmp_path / f"a.{ending}")
    (clip,) = read_clips(tmp_path, SPEC, masks=0)
    assert clip.name == "a" and clip.frames[:, 0, 8, 8].tolist() == list(GREYS)
    assert read_at_constant_rate(tmp_path / f"a.{ending}")[1] == pytest.approx(10)
    ((_, picture),) = read_stills(tmp_path)
    assert (picture * 255 - GREYS[0]).abs().max() <= 1


def test_a_picture_in_front_of_an_animated_png_is_no_frame(tmp_path: Path) -> None:
    write_animation(tmp_path / "a.apng", default_image=True)
    assert (read_at_constant_rate(tmp_path / "a.apng")[0][:, 8, 8, 0] * 255).round().tolist() == list(GREYS[1:])


def test_a_still_png_among_clips_is_told(tmp_path: Path) -> None:
    frames()[0].save(tmp_path / "a.apng", "PNG")
    with pytest.raises(MIVAError, match=r"a\.apng .* still PNG picture"):
        read_clips(tmp_path, SPEC, masks=0)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.gif", "GIF"), ("a.webp", "WEBP"), ("a.apng", "PNG"), ("b.png", "PNG"), ("a.mp4", "")],
    ids=lambda name: name,
)
@pytest.mark.parametrize("thumbnail", [False, True])
def test_clips_one_folder_deeper_are_no_frames_and_it_is_told_where_they_are(
    tmp_path: Path, name: str, kind: str, thumbnail: bool
) -> None:
    """As other trainers have them: a folder's name says how often its clips are met."""
    deeper = tmp_path / "10_jump"
    deeper.mkdir()
    if kind:
        write_animation(deeper / name, kind)
    else:
        (deeper / name).write_bytes(b"read only if its folder is chosen")
    if thumbnail:
        frames()[0].save(deeper / "c.png")
    (deeper / "a.txt").write_text("a dog jumps")
    message = r"10_jump \(with 1 inside: choose such a folder itself\)"
    with pytest.raises(MIVAError, match=rf"no clips .*, but {message}\.$"):
        read_clips(tmp_path, SPEC, masks=0)
    write_frames(tmp_path / "run")
    with pytest.warns(MIVAWarning, match=rf"^Passed over .*: {message}\.$"):
        assert [clip.name for clip in read_clips(tmp_path, SPEC, masks=0)] == ["run"]


def test_a_folder_of_still_webp_and_png_is_a_clip(tmp_path: Path) -> None:
    for ending, kind in (("webp", "WEBP"), ("apng", "PNG")):
        folder = tmp_path / ending
        folder.mkdir()
        for k, frame in enumerate(frames()):
            frame.save(folder / f"{k}.{ending}", kind, lossless=True)
    for clip in read_clips(tmp_path, SPEC, masks=0):
        assert clip.frames[:, 0, 8, 8].tolist() == list(GREYS)


def test_what_belongs_there_is_not_worth_a_word(tmp_path: Path) -> None:
    write_frames(tmp_path / "clips" / "a")
    write_frames(tmp_path / "clips" / "a_masks", (255,) * 4)
    write_frames(tmp_path / "clips" / "rain.training")
    (tmp_path / "clips" / "empty").mkdir()
    write_frames(tmp_path / "stills")
    for folder in (tmp_path / "clips", tmp_path / "stills"):
        for name in ("a.txt", "a.caption", "a_flow.json", ".DS_Store", "Thumbs.db", "desktop.ini", "cache.npz"):
            (folder / name).write_bytes(b"?")
    frames()[0].save(tmp_path / "stills" / "0_mask.png")
    assert warned(lambda: read_clips(tmp_path / "clips", SPEC, masks=0)) == []
    assert warned(lambda: find_stills(tmp_path / "stills")) == []


def test_what_is_passed_over_is_named_by_reason_and_many_are_counted(tmp_path: Path) -> None:
    write_frames(tmp_path / "5_house")
    (tmp_path / "5_raw").mkdir()
    frames()[0].save(tmp_path / "a.jpg")
    for name in (*(f"{k}.HEIC" for k in range(7)), "b.psd", "c.dng", "d.mp4", "e.xyz", "no_ending", "5_raw/x.cr2"):
        (tmp_path / name).write_bytes(b"?")
    (message,) = warned(lambda: read_stills(tmp_path))
    assert message == (
        f"Passed over in {tmp_path}, which is read for stills: 0.HEIC, 1.HEIC, 2.HEIC and 4 more (HEIF, which cannot "
        "be read: convert to JPEG); 5_house (with 4 inside: choose such a folder itself); 5_raw (a folder in which "
        "nothing can be read); b.psd (cannot be read: export as PNG or JPEG); c.dng (camera raw, which cannot be read: "
        "export as JPEG); d.mp4 (a video, which is no still); e.xyz, no_ending (of a kind that is not known here)."
    )
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(MIVAError, match=r"2\.HEIC and 4 more \("):
        read_stills(tmp_path)


def test_loose_pictures_among_clips_are_told(tmp_path: Path) -> None:
    write_frames(tmp_path / "a")
    frames()[0].save(tmp_path / "b.png")
    (message,) = warned(lambda: read_clips(tmp_path, SPEC, masks=0))
    assert "b.png (pictures: a clip's frames, or masks, go into a folder of their own)" in message


def test_names_that_spoil_a_line_are_told_in_ascii(tmp_path: Path) -> None:
    write_frames(tmp_path / "a")
    (tmp_path / "b\n\x1b[31m.xyz").write_bytes(b"?")
    (message,) = warned(lambda: read_clips(tmp_path, SPEC, masks=0))
    assert r"'b\n\x1b[31m.xyz'" in message and message.isprintable()


def test_a_folder_that_cannot_be_opened_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked").mkdir()
    write_frames(tmp_path / "run")
    frames()[0].save(tmp_path / "a.png")
    usual = Path.iterdir

    def refuse(path: Path) -> object:
        if path.name == "locked":
            raise PermissionError(13, "Permission denied")
        return usual(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    for read in (lambda folder: read_clips(folder, SPEC, masks=0), read_stills):
        with pytest.raises(MIVAError, match="locked cannot be opened"):
            read(tmp_path / "locked")
        # As lost+found is, beside what can be read.
        (message,) = warned(lambda read=read: read(tmp_path))
        assert "locked (a folder that cannot be opened)" in message


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
@pytest.mark.filterwarnings("ignore:Passed over:miva_core.errors.MIVAWarning")
def test_a_pipe_among_clips_and_stills_is_told(tmp_path: Path) -> None:
    """To open one would wait for ever."""
    write_frames(tmp_path / "run")
    os.mkfifo(tmp_path / "p.png")
    program = (
        "import sys; from pathlib import Path; from miva_core.clips.files import ClipSpec, read_clips\n"
        "print(len(read_clips(Path(sys.argv[1]), ClipSpec((16, 24), 3, 10), masks=0)))"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=20)
    assert done.stdout == "1\n" and "p.png" in done.stderr
    with pytest.raises(MIVAError, match=r"p\.png is neither a file"):
        read_stills(tmp_path)


@pytest.mark.parametrize("read", [lambda folder: read_clips(folder, SPEC, masks=0), read_stills])
def test_clips_and_stills_two_folders_deeper_are_not_called_unreadable(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    write_frames(tmp_path / "set" / "10_jump" / "a")
    message = r"set \(a folder of folders: choose the one that holds what is to be read\)"
    with pytest.raises(MIVAError, match=message):
        read(tmp_path)


def test_what_is_no_frame_in_a_folder_of_frames_is_told(tmp_path: Path) -> None:
    """A clip with holes would be learnt; masks may have them as well."""
    for name, greys in (("a", GREYS), ("a_masks", (255,) * 4)):
        write_frames(tmp_path / name, greys)
        (tmp_path / name / "2b.heic").write_bytes(b"?")
        (tmp_path / name / "notes.txt").write_text("routine")
    messages = warned(lambda: read_clips(tmp_path, SPEC, masks=1))
    assert messages == [
        f"Passed over in {tmp_path / name}, which is read for frames: 2b.heic (HEIF, which cannot be read: convert to "
        "JPEG)."
        for name in ("a", "a_masks")
    ]


def test_transparent_stills_are_told_once_for_all(tmp_path: Path) -> None:
    for k in range(5):
        Image.new("RGBA", (24, 16), (0, 0, 0, 51 * k)).save(tmp_path / f"{k}.png")
    frames()[0].save(tmp_path / "opaque.png")
    read: list[tuple[str, torch.Tensor]] = []
    messages = warned(lambda: read.extend(read_stills(tmp_path)))
    assert messages == ["What is transparent in 0.png, 1.png, 2.png and 2 more is shown over white."]
    greys = [round(picture[0, 0, 0].item() * 255) for _, picture in read]
    assert greys == [255, 204, 153, 102, 51, GREYS[0]]


def test_the_command_line_tells_it(folder: Path, run: Callable[..., str]) -> None:
    (folder / "stills").mkdir()
    Image.fromarray((torch.rand(64, 64, 3) * 255).byte().numpy()).save(folder / "stills" / "a.jfif", "JPEG")
    (folder / "stills" / "b.heic").write_bytes(b"?")
    size = ("--size", "16x16", "--frames", "2", "--speed", "0.1")
    output = run("motion-clips", "stills", "--motion", "pan-left", "--out", "clips", *size)
    skipped = "Passed over in stills, which is read for stills: b.heic (HEIF, which cannot be read: convert to JPEG)."
    assert skipped in output
    assert len(list((folder / "clips").glob("a_*.mp4"))) == 5
