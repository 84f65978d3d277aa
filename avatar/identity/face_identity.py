"""Is it the same person? Descriptors of faces by dlib's face recognition ResNet, run by an engine without dlib.

Source: http://blog.dlib.net/2017/02/high-quality-face-recognition-with-deep.html. The network's origin, licence, known
bias and measured distances: `avatar/weights/identity/MODEL_CARD.md`.
"""

from __future__ import annotations

import numpy as np

from avatar.core.arrays import Array, Picture
from avatar.core.closing import Closing
from avatar.core.errors import VisavisError
from avatar.core.model_files import model_file
from avatar.face.face_descriptor import NETWORK, chip
from engines import Engine, EngineFailure, open_engine

# Distance of two photos above which they hardly show one person: 0.8 % of one person's pairs from different clips, and
# 90 % of different people's pairs of portraits. See the model card.
DIFFERENT_PEOPLE = 0.7


class FaceIdentity(Closing):
    """The network (about 8 ms a face on two cores). Close it, or use it in a `with` statement."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def descriptor(self, rgb: Picture, landmarks: Array) -> Array:
        """(128,) descriptor of the face with these (478, 3) landmarks in pixels of the (H, W, 3) picture."""
        return self.describe_chip(chip(rgb, landmarks))

    def describe_chip(self, face: Picture) -> Array:
        """(128,) descriptor of an aligned (150, 150, 3) face, RGB."""
        try:
            return np.asarray(self._engine.infer({"chip": face[None]})["descriptor"][0], np.float32)
        except EngineFailure as error:
            raise VisavisError(f"The face could not be compared: {error}.") from error

    def close(self) -> None:
        self._engine.close()


def open_face_identity(backend: str = "auto", threads: int | None = None) -> FaceIdentity:
    """Load the shipped network; arguments as of `engines.open_engine`. Raises VisavisError."""
    try:
        return FaceIdentity(open_engine(model_file(NETWORK), backend, threads))
    except EngineFailure as error:
        raise VisavisError(f"The network that compares faces does not start: {error}.") from error
