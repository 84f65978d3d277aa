"""What a portrait shows of an eye, taken apart: the white, the iris, the catch-light, and the shade of the lids.

Put together again they are the portrait. Each moves by itself: the white with the head, the iris with the gaze, the
catch-light half as far (it is a mirror image in the cornea, whose middle lies half as far from the eyeball's), the
shade with the lids.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.render.eye_geometry import EyePlace, lid_index

AROUND_U, AROUND_V = 0.3, 0.55  # of the eye's width: so far the textures reach beyond the corners and their line
LASHES, WET_LINE = 0.05, 0.03  # likewise: next to the lids there is neither clean white nor clean iris
IRIS_REACH = 1.5  # radii of the iris within which what differs from the white moves with it
# Less than this and there is no eye to take apart: it is left as it is
LEAST_WIDTH_PX, LEAST_OPENING, LEAST_FACING = 9.0, 0.11, 0.5
LEAST_CONTRAST, LEAST_WHITE_PX, LEAST_SEEN = 20.0, 5, 0.3
DARKEST_SHADE = 0.4
LEAST_MOST_LIT = 0.45, 1.1  # of the light where white is seen: elsewhere in the eye
EDGE_SHARE = 1.0  # of the way over which light changes from iris to white at its steepest
LEAST_MOST_SOFT = 0.035, 0.12
FAINT = 8.0  # levels below which shares of light are not trusted
LEAST_MOST_LEFT = 0.15, 1.5
GLINT_ABOVE = 35.0  # levels over the iris' own at the same radius
_RINGS = 20  # of the iris' mean, from the centre to its reach


@dataclass(frozen=True, slots=True)
class EyeTextures:
    """Float pictures of one part of the portrait, and where in it an eye's (u, v) and the crop's places are."""

    from_eye: Array  # (3, 3) to pixels of the pictures
    from_crop: Array
    white: Array  # (h, w, 3)
    iris: Array  # (h, w, 4): what it adds to the white that it leaves, and how much of the white it hides
    glint: Array | None  # (h, w, 3): what the catch-light adds to the iris
    lids: Array  # (h, w, 3): what is left of all of it under the lids' shade and lashes
    lids_at_rest: Array  # likewise, with the lashes over the iris where the portrait has it
    skin: Array  # (3,) colour of the upper lid
    lash: Array  # (3,) of the line that a shut eye is
    softness: float  # how far the portrait's edges spread, in widths of the eye


def eye_textures(portrait: Picture, place: EyePlace) -> EyeTextures | None:
    """Of an (S, S, 3) portrait. None where it shows too little of the eye."""
    size = len(portrait)
    width_px = place.width * size
    if width_px < LEAST_WIDTH_PX or place.opening < LEAST_OPENING or place.facing < LEAST_FACING:
        return None
    part = _Part.of(portrait, place)
    if part is None:
        return None
    white_px = part.clean & (part.radius > 1.2)
    iris_px = part.clean & (part.radius < 0.8)
    disc_px = np.pi * abs(float(np.linalg.det(place.disc))) * size * size
    if white_px.sum() < LEAST_WHITE_PX or iris_px.sum() < LEAST_SEEN * 0.64 * disc_px:
        return None
    light = part.pixels.mean(2)
    bright = white_px & (light >= np.percentile(light[white_px], 60))
    own_white = part.pixels[bright].mean(0)
    contrast = float(own_white.mean() - np.median(light[iris_px]))
    if contrast < LEAST_CONTRAST:
        return None
    softness = _softness(part, light, contrast / width_px)
    shade = _shade(part, light, white_px)
    unshaded = part.pixels / shade[..., None]
    white = _white(part, unshaded, own_white, width_px)
    iris, glint = _iris(part, unshaded, white, float(np.sqrt(disc_px / np.pi)), softness * width_px)
    whole = white * (1 - iris[..., 3:]) + iris[..., :3] + glint * iris[..., 3:]
    from_crop = np.array([[size, 0, -part.corner[0]], [0, size, -part.corner[1]], [0, 0, 1]])
    return EyeTextures(
        from_crop @ np.vstack([place.to_crop, [0, 0, 1]]),
        from_crop,
        white.astype(np.float32),
        iris.astype(np.float32),
        glint.astype(np.float32) if glint.max() > 0 else None,
        *_lids(part, whole, shade),
        _skin(part),
        _lash(part, light),
        softness,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """The part of the portrait about the eye, and where in the eye each of its pixels is."""

    corner: Array
    pixels: Array  # (h, w, 3)
    u: Array  # all (h, w)
    v: Array
    under_upper: Array  # distances from the lids, positive between them
    over_lower: Array
    radius: Array  # in radii of the iris
    clean: NDArray[np.bool_]  # between the lids, away from their edges

    @classmethod
    def of(cls, portrait: Picture, place: EyePlace) -> _Part | None:
        size = len(portrait)
        reach = np.array([[-AROUND_U, 1 + AROUND_U] * 2, [-AROUND_V, -AROUND_V, AROUND_V, AROUND_V]])
        corners = (place.to_crop[:, :2] @ reach + place.to_crop[:, 2:]) * size
        low = np.clip(np.floor(corners.min(1)), 0, size).astype(int)
        high = np.clip(np.ceil(corners.max(1)), 0, size).astype(int)
        if (high - low < 4).any():
            return None
        pixels = portrait[low[1] : high[1], low[0] : high[0]].astype(np.float32)
        x, y = np.meshgrid(np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5)
        places = np.stack([x, y], axis=-1) / size
        uv = (places - place.to_crop[:, 2]) @ np.linalg.inv(place.to_crop[:, :2]).T
        disc = (places - place.iris_centre) @ np.linalg.inv(place.disc).T
        u, v = uv[..., 0], uv[..., 1]
        at = lid_index(u)
        under_upper, over_lower = v - place.upper[at], place.lower[at] - v
        clean = (under_upper > LASHES) & (over_lower > WET_LINE) & (u > 0.06) & (u < 0.92)
        return cls(low.astype(np.float32), pixels, u, v, under_upper, over_lower, np.sqrt((disc**2).sum(-1)), clean)


def _softness(part: _Part, light: Array, contrast: float) -> float:
    """In widths of the eye, from the steepest change between white and iris. `contrast`: theirs, in levels a width."""
    slopes = np.hypot(*np.gradient(light))[part.clean]
    return float(np.clip(EDGE_SHARE * contrast / max(float(np.percentile(slopes, 95)), 1e-3), *LEAST_MOST_SOFT))


def _shade(part: _Part, light: Array, white: NDArray[np.bool_]) -> Array:
    """(h, w) share of the light that the upper lid leaves, read off the white by distance from the lid."""
    steps = np.linspace(0, 0.4, 11)
    typical = 1 - 0.45 * np.exp(-steps / 0.06)
    white_light = float(np.percentile(light[white], 75))
    loose = (part.under_upper > 0) & (part.over_lower > 0) & (part.radius > 1.2) & (part.u > 0.1) & (part.u < 0.9)
    below = part.under_upper[loose]
    weights = np.exp(-(((below[None] - steps[:, None]) / 0.03) ** 2))
    measured = (weights @ light[loose] / white_light + 4 * typical) / (weights.sum(1) + 4)
    profile = np.maximum.accumulate(np.clip(measured, DARKEST_SHADE, 1))
    return np.asarray(np.interp(part.under_upper, steps, profile / profile[-1]), np.float32)


def _white(part: _Part, unshaded: Array, own_white: Array, width_px: float) -> Array:
    """(h, w, 3) the white, continued behind iris and lids, darker where the skin around it is."""
    likeness = _ramp(unshaded.mean(2) / max(float(own_white.mean()), 1.0), 0.7, 0.92)
    sound = (part.clean * likeness * _ramp(part.radius, 1.06, 1.25)).astype(np.float32)
    skin = ((part.under_upper < -0.04) | (part.over_lower < -0.04)).astype(np.float32)
    around = _spread(part.pixels.mean(2) * skin, 0.2 * width_px) / (_spread(skin, 0.2 * width_px) + 1e-3)
    lit = np.clip(around / max(float((around * sound).sum() / max(sound.sum(), 1e-3)), 1.0), *LEAST_MOST_LIT)[..., None]
    flat = unshaded / lit
    filled = np.empty_like(unshaded)
    filled[:] = own_white * 0.94
    for share in (0.3, 0.1, 0.03):  # from far to near
        weight = _spread(sound, share * width_px)[..., None]
        filled = (_spread(flat * sound[..., None], share * width_px) + 0.03 * filled) / (weight + 0.03)
    # the corner's own flesh stays
    corner = _ramp(part.u, 0.86, 0.94) * (part.radius > IRIS_REACH)
    kept = np.maximum(sound, corner)[..., None]
    return np.asarray(kept * unshaded + (1 - kept) * filled * lit)


def _spread(values: NDArray[np.floating], sigma_px: float) -> Array:
    blurred = cv2.GaussianBlur(np.asarray(values, np.float32), (0, 0), max(sigma_px, 1.0))
    return np.asarray(blurred, np.float32)


def _iris(part: _Part, unshaded: Array, white: Array, radius_px: float, edge_px: float) -> tuple[Array, Array]:
    """(h, w, 4) as of `EyeTextures.iris`, a full disc, and (h, w, 3) the catch-light."""
    hides = np.clip((1 - part.radius) * radius_px / max(edge_px, 1.6) + 0.5, 0, 1)
    seen = unshaded - (1 - hides[..., None]) * white
    clean = _ramp(part.under_upper, LASHES * 0.6, LASHES * 1.4) * _ramp(part.over_lower, 0.0, WET_LINE)
    light = seen.mean(2)
    near = part.radius < IRIS_REACH
    rings = (np.arange(_RINGS) + 0.5) * (IRIS_REACH / _RINGS)
    ring_of, colours = (part.radius[near] * (_RINGS / IRIS_REACH)).astype(np.intp), seen[near]

    def by_ring(weight: Array) -> Array:
        weights = weight[near] + 1e-9
        total, *sums = (np.bincount(ring_of, w, _RINGS) for w in (weights, *(colours * weights[:, None]).T))
        known = total > min(0.2, total.max() / 2)
        means = [ring_sum[known] / total[known] for ring_sum in sums]
        return np.stack([np.interp(rings, rings[known], mean) for mean in means], axis=1)

    def spread(profile: Array) -> Array:
        return np.stack([np.interp(part.radius, rings, profile[:, c]) for c in range(3)], axis=-1)

    typical = spread(by_ring(clean))
    over = light - typical.mean(2)
    bright = ((over > GLINT_ABOVE * 0.6) & (part.radius < 0.95)).astype(np.float32)
    typical = spread(by_ring(clean * (1 - bright)))
    over = light - typical.mean(2)
    spot = ((over > GLINT_ABOVE) & (part.radius < 0.85) & (clean > 0.3)).astype(np.uint8)
    halo = cv2.GaussianBlur(cv2.dilate(spot, np.ones((3, 3), np.uint8)).astype(np.float32), (0, 0), 0.7)
    glint = np.maximum(seen - typical, 0) * (halo * hides)[..., None]
    sound = (clean * (part.radius < IRIS_REACH))[..., None]
    fading = (1 - _ramp(part.radius, 1.1, IRIS_REACH))[..., None]
    colour = sound * (seen - glint) + (1 - sound) * typical * fading
    return np.concatenate([colour, hides[..., None]], axis=-1), glint


def _lids(part: _Part, whole: Array, shade: Array) -> tuple[Array, Array]:
    """(h, w, 3) as of `EyeTextures.lids` and `lids_at_rest`: near the lids what makes the portrait of the `whole`."""
    left = np.clip((part.pixels + FAINT) / (np.maximum(whole, 0) + FAINT), *LEAST_MOST_LEFT)
    near = np.maximum(1 - _ramp(part.under_upper, 0.06, 0.16), 1 - _ramp(part.over_lower, 0.04, 0.1))
    near = np.maximum(near, np.maximum(_ramp(part.u, 0.8, 0.92), 1 - _ramp(part.u, 0.06, 0.14)))
    # lashes over the iris are not those over the white
    moving, resting = (share[..., None] for share in (near * _ramp(part.radius, 1.0, 1.2), near))
    away, rest = (share * left + (1 - share) * shade[..., None] for share in (moving, resting))
    return np.asarray(away, np.float32), np.asarray(rest, np.float32)


def _skin(part: _Part) -> Array:
    """(3,) colour above the upper lid."""
    above = (part.under_upper < -0.06) & (part.under_upper > -0.14) & (part.u > 0.2) & (part.u < 0.8)
    return np.median(part.pixels[above], axis=0) if above.any() else np.full(3, 128, np.float32)


def _lash(part: _Part, light: Array) -> Array:
    """(3,) the darker half of what lies along the upper lid's edge."""
    edge = (np.abs(part.under_upper) < 0.04) & (part.u > 0.1) & (part.u < 0.9)
    if not edge.any():
        return np.full(3, 60, np.float32)
    dark = edge & (light <= np.percentile(light[edge], 50))
    return np.asarray(part.pixels[dark].mean(0), np.float32)


def _ramp(values: Array, low: float, high: float) -> Array:
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)
