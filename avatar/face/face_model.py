"""A linear face: mean shape and what each blendshape adds to it, fitted by `avatar.learning.fit_face_model`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from avatar.core.arrays import Array
from avatar.core.model_files import model_file


@dataclass(frozen=True)
class FaceModel:
    """Shapes are pose-free: x right, y down, z away from the viewer, in distances of the outer eye corners."""

    mean_shape: Array  # (478, 3)
    expression_basis: Array  # (52, 478, 3)
    mirror: NDArray[np.int32]  # (478,) the landmark on the other side of the face

    def expression(self, blendshapes: Array) -> Array:
        """(52,) scores to the (478, 3) displacement that they explain."""
        return np.tensordot(blendshapes, self.expression_basis, axes=1).astype(np.float32)


@lru_cache(maxsize=1)
def face_model() -> FaceModel:
    """The fitted face model that is shipped with the weights."""
    tensors = load_file(model_file("face_model.safetensors"))
    return FaceModel(tensors["mean_shape"], tensors["expression_basis"], tensors["mirror"])
