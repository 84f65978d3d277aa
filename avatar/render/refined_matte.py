"""A person's matte at the portrait's own sharpness: strands of hair, gaps between them, a silhouette without a halo.

The segmenter answers at 256 x 256 and knows no strands. In a band around its outline the colours decide: those of the
person and of the background nearby are estimated, and each pixel's share between the two. How much the colours are
believed against the segmenter follows from how far apart they are and how much they vary, both being Gaussian, as in
Chuang et al., A Bayesian Approach to Digital Matting, CVPR 2001.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array, Picture
from avatar.face.regions import FACE_OVAL
from avatar.render.push_pull import push_pull

Matte = NDArray[np.uint8]

# lengths are shares of the picture's side
INWARDS, OUTWARDS = 0.014, 0.043  # of the band in which the colours decide
HAIR_REACH = 0.02  # over which strands outside of the segmenter's outline become less likely
NEARBY = 1 / 64  # standard deviation of what counts as nearby
SAMPLES = ((0.004, 0.0), (0.02, 0.0), (0.04, 0.0), (0.01, 0.02), (0.01, -0.02), (0.02, 0.05), (0.02, -0.05))
PRIOR = 0.3  # standard deviation of the segmenter's share at its outline
NOISE = 4e-4  # variance of a camera's pixel, all channels together, of 1
SAME = 0.06  # two colours so near, of 1, are the same
STRAND, STRANDS_REACH, STRAND_CONTRAST = 0.008, 0.13, 14  # half width, how far off, contrast of 255
MORE_THAN_USUAL = 1.5  # times the contrast of the background's own lines
MOST_USUAL = 40  # of those lines, of 255: a plaster wall has 38; with more, leaves and frames are taken for hair
GAP = 0.012  # between a strand and the hair that it belongs to
STEPS = 3
GUIDE_PX, GUIDE_EDGE = 4, 0.02  # guided filter: radius at 512 px, and the contrast that it keeps, of 1
SURE_OVAL = 0.95  # of the face's oval about its middle: person for certain
STATISTICS = 4  # statistics are taken on a picture so many times smaller


def refine_matte(portrait: Picture, matte: Matte, landmarks: Array) -> Matte:
    """The matte (S, S) of `person_mattes`, refined by the portrait (S, S, 3); the face's oval is always inside.

    landmarks: (478, 3) in [0, 1]. Pieces that do not hang together with the face are dropped. About 0.2 s for 512 px.
    """
    size = len(portrait)
    colours = np.asarray(portrait / np.float32(255), np.float32)
    given = np.asarray(matte / np.float32(255), np.float32)
    oval = face_oval(landmarks, size, SURE_OVAL) > 0
    inside = (cv2.erode((given > 0.97).astype(np.uint8), disc(INWARDS * size)) > 0) | oval
    outside = cv2.dilate((given > 0.03).astype(np.uint8), disc(OUTWARDS * size)) == 0
    loose = _strands(portrait, given)
    outside &= ~loose
    band = np.nonzero(~(inside | outside))
    if not band[0].size or not outside.any():
        return np.asarray(np.maximum(matte, np.where(oval, 255, 0)), np.uint8)
    away = cv2.distanceTransform((given < 0.5).astype(np.uint8), cv2.DIST_L2, 3)[band]
    prior_variance = PRIOR**2 * np.where(loose[band], 1, np.exp(-away / (HAIR_REACH * size)))
    pixels, prior = colours[band], given[band]
    like_behind = _like_background(colours, outside, band)
    share = np.where(inside, 1, np.where(outside, 0, given)).astype(np.float32)
    person, behind = inside, outside
    for step in range(STEPS):
        front, front_variance = (part[band] for part in _nearby(colours, person))
        back, back_variance = (part[band] for part in _nearby(colours, behind))
        across = front - back
        apart = (across**2).sum(1) + 1e-4
        along = ((pixels - back) * across).sum(1) / apart
        seen = np.clip(along, 0, 1)
        beside = ((pixels - back - seen[:, None] * across) ** 2).sum(1)  # what no mixture of the two explains
        variance = (along**2 * front_variance + (1 - along) ** 2 * back_variance + NOISE + beside) / apart
        variance += np.where(seen > prior, like_behind, 0)
        share[band] = (seen * prior_variance + prior * variance) / (prior_variance + variance)
        if step < STEPS - 1:
            radius = max(1, round(GUIDE_PX * size / 512))
            smooth = cv2.ximgproc.guidedFilter(portrait, share, radius, (GUIDE_EDGE * 255) ** 2)
            share[band] = np.clip(smooth[band], 0, 1)
            person, behind = inside | (share > 0.9), outside | (share < 0.04)
    return _in_one_piece(np.asarray(np.rint(share * 255), np.uint8), oval)


def face_oval(landmarks: Array, size: int, scale: float = 1.0) -> Matte:
    """(size, size): 255 inside the face's oval, which is scaled about its middle."""
    oval = landmarks[list(FACE_OVAL), :2] * size
    middle = (oval.min(0) + oval.max(0)) / 2
    outline = np.rint(middle + (oval - middle) * scale).astype(np.int32)
    return np.asarray(cv2.fillConvexPoly(np.zeros((size, size), np.uint8), cv2.convexHull(outline), 255), np.uint8)


def disc(radius_px: float) -> NDArray[np.uint8]:
    """For `cv2.dilate` and `cv2.erode`."""
    side = 2 * max(1, round(radius_px)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _strands(portrait: Picture, given: Array) -> NDArray[np.bool_]:
    """(S, S): loose hair: thin lines near the person, of more contrast than those of the background further off."""
    size = len(portrait)
    grey = cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY)
    thin = disc(STRAND * size)
    lines = np.maximum(cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, thin), cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, thin))
    person = (given > 0.5).astype(np.uint8)
    far = cv2.dilate(person, disc(STRANDS_REACH * size)) == 0
    usual = float(np.percentile(lines[far], 99)) if far.any() else np.inf
    if usual > MOST_USUAL:
        return np.zeros_like(far)
    found = (
        (lines > max(STRAND_CONTRAST, MORE_THAN_USUAL * usual))
        & ~far
        & (cv2.dilate(person, disc(OUTWARDS * size / 4)) == 0)
    )
    return np.asarray(cv2.dilate(found.astype(np.uint8), disc(0.004 * size)) > 0)


def _nearby(colours: Array, where: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Mean (S, S, 3) and variance (S, S) of the colours near each pixel, of those pixels that are in `where`."""
    size = len(colours)
    small = max(1, size // STATISTICS)
    weight = where.astype(np.float32)
    sums = [colours * weight[..., None], np.dstack([(colours**2).sum(2) * weight, weight])]
    total, rest = (
        cv2.GaussianBlur(cv2.resize(part, (small, small), interpolation=cv2.INTER_AREA), (0, 0), NEARBY * small)
        for part in sums
    )
    count = np.maximum(rest[..., 1:], 1e-6)
    mean = np.asarray(total / count, np.float32)
    variance = np.asarray(np.maximum(rest[..., :1] / count - (mean**2).sum(2, keepdims=True), 0), np.float32)
    known = np.asarray(np.clip(rest[..., 1] * 20, 0, 1), np.float32)
    mean, variance = (
        np.asarray(cv2.resize(push_pull(part, known), (size, size), interpolation=cv2.INTER_LINEAR), np.float32)
        for part in (mean, variance)
    )
    return mean, variance


def _like_background(colours: Array, outside: NDArray[np.bool_], band: tuple[NDArray[np.intp], ...]) -> Array:
    """(N,) in [0, 1]: how much each of the band's pixels looks like some background near it."""
    size = len(colours)
    _, labels = cv2.distanceTransformWithLabels(
        (~outside).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    places = np.zeros((int(labels.max()) + 1, 2), np.float32)  # (y, x) of the background's pixels, by label
    places[labels[outside]] = np.argwhere(outside)
    here = np.stack(band, 1).astype(np.float32)
    nearest = places[labels[band]]
    outwards = nearest - here
    outwards /= np.maximum(np.linalg.norm(outwards, axis=1, keepdims=True), 1)
    aside = outwards[:, ::-1] * np.array([1, -1], np.float32)
    least = np.full(len(here), np.inf, np.float32)
    for out, off in SAMPLES:
        y, x = np.clip(np.rint(nearest + (out * outwards + off * aside) * size), 0, size - 1).astype(int).T
        differs = ((colours[y, x] - colours[band]) ** 2).sum(1)
        least = np.minimum(least, np.where(outside[y, x], differs, np.inf))
    return np.asarray(np.exp(-least / SAME**2), np.float32)


def _in_one_piece(matte: Matte, face: NDArray[np.bool_]) -> Matte:
    """Without what does not hang together with the face."""
    near = cv2.dilate((matte > 12).astype(np.uint8), disc(GAP * len(matte)))
    _, pieces = cv2.connectedComponents(near | face.astype(np.uint8))
    kept = np.unique(pieces[face])
    return np.where(np.isin(pieces, kept[kept > 0]) | face, np.maximum(matte, np.where(face, 255, 0)), 0).astype(
        np.uint8
    )
