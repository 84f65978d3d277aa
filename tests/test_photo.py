"""Photos from any camera or editor are read alike; what is none is refused with what to do, and costs little."""

from __future__ import annotations

import io
import os
import signal
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from avatar.core.errors import InputError
from avatar.sources import photo
from avatar.sources.colour_profile import SRGB_CURVE, matrix_profile
from avatar.sources.every_picture import BACKGROUND, MAX_SIDE_PX
from avatar.sources.photo import PhotoReader
from avatar.sources.photo_process import MAX_MEMORY_BYTES
from avatar.sources.primaries import ADOBE_RGB, DISPLAY_P3
from tests.portraits import astronaut, head

Load = Callable[[Path], np.ndarray]


@pytest.fixture(scope="module")
def reader() -> Iterator[PhotoReader]:
    with PhotoReader() as reader:
        yield reader


@pytest.fixture
def load_photo(reader: PhotoReader) -> Load:
    return reader.load


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def close(picture: np.ndarray, expected: np.ndarray, tolerance: float = 4.0) -> bool:
    return picture.shape == expected.shape and float(np.abs(picture.astype(int) - expected).mean()) < tolerance


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp", "ppm", "jp2"])
def test_formats_give_upright_rgb(tmp_path: Path, suffix: str, load_photo: Load) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(astronaut()).save(path)
    picture = load_photo(path)
    assert picture.dtype == np.uint8
    assert picture.flags.writeable
    assert close(picture, astronaut())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str, load_photo: Load) -> None:
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


def test_damaged_exif_does_not_spoil_a_good_photo(tmp_path: Path, load_photo: Load) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(astronaut()).save(path, exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x7fgarbage")
    assert close(load_photo(path), astronaut())


def test_greyscale_palette_and_one_bit(tmp_path: Path, load_photo: Load) -> None:
    image = Image.fromarray(astronaut())
    grey = np.repeat(np.asarray(image.convert("L"))[..., None], 3, axis=2)
    for mode, expected, tolerance in (("L", grey, 1.0), ("P", astronaut(), 16.0), ("1", grey, 100.0)):
        path = tmp_path / f"{mode}.png"
        image.convert(mode).save(path)
        assert close(load_photo(path), expected, tolerance), mode


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_over_grey(tmp_path: Path, mode: str, load_photo: Load) -> None:
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


def test_a_transparent_palette_colour_is_laid_over_grey(tmp_path: Path, load_photo: Load) -> None:
    image = Image.new("P", (64, 64), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.paste(1, (0, 0, 32, 64))
    path = tmp_path / "a.gif"
    image.save(path, transparency=0)
    picture = load_photo(path)
    assert np.all(picture[:, 40:] == BACKGROUND)
    assert np.all(picture[:, :24] == (0, 255, 0))


def test_cmyk_jpeg(tmp_path: Path, load_photo: Load) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(astronaut()).convert("CMYK").save(path, quality=95)
    assert close(load_photo(path), astronaut())


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path, suffix: str, load_photo: Load) -> None:
    grey = np.asarray(Image.fromarray(astronaut()).convert("L"))
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(grey.astype(np.uint16) * 257).save(path)
    picture = load_photo(path)
    assert np.array_equal(picture[..., 0], grey)


def test_sixteen_bit_colour_is_scaled_not_clipped(tmp_path: Path, load_photo: Load) -> None:
    path = tmp_path / "a.png"
    assert cv2.imwrite(str(path), np.ascontiguousarray(astronaut()[..., ::-1]).astype(np.uint16) * 257)
    assert close(load_photo(path), astronaut(), 1.0)


# Linear light to that of sRGB, by rows: CSS Color 4, section 20, and for Adobe RGB (1998), annex B of its specification
P3_TO_SRGB = np.array([[1.22494, -0.22494, 0], [-0.042057, 1.042057, 0], [-0.019638, -0.078651, 1.098288]])
REC_2020_TO_SRGB = np.array(
    [[1.660491, -0.587641, -0.07285], [-0.12455, 1.1329, -0.008349], [-0.018151, -0.100579, 1.11873]]
)
ADOBE_TO_SRGB = np.array([[1.398356, -0.398356, 0], [0, 1, 0], [0, -0.042929, 1.042929]])
ADOBE_GAMMA = 563 / 256


def patches() -> np.ndarray:
    """(16, 16, 3) colours that sRGB holds whatever they are said to be."""
    return np.random.default_rng(0).integers(70, 190, (16, 16, 3)).astype(np.uint8)


def in_srgb(linear: np.ndarray) -> np.ndarray:
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def from_srgb_curve(picture: np.ndarray) -> np.ndarray:
    return ((picture / 255 + 0.055) / 1.055) ** 2.4


def from_gamma(picture: np.ndarray, gamma: float) -> np.ndarray:
    return (picture / 255) ** gamma


def packed(picture: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **options)
    return buffer.getvalue()


def png_with(*chunks: tuple[bytes, bytes]) -> bytes:
    data = packed(patches())
    return data[:33] + b"".join(chunk(*each) for each in chunks) + data[33:]


def adobe_camera() -> Image.Exif:
    """What a camera that is set to Adobe RGB writes instead of a profile."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    return exif


def grey_profile(gamma: float) -> bytes:
    tags = {
        b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061),
        b"kTRC": b"para\0\0\0\0\0\0\0\0" + struct.pack(">i", round(gamma * 65536)),
    }
    at, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    header = struct.pack(">I4xI4s4s4s12x4s28x3i", at + len(body), 0x04300000, b"mntr", b"GRAY", b"XYZ ", b"acsp",
                         63190, 65536, 54061)  # fmt: skip
    return header.ljust(128, b"\0") + table + body


def colour_cases() -> dict[str, tuple[bytes, np.ndarray]]:
    """Name: the file and the picture that it is."""
    linear = from_srgb_curve(patches())
    p3, adobe = linear @ P3_TO_SRGB.T, from_gamma(patches(), ADOBE_GAMMA) @ ADOBE_TO_SRGB.T
    grey = np.asarray(Image.fromarray(patches()).convert("L"))
    dark_grey = in_srgb(from_gamma(grey, 1.8))[..., None].repeat(3, axis=2)
    as_grey = grey[..., None].repeat(3, axis=2)
    display_p3 = matrix_profile(DISPLAY_P3, SRGB_CURVE)
    p3_chromaticities = struct.pack(">8I", *(round(1e5 * v) for xy in (DISPLAY_P3[3], *DISPLAY_P3[:3]) for v in xy))
    return {
        "p3.png": (packed(patches(), icc_profile=display_p3), in_srgb(p3)),
        "adobe.png": (packed(patches(), icc_profile=matrix_profile(ADOBE_RGB, (ADOBE_GAMMA,))), in_srgb(adobe)),
        "adobe.jpg": (packed(patches(), "JPEG", quality=100, subsampling=0, exif=adobe_camera()), in_srgb(adobe)),
        "cicp p3.png": (png_with((b"cICP", bytes([12, 13, 0, 1]))), in_srgb(p3)),
        "cicp rec. 2020.png": (png_with((b"cICP", bytes([9, 13, 0, 1]))), in_srgb(linear @ REC_2020_TO_SRGB.T)),
        "cicp srgb.png": (png_with((b"cICP", bytes([1, 13, 0, 1]))), patches()),
        "linear.png": (png_with((b"gAMA", struct.pack(">I", 100_000))), in_srgb(patches() / 255)),
        "gamma 1.8.png": (png_with((b"gAMA", struct.pack(">I", 55_556))), in_srgb(from_gamma(patches(), 1.8))),
        "gamma 2.2.png": (png_with((b"gAMA", struct.pack(">I", 45_455))), patches()),
        "gamma, but srgb.png": (png_with((b"gAMA", struct.pack(">I", 100_000)), (b"sRGB", b"\0")), patches()),
        "chromaticities.png": (
            png_with((b"gAMA", struct.pack(">I", 45_455)), (b"cHRM", p3_chromaticities)),
            in_srgb(from_gamma(patches(), 2.2) @ P3_TO_SRGB.T),
        ),
        "no chromaticities.png": (png_with((b"cHRM", bytes(32))), patches()),
        "grey.png": (packed(grey, icc_profile=grey_profile(1.8)), dark_grey),
        "grey in colours.png": (packed(grey, icc_profile=matrix_profile(DISPLAY_P3, (1.8,))), dark_grey),
        "grey profile of colours.png": (packed(patches(), icc_profile=grey_profile(1.8)), patches()),
        "no profile at all.png": (packed(as_grey, icc_profile=b"no profile at all"), as_grey),
    }


@pytest.mark.parametrize("name", colour_cases())
def test_colours_come_out_as_they_are_meant(tmp_path: Path, load_photo: Load, name: str) -> None:
    data, meant = colour_cases()[name]
    path = tmp_path / name
    path.write_bytes(data)
    assert np.abs(load_photo(path) - meant).mean() < 1  # as sRGB they would be 5 to 57 off


def test_wide_colours_of_an_avif(tmp_path: Path, load_photo: Load) -> None:
    path = tmp_path / "a.avif"
    smooth = np.full((64, 64, 3), (180, 90, 80), np.uint8)
    path.write_bytes(avif_of(smooth, 12, 13))
    assert np.abs(load_photo(path) - in_srgb(from_srgb_curve(smooth) @ P3_TO_SRGB.T)).max() < 3


def avif_of(picture: np.ndarray, primaries: int, transfer: int) -> bytes:
    data = packed(picture, "AVIF", quality=95, subsampling="4:4:4")
    place = data.index(b"colrnclx") + 8
    return data[:place] + struct.pack(">HH", primaries, transfer) + data[place + 4 :]


def cicp_tag(transfer: int) -> bytes:
    """A profile of ICC 4.4 that names the transfer."""
    tag = b"cicp\0\0\0\0" + bytes([9, transfer, 0, 1])
    header = struct.pack(">I4xI4s4s4s12x4s", 156, 0x04400000, b"mntr", b"RGB ", b"XYZ ", b"acsp").ljust(128, b"\0")
    return header + struct.pack(">I4sII", 1, b"cicp", 144, len(tag)) + tag


@pytest.mark.parametrize(("transfer", "called"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_with_the_way_out(tmp_path: Path, load_photo: Load, transfer: int, called: str) -> None:
    for name, data in (
        ("a.png", png_with((b"cICP", bytes([9, transfer, 0, 1])))),
        ("a.avif", avif_of(patches(), 9, transfer)),
        ("a.jpg", packed(patches(), "JPEG", icc_profile=cicp_tag(transfer))),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(InputError, match=rf"HDR picture \({called}\).*Export it in standard range"):
            load_photo(path)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_hundred_megapixels_are_shrunk(tmp_path: Path, suffix: str, load_photo: Load) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (12_000, 8_400), (200, 150, 100)).save(path, compress_level=1)
    picture = load_photo(path)
    assert picture.shape == (round(8400 * MAX_SIDE_PX / 12_000), MAX_SIDE_PX, 3)
    assert np.abs(picture[100, 100].astype(int) - (200, 150, 100)).max() < 4


def test_a_picture_of_one_row_keeps_one_row(tmp_path: Path, load_photo: Load) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (9000, 1)).save(path)
    assert load_photo(path).shape == (1, MAX_SIDE_PX, 3)


def png_of_size(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0"))


def jpeg_of_size(width: int, height: int, progressive: bool) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "JPEG", progressive=progressive)
    data = bytearray(buffer.getvalue())
    frame = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


WEBP = bytes.fromhex("52494646 1e000000 57454250 5650384c 11000000 2f355fcd 1707d084 2634a180 8188e87f 0000")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.png", png_of_size(12_000, 12_000), "144 megapixels; at most 128 are read of PNG"),
        ("huge.png", png_of_size(2**31 - 1, 2**31 - 1), "at most 128"),
        ("a.jpg", jpeg_of_size(40_000, 10_000, False), "400 megapixels; at most 256 are read of JPEG"),
        ("p.jpg", jpeg_of_size(16_000, 16_000, True), "256 megapixels; at most 128 are read of progressive JPEG"),
        ("a.webp", WEBP, "7990 x 7990 = 64 megapixels; at most 50 are read of WEBP"),
        ("a.webp", WEBP[:21] + b"\xff\xff\xff\x0f" + WEBP[25:], "16384 x 16384 = 268 megapixels; at most 50"),
        ("a.gif", b"GIF89a" + b"\xff" * 4 + bytes(3) + b"," + bytes(4) + b"\xff" * 4 + b"\0\x02\0;", "4295 megapixels"),
    ],
)  # fmt: skip
def test_a_decompression_bomb_is_refused_before_decoding(
    tmp_path: Path, load_photo: Load, name: str, content: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        load_photo(path)
    assert "Save a smaller copy" in str(caught.value)


def test_the_largest_phone_sensor_is_read_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("L", (16_320, 12_240), 90).save(path, quality=50)
    with PhotoReader() as reader:
        picture = reader.load(path)
        if sys.platform == "linux":
            assert peak_mb(reader) < 600  # as RGB it has 600, in Pillow 800
    assert picture.shape == (3072, 4096, 3)
    assert np.abs(picture.astype(int) - 90).max() < 4


def peak_mb(reader: PhotoReader) -> float:
    status = Path(f"/proc/{reader.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


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
    tmp_path: Path, name: str, content: bytes, said: str, load_photo: Load
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        load_photo(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert any(mend in message for mend in ("Save", "Copy", "Name", "Export")), message
    assert "<" not in message  # no repr of an object


def test_missing_folder_unreadable_and_special_files(tmp_path: Path, load_photo: Load) -> None:
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


def test_floating_point_pictures_are_refused(tmp_path: Path, load_photo: Load) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(np.ones((8, 8), np.float32)).save(path)
    with pytest.raises(InputError, match="floating-point"):
        load_photo(path)


def damaged(kind: str, at: float) -> bytes:
    data = bytearray(packed(head(), kind))
    place = int(at * len(data))
    data[place : place + 24] = b"\xff\x00" * 12
    return bytes(data)


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "WEBP", "TIFF", "PNG", "JPEG", "GIF"])
def test_damage_is_told_in_one_line_whatever_the_decoder_raises(
    tmp_path: Path, load_photo: Load, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    path = tmp_path / "a.img"
    refused = 0
    for at in np.linspace(0.0, 0.9, 10):
        path.write_bytes(damaged(kind, float(at)))
        try:
            assert load_photo(path).shape[2] == 3
        except InputError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)
            refused += 1
    assert refused
    assert capfd.readouterr() == ("", "")  # libtiff prints to descriptor 2


def test_a_decoder_that_dies_costs_one_photo(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(astronaut()).save(path)
    with PhotoReader() as reader:
        reader.load(path)
        assert reader.pid is not None
        os.kill(reader.pid, signal.SIGSEGV)
        with pytest.raises(InputError, match=r"a\.png cannot be decoded: .* was ended by SIGSEGV\. .*Export the photo"):
            reader.load(path)
        assert close(reader.load(path), astronaut(), 1.0)  # by another process


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGSTOP")
def test_a_decoder_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(astronaut()).save(path)
    monkeypatch.setattr(photo, "LIMIT_S", 0.5)
    with PhotoReader() as reader:
        reader.load(path)
        assert reader.pid is not None
        os.kill(reader.pid, signal.SIGSTOP)
        with pytest.raises(InputError, match=r"had not decoded it after 0\.5 s"):
            reader.load(path)
        monkeypatch.undo()
        assert close(reader.load(path), astronaut(), 1.0)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of the kernel")
def test_what_decodes_has_bounded_memory_writes_no_file_and_reaches_nobody(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(astronaut()).save(path)
    with PhotoReader() as reader:
        reader.load(path)
        limits = Path(f"/proc/{reader.pid}/limits").read_text()
        assert f"Max data size             {MAX_MEMORY_BYTES} " in limits
        assert "Max file size             0 " in limits
        assert "Seccomp:\t2" in Path(f"/proc/{reader.pid}/status").read_text()


def test_every_truncation_is_an_input_error(tmp_path: Path, load_photo: Load) -> None:
    whole = encoded("PNG")
    path = tmp_path / "a.png"
    for length in (1, 8, 20, 33, 50, 1000, len(whole) - 200_000, len(whole) - 40):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            load_photo(path)
