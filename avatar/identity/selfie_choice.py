"""Which frames of a selfie clip tell most: the best of each thing that it shows, then those that differ most."""

from __future__ import annotations

from collections import Counter

import numpy as np

from avatar.core.arrays import Array
from avatar.face.face_codes import FaceCodes, face_codes
from avatar.identity.photo_check import ramp
from avatar.identity.selfie_frame import Candidate, SelfieFrame
from avatar.identity.selfie_signs import WANTED

MIN_SHARPNESS_SHARE = 0.7  # of the clip's median; below, a frame is blurred by motion or by the encoder's start
MAX_LUMA_CHANGE = 0.35  # against the clip's median; a camera finding its exposure, a lamp going on
MIN_NOVELTY = 0.35  # a further frame must differ by this much from each chosen one
# What differs by 1: distances of face_codes, and teeth that show
NOVELTY_SCALE = {"face": 0.15, "mouth": 0.05, "eyes": 0.05, "teeth": 0.5}


def choose(candidates: list[Candidate], count: int) -> list[SelfieFrame]:
    """At most `count` of one person's frames, at least one of them given, the best neutral one first.

    Then the best one of each thing in WANTED, the rarest first, then always the frame that adds most
    (farthest-point sampling: Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985),
    weighed by its quality.
    """
    fit = _fit(candidates)
    quality = _quality(fit)
    codes = _Codes(fit)
    chosen = [int(np.argmax(quality * _neutrality(fit)))]
    nearest = codes.apart(chosen[0])

    def add(index: int) -> None:
        nonlocal nearest
        chosen.append(index)
        nearest = np.minimum(nearest, codes.apart(index))

    owners = {name: [i for i, one in enumerate(fit) if name in one.shows] for name in WANTED}
    for owning in sorted(filter(None, owners.values()), key=len):
        if len(chosen) < count and not set(owning) & set(chosen):
            add(max(owning, key=lambda i: quality[i]))
    while len(chosen) < min(count, len(fit)):
        novelty = np.linalg.norm(nearest, axis=0)
        best = int((novelty * quality).argmax())
        if novelty[best] < MIN_NOVELTY:
            break
        add(best)
    shared = fit[chosen[0]].crop()
    return [fit[i].framed(shared) for i in chosen]


def thinned(candidates: list[Candidate]) -> list[Candidate]:
    """Without a quarter of them: each time the worse of the two most alike, unless it alone shows something."""
    codes, worth = _Codes(candidates), _quality(candidates) * (0.5 + _neutrality(candidates))
    apart = np.stack([np.linalg.norm(codes.apart(i), axis=0) for i in range(len(candidates))])
    rows, columns = np.triu_indices(len(candidates), 1)
    owners = Counter(name for one in candidates for name in one.shows)
    gone: set[int] = set()
    for pair in np.argsort(apart[rows, columns]):  # a quarter at once: comparing all at each frame is slow
        i, j = int(rows[pair]), int(columns[pair])
        worse = i if worth[i] < worth[j] else j
        if i not in gone and j not in gone and all(owners[name] > 1 for name in candidates[worse].shows):
            gone.add(worse)
            owners.subtract(candidates[worse].shows)
        if len(gone) >= len(candidates) // 4:
            break
    return [one for i, one in enumerate(candidates) if i not in gone]


class _Codes:
    """Distances between candidates, by what the renderer chooses among portraits separately."""

    def __init__(self, candidates: list[Candidate]) -> None:
        self._codes: FaceCodes = face_codes(np.stack([one.face.landmarks for one in candidates]))
        self._teeth = np.array([one.teeth for one in candidates], np.float32)

    def apart(self, index: int) -> Array:
        """(4, N) scaled distances of all to one of them."""
        one = self._codes.rows(np.array([index]))
        rows = [self._codes.distances(one, region) / NOVELTY_SCALE[region] for region in ("face", "mouth", "eyes")]
        return np.stack([*rows, np.abs(self._teeth - self._teeth[index]) / NOVELTY_SCALE["teeth"]]).astype(np.float32)


def _fit(candidates: list[Candidate]) -> list[Candidate]:
    """Without those blurred by motion and those in another light."""
    sharpness = float(np.median([one.check.sharpness for one in candidates]))
    luma = float(np.median([one.check.luma for one in candidates]))
    fit = [
        one
        for one in candidates
        if one.check.sharpness >= MIN_SHARPNESS_SHARE * sharpness
        and abs(one.check.luma - luma) <= MAX_LUMA_CHANGE * luma
    ]
    return fit or candidates


def _quality(candidates: list[Candidate]) -> Array:
    """(N,) in [0, 1]: sharp, lit like the others, alone in the picture."""
    sharpness = float(np.median([one.check.sharpness for one in candidates]))
    luma = float(np.median([one.check.luma for one in candidates]))
    return np.array(
        [
            ramp(one.check.sharpness, 0.0, max(sharpness, 1e-6))
            * ramp(-abs(one.check.luma - luma) / max(luma, 1.0), -MAX_LUMA_CHANGE, -0.1)
            * (0.5 if one.several_faces else 1.0)
            for one in candidates
        ],
        np.float32,
    )


def _neutrality(candidates: list[Candidate]) -> Array:
    """(N,) how well each would do as the reference: frontal, mouth closed, eyes open, no grimace."""
    wide = max(float(np.percentile([one.eye_gap for one in candidates], 75)), 1e-6)
    return np.array(
        [
            one.check.score
            * one.closed_mouth
            * ramp(one.eye_gap / wide, 0.5, 0.95)
            * ramp(-max(one.face.blendshape("mouthSmileLeft"), one.face.blendshape("mouthSmileRight")), -0.9, -0.2)
            * ramp(-max(one.face.blendshape("mouthPucker"), one.face.blendshape("mouthFunnel")), -1.2, -0.4)
            for one in candidates
        ],
        np.float32,
    )
