"""Photos from any camera or editor are read alike; what is no photo is refused with the mend."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms
from portraits import astronaut

from avatar.errors import InputError
from avatar.sources.photo import BACKGROUND, MAX_PIXELS, MAX_SIDE_PX, load_photo


def close(picture: np.ndarray, expected: np.ndarray, tolerance: float = 4.0) -> bool:
    return picture.shape == expected.shape and float(np.abs(picture.astype(int) - expected).mean()) < tolerance


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp", "ppm", "jp2"])
def test_formats_give_upright_rgb(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(astronaut()).save(path)
    picture = load_photo(path)
    assert picture.dtype == np.uint8
    assert picture.flags.writeable
    assert close(picture, astronaut())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    upright = astronaut()[:400]
    undo = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    stored = Image.fromarray(upright) if undo is None else Image.fromarray(upright).transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    stored.save(path, exif=exif)
    assert close(load_photo(path), upright)


def test_damaged_exif_does_not_spoil_a_good_photo(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(astronaut()).save(path, exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x7fgarbage")
    assert close(load_photo(path), astronaut())


def test_greyscale_palette_and_one_bit(tmp_path: Path) -> None:
    image = Image.fromarray(astronaut())
    grey = np.repeat(np.asarray(image.convert("L"))[..., None], 3, axis=2)
    for mode, expected, tolerance in (("L", grey, 1.0), ("P", astronaut(), 16.0), ("1", grey, 100.0)):
        path = tmp_path / f"{mode}.png"
        image.convert(mode).save(path)
        assert close(load_photo(path), expected, tolerance), mode


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_over_grey(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(astronaut()).convert(mode)
    alpha = np.zeros((512, 512), np.uint8)
    alpha[:256] = 255
    image.putalpha(Image.fromarray(alpha))
    path = tmp_path / "a.png"
    image.save(path)
    picture = load_photo(path)
    assert np.all(picture[256:] == BACKGROUND)
    expected = astronaut() if mode == "RGBA" else np.asarray(image.convert("L").convert("RGB"))
    assert close(picture[:256], expected[:256], 1.0)


def test_a_transparent_palette_colour_is_laid_over_grey(tmp_path: Path) -> None:
    image = Image.new("P", (64, 64), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.paste(1, (0, 0, 32, 64))
    path = tmp_path / "a.gif"
    image.save(path, transparency=0)
    picture = load_photo(path)
    assert np.all(picture[:, 40:] == BACKGROUND)
    assert np.all(picture[:, :24] == (0, 255, 0))


def test_cmyk_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(astronaut()).convert("CMYK").save(path, quality=95)
    assert close(load_photo(path), astronaut())


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    grey = np.asarray(Image.fromarray(astronaut()).convert("L"))
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(grey.astype(np.uint16) * 257).save(path)
    picture = load_photo(path)
    assert np.array_equal(picture[..., 0], grey)


def test_sixteen_bit_colour_is_scaled_not_clipped(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    assert cv2.imwrite(str(path), np.ascontiguousarray(astronaut()[..., ::-1]).astype(np.uint16) * 257)
    assert close(load_photo(path), astronaut(), 1.0)


def test_a_colour_profile_is_converted(tmp_path: Path) -> None:
    plain, tagged = tmp_path / "plain.png", tmp_path / "tagged.png"
    Image.fromarray(astronaut()).save(plain)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(astronaut()).save(tagged, icc_profile=profile)
    assert close(load_photo(tagged), load_photo(plain), 1.0)
    Image.fromarray(astronaut()).save(tagged, icc_profile=b"no profile at all")
    assert np.array_equal(load_photo(tagged), load_photo(plain))


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_hundred_megapixels_are_shrunk(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (12_000, 8_400), (200, 150, 100)).save(path, compress_level=1)
    picture = load_photo(path)
    assert picture.shape == (round(8400 * MAX_SIDE_PX / 12_000), MAX_SIDE_PX, 3)
    assert np.abs(picture[100, 100].astype(int) - (200, 150, 100)).max() < 4


def test_a_picture_of_one_row_keeps_one_row(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (9000, 1)).save(path)
    assert load_photo(path).shape == (1, MAX_SIDE_PX, 3)


def test_a_decompression_bomb_is_refused_before_decoding(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    side = int(MAX_PIXELS**0.5) + 1
    path = tmp_path / "bomb.png"
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")))
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(InputError, match=r"bomb\.png has .* 256 megapixels; at most 256 are read\. Save a smaller"):
        load_photo(path)
    assert limit == Image.MAX_IMAGE_PIXELS  # other users of Pillow keep their guard


def truncated(data: bytes) -> bytes:
    return data[: len(data) // 2]


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(astronaut()).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("text.jpg", b"Dear Sir or Madam,\nthis is no photo.\n", "is a text file"),
        ("latin.jpg", "Grüße aus Köln\n".encode("latin-1"), "is a text file"),
        ("empty.jpg", b"", "is empty"),
        ("cut.jpg", truncated(encoded("JPEG")), "damaged or cut off"),
        ("cut.png", truncated(encoded("PNG")), "damaged or cut off"),
        ("cut.webp", truncated(encoded("WEBP")), "Copy or export|not a picture"),
        ("cut.tif", truncated(encoded("TIFF")), "damaged or cut off|not a picture"),
        ("head.jpg", encoded("JPEG")[:12], "damaged or cut off|not a picture"),
        ("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC.*Save it as JPEG"),
        ("phone.jpg", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        ("clip.jpg", b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", "is a video"),
        ("doc.jpg", b"%PDF-1.7\n\0\1\2", "PDF"),
        ("noise.png", bytes(range(256)), "is not a picture"),
    ],
)  # fmt: skip
def test_what_is_no_photo_is_refused_with_the_file_and_the_mend(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        load_photo(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert any(mend in message for mend in ("Save", "Copy", "Name", "Export")), message
    assert "<" not in message  # no repr of an object


def test_missing_folder_unreadable_and_special_files(tmp_path: Path) -> None:
    for path, said in (
        (tmp_path / "none.jpg", "does not exist"),
        (tmp_path, "is a folder"),
        (Path("/dev/null"), "not an ordinary file"),
        (tmp_path / "nul\0l.jpg", "does not exist|cannot be read"),
        (tmp_path / ("x" * 300), "does not exist|cannot be read"),
    ):
        with pytest.raises(InputError, match=said):
            load_photo(path)
    if os.geteuid() != 0:  # root reads everything
        locked = tmp_path / "locked.jpg"
        locked.write_bytes(encoded("JPEG"))
        locked.chmod(0)
        with pytest.raises(InputError, match="may not be read"):
            load_photo(locked)


def test_floating_point_pictures_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(np.ones((8, 8), np.float32)).save(path)
    with pytest.raises(InputError, match="floating-point"):
        load_photo(path)


def test_every_truncation_is_an_input_error(tmp_path: Path) -> None:
    whole = encoded("PNG")
    path = tmp_path / "a.png"
    for length in (1, 8, 20, 33, 50, 1000, len(whole) - 200_000, len(whole) - 40):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            load_photo(path)
