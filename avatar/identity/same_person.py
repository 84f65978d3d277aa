"""Do the photos under one name show one person? And are they lit alike?"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.face import regions as at
from avatar.face.face_descriptor import distance
from avatar.identity.face_identity import DIFFERENT_PEOPLE, FaceIdentity

Pictures = NDArray[np.uint8]

FROM_THE_OTHERS = 0.6  # L2 distance to the mean of the others' descriptors, from three photos up
MAX_GAIN, MAX_SHIFT = 1.25, 20.0  # how far a photo's light is changed, per channel of Lab (8 bits each)
OTHER_LIGHT = 8.0  # of 255, in a channel of Lab: less is hardly seen, and matching costs more than it brings


def strangers(descriptors: Array) -> dict[int, float]:
    """Which of the (N, 128) descriptors do not belong with the majority, the worst first, and how far they are from it.

    Of two that differ, the second. The limits: `avatar/weights/identity/MODEL_CARD.md`.
    """
    if len(descriptors) == 2:
        apart_by = distance(descriptors[0], descriptors[1])
        return {1: apart_by} if apart_by > DIFFERENT_PEOPLE else {}
    left, out = list(range(len(descriptors))), {}
    while len(left) > 2:
        apart = {i: distance(descriptors[i], descriptors[[j for j in left if j != i]].mean(0)) for i in left}
        worst = max(apart, key=apart.__getitem__)
        if apart[worst] <= FROM_THE_OTHERS:
            break
        left.remove(worst)
        out[worst] = apart[worst]
    return out


def describe(identity: FaceIdentity, portraits: Pictures, landmarks: Array) -> Array:
    """(K, 128) descriptors of (K, S, S, 3) portraits with (K, 478, 3) landmarks in [0, 1]."""
    size = portraits.shape[1]
    return np.stack([identity.descriptor(p, points * size) for p, points in zip(portraits, landmarks, strict=True)])


def match_light(portraits: Pictures, landmarks: Array) -> Pictures:
    """(K, S, S, 3) portraits whose skin has the brightness and colour of the first one's, within limits.

    So the avatar does not flicker when another portrait lends its pixels. Mean and spread per channel of Lab, over the
    face without mouth and eyes, which open and shut (Reinhard et al., "Color Transfer between Images", 2001), put onto
    the whole picture: a camera's exposure changes all of it, and a change of the face alone leaves a halo. Portraits in
    nearly the same light stay as they are.
    """
    wanted = _statistics(portraits[0], landmarks[0])
    result = portraits.copy()
    for i in range(1, len(portraits)):
        mean, spread = _statistics(portraits[i], landmarks[i])
        if np.abs(wanted[0] - mean).max() < OTHER_LIGHT:
            continue
        gain = np.clip(wanted[1] / np.maximum(spread, 1.0), 1 / MAX_GAIN, MAX_GAIN)
        shift = np.clip(wanted[0] - mean, -MAX_SHIFT, MAX_SHIFT)
        lab = cv2.cvtColor(portraits[i], cv2.COLOR_RGB2LAB).astype(np.float32)
        lab = (lab - mean) * gain + mean + shift
        result[i] = cv2.cvtColor(np.clip(lab + 0.5, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)
    return result


def _statistics(portrait: Pictures, landmarks: Array) -> tuple[Array, Array]:
    """Mean and standard deviation (3,) of the skin in Lab."""
    size = portrait.shape[0]
    mask = np.zeros((size, size), np.uint8)
    for region, inside in ((at.FACE_OVAL, 1), (at.LIPS_OUTER, 0), (at.RIGHT_EYE, 0), (at.LEFT_EYE, 0)):
        cv2.fillPoly(mask, [np.rint(landmarks[list(region), :2] * size).astype(np.int32)], inside)
    face = cv2.cvtColor(portrait, cv2.COLOR_RGB2LAB)[mask.astype(bool)].astype(np.float32)
    if len(face) == 0:
        return np.zeros(3, np.float32), np.ones(3, np.float32)
    return face.mean(0), face.std(0)
