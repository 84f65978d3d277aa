"""Reading the mark out of a residue: each place where the tile may be is measured finely, then decoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import cv2
import numpy as np

from avatar.core.arrays import Array
from avatar.trust.carrier import BAND, Spectrum
from avatar.trust.mark_code import SIGNS, Decoded, decode
from avatar.trust.mark_message import MarkMessage
from avatar.trust.tile_search import (
    KNOWN,
    SEEN,
    Place,
    Sizes,
    Tiles,
    best_fit,
    even_sizes,
    search_size,
    surfaces,
    turning,
    uneven_sizes,
    whitened,
)

CLEAR_Z = 6.5  # a place as clear as that is decoded at once: noise reaches it once in some hundred windows
EVEN_TRIES, UNEVEN_TRIES = 12, 8  # of the less clear places
_SPANS = (0.006, 0.0015)  # of sizes that are tried around a place, in shares
_FINE = (-1.0, -2 / 3, -1 / 3, 0.0, 1 / 3, 2 / 3, 1.0)
_FINE_SAMPLES = 256  # along a tile, when its shift is measured
_TOMORROW = timedelta(days=1)  # clocks differ


@dataclass(frozen=True, slots=True)
class Reading:
    """What was decoded at a place. message: None where it cannot be one of ours."""

    place: Place
    decoded: Decoded
    message: MarkMessage | None


def detect(residue: Array) -> Reading | None:
    """The mark in an (H, W) mean residue; None where there is none."""
    return next((reading for reading in readings(residue) if reading.message is not None), None)


def readings(residue: Array) -> Iterator[Reading]:
    """Of every place that is worth it, the likeliest first. Whoever has found the mark need not ask for more."""
    yield from _read_all(residue, (search_size(residue, *size) for size in even_sizes(residue)), EVEN_TRIES)
    stretched = (search_size(residue, *size, whole_only=True) for size in uneven_sizes(residue))
    yield from _read_all(residue, stretched, UNEVEN_TRIES)


def _read_all(residue: Array, searches: Iterable[list[Place]], tries: int) -> Iterator[Reading]:
    unclear: list[Place] = []
    for places in searches:
        for place in sorted(places, key=lambda place: -place.z)[:2]:
            if place.z >= CLEAR_Z:
                yield read(residue, place)
            else:
                unclear.append(place)
    for place in islice(sorted(unclear, key=lambda place: -place.z), tries):
        yield read(residue, place)


def read(residue: Array, place: Place) -> Reading:
    """Measure the tile's size and shift finely, then decode."""
    for span in _SPANS:
        place = _measured(residue, place, tuple(span * step for step in _FINE))
    tiles = Tiles(residue, place.height_px, place.width_px)
    down = turning(tiles.down, BAND.rows, (place.height_px / tiles.height_px - 1,))[0]
    right = turning(tiles.right, BAND.columns, (place.width_px / tiles.width_px - 1,))[0]
    waves = tiles.waves * down[:, None] * right
    part = tiles.part(place.part)
    place = replace(place, shift=_shift(waves[part].sum((0, 1)), place.mirrored))
    waves = waves * _back(place)
    whole = _decoded(waves[part].sum((0, 1)), place.mirrored)
    weighed = _decoded((waves * _weights(waves, place.mirrored)[..., None]).sum((0, 1)), place.mirrored)
    best = max(whole, weighed, key=lambda decoded: (decoded.agrees, decoded.strength))
    return Reading(place, best, _message(best))


def _message(decoded: Decoded) -> MarkMessage | None:
    message = MarkMessage.from_number(decoded.message) if decoded.agrees else None
    return message if message and message.day <= datetime.now(UTC).date() + _TOMORROW else None


def _measured(residue: Array, place: Place, larger: Sizes) -> Place:
    """The best of sizes that are `larger` by these shares."""
    tiles = Tiles(residue, place.height_px, place.width_px)
    return best_fit(tiles, tiles.part(place.part), larger, place.mirrored)


def _shift(waves: Spectrum, mirrored: bool) -> tuple[float, float]:
    fits = surfaces(whitened(waves)[SEEN[mirrored]], mirrored, _FINE_SAMPLES)
    y, x = np.unravel_index(int(fits.argmax()), fits.shape)
    return float(y) / _FINE_SAMPLES, float(x) / _FINE_SAMPLES


def _back(place: Place) -> Spectrum:
    """(n,) by which each wave turns when the tile goes back to the picture's corner."""
    cycles = BAND.rows * place.shift[0] + BAND.columns * place.shift[1]
    return np.exp(2j * np.pi * cycles).astype(np.complex64)


def _weights(waves: Spectrum, mirrored: bool) -> Array:
    """(down, right) of tiles: where the waves of known phase are, the others are too."""
    fit = (waves[..., SEEN[mirrored]] * KNOWN[mirrored]).real.sum(-1)
    around = cv2.blur(fit.astype(np.float32), (3, 3), borderType=cv2.BORDER_CONSTANT)
    return np.asarray(np.sqrt(np.maximum(around, 0)), np.float32)


def _decoded(waves: Spectrum, mirrored: bool) -> Decoded:
    """Of (n,) waves at the picture's corner."""
    seen = whitened(waves)[BAND.mirrored].conj() if mirrored else whitened(waves)
    carried = (seen * BAND.phases.conj())[:SIGNS]
    received = np.zeros(SIGNS, np.float32)
    np.add.at(received, BAND.order, np.concatenate([carried.real, carried.imag]))
    return decode(received)
