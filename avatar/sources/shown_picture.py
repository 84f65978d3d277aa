"""From a decoded picture to what a player shows: upright, of square pixels, in SDR colours, of one size throughout."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.reformatter import Colorspace, VideoReformatter

from avatar.core.arrays import Picture
from avatar.sources.every_picture import BACKGROUND, MAX_SIDE_PX
from avatar.sources.sdr import BETWEEN, SdrTable, needs_table

MAX_STRETCH = 8  # a pixel's sides differ by less: else it is an error of the file
_UNSPECIFIED, _IS_HD = 2, (1280, 576)  # above either, colours that are not stated are those of HD video, as in players


class ShownPictures:
    """Of one stream. All pictures have the size of the first: a later one of another size is scaled to fit inside, on
    black, so that places in the picture mean the same throughout.
    """

    def __init__(self, turn_deg: int = 0) -> None:
        """`turn_deg`: 0, 90, 180 or 270 clockwise, beyond what the file itself asks for."""
        self._turns = turn_deg // 90
        self._size: tuple[int, int] | None = None  # width, height
        self._converter = VideoReformatter()
        self._table: tuple[tuple[int, ...], SdrTable] | None = None

    def rgb(self, picture: av.VideoFrame, pixel_aspect: Fraction | None) -> Picture:
        """(H, W, 3). `pixel_aspect`: a pixel's width by its height; None where it is not stated."""
        mirrored, turns = orientation(picture)
        turns = (turns - self._turns) % 4
        stored = shown_size(picture.width, picture.height, pixel_aspect)
        if self._size is None:
            self._size = stored if turns % 2 == 0 else stored[::-1]
        room = self._size if turns % 2 == 0 else self._size[::-1]
        scale = min(room[0] / stored[0], room[1] / stored[1])
        width, height = (max(1, round(side * scale)) for side in stored)
        rgb = self._convert(picture, width, height)
        if mirrored:
            rgb = rgb[:, ::-1]
        rgb = np.rot90(rgb, turns)
        return np.ascontiguousarray(_on_black(rgb, self._size))

    def _convert(self, picture: av.VideoFrame, width: int, height: int) -> Picture:
        known = picture.format.is_rgb or picture.colorspace != _UNSPECIFIED
        is_hd = picture.width >= _IS_HD[0] or picture.height > _IS_HD[1]
        matrix = None if known or not is_hd else Colorspace.ITU709
        transparent = any(component.is_alpha for component in picture.format.components)
        wide = needs_table(picture)
        kind = BETWEEN if wide else "rgba" if transparent else "rgb24"
        converted = self._converter.reformat(picture, width, height, kind, src_colorspace=matrix)
        if wide:
            return self._sdr(converted, picture.color_trc, picture.color_primaries)
        values = np.asarray(converted.to_ndarray(), np.uint8)
        return _on_grey(values) if transparent else values

    def _sdr(self, picture: av.VideoFrame, transfer: int, primaries: int) -> Picture:
        kind = picture.width, picture.height, transfer, primaries
        if self._table is None or self._table[0] != kind:
            self._table = kind, SdrTable(*kind)
        return self._table[1].rgb(picture)


def shown_size(width: int, height: int, pixel_aspect: Fraction | None) -> tuple[int, int]:
    """(width, height) with square pixels, no side longer than MAX_SIDE_PX. No pixel is lost but to that limit."""
    if pixel_aspect and Fraction(1, MAX_STRETCH) < pixel_aspect < MAX_STRETCH:
        wide, high = (pixel_aspect, 1) if pixel_aspect > 1 else (1, 1 / pixel_aspect)
    else:
        wide = high = 1
    shown = float(width * wide), float(height * high)
    shrink = min(1.0, MAX_SIDE_PX / max(shown))
    return max(1, round(shown[0] * shrink)), max(1, round(shown[1] * shrink))


def orientation(picture: av.VideoFrame) -> tuple[bool, int]:
    """(mirrored, then turned by so many quarters counter-clockwise) as the file's display matrix asks.

    FFmpeg's own angle of a mirrored picture is that of another one.
    """
    # not `picture.side_data`: a picture that keeps it is in a cycle with it, and waits for Python to look for cycles
    of_ffmpeg: Any = SideDataContainer(picture)  # type: ignore[call-arg]
    matrix = of_ffmpeg.get("DISPLAYMATRIX")
    if matrix is None:
        return False, 0
    # rows (a, b, u), (c, d, v): a point of the picture (x, y) is shown at (a x + c y, b x + d y)
    a, b, _, c, d = np.frombuffer(matrix, "<i4")[:5].astype(np.float64)
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    return mirrored, round(float(np.degrees(np.arctan2(-b, a))) / 90) % 4


def _on_black(rgb: Picture, size: tuple[int, int]) -> Picture:
    below, right = size[1] - rgb.shape[0], size[0] - rgb.shape[1]
    if not below and not right:
        return rgb
    top, left = below // 2, right // 2
    return np.asarray(cv2.copyMakeBorder(rgb, top, below - top, left, right - left, cv2.BORDER_CONSTANT), np.uint8)


def _on_grey(rgba: Picture) -> Picture:
    """As transparent photos are shown."""
    alpha = rgba[..., 3:].astype(np.uint16)
    if alpha.min() == 255:
        return rgba[..., :3]
    mixed = rgba[..., :3] * alpha + np.array(BACKGROUND, np.uint16) * (255 - alpha)
    return (mixed // 255).astype(np.uint8)
