"""Finding the tile again, whatever was done to the picture: its size, place and mirroring, and in which part it is.

For each size of a coarse grid, the picture is cut into tiles, and each tile's waves are taken by FFT. A tile that is a
little larger than assumed shifts by the same more from each tile to the next, which turns each wave by a known angle:
so all sizes near that of the grid are tried by turning and adding, without another FFT.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from avatar.core.arrays import Array
from avatar.trust.carrier import BAND, TILES, Spectrum
from avatar.trust.mark_code import SIGNS

SAMPLES = 64  # along a tile, when it is analysed: three a cycle of the shortest wave
SHIFTS = 48  # of a tile along an axis that are tried: two a cycle of the shortest wave
COARSE = 0.04  # from one size of the grid to the next
SMALLEST_PX = 46  # of a tile: its shortest wave is 2.3 px then
FEWEST_TILES = 2.6  # along the shorter side: a third of the picture may be cut away
MOST_TILES = 9  # along it, in a picture that was stretched: what is around it is no more than that
TURNS = (-0.015, -0.005, 0.005, 0.015)  # sizes that are tried around one of the grid, in shares
WINDOW = 4  # tiles along a side of the parts that are looked at by themselves, where the picture has more

_SYNC = np.arange(SIGNS, len(BAND.rows))
SEEN = (_SYNC, BAND.mirrored[_SYNC])  # where the waves of known phase are: as it was made, mirrored
KNOWN = (BAND.phases[_SYNC].conj(), BAND.phases[_SYNC])
_RINGS = np.rint(np.hypot(BAND.rows, BAND.columns)).astype(np.int64)
_RINGS -= _RINGS.min()
_RING_SHARES = np.eye(_RINGS.max() + 1, dtype=np.float32)[_RINGS] / np.bincount(_RINGS)  # (n, rings)

Sizes = tuple[float, ...]
Part = tuple[slice, slice]  # of the rows and columns of tiles


@dataclass(frozen=True, slots=True)
class Place:
    """Where the tile may be. z: how clearly, in standard deviations of noise. height_px, width_px: the tile's.

    shift: (down, right), in shares of a tile, from the picture's corner. part: (top, bottom, left, right) of the
    picture, in shares of it.
    """

    z: float
    height_px: float
    width_px: float
    mirrored: bool
    shift: tuple[float, float]
    part: tuple[float, float, float, float]


class Tiles:
    """A residue, cut into tiles of a size: the waves of each."""

    def __init__(self, residue: Array, height_px: float, width_px: float) -> None:
        rows, columns = (
            max(1, round(side * SAMPLES / tile_px))
            for side, tile_px in zip(residue.shape, (height_px, width_px), strict=True)
        )
        self.height_px, self.width_px = residue.shape[0] * SAMPLES / rows, residue.shape[1] * SAMPLES / columns
        how = cv2.INTER_AREA if rows < residue.shape[0] else cv2.INTER_LINEAR
        self.down, self.right = -(-rows // SAMPLES), -(-columns // SAMPLES)
        padded = np.zeros((self.down * SAMPLES, self.right * SAMPLES), np.float32)
        padded[:rows, :columns] = cv2.resize(residue, (columns, rows), interpolation=how)
        cut = padded.reshape(self.down, SAMPLES, self.right, SAMPLES).swapaxes(1, 2)
        self.waves = whitened(fft.rfft2(cut)[..., BAND.rows % SAMPLES, BAND.columns])  # (down, right, n)
        covered = np.minimum(1, rows / SAMPLES - np.arange(self.down))[:, None] * np.minimum(
            1, columns / SAMPLES - np.arange(self.right)
        )
        self.waves *= covered[..., None].astype(np.float32)

    def parts(self) -> list[Part]:
        """All of it, and squares of WINDOW tiles, half overlapping."""
        whole = [(slice(0, self.down), slice(0, self.right))]
        return whole + [(y, x) for y in _steps(self.down) for x in _steps(self.right) if (y, x) != whole[0]]

    def shares(self, part: Part) -> tuple[float, float, float, float]:
        y, x = part
        return y.start / self.down, y.stop / self.down, x.start / self.right, x.stop / self.right

    def part(self, shares: tuple[float, float, float, float]) -> Part:
        top, bottom, left, right = shares
        y, x = round(top * self.down), round(left * self.right)
        return slice(y, max(y + 1, round(bottom * self.down))), slice(x, max(x + 1, round(right * self.right)))


def whitened(waves: Spectrum) -> Spectrum:
    """(…, n): so that no ring of the plane, and no single wave, counts for more than another."""
    power = (waves.real**2 + waves.imag**2) @ _RING_SHARES
    even = waves / np.sqrt(power[..., _RINGS] + 1e-9)
    return np.asarray(even * np.minimum(1, 2 / (np.abs(even) + 1e-9)), np.complex64)


def turning(count: int, cycles: NDArray[np.int64], larger: Sizes) -> Spectrum:
    """(sizes, count, n) by which the waves turn from the first of `count` tiles on, where tiles are `larger` by these
    shares, for waves of so many cycles a tile along the row of tiles.
    """
    return np.exp(2j * np.pi * np.multiply.outer(larger, np.multiply.outer(np.arange(count), cycles))).astype(
        np.complex64
    )


@lru_cache(maxsize=512)  # a search asks for the same few again and again
def _turning(count: int, axis: int, mirrored: bool, larger: Sizes) -> Spectrum:
    return turning(count, (BAND.rows, BAND.columns)[axis][SEEN[mirrored]], larger)


def surfaces(waves: Spectrum, mirrored: bool, side: int) -> Array:
    """(…, side, side), in standard deviations of noise: how well the known waves fit for each shift of the tile.

    waves: (…, n of known phase), whitened.
    """
    seen = SEEN[mirrored]
    plane = np.zeros((*waves.shape[:-1], side, side // 2 + 1), np.complex64)
    plane[..., BAND.rows[seen] % side, BAND.columns[seen]] = waves * KNOWN[mirrored]
    scale = side * side / 2 / np.sqrt(len(seen) / 2)
    return np.asarray(fft.irfft2(plane, s=(side, side)) * np.float32(scale), np.float32)


def even_sizes(residue: Array) -> Iterator[tuple[float, float]]:
    """Heights and widths of square tiles, the likeliest first: that of an unscaled picture."""
    native = min(residue.shape) / TILES
    sizes = sorted(_grid(SMALLEST_PX, residue), key=lambda size: abs(np.log(size / native)))
    return ((size, size) for size in sizes)


def uneven_sizes(residue: Array) -> Iterator[tuple[float, float]]:
    """Heights and widths of tiles that are not square: of a picture that was stretched by up to 40 %, and is nearly all
    that is seen.
    """
    reach = int(np.log(1.4) / np.log1p(COARSE))
    for size in _grid(max(SMALLEST_PX, min(residue.shape) / MOST_TILES), residue):
        for step in range(1, reach + 1):
            wider = (1 + COARSE) ** (step / 2)
            yield size / wider, size * wider
            yield size * wider, size / wider


def _grid(smallest_px: float, residue: Array) -> list[float]:
    largest_px = min(residue.shape) / FEWEST_TILES
    count = int(math.log(largest_px / smallest_px) / math.log1p(COARSE)) + 1
    return [smallest_px * (1 + COARSE) ** step for step in range(count)]


def _steps(tiles: int) -> list[slice]:
    if tiles <= WINDOW + 1:
        return [slice(0, tiles)]
    half = WINDOW // 2
    return [slice(start, min(start + WINDOW, tiles)) for start in range(0, tiles - half, half)]


def search_size(residue: Array, height_px: float, width_px: float, whole_only: bool = False) -> list[Place]:
    """The best place for each part of the picture and each mirroring, for tiles of about this size."""
    tiles = Tiles(residue, height_px, width_px)
    parts = tiles.parts()[:1] if whole_only else tiles.parts()
    return [best_fit(tiles, part, TURNS, mirrored) for mirrored in (False, True) for part in parts]


def best_fit(tiles: Tiles, part: Part, larger: Sizes, mirrored: bool) -> Place:
    """The best place in a part of the picture, for tiles whose height and width are `larger` by any of these shares."""
    seen = SEEN[mirrored]
    down = _turning(tiles.down, 0, mirrored, larger)[:, part[0]]
    right = _turning(tiles.right, 1, mirrored, larger)[:, part[1]]
    by_row = (tiles.waves[part][..., seen][:, None] * right).sum(2)  # (rows, widths, n)
    sums = (by_row * down[:, :, None]).sum(1)  # (heights, widths, n)
    sums /= np.sqrt(np.mean(np.abs(sums) ** 2, -1, keepdims=True)) + 1e-9
    fits = surfaces(sums, mirrored, SHIFTS)
    a, b, y, x = np.unravel_index(int(fits.argmax()), fits.shape)
    return Place(
        float(fits[a, b, y, x]),
        tiles.height_px * (1 + larger[a]),
        tiles.width_px * (1 + larger[b]),
        mirrored,
        (float(y) / SHIFTS, float(x) / SHIFTS),
        tiles.shares(part),
    )
