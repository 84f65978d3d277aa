"""The neutral face of a driver who is the avatar's own person: known before the driver's face was ever at rest."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.face.face_model import face_model
from avatar.face.state import BLENDSHAPE_NAMES
from avatar.retarget.driver_face import DriverFace

# Weight of the scores against the shapes that they are to explain. With less, camera and lens are taken for expression
# too, and the avatar looks less like its portraits; with more, a smile that a call began with stays the neutral face.
RIDGE = 1.0
_READ = [i for i, name in enumerate(BLENDSHAPE_NAMES) if not name.startswith("eyeLook")]  # gaze is read by itself


class OwnNeutral:
    """What was learnt of the driver so far, with the avatar's own expression in the place of the one that is in it.

    Of what the two faces differ by, the part that an expression explains is one; the rest is another camera, lens or
    light, which the avatar is not to take over.
    """

    def __init__(self, own: DriverFace) -> None:
        self._own = own
        self._basis, self._explain = _reading()

    def of(self, learnt: DriverFace) -> DriverFace:
        """The driver's neutral face, by the one that was `learnt`."""
        apart = (self._own.shape - learnt.shape)[:, :2].reshape(-1)
        scores = np.clip(self._explain @ apart, -1, 1).astype(np.float32)
        shape = learnt.shape + np.tensordot(scores, self._basis, axes=1)
        return replace(learnt, shape=np.asarray(shape, np.float32), blinks=self._own.blinks)


@lru_cache(maxsize=1)
def _reading() -> tuple[Array, NDArray[np.floating]]:
    """(E, 478, 3) what each score that is read adds to a face, and (E, 956) the scores that explain x and y of one."""
    basis = face_model().expression_basis[_READ]
    flat = basis[..., :2].reshape(len(_READ), -1).astype(np.float64)  # depth is a guess
    return basis, np.linalg.solve(flat @ flat.T + RIDGE * np.eye(len(flat)), flat)
