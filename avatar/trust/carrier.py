"""The pattern that carries the signs: a tile of waves, repeated over the picture.

Each wave is one bin of the tile's Fourier plane, in a band that codecs keep and eyes hardly see. Some have phases that
never change, by which the tile's place and size are found again; the others carry two signs each.
The family is that of JAWS (Kalker et al. 1999, https://doi.org/10.1117/12.344652), with the payload of a Fourier code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.trust.mark_code import SIGNS

TILES = 4  # along the picture's shorter side
LOWEST, HIGHEST = 6.5, 22.0  # cycles a tile; of 512 px: waves of 5.8 to 20 px
_LEAST = 2  # along either axis: pictures are full of upright and level lines
_KEY = 0x5EED5
_SYNC_GAIN = 0.75
_PEAK = 2.2  # standard deviations, at which the tile is cut off: so there is more of it for the same peak

Spectrum = NDArray[np.complex64]


@dataclass(frozen=True, slots=True)
class Band:
    """The waves in use: rows and columns (n,) of bins in the tile's Fourier plane, columns positive, and their phases.

    The first `SIGNS` carry the payload, the rest is for finding the tile. order: (2 SIGNS,) which sign each wave's real
    part carries, then each one's imaginary part. mirrored: (n,) where each bin is in a mirrored picture.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    phases: Spectrum
    order: NDArray[np.int64]
    mirrored: NDArray[np.int64]


def band() -> Band:
    """The same on every computer, for all time: what was marked once must be found for ever."""
    reach = range(-int(HIGHEST), int(HIGHEST) + 1)
    bins = [(y, x) for y in reach for x in reach if x >= _LEAST <= abs(y) and LOWEST <= np.hypot(y, x) <= HIGHEST]
    random = np.random.RandomState(_KEY)  # frozen by numpy's promise (NEP 19), as no newer generator is
    bins = [bins[i] for i in random.permutation(len(bins))]
    phases = np.exp(2j * np.pi * random.rand(len(bins))).astype(np.complex64)
    order = np.concatenate([random.permutation(SIGNS), random.permutation(SIGNS)])
    at = {bin_: i for i, bin_ in enumerate(bins)}
    rows, columns = np.array(bins).T
    return Band(rows, columns, phases, order, np.array([at[-y, x] for y, x in bins]))


BAND = band()


def tile(signs: Array, side_px: int) -> Array:
    """(side_px, side_px) of standard deviation 1, for (SIGNS,) of -1 and 1. It goes on seamlessly into its like."""
    waves = BAND.phases.astype(np.complex128)
    carried = signs[BAND.order]
    waves[:SIGNS] *= (carried[:SIGNS] + 1j * carried[SIGNS:]) / np.sqrt(2)
    waves[SIGNS:] *= _SYNC_GAIN
    plane = np.zeros((side_px, side_px), np.complex128)
    np.add.at(plane, (BAND.rows % side_px, BAND.columns % side_px), waves)
    np.add.at(plane, (-BAND.rows % side_px, -BAND.columns % side_px), waves.conj())
    pattern = np.fft.ifft2(plane).real
    cut = np.clip(pattern / pattern.std(), -_PEAK, _PEAK)
    return np.asarray(cut / cut.std(), np.float32)


def pattern(signs: Array, width: int, height: int) -> Array:
    """(height, width), of tiles."""
    side_px = max(2 * int(HIGHEST) + 2, round(min(width, height) / TILES))
    repeated = np.tile(tile(signs, side_px), (-(-height // side_px), -(-width // side_px)))
    return np.ascontiguousarray(repeated[:height, :width])
