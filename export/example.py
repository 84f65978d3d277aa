"""Inputs for trying the networks: shapes and ranges as the live loop makes them, no real face needed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from avatar.core.arrays import Array
from avatar.face.face_model import face_model
from avatar.face.head_pose import HeadPose
from avatar.model.config import ModelConfig
from avatar.model.generator import Generator
from avatar.render.assemble import REGIONS, generator_inputs
from avatar.render.conditioning import EYE_SIZE, FACE_SIZE, MOUTH_SIZE, conditioning, draw_face


def example_inputs(config: ModelConfig, source_px: int | None = None) -> dict[str, Tensor]:
    """Inputs as the live loop makes them: a random picture, the mean face turned and with its mouth open."""
    rng = np.random.default_rng(7)
    model = face_model()
    upright = HeadPose(np.eye(3, dtype=np.float32), 0.25, np.array([0.5, 0.45, 0.0], np.float32))
    turned = HeadPose(_turn(0.2), 0.26, np.array([0.52, 0.46, 0.0], np.float32))
    source = upright.apply(model.mean_shape)
    scores = np.zeros(len(model.expression_basis), np.float32)
    scores[25] = 0.6  # jawOpen
    fed = conditioning(source, turned.apply(model.mean_shape + model.expression(scores)))
    fed["source_drawing"] = draw_face(source)
    for name in ("source", "mouth_source", "eyes_source"):
        fed[name] = smooth_noise(rng, source_px or config.picture_size_px)
    shapes = {"face_drawing": FACE_SIZE, "mouth_drawing": MOUTH_SIZE, "eyes_drawing": EYE_SIZE}
    assert all(fed[name].shape[-2:] == shape for name, shape in shapes.items())
    return {name: torch.from_numpy(np.ascontiguousarray(value))[None] for name, value in fed.items()}


def layer_inputs(generator: Generator) -> dict[str, Tensor]:
    """What the live loop feeds a LayerGenerator, by name and in its order; ψ is random."""
    fed = example_inputs(generator.config)
    noise = np.random.default_rng(3).normal(0, 0.1, (1, generator.psi_size))
    portrait = (fed["source"][0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    frame = {name: value[0].numpy() for name, value in fed.items()}
    given = {"psi": noise.astype(np.float32), **generator_inputs(frame, dict.fromkeys(REGIONS, portrait))}
    return {name: torch.from_numpy(value) for name, value in given.items()}


def _turn(yaw_radians: float) -> Array:
    c, s = np.cos(yaw_radians), np.sin(yaw_radians)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)


def smooth_noise(rng: np.random.Generator, size: int) -> Array:
    """(3, size, size) in [0, 1]."""
    noise = torch.from_numpy(rng.random((1, 3, size // 8, size // 8), np.float32))
    smooth = nn.functional.interpolate(noise, size=(size, size), mode="bilinear", align_corners=False)
    picture: Array = smooth[0].numpy()
    return picture
