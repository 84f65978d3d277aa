"""Where a portrait's iris really is: the tracker misses by up to a quarter of its radius, and what of an iris is not
lifted off the white stays behind when the eye looks aside.

Source of the measure: J. Daugman, "How iris recognition works", IEEE CSVT 2004: the circle over which the light
changes most from inside to outside.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.render.eye_geometry import EyePlace, lid_index

MOST_OFF, MOST_LARGER = 0.25, 0.2  # in radii: how far the true centre, and the true radius, are looked for
FREE = 0.3  # of the best change of light: what the furthest circle must give more than the tracker's
_INSIDE, _OUTSIDE = 0.86, 1.14
_FROM_LIDS = 0.03  # in widths of the eye: nearer to a lid the edge is not looked for
_LEAST_SEEN = 5.0  # of the circle's samples


def fitted(portrait: Picture, place: EyePlace) -> tuple[EyePlace, Array, float]:
    """The place with the iris where an (S, S, 3) portrait has it, the way there, (u, v), and the radius' factor."""
    rings, samples, cost = _circles()
    steps = samples * rings[:, 2, None, None, None] + rings[:, None, None, :2]  # (circle, side, angle, 2)
    disc_to_eye = (np.linalg.inv(place.to_crop[:, :2]) @ place.disc).astype(np.float32)
    uv = steps @ disc_to_eye.T + place.iris
    at = lid_index(uv[..., 0])
    near = np.minimum(uv[..., 1] - place.upper[at], place.lower[at] - uv[..., 1])
    seen = (near > _FROM_LIDS).all(1)
    pixels = (uv @ place.to_crop[:, :2].T + place.to_crop[:, 2]) * len(portrait) - 0.5
    grey = portrait if portrait.ndim == 2 else cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY)
    flat = pixels.reshape(len(rings), -1, 2).astype(np.float32)
    light = cv2.remap(grey, flat, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    inside, outside = np.moveaxis(light.reshape(seen.shape[0], 2, -1).astype(np.float32), 1, 0)
    change = (np.clip(outside - inside, -40, 80) * seen).sum(1) / (seen.sum(1) + _LEAST_SEEN)
    score = change - FREE * max(float(change.max()), 0.0) * cost
    best = rings[int(np.argmax(score))]
    way = np.asarray(disc_to_eye @ best[:2], np.float32)
    return replace(place, iris=place.iris + way, disc=place.disc * best[2]), way, float(best[2])


@lru_cache(maxsize=1)
def _circles() -> tuple[Array, Array, Array]:
    """(n, 3) circles to try, x, y and radius in those of the tracker's; (2, m, 2) their samples; (n,) their cost."""
    off = np.linspace(-MOST_OFF, MOST_OFF, 7)
    sizes = np.linspace(1 - MOST_LARGER, 1 + MOST_LARGER, 5)
    x, y, size = (axis.ravel() for axis in np.meshgrid(off, off, sizes, indexing="ij"))
    # left, right and below: above are lashes
    angles = np.radians(np.r_[np.arange(-35, 70, 10), np.arange(110, 220, 10)])
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    cost = ((x * x + y * y) / MOST_OFF**2 + ((size - 1) / MOST_LARGER) ** 2) / 2
    rings = np.stack([x, y, size], axis=1)
    edges = np.stack([circle * _INSIDE, circle * _OUTSIDE])
    return rings.astype(np.float32), edges.astype(np.float32), cost.astype(np.float32)
