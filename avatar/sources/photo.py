"""Reading one photo, whatever the camera, scanner or editor made of it."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError

from avatar.errors import InputError

MAX_PIXELS = 256_000_000  # above the largest phone sensors (200 megapixels); a forged header claims far more
MAX_SIDE_PX = 4096  # larger pictures are shrunk: a face needs no more
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "JPEG2000")  # no EPS: it runs programs
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".avif", ".jp2",
            ".heic", ".heif")  # fmt: skip
BACKGROUND = (128, 128, 128)  # behind transparent pixels: neither glare nor shadow at the hair

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError, OverflowError, struct.error)


def load_photo(path: Path) -> NDArray[np.uint8]:
    """Read a photo as upright (H, W, 3) uint8 sRGB, no side longer than MAX_SIDE_PX.

    EXIF orientation is applied, colour profiles are converted, transparency is laid over grey, 16-bit values are
    scaled to 8. Of an animation or a multi-page file the first picture is taken.
    Raises InputError, with the file and the mend, for anything that is not a whole picture.
    """
    _require_file(path)
    try:
        with _no_pixel_limit(), Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise InputError(
                    f"{path} has {width} x {height} = {width * height / 1e6:.0f} megapixels; at most "
                    f"{MAX_PIXELS // 1_000_000} are read. Save a smaller copy, {MAX_SIDE_PX} pixels wide is plenty."
                )
            image.draft("RGB", (MAX_SIDE_PX, MAX_SIDE_PX))  # JPEG only: decodes at 1/2, 1/4 or 1/8, in less memory
            image.load()
            orientation, profile = _orientation(image), image.info.get("icc_profile")
            picture = _to_srgb(_shrink(_to_eight_bit(image, path)), profile)
    except UnidentifiedImageError:
        raise InputError(_why_not_a_picture(path)) from None
    except MemoryError:
        raise InputError(f"{path} does not fit into memory. Save a smaller copy and try again.") from None
    except _DAMAGE as error:
        raise InputError(
            f"{path} is damaged or cut off ({error}). Copy or export the photo again, or use another one."
        ) from error
    if orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[orientation])
    return np.array(picture, np.uint8)


def _require_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder, not a photo. Name the photos in it.")
        if not path.exists():
            raise InputError(f"{path} does not exist. Check the path of the photo.")
        if not path.is_file():
            raise InputError(f"{path} is not an ordinary file. Name a photo.")
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty (0 bytes). Copy or download the photo again.")
        with path.open("rb"):
            pass
    except PermissionError:
        raise InputError(f"{path} may not be read by this user. Change its permissions or copy it.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}. Check the path of the photo.") from error


@contextmanager
def _no_pixel_limit() -> Iterator[None]:
    """Pillow's own limit stops at 179 megapixels, below real cameras: MAX_PIXELS takes its place."""
    saved = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata in photos that it reads well
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = saved


def _to_eight_bit(image: Image.Image, path: Path) -> Image.Image:
    """16-bit grey to 8 bits by scaling: Pillow's own conversion clips it to white. (It scales 16-bit colour itself.)"""
    if image.mode == "F":
        raise InputError(f"{path} holds floating-point values, not a photo. Export it as JPEG or PNG.")
    if image.mode not in _SIXTEEN_BIT_MODES:
        return image
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise InputError(f"{path} has more than 16 bits a pixel. Export it as JPEG or as an 8- or 16-bit PNG.")
    return Image.fromarray((values // 257).astype(np.uint8))


def _shrink(image: Image.Image) -> Image.Image:
    # palette indices and colour keys cannot be averaged
    if image.mode in ("PA", "La", "LA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    elif image.mode in ("1", "P"):
        image = image.convert("RGB")
    scale = MAX_SIDE_PX / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode == "RGBA":
        canvas = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        canvas.alpha_composite(image)
        image = canvas.convert("RGB")
    if profile and image.mode in ("RGB", "CMYK"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, *_DAMAGE):  # a profile that does not fit its picture: show it as other viewers do
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 0))
    except _DAMAGE:  # unreadable metadata does not make the picture unreadable
        return 0


def _why_not_a_picture(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(512)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        return (
            f"{path} is a HEIC photo, which cannot be read here. Save it as JPEG (on an iPhone: Settings, Camera, "
            "Formats, Most Compatible; or share the photo by e-mail), then try again."
        )
    if head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3":
        return f"{path} is a video, not a photo. Save one picture of it as JPEG or PNG."
    if head[:4] == b"%PDF":
        return f"{path} is a PDF document, not a photo. Export the page as JPEG or PNG."
    if not any(byte < 9 for byte in head):
        return f"{path} is a text file, not a photo, whatever its name says. Name a JPEG, PNG, WebP or TIFF picture."
    return f"{path} is not a picture that can be read. Save it as JPEG, PNG, WebP or TIFF and try again."
