"""Pictures that are damaged a little, and pictures that are larger than they are needed."""

import io
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from miva_core.clips.camera import CAMERA_MOTIONS
from miva_core.errors import MIVAError, MIVAWarning
from miva_core.filming.shooting import Shooting
from miva_core.media.pictures import fit_picture, read_large_picture, read_mask, read_picture

PIXELS = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
LONG = zlib.compress(b"x" * 2_000_000)


def chunk(kind: bytes, data: bytes, checksum: int = 0) -> bytes:
    """A part of a PNG; another number than 0 spoils its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) ^ checksum)


def encoded(kind: str, pixels: np.ndarray = PIXELS, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def png(*, before: bytes = b"", behind: bytes = b"", pixels: np.ndarray = PIXELS) -> bytes:
    """A PNG with something before or behind its pixels."""
    plain = encoded("PNG", pixels)
    return plain[:33] + before + plain[33:-12] + behind + plain[-12:]


def exactly(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels / 255).float()


@pytest.mark.parametrize(
    "content",
    [
        png(before=chunk(b"zTXt", b"workflow\0\0" + LONG)),
        png(before=chunk(b"iTXt", b"workflow\0\1\0\0\0" + LONG)),
        png(behind=chunk(b"zTXt", b"workflow\0\0" + LONG)),
        png(before=chunk(b"tEXt", b"prompt\0a cat", checksum=1)),
        png(before=chunk(b"gAMA", struct.pack(">I", 45455), checksum=1)),
    ],
    ids=["a long text", "a long international text", "a long text at the end", "a wrong checksum", "another"],
)
def test_what_is_damaged_beside_the_pixels_is_left_out_and_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.warns(MIVAWarning, match=r"beside the pixels of .*a\.png") as caught:
        picture = read_picture(tmp_path / "a.png")
    assert len(caught) == 1 and torch.equal(picture, exactly(PIXELS))


def test_what_needs_no_mending_is_not_worth_a_word(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(before=chunk(b"tEXt", b"workflow\0" + b"x" * 2_000_000)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(read_picture(tmp_path / "a.png"), exactly(PIXELS))


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_end_mark_is_read(tmp_path: Path, progressive: bool) -> None:
    whole = encoded("JPEG", progressive=progressive)
    (tmp_path / "whole.jpg").write_bytes(whole)
    (tmp_path / "cut.jpg").write_bytes(whole[:-2])
    with pytest.warns(MIVAWarning, match=r"cut\.jpg .* end is missing"):
        picture = read_picture(tmp_path / "cut.jpg")
    assert torch.equal(picture, read_picture(tmp_path / "whole.jpg"))


def framed(colour: int) -> np.ndarray:
    """(64, 48, 3) uint8 of a scene within a border of one grey, half of the picture."""
    pixels = np.full((64, 48, 3), colour, np.uint8)
    pixels[16:48] = scene(32, 48)
    return pixels


@pytest.mark.parametrize("colour", [0, 255], ids=["letterboxed", "on white"])
@pytest.mark.parametrize("progressive", [False, True])
def test_rows_of_one_colour_are_not_taken_for_lost_ones(tmp_path: Path, colour: int, progressive: bool) -> None:
    whole = encoded("JPEG", framed(colour), progressive=progressive)
    (tmp_path / "whole.jpg").write_bytes(whole)
    (tmp_path / "cut.jpg").write_bytes(whole[:-2])
    with pytest.warns(MIVAWarning, match=r"cut\.jpg .* end is missing"):
        picture = read_picture(tmp_path / "cut.jpg")
    assert torch.equal(picture, read_picture(tmp_path / "whole.jpg"))


def test_a_mask_without_its_end_mark_is_read(tmp_path: Path) -> None:
    pixels = np.zeros((64, 48), np.uint8)
    pixels[20:40, 10:30] = 255
    whole = encoded("JPEG", pixels)
    (tmp_path / "whole.jpg").write_bytes(whole)
    (tmp_path / "cut.jpg").write_bytes(whole[:-2])
    with pytest.warns(MIVAWarning, match="its end is missing"):
        assert torch.equal(read_mask(tmp_path / "cut.jpg"), read_mask(tmp_path / "whole.jpg"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_of_half_a_photo_it_is_told_what_is_missing_however_it_is_turned(
    tmp_path: Path, orientation: int, mode: str
) -> None:
    """Turned upright, what is missing lies at any side of it."""
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).convert(mode).save(file, "JPEG", exif=exif)
    (tmp_path / "cut.jpg").write_bytes(file.getvalue()[: len(file.getvalue()) * 6 // 10])
    with pytest.warns(MIVAWarning, match=r"cut\.jpg .* [2-7]\d\.\d%"):
        read_picture(tmp_path / "cut.jpg")


@pytest.mark.parametrize("kind", ["PNG", "PPM", "TGA", "BMP"])
def test_a_picture_that_lacks_a_few_rows_is_read_and_it_is_told_how_many(tmp_path: Path, kind: str) -> None:
    content = encoded(kind)
    (tmp_path / "cut").write_bytes(content[: len(content) * 15 // 16])
    with pytest.warns(MIVAWarning, match=r"cut .* [4-9]\.\d%"):
        picture = read_picture(tmp_path / "cut")
    rows = (picture == exactly(PIXELS)).all(-1).all(-1)
    assert 58 <= rows.sum() <= 61


@pytest.mark.parametrize("flag", [False, True])
def test_what_is_there_is_read_as_load_image_does_and_told_whatever_others_have_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flag: bool
) -> None:
    """Some packs let Pillow take all that is cut, for the whole process."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", flag)
    for kind in ("PNG", "JPEG", "PPM"):
        content = encoded(kind)
        (tmp_path / "cut").write_bytes(content[: len(content) * 8 // 10])
        with pytest.warns(MIVAWarning, match=r"cut .* \d+\.\d%"):
            picture = read_picture(tmp_path / "cut")
        assert flag is ImageFile.LOAD_TRUNCATED_IMAGES
        with monkeypatch.context() as lenient:
            lenient.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
            assert torch.equal(picture, exactly(np.asarray(Image.open(tmp_path / "cut").convert("RGB"))))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "PPM"])
def test_one_that_lacks_most_is_refused(tmp_path: Path, kind: str) -> None:
    content = encoded(kind)
    (tmp_path / "cut").write_bytes(content[: len(content) * 3 // 10])
    with pytest.raises(MIVAError, match=r"cut is damaged"):
        read_picture(tmp_path / "cut")


def test_spoilt_pixels_are_not_taken_for_a_spoilt_text(tmp_path: Path) -> None:
    content = bytearray(encoded("PNG", scene(64, 48)))
    content[len(content) // 3] ^= 0xFF
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(MIVAError, match="damaged or cut short"):
        read_picture(tmp_path / "a.png")


def test_masks_are_mended_too(tmp_path: Path) -> None:
    grey = PIXELS[..., 0]
    spoilt = chunk(b"tEXt", b"prompt\0a cat", checksum=1)
    (tmp_path / "a.png").write_bytes(png(before=spoilt, pixels=grey))
    with pytest.warns(MIVAWarning, match="beside the pixels"):
        assert torch.equal(read_mask(tmp_path / "a.png"), exactly(grey))


def test_a_bomb_stays_refused_though_it_is_damaged(tmp_path: Path) -> None:
    plain = png(before=chunk(b"tEXt", b"prompt\0a cat", checksum=1))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0))
    (tmp_path / "bomb.png").write_bytes(plain[:8] + header + plain[33:])
    with pytest.raises(MIVAError, match="100 megapixels"):
        read_picture(tmp_path / "bomb.png")


@pytest.mark.filterwarnings("ignore::miva_core.errors.MIVAWarning")
def test_many_threads_leave_pillow_as_it_was(tmp_path: Path) -> None:
    whole = encoded("JPEG")
    contents = {"whole": whole, "cut": whole[:-2], "fifth": whole[: len(whole) // 5]}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)

    def outcome(name: str) -> bool:
        try:
            return read_picture(tmp_path / name).shape == (64, 48, 3)
        except MIVAError:
            return False

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(outcome, [*contents] * 40)) == [True, True, False] * 40
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_what_others_set_while_a_picture_is_decoded_stays_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)
    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    usual = Image.open

    def open_meanwhile(*args: object, **options: object) -> Image.Image:
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        return usual(*args, **options)

    monkeypatch.setattr(Image, "open", open_meanwhile)
    read_picture(tmp_path / "a.png")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_a_picture_that_the_memory_does_not_hold_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By Pillow and by OpenCV."""
    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    cv2.imwrite(str(tmp_path / "a.hdr"), PIXELS.astype(np.float32))

    def refuse(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load_prepare", refuse)
    monkeypatch.setattr(cv2, "imdecode", refuse)
    for name in ("a.png", "a.hdr"):
        with pytest.raises(MIVAError, match=rf"memory to decode .*{name}"):
            read_picture(tmp_path / name)


# --- larger than needed ----------------------------------------------------------------------------------------------


def scene(height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8 of waves that survive scaling."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / width * 20), np.cos(y / height * 14), np.sin((x / width + y / height) * 9)]
    return np.uint8(np.stack(waves, axis=-1) * 120 + 128)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "grey.png", "deep.png", "a.hdr", "a.tif"])
@pytest.mark.parametrize("how", ["crop", "pad"])
def test_a_large_picture_is_read_smaller_and_looks_the_same(tmp_path: Path, name: str, how: str) -> None:
    pixels, path = scene(900, 1400), tmp_path / name
    if name == "deep.png":
        cv2.imwrite(str(path), pixels[..., 0].astype(np.uint16) * 257)
    elif name == "a.hdr":
        cv2.imwrite(str(path), pixels.astype(np.float32) / 255)
    else:
        Image.fromarray(pixels[..., 0] if name == "grey.png" else pixels).save(path)
    whole, (small, size) = read_picture(path), read_large_picture(path, 100)
    assert size == (900, 1400) == whole.shape[:2]
    assert 200 <= small.shape[0] <= 250 and small.shape[1] / small.shape[0] == pytest.approx(1400 / 900, rel=0.01)
    expected, description = fit_picture(whole, (64, 96), how)
    fitted, same = fit_picture(small, (64, 96), how, size)
    assert same == description and "1400×900" in description
    torch.testing.assert_close(fitted, expected, atol=0.02, rtol=0)


@pytest.mark.parametrize("name", ["a.hdr", "a.pfm", "a.tif"])
def test_floats_beyond_white_do_not_spread_when_scaled_down(tmp_path: Path, name: str) -> None:
    """One pixel in 16 is far above white: it is a white one."""
    pixels = np.zeros((800, 800, 3), np.float32)
    pixels[::4, ::4] = 50
    cv2.imwrite(str(tmp_path / name), pixels)
    small, size = read_large_picture(tmp_path / name, 64)
    fitted = fit_picture(small, (64, 64))[0]
    assert small.shape[0] < size[0] == 800
    torch.testing.assert_close(fitted, fit_picture(read_picture(tmp_path / name), (64, 64))[0], atol=0.02, rtol=0)
    assert fitted.mean() == pytest.approx(1 / 16, abs=0.01)


def test_floats_that_are_no_numbers_spoil_no_others_when_scaled_down(tmp_path: Path) -> None:
    pixels = np.full((800, 800), 0.5, np.float32)
    pixels[::100, ::100] = np.nan
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    assert (read_large_picture(tmp_path / "a.tif", 64)[0] > 0.45).all()


def test_what_is_not_much_larger_is_read_as_it_is(tmp_path: Path) -> None:
    Image.fromarray(scene(399, 500)).save(tmp_path / "a.png")
    picture, size = read_large_picture(tmp_path / "a.png", 100)
    assert size == (399, 500) and torch.equal(picture, read_picture(tmp_path / "a.png"))


@pytest.mark.parametrize("extension", ["jpg", "png", "tif"])
def test_a_large_picture_is_turned_upright_and_told_so(tmp_path: Path, extension: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(scene(900, 1400)).save(tmp_path / f"a.{extension}", exif=exif)
    picture, size = read_large_picture(tmp_path / f"a.{extension}", 100)
    assert size == (1400, 900) and picture.shape[0] > picture.shape[1]
    expected = read_picture(tmp_path / f"a.{extension}")
    assert expected.shape[:2] == size
    torch.testing.assert_close(fit_picture(picture, (96, 64))[0], fit_picture(expected, (96, 64))[0], atol=0.02, rtol=0)


@pytest.mark.filterwarnings("ignore:What is transparent:miva_core.errors.MIVAWarning")
def test_colours_that_are_transparent_do_not_show_when_scaled_down(tmp_path: Path) -> None:
    """Black lies unseen beside an opaque white half."""
    pixels = np.zeros((800, 800, 4), np.uint8)
    pixels[:, 399:] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_large_picture(tmp_path / "a.png", 50)[0].min() == 1


@pytest.mark.parametrize("motion", CAMERA_MOTIONS)
@pytest.mark.parametrize("frames", [16, 400])
def test_stills_keep_what_their_filming_needs(motion: str, frames: int) -> None:
    """A way of many frames leads far over the picture."""
    shooting = Shooting(motion, (40, 64), frames, speed=0.5)
    corners = torch.tensor([[x, y, 1.0] for x in (-32, 32) for y in (-20, 20)])
    seen = torch.stack([corners @ transform.T for transform in shooting.transforms()]).flatten(0, 1)
    assert shooting.needed_side >= 2 * (seen.amax(0) - seen.amin(0)).amax()


def test_a_picture_of_16_megapixels_takes_little_memory(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="Windows tells of no such peak")
    pixels = np.broadcast_to(scene(1, 4000), (4000, 4000, 3))
    Image.fromarray(pixels).save(tmp_path / "a.jpg")
    script = (
        "import resource, sys; from miva_core.media.pictures import read_large_picture\n"
        "import numpy, PIL.Image, torch\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "read_large_picture(sys.argv[1], 512)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    run = [sys.executable, "-c", script, str(tmp_path / "a.jpg")]
    done = subprocess.run(run, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True)
    taken = int(done.stdout)
    assert taken * (1 if sys.platform == "darwin" else 1024) < 60 * 2**20  # as floats it would be 192 MB
