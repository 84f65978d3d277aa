"""One frame to try networks on, as the live loop makes it: the mean face, turned and talking. It shows nobody."""

from __future__ import annotations

import numpy as np

from avatar.core.arrays import Array
from avatar.face.face_model import face_model
from avatar.face.head_pose import HeadPose, turned_by
from avatar.face.state import BLENDSHAPE_INDEX
from avatar.render.assemble import REGIONS, generator_inputs
from avatar.render.conditioning import conditioning

PORTRAIT_PX = 256
YAW_RADIANS = 0.2


def example_landmarks() -> tuple[Array, Array]:
    """(478, 3) of a portrait that looks ahead, and of the frame, in [0, 1]."""
    model = face_model()
    upright = HeadPose(np.eye(3, dtype=np.float32), 0.25, np.array([0.5, 0.45, 0.0], np.float32))
    turned = HeadPose(turned_by(np.array([0, YAW_RADIANS, 0])), 0.26, np.array([0.52, 0.46, 0.0], np.float32))
    scores = np.zeros(len(model.expression_basis), np.float32)
    scores[BLENDSHAPE_INDEX["jawOpen"]] = 0.6
    return upright.apply(model.mean_shape), turned.apply(model.mean_shape + model.expression(scores))


def example_frame() -> dict[str, Array]:
    """What the generator is fed for the frame, beside ψ. The portrait is waves of grey."""
    y, x = np.mgrid[0:PORTRAIT_PX, 0:PORTRAIT_PX] / PORTRAIT_PX
    waves = [0.5 + 0.3 * np.sin(9 * x + phase) * np.cos(7 * y) for phase in (0.0, 0.4, 0.8)]
    portrait = (np.stack(waves, axis=-1) * 255).astype(np.uint8)
    return generator_inputs(conditioning(*example_landmarks()), dict.fromkeys(REGIONS, portrait))
