"""HDR and wide-gamut pictures, as a screen without HDR shows them: BT.709 primaries, the transfer of sRGB.

A table of colours is computed once for each kind of picture, and FFmpeg's `lut3d` looks them up.
Sources: ITU-R BT.2100 (PQ, HLG), BT.2408 (HDR's white at 203 cd/m²), BT.2390 (HLG's system gamma by the screen's
brightness), ITU-T H.273 (numbers).
"""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import ColorPrimaries, ColorTrc
from numpy.typing import NDArray

from avatar.sources.primaries import D65, DISPLAY_P3, REC_709, REC_2020, Chromaticities, to_xyz

Array = NDArray[np.float64]

TABLE_SIDE = 33  # colours along each axis; FFmpeg interpolates between them
WHITE_NITS = 203.0  # a white sheet in HDR video: SDR's white
HLG_WHITE = 0.2646  # the same in HLG's scene light: a signal of 75 %
KNEE = 0.8  # of white: up to here light stays as it is, what is above is pressed into what is left
# those that differ from BT.709's; the white of all is taken for D65
_PRIMARIES: dict[int, Chromaticities] = {
    ColorPrimaries.BT470BG: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), D65),
    ColorPrimaries.SMPTE170M: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    ColorPrimaries.SMPTE240M: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    ColorPrimaries.BT2020: REC_2020,
    ColorPrimaries.SMPTE431: DISPLAY_P3,
    ColorPrimaries.SMPTE432: DISPLAY_P3,
    ColorPrimaries.EBU3213: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), D65),
}
_HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67, ColorTrc.LINEAR)
BETWEEN = "gbrp10le"  # RGB of the picture's own colours, before the table


def needs_table(picture: av.VideoFrame) -> bool:
    """Whether the picture's colours are not those of SDR video."""
    return picture.color_primaries in _PRIMARIES or picture.color_trc in _HDR


class SdrTable:
    """Gives the SDR picture of pictures of one size, transfer and primaries."""

    def __init__(self, width: int, height: int, transfer: int, primaries: int) -> None:
        self._graph = Graph()
        source = self._graph.add_buffer(
            width=width, height=height, format=av.VideoFormat(BETWEEN), time_base=Fraction(1, 1000)
        )
        with tempfile.TemporaryDirectory(prefix="visavis-") as folder:
            cube = Path(folder) / "sdr.cube"
            cube.write_text(_as_cube(colours(transfer, primaries)))
            table = self._graph.add("lut3d", file=str(cube))
            self._graph.link_nodes(source, table, self._graph.add("format", "rgb24"), self._graph.add("buffersink"))
            self._graph.configure()

    def rgb(self, picture: av.VideoFrame) -> NDArray[np.uint8]:
        """(H, W, 3), of a picture in the format BETWEEN."""
        picture.pts = None
        self._graph.vpush(picture)
        return np.asarray(self._graph.vpull().to_ndarray(), np.uint8)


def colours(transfer: int, primaries: int, side: int = TABLE_SIDE) -> Array:
    """(side, side, side, 3) in [0, 1]: the SDR colour of each red, green and blue, in this order of the axes."""
    steps = np.linspace(0, 1, side)
    signal = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1)
    light = _light(signal, transfer)
    if primaries in _PRIMARIES:
        to_709 = np.linalg.inv(to_xyz(REC_709)) @ to_xyz(_PRIMARIES[primaries])
        light = light @ to_709.T
    if transfer in _HDR:
        light = _below_white(light)
    return _srgb(np.clip(light, 0, 1))


def _light(signal: Array, transfer: int) -> Array:
    """Of a screen's pixel, 1 being SDR's white."""
    if transfer == ColorTrc.SMPTE2084:
        power = signal ** (1 / 78.84375)
        base = np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)
        return np.asarray(10_000 / WHITE_NITS * base ** (1 / 0.1593017578125))
    if transfer == ColorTrc.ARIB_STD_B67:
        low, high = signal**2 / 3, (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
        # without the system gamma of 1.2, which is for a screen of 1000 cd/m²: on one of 334, it is 1 (BT.2390, 6.2)
        return np.where(signal <= 0.5, low, high) / HLG_WHITE
    if transfer == ColorTrc.LINEAR:
        return signal
    # SDR video is looked at on the screens that photos are made for
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def _srgb(light: Array) -> Array:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def _below_white(light: Array) -> Array:
    """Brighter than the knee: nearer and nearer to white, the hue kept."""
    brightest = np.maximum(light.max(-1, keepdims=True), 1e-9)
    over, room = np.maximum(brightest - KNEE, 0), 1 - KNEE
    return np.asarray(light * np.where(over > 0, (KNEE + room * (1 - np.exp(-over / room))) / brightest, 1))


def _as_cube(table: Array) -> str:
    """As Adobe's .cube file, in which red changes fastest."""
    rows = table.transpose(2, 1, 0, 3).reshape(-1, 3)
    return f"LUT_3D_SIZE {len(table)}\n" + "\n".join("{:.5f} {:.5f} {:.5f}".format(*row) for row in rows) + "\n"
