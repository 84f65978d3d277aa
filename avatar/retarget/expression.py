"""Puts a driver's expression onto the avatar's own neutral face."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.face.face_model import face_model
from avatar.face.gaps import (
    DRAWN_SHUT,
    THICKEST_LIP,
    THINNEST_LIP,
    eye_width,
    gaps,
    lip_heights,
    mouth_size,
    mouth_width,
    set_lid_gaps,
    set_lip_heights,
    set_mouth_gaps,
    shut_mouth,
)
from avatar.face.gaze import Gaze, gaze, gaze_at_rest, set_gaze
from avatar.face.head_pose import turned_by
from avatar.face.regions import INNER_LIP_PAIRS, LEFT_LID_PAIRS, RIGHT_LID_PAIRS, part_shares
from avatar.face.state import BLENDSHAPE_INDEX
from avatar.retarget.blink import BlinkDetector
from avatar.retarget.driver_face import DriverFace
from avatar.retarget.gains import Gains
from avatar.retarget.held_expression import HeldExpression

_LIDS = RIGHT_LID_PAIRS, LEFT_LID_PAIRS
LEAST_LIP = 0.01  # height in widths of the mouth: a portrait's pressed lips show as much
# Share of a motion that the tracker finds again in the drawn picture (4 portraits, 3 drivers; alike in all): skin that
# is moved as far as it was asked to, but makes neither folds nor shades, seems to have moved less.
SEEN = {"mouth": 0.85, "brows": 0.68}
LIPS_SEEN = 0.7  # the same of the height of lips, as a power
# The same of irises, across and up: of 0.12 of the eye's width up or down, drawn alone, it finds 0.01 to 0.03, and with
# lids that follow more
GAZE_SEEN = np.array([0.8, 0.45], np.float32)
UPPER_LIP = 0.2  # share of the upper lip in what parts the lips: the jaw does the rest
SMALLER, LARGER = 0.7, 1.4  # a mouth against the driver's: further apart it is no mouth
# A mouth that is narrower than at rest, by more than PURSED_FROM, purses so much more than it would: in a face that
# shows nothing of its own, and in one that smiles
PURSED_FROM, PURSED, PURSED_SMILE = 0.03, 0.1, 0.75
LOWERED = 0.8  # more of a brow's way down, where the portrait's are raised
OWN_LIDS_FROM, OWN_LIDS = 0.8, 0.4  # openness at which lids begin to take the avatar's own arch, and have it


class Expression:
    """The avatar's face with the driver's expression: what moves is the driver's, the shape is the avatar's.

    `judged`: lids and gaze are read by `BlinkDetector` and `Gaze`, which know the tracker's faults, and mouth and brows
    move as far as to be seen where the driver's are; without it all goes over as it was measured.
    """

    def __init__(self, neutral: Array, judged: bool = True, held: HeldExpression | None = None) -> None:
        """`held`: what the portrait shows that the neutral face does not."""
        neutral = shut_mouth(neutral) if judged else neutral
        self._neutral, self._judged = neutral, judged
        self._held = held or HeldExpression()
        self._mouth_size = mouth_size(neutral)
        self._mouth_width = mouth_width(neutral)
        self._lip_heights = np.maximum(lip_heights(neutral), LEAST_LIP * self._mouth_width)
        self._open = [_openness(neutral, pairs) for pairs in _LIDS]
        self._own_lids, self._own_gaze = [gaps(neutral, pairs) for pairs in _LIDS], gaze(neutral)
        self._blinks, self._gaze = BlinkDetector(), Gaze()

    def reset(self) -> None:
        """Forget what was seen before: another driver, or a pause."""
        self._blinks.reset()
        self._gaze.reset()

    def of(self, face: DriverFace, calm: DriverFace, gains: Gains, step_s: float) -> Array:
        """(478, 3) pose-free shape for `face`, of which `calm` is the neutral one, `step_s` after the last one."""
        rest, size, upper = calm.shape, np.ones(3, np.float32), 0.5
        if self._judged:
            rest, upper = shut_mouth(calm.shape), UPPER_LIP
            size = np.clip(self._mouth_size / np.maximum(mouth_size(rest), 1e-3), SMALLER, LARGER)
        moved = change = face.shape - rest
        for part, share in part_shares().items():
            factor = getattr(gains, part) / (SEEN.get(part, 1.0) if self._judged else 1.0)
            moved = moved + (factor * (size if part == "mouth" else 1.0) - 1) * share * change
        if self._judged:
            moved = moved + self._further(face, rest, gains)
        result = np.asarray(self._neutral + moved, np.float32)
        # a shut mouth must be shut whatever the shapes of the two mouths: set the gaps, do not add them
        ratio = gains.mouth * self._mouth_width / max(mouth_width(calm.shape), 1e-3)
        result = set_mouth_gaps(result, gaps(face.shape, INNER_LIP_PAIRS) * ratio, upper)
        # a thick lip that is rolled in would leave nothing of a thin one: lips keep their share, not their loss
        least = LEAST_LIP * mouth_width(calm.shape)
        kept = np.maximum(lip_heights(face.shape), least) / np.maximum(lip_heights(calm.shape), least)
        kept = np.clip(kept ** (gains.mouth / (LIPS_SEEN if self._judged else 1.0)), THINNEST_LIP, THICKEST_LIP)
        result = set_lip_heights(result, np.asarray(self._lip_heights * kept, np.float32))
        return self._with_eyes(result, face, calm, gains.eyes, step_s)

    def _further(self, face: DriverFace, rest: Array, gains: Gains) -> Array:
        """(478, 3) way that what the portrait holds has to be overcome by."""
        narrower = max(0.0, 1 - mouth_width(face.shape) / max(mouth_width(rest), 1e-3) - PURSED_FROM)
        pursed = PURSED + self._held.smile * (PURSED_SMILE - PURSED)
        way = gains.mouth * pursed * narrower * _pursing()
        shares = part_shares()["brows"]
        lowered = np.zeros_like(rest)
        lowered[:, 1] = np.maximum(face.shape - rest, 0)[:, 1]
        return way + gains.brows * LOWERED / SEEN["brows"] * self._held.raised_brows * shares * lowered

    def _with_eyes(self, result: Array, face: DriverFace, calm: DriverFace, gain: float, step_s: float) -> Array:
        at_rest = np.array([_openness(calm.shape, pairs) for pairs in _LIDS], np.float32)
        lids = [gaps(face.shape, pairs) for pairs in _LIDS]
        measured = np.array([distances.mean() for distances in lids], np.float32) / at_rest
        shown = measured
        if self._judged:
            turn_sine = float(turned_by(face.pose[:3])[2, 0])  # of the head's right-left axis into the picture
            shown, closure = self._blinks(face.openings / at_rest, face.blinks, calm.blinks, turn_sine, step_s)
        shown = 1 + gain * (shown - 1)
        if self._judged:
            shown = np.maximum(shown, DRAWN_SHUT)
        for eye, pairs in enumerate(_LIDS):
            ratio = float(np.clip(self._open[eye] / at_rest[eye], 0.5, 2.0))
            lifted = lids[eye] * ratio + (shown[eye] - measured[eye]) * self._open[eye]
            if self._judged:
                own = np.clip((OWN_LIDS_FROM - shown[eye]) / (OWN_LIDS_FROM - OWN_LIDS), 0, 1)
                lifted = lifted + own * (self._own_lids[eye] * shown[eye] - lifted)
            result = set_lid_gaps(result, pairs, lifted)
        if self._judged:
            at_rest_gaze = gaze_at_rest(gaze(calm.shape), turned_by(calm.pose[:3]))
            change = self._gaze(gaze(face.shape) - at_rest_gaze, closure, turn_sine)
            result = set_gaze(result, self._neutral, self._own_gaze + gain / GAZE_SEEN * change)
        return result


@lru_cache(maxsize=1)
def _pursing() -> Array:
    """(478, 3) way of a mouth that becomes narrower by its whole width, as lips purse."""
    basis, mean = face_model().expression_basis[BLENDSHAPE_INDEX["mouthPucker"]], face_model().mean_shape
    return np.asarray(basis * (mouth_width(mean) / (mouth_width(mean) - mouth_width(mean + basis))), np.float32)


def _openness(shape: Array, pairs: NDArray[np.int_]) -> float:
    return max(float(gaps(shape, pairs).mean()), 0.1 * eye_width(shape, pairs))
