"""The background behind a person, made up where the person hides it: no strand and no ghost of hair is left in it."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.render.refined_matte import Matte, disc
from avatar.render.seen_background import fill_from

# lengths are shares of the picture's side
RIM = 0.028  # that the hole is wider than the matte: strands, light that spills over, a camera's sharpening
REACH, GRAIN_REACH = 0.035, 0.14  # how far into the hole what is around it is mirrored, and its grain alone
COARSE, INPAINTED_PX = 4, 4  # how much smaller colours are filled in, and from how far around
SEAM = 0.012  # standard deviation over which they are smoothed
CALM = 0.012  # standard deviation over which the mirror's edge is smoothed: the nearest edge jumps from pixel to pixel
GRAIN_PX, MOST_GRAIN = 1.5, 4.0  # standard deviation at 512 px of what is finer, and the most of it, of 255


def background_plate(portrait: Picture, alpha: Matte, others: Iterable[tuple[Picture, Matte]] = ()) -> Picture:
    """(S, S, 3) without the person, whose refined matte is `alpha` (S, S).

    `others`: portraits with their mattes; what they show of the same background is taken from them. Further into what
    is hidden in all, what is around it passes from its mirror image into smooth colours and grain.
    """
    size = len(portrait)
    hole = _hidden(alpha)
    if hole.all() or not hole.any():
        return portrait.copy()
    portrait, hole = fill_from(portrait, hole, ((other, _hidden(matte)) for other, matte in others))
    if not hole.any():
        return portrait
    known = 1 - hole.astype(np.float32)[..., None]
    colours = portrait.astype(np.float32)
    smooth = _smooth(portrait, hole)
    x, y, depth = _mirror(hole)
    found = cv2.remap(np.dstack([colours * known, known]), x, y, cv2.INTER_CUBIC)
    mirrored, there = found[..., :3] / np.maximum(found[..., 3:], 0.01), np.clip(found[..., 3:], 0, 1) ** 2
    near, far = (there * np.exp(-((depth / (reach * size)) ** 2))[..., None] for reach in (REACH, GRAIN_REACH))
    fine = mirrored - _blurred(np.asarray(mirrored, np.float32), GRAIN_PX * size / 512)
    grain = np.clip(fine, -MOST_GRAIN, MOST_GRAIN)
    filled = smooth + near * (mirrored - smooth) + (far - near) * grain
    return np.asarray(np.rint(np.clip(filled + known * (colours - filled), 0, 255)), np.uint8)


def _hidden(alpha: Matte) -> Matte:
    """(S, S): 1 where the person hides the background, or spoils it."""
    return np.asarray(cv2.dilate((alpha > 4).astype(np.uint8), disc(RIM * len(alpha))), np.uint8)


def _smooth(portrait: Picture, hole: Matte) -> Array:
    """(S, S, 3): the hole filled in coarse colours that go on along what meets it: a horizon, a wall's edge, a sofa.

    Source: Bertalmio, Bertozzi & Sapiro, Navier-Stokes, Fluid Dynamics, and Image and Video Inpainting, CVPR 2001.
    """
    small = max(8, len(portrait) // COARSE)
    share = cv2.resize(hole, (small, small), interpolation=cv2.INTER_AREA)
    unknown = np.asarray(share > share.min(), np.uint8)  # a narrow rim of background may fill no coarse pixel
    coarse = np.asarray(cv2.resize(portrait, (small, small), interpolation=cv2.INTER_AREA), np.uint8)
    filled = cv2.inpaint(coarse, unknown, INPAINTED_PX, cv2.INPAINT_NS).astype(np.float32)
    calm = _blurred(filled, SEAM * small)  # fronts that meet behind the person make a seam
    return np.asarray(cv2.resize(calm, hole.shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def _mirror(hole: Matte) -> tuple[Array, Array, Array]:
    """For each pixel of the hole x and y (S, S) beyond its nearest edge, and how deep (S, S) in the hole it is."""
    size = len(hole)
    depth, labels = cv2.distanceTransformWithLabels(hole, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    known = hole == 0
    edge = np.zeros((int(labels.max()) + 1, 2), np.float32)  # (x, y) of the known pixels, by label
    edge[labels[known]] = np.argwhere(known)[:, ::-1]
    here = np.dstack(np.meshgrid(np.arange(size), np.arange(size))).astype(np.float32)
    source = here + _blurred(np.asarray(2 * (edge[labels] - here), np.float32), CALM * size)
    return source[..., 0].copy(), source[..., 1].copy(), np.asarray(depth, np.float32)


def _blurred(layers: Array, deviation_px: float) -> Array:
    return np.asarray(cv2.GaussianBlur(layers, (0, 0), max(deviation_px, 0.3)), np.float32)
