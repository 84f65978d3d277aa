"""From the bytes of one photo to an upright picture in sRGB, whatever camera, scanner or editor made it.

For `avatar.sources.photo_process` alone: forged files attack decoders, so no other process decodes.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image, ImageCms, UnidentifiedImageError

from avatar.core.errors import PhotoError
from avatar.sources.colour_profile import HDR, code_points, implied_profile
from avatar.sources.every_picture import BACKGROUND, MAX_SIDE_PX

# Pixels that are decoded, by format: all stay below 1.8 GB. A JPEG is decoded at 1/2, 1/4 or 1/8, so that the largest
# phone sensors (200 megapixels) fit, but a progressive one keeps its whole coefficients; WebP, AVIF and JPEG 2000 take
# 15 to 24 bytes a pixel, and 38 bytes are a whole WebP picture of 64 megapixels.
MAX_PIXELS = {
    "JPEG": 256_000_000, "PNG": 128_000_000, "TIFF": 128_000_000, "BMP": 128_000_000, "GIF": 128_000_000,
    "PPM": 128_000_000, "WEBP": 50_000_000, "AVIF": 50_000_000, "JPEG2000": 50_000_000,
}  # fmt: skip
MAX_PROGRESSIVE_PIXELS = 128_000_000
FORMATS = tuple(MAX_PIXELS)  # no EPS: it runs programs

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_INTEROP_IFD, _INTEROP_INDEX = 0xA005, 1
_HEAD_BYTES = 1 << 20  # in which a PNG or an AVIF describes its colours

AvifImagePlugin.DEFAULT_MAX_THREADS = 2  # else one for each core, with memory of its own


def decode_photo(path: Path) -> NDArray[np.uint8]:
    """Read a photo as upright (H, W, 3) uint8 sRGB, no side longer than MAX_SIDE_PX.

    EXIF orientation is applied, colours are converted, transparency is laid over grey, 16-bit values are scaled to 8.
    Of an animation or a multi-page file the first picture is taken.
    Raises PhotoError, with the file and what to do, for anything that is not a whole picture. Forged files make
    libraries raise whatever they like, and end the process.
    """
    try:
        with _no_pixel_limit(), Image.open(path, formats=FORMATS) as image:
            _require_size(image, path)
            image.draft("RGB", (MAX_SIDE_PX, MAX_SIDE_PX))  # JPEG only: decodes at 1/2, 1/4 or 1/8, in less memory
            image.load()
            orientation, profile = _orientation(image), _profile(image, path)
            picture = _to_srgb(_shrink(_to_eight_bit(image, path)), profile)
    except UnidentifiedImageError:
        raise PhotoError(path, _why_not_a_picture(path)) from None
    if orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[orientation])
    return np.array(picture, np.uint8)


def _require_size(image: Image.Image, path: Path) -> None:
    """Before anything is decoded."""
    (width, height), name = image.size, image.format or ""
    most, kind = MAX_PIXELS[name], name
    if name == "JPEG" and "progressive" in image.info:
        most, kind = MAX_PROGRESSIVE_PIXELS, "progressive JPEG"
    if width * height > most:
        raise PhotoError(
            path,
            f"has {width} x {height} = {width * height / 1e6:.0f} megapixels; at most {most // 1_000_000} are "
            f"read of {kind}. Save a smaller copy, {MAX_SIDE_PX} pixels wide is plenty.",
        )


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
        raise PhotoError(path, "holds floating-point values, not a photo. Export it as JPEG or PNG.")
    if image.mode not in _SIXTEEN_BIT_MODES:
        return image
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise PhotoError(path, "has more than 16 bits a pixel. Export it as JPEG or as an 8- or 16-bit PNG.")
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


def _profile(image: Image.Image, path: Path) -> bytes | None:
    """The ICC profile that the picture has or implies; None: it is sRGB. Raises PhotoError for HDR."""
    profile: bytes | None = image.info.get("icc_profile")
    with path.open("rb") as file:
        points = code_points(file.read(_HEAD_BYTES), profile)
    if points is not None:
        if points.transfer in HDR:
            raise PhotoError(
                path,
                f"is an HDR picture ({HDR[points.transfer]}): its light is not that of a photo, and it would "
                "come out grey and dark. Export it in standard range (SDR), for example as JPEG, and try again.",
            )
        if image.format == "PNG":  # where cICP stands above the profile; in an AVIF, below
            return points.profile()
    if profile:
        return profile
    return points.profile() if points is not None else implied_profile(image.info, _interoperability(image))


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode == "RGBA":
        canvas = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        canvas.alpha_composite(image)
        image = canvas.convert("RGB")
    if image.mode == "LAB":
        return _converted(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if image.mode == "L" and source.profile.xcolor_space.strip() == "RGB":
                image = image.convert("RGB")
            return _converted(image, source)
        # a profile that is damaged or for another kind of picture: show it as other viewers do
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
    return image.convert("RGB")


def _converted(image: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), image.mode, "RGB")
    return transform.apply(image)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 0))
    except Exception:  # whatever it is: unreadable metadata does not make the picture unreadable
        return 0


def _interoperability(image: Image.Image) -> str | None:
    try:
        value = image.getexif().get_ifd(_INTEROP_IFD).get(_INTEROP_INDEX)
    except Exception:  # as above
        return None
    return value.strip("\0 ") if isinstance(value, str) else None


def _why_not_a_picture(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(512)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        return (
            "is a HEIC photo, which cannot be read here. Save it as JPEG (on an iPhone: Settings, Camera, "
            "Formats, Most Compatible; or share the photo by e-mail), then try again."
        )
    if head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3":
        return "is a video, not a photo. Save one picture of it as JPEG or PNG."
    if head[:4] == b"%PDF":
        return "is a PDF document, not a photo. Export the page as JPEG or PNG."
    if not any(byte < 9 for byte in head):
        return "is a text file, not a photo, whatever its name says. Name a JPEG, PNG, WebP or TIFF picture."
    return "is not a picture that can be read. Save it as JPEG, PNG, WebP or TIFF and try again."
