import struct
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from miva_core.errors import MIVAError, MIVAWarning
from miva_core.media import picture_decoding
from miva_core.media.pictures import fit_picture, parse_size, read_mask, read_picture

PHOTOGRAPH = Path(__file__).parents[3] / "workflows" / "pictures" / "miva_crab.jpg"
H, W = 12, 20


def ramp(peak: int, dtype: type) -> np.ndarray:
    """(H, W, 3) whose channels run along x, along y, and are constant: a swap of channels or axes shows."""
    y, x = np.mgrid[0:H, 0:W]
    values = np.stack([x / (W - 1), y / (H - 1), np.full((H, W), 0.25)], axis=-1)
    return (values * peak).astype(dtype)


def expected() -> torch.Tensor:
    return torch.from_numpy(ramp(1, np.float32))


def claim_png(width: int, height: int) -> bytes:
    """A PNG whose header names a size that its data does not have: a decompression bomb to whoever believes it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("extension", ["png", "bmp", "tiff", "ppm", "tga", "jpg", "webp", "avif"])
def test_the_usual_formats_are_read(tmp_path: Path, extension: str):
    path = tmp_path / f"ramp.{extension}"
    Image.fromarray(ramp(255, np.uint8)).save(path, quality=100)
    tolerance = 0.06 if extension in ("jpg", "webp", "avif") else 1 / 255
    picture = read_picture(path)
    assert picture.dtype == torch.float32 and picture.is_contiguous()
    torch.testing.assert_close(picture, expected(), atol=tolerance, rtol=0)


@pytest.mark.parametrize("name", ["rgb.png", "rgb.tif", "rgba.png", "rgba.tif", "bgr.ppm"])
def test_16_bits_a_channel_are_scaled_by_their_own_white(tmp_path: Path, name: str):
    """OpenCV writes these, Pillow reads them."""
    pixels = ramp(65535, np.uint16)[..., ::-1]
    if name.startswith("rgba"):
        pixels = np.dstack([pixels, np.full((H, W), 65535, np.uint16)])
    cv2.imwrite(str(tmp_path / name), pixels)
    torch.testing.assert_close(read_picture(tmp_path / name), expected(), atol=1 / 255, rtol=0)


@pytest.mark.parametrize("name", ["grey.png", "grey.tif", "grey.pgm"])
def test_16_bit_grey_keeps_its_depth(tmp_path: Path, name: str):
    cv2.imwrite(str(tmp_path / name), ramp(65535, np.uint16)[..., 0])
    grey = expected()[..., :1].expand(-1, -1, 3)
    torch.testing.assert_close(read_picture(tmp_path / name), grey, atol=2 / 65535, rtol=0)


@pytest.mark.parametrize("name", ["rgb.hdr", "rgb.pfm", "rgb.tif", "grey.pfm", "grey.tif"])
def test_floats_are_read_and_clipped(tmp_path: Path, name: str):
    pixels = ramp(1, np.float32) * 2 - 0.25 if not name.endswith("hdr") else ramp(2, np.float32)
    written = pixels[..., ::-1] if name.startswith("rgb") else pixels[..., 0]
    cv2.imwrite(str(tmp_path / name), np.ascontiguousarray(written))
    clipped = torch.from_numpy(pixels if name.startswith("rgb") else pixels[..., :1].repeat(3, -1)).clamp(0, 1)
    torch.testing.assert_close(read_picture(tmp_path / name), clipped, atol=0.02, rtol=0)


def test_float_pixels_that_are_no_numbers_become_black_or_white(tmp_path: Path):
    pixels = np.full((H, W), 0.5, np.float32)
    pixels[0, :3] = np.nan, np.inf, -np.inf
    Image.fromarray(pixels).save(tmp_path / "f.tif")
    assert read_picture(tmp_path / "f.tif")[0, :4, 0].tolist() == [0, 1, 0, 0.5]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LAB"])
def test_other_colour_modes_become_rgb(tmp_path: Path, mode: str):
    path = tmp_path / ("m.tif" if mode in ("CMYK", "YCbCr", "LAB") else "m.png")
    colour = (255, 255, 255) if mode in ("1", "L") else (255, 0, 0)
    image = Image.new("RGB", (W, H), colour)
    if mode == "LAB":
        image = Image.new("LAB", (W, H), (136, 208, 195))
    (image if mode == "LAB" else image.convert(mode)).save(path)
    torch.testing.assert_close(read_picture(path)[3, 3], torch.tensor(colour) / 255, atol=0.05, rtol=0)


def test_transparency_is_shown_over_white_and_told(tmp_path: Path):
    pixels = np.zeros((H, W, 4), np.uint8)
    pixels[..., 0] = 255
    pixels[:, :10, 3], pixels[:, 10:, 3] = 51, 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.warns(MIVAWarning, match=r"transparent in .*a\.png") as caught:
        picture = read_picture(tmp_path / "a.png")
    torch.testing.assert_close(picture[0, 0], torch.tensor([1, 0.8, 0.8]))
    torch.testing.assert_close(picture[0, 15], torch.tensor([1.0, 0, 0]))
    assert len(caught) == 1


@pytest.mark.parametrize("opacity", [250, 255])
def test_an_opaque_alpha_channel_is_not_worth_a_word(tmp_path: Path, opacity: int):
    """As with videos, where lossy codecs leave a little less than all."""
    Image.new("RGBA", (W, H), (1, 2, 3, opacity)).save(tmp_path / "a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(read_picture(tmp_path / "a.png")[0, 0], torch.tensor([1, 2, 3]) / 255)


@pytest.mark.filterwarnings("ignore:What is transparent:miva_core.errors.MIVAWarning")
def test_a_transparent_palette_colour_is_white(tmp_path: Path):
    image = Image.new("P", (W, H), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.save(tmp_path / "p.png", transparency=1)
    assert (read_picture(tmp_path / "p.png") == 1).all()


def test_exif_orientation_is_applied(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise by a quarter
    Image.fromarray(ramp(255, np.uint8)).save(tmp_path / "e.png", exif=exif)
    torch.testing.assert_close(read_picture(tmp_path / "e.png"), expected().rot90(-1), atol=1 / 255, rtol=0)


def test_an_animation_gives_its_first_frame(tmp_path: Path):
    images = [Image.new("RGB", (W, H), colour) for colour in ("red", "blue")]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:])
    assert read_picture(tmp_path / "a.gif")[0, 0].tolist() == [1, 0, 0]


def test_very_wide_pictures_under_the_limit_are_read(tmp_path: Path):
    Image.new("RGB", (20_000, 10), "red").save(tmp_path / "wide.png")
    assert read_picture(tmp_path / "wide.png").shape == (10, 20_000, 3)


@pytest.mark.parametrize("size", [(10_001, 10_000), (12_000, 12_000), (100_000, 100_000)])
def test_pictures_above_100_megapixels_are_refused_before_decoding(tmp_path: Path, size: tuple[int, int], recwarn):
    (tmp_path / "bomb.png").write_bytes(claim_png(*size))
    with pytest.raises(MIVAError, match="100 megapixels"):
        read_picture(tmp_path / "bomb.png")
    assert not recwarn.list


@pytest.mark.parametrize(
    "header",
    [
        b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 20000 +X 20000\n",
        b"PF\n20000 20000\n-1.0\n",
    ],
)
def test_float_pictures_are_refused_by_their_header_too(tmp_path: Path, header: bytes):
    (tmp_path / "bomb").write_bytes(header + b"\0" * 100)
    with pytest.raises(MIVAError, match="20000×20000"):
        read_picture(tmp_path / "bomb")


@pytest.mark.parametrize("size", [(1, 1), (7, 100), (100, 7)])
def test_pictures_below_8_pixels_a_side_are_refused(tmp_path: Path, size: tuple[int, int]):
    Image.new("RGB", size).save(tmp_path / "small.png")
    with pytest.raises(MIVAError, match=f"{size[0]}×{size[1]}: .* 8 pixels"):
        read_picture(tmp_path / "small.png")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"just some words\n" * 50, "looks like a text file"),
        ("wörter " * 200, "looks like a text file"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "looks like an SVG drawing"),
        (b"\0\0\0\x20ftypisom" + b"\0" * 100, "looks like a video"),
        (b"\x1aE\xdf\xa3" + b"\1" * 100, "looks like a video"),
        (b"\0\0\0\x20ftypheic" + b"\0" * 100, "looks like a HEIF picture"),
        (b"PK\x03\x04" + b"\0" * 100, "looks like a PyTorch checkpoint"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "looks like a text file"),
        (bytes(range(256)), "looks like a file of an unknown kind"),
    ],
)
def test_other_files_are_told_by_what_they_look_like(tmp_path: Path, content: bytes | str, message: str):
    path = tmp_path / "file.png"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(
        MIVAError,
        match=r"not a picture .*: copy",
    ) as raised:
        read_picture(path)
    assert message in str(raised.value)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of cut TIFF tags before it fails
@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "gif", "tif", "bmp", "hdr"])
@pytest.mark.parametrize("share", [0.02, 0.2, 0.3])
def test_truncated_pictures_are_one_clear_error(tmp_path: Path, extension: str, share: float):
    whole, cut = tmp_path / f"whole.{extension}", tmp_path / f"cut.{extension}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    cv2.imwrite(str(whole), noise.astype(np.float32) / 255 if extension == "hdr" else noise)
    data = whole.read_bytes()
    cut.write_bytes(data[: max(12, int(len(data) * share))])
    with pytest.raises(MIVAError, match=r"damaged or cut short|looks like"):
        read_picture(cut)


def test_a_false_size_in_the_header_of_a_radiance_picture_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """OpenCV reads the size after the first empty line; a comment may hold another."""
    cv2.imwrite(str(tmp_path / "x.hdr"), np.ones((200, 300, 3), np.float32))
    start, rest = (tmp_path / "x.hdr").read_bytes().split(b"\n", 1)
    (tmp_path / "x.hdr").write_bytes(start + b"\n-Y 8 +X 8\n" + rest)
    monkeypatch.setattr(picture_decoding, "MAX_PIXELS", 50_000)
    with pytest.raises(MIVAError, match="300×200"):
        read_picture(tmp_path / "x.hdr")


def test_missing_folder_and_empty_are_told(tmp_path: Path):
    (tmp_path / "empty.png").touch()
    for path, message in [("no.png", "There is no picture"), (".", "is a folder"), ("empty.png", "is empty")]:
        with pytest.raises(MIVAError, match=message):
            read_picture(tmp_path / path)


@pytest.mark.parametrize(
    ("text", "size"), [("160x96", (96, 160)), ("128", (128, 128)), (" 64 X 32 ", (32, 64)), ("512×320", (320, 512))]
)
def test_sizes_are_width_by_height(text: str, size: tuple[int, int]):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "160x", "x96", "-16x16", "16.5", "1e3", "10x10x10", "0", "4x128", "9000"])
def test_other_sizes_are_refused(text: str):
    with pytest.raises(MIVAError, match="The size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("picture", "size", "how", "note"),
    [
        ((800, 1200), (128, 128), "crop", "centre-cropped 1200×800 to 800×800, scaled to 128×128"),
        ((96, 160), (96, 96), "crop", "centre-cropped 160×96 to 96×96"),
        ((64, 64), (128, 128), "crop", "scaled 64×64 to 128×128"),
        ((128, 96), (128, 96), "crop", ""),
        ((800, 1200), (128, 128), "pad", "scaled 1200×800 to 128×85, padded to 128×128"),
        ((96, 160), (160, 160), "pad", "padded 160×96 to 160×160"),
        ((256, 256), (128, 128), "pad", "scaled 256×256 to 128×128"),
        ((128, 96), (128, 96), "pad", ""),
        ((8, 2000), (64, 64), "crop", "centre-cropped 2000×8 to 8×8, scaled to 64×64"),
        ((8, 2000), (64, 64), "pad", "scaled 2000×8 to 64×1, padded to 64×64"),
    ],
)
def test_fitting_gives_the_size_and_tells_what_it_did(picture, size, how, note):
    fitted, described = fit_picture(torch.rand(*picture, 3), size, how)
    assert fitted.shape == (*size, 3) and fitted.is_contiguous()
    assert described == note and fitted.min() >= 0 and fitted.max() <= 1


def test_a_crop_keeps_the_centre_and_a_pad_keeps_everything():
    picture = expected()
    assert torch.equal(fit_picture(picture, (H, H))[0], picture[:, 4:16])
    padded, _ = fit_picture(picture, (W, W), "pad")
    assert torch.equal(padded[4:16], picture)
    assert (padded[:4] == picture[0]).all() and (padded[16:] == picture[-1]).all()


def test_scaling_down_is_antialiased():
    """One-pixel stripes must become grey, not stripes of another width."""
    stripes = (torch.arange(512) % 2).float()[None, :, None].expand(512, 512, 3)
    fitted, _ = fit_picture(stripes, (100, 100))
    torch.testing.assert_close(fitted[:, 5:-5], torch.full((100, 90, 3), 0.5), atol=0.05, rtol=0)


def test_wrong_fits_are_refused():
    picture = torch.rand(16, 16, 3)
    with pytest.raises(MIVAError, match="'crop' or 'pad'"):
        fit_picture(picture, (8, 8), "stretch")
    with pytest.raises(MIVAError, match="not possible"):
        fit_picture(picture, (0, 8))
    with pytest.raises(MIVAError, match=r"\(H, W, 3\)"):
        fit_picture(picture[..., :1], (8, 8))


# --- masks -----------------------------------------------------------------------------------------------------------


def test_a_mask_is_the_brightness_of_an_opaque_picture(tmp_path: Path) -> None:
    levels = np.arange(100, dtype=np.uint8).reshape(10, 10)
    Image.fromarray(levels).save(tmp_path / "grey.png")
    Image.fromarray(np.dstack([levels, levels * 0, levels * 0])).save(tmp_path / "red.png")
    torch.testing.assert_close(read_mask(tmp_path / "grey.png"), torch.from_numpy(levels) / 255)
    torch.testing.assert_close(read_mask(tmp_path / "red.png"), torch.from_numpy(levels) / 255)


def test_painted_masks_are_no_pictures_in_colours(tmp_path: Path) -> None:
    """Soft, tinted and compressed, or with two parts in colours of their own."""
    far = np.hypot(*np.mgrid[-60:60, -80:80])
    soft, parts = np.clip(far * 4 - 60, 0, 255), np.zeros((120, 160, 3))
    parts[:, :70, 0], parts[:, 90:, 1] = np.split(np.clip(far * 20 - 800, 0, 255), [70, 90], axis=1)[::2]
    for name, pixels in {"tinted": soft[..., None] * [1, 0.94, 0.8], "parts": parts}.items():
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{name}.jpg", quality=60)
        assert (read_mask(tmp_path / f"{name}.jpg") - torch.from_numpy(pixels.max(-1) / 255)).abs().mean() < 0.06


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_photograph_is_no_mask(tmp_path: Path, kind: type) -> None:
    photograph = read_picture(PHOTOGRAPH).numpy() * np.iinfo(kind).max
    cv2.imwrite(str(tmp_path / "photograph.png"), photograph.astype(kind))
    with pytest.raises(MIVAError, match=r"photograph\.png is a picture in colours, but a mask is white on what it"):
        read_mask(tmp_path / "photograph.png")


def test_black_and_white_counts_though_a_corner_be_transparent(tmp_path: Path) -> None:
    white = np.zeros((20, 20), np.uint8)
    white[4:9, 4:9] = 255
    alpha = np.full_like(white, 255)
    alpha[:3, :3], alpha[6, 6] = 0, 254
    Image.fromarray(np.dstack([white, white, white, alpha])).save(tmp_path / "mask.png")
    torch.testing.assert_close(read_mask(tmp_path / "mask.png"), torch.from_numpy(white) / 255, rtol=0, atol=0.01)


@pytest.mark.filterwarnings("ignore:The mask .* was taken from its transparency:miva_core.errors.MIVAWarning")
def test_a_mask_is_the_opaque_part_of_a_cut_out(tmp_path: Path) -> None:
    """Whatever its colours."""
    alpha = np.zeros((10, 10), np.uint8)
    alpha[2:5, 3:8], alpha[7, 7] = 255, 51
    for name, colour in (("white", 255), ("black", 0)):
        Image.fromarray(np.dstack([np.full((10, 10, 3), colour, np.uint8), alpha])).save(tmp_path / f"{name}.png")
        torch.testing.assert_close(read_mask(tmp_path / f"{name}.png"), torch.from_numpy(alpha) / 255)
    palette = Image.fromarray(alpha // 255 * 1).convert("P")
    palette.save(tmp_path / "palette.png", transparency=0)
    torch.testing.assert_close(read_mask(tmp_path / "palette.png"), torch.from_numpy(alpha == 255).float())


def test_a_cut_out_is_told(tmp_path: Path) -> None:
    Image.fromarray(np.arange(400, dtype=np.uint8).reshape(10, 10, 4)).save(tmp_path / "cut.png")
    with pytest.warns(MIVAWarning, match=r"cut\.png .* from its transparency"):
        read_mask(tmp_path / "cut.png")


def test_what_is_no_mask_is_named(tmp_path: Path) -> None:
    with pytest.raises(MIVAError, match="nothing"):
        read_mask(tmp_path / "nothing.png")


def test_labels_are_a_mask(tmp_path: Path) -> None:
    labels = np.zeros((40, 30), np.uint8)
    labels[5:20, 8:25] = 1
    Image.fromarray(labels).save(tmp_path / "labels.png")
    assert torch.equal(read_mask(tmp_path / "labels.png"), torch.from_numpy(labels).float())
