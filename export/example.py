"""`render.example` as the tensors that torch and its exporter take."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from avatar.core.arrays import Array
from avatar.model.config import ModelConfig
from avatar.model.generator import Generator
from avatar.render.conditioning import EYE_SIZE, FACE_SIZE, MOUTH_SIZE, conditioning, draw_face
from avatar.render.example import example_frame, example_landmarks


def example_inputs(config: ModelConfig, source_px: int | None = None) -> dict[str, Tensor]:
    """Of `render.example`, with random pictures of any size in place of its portrait."""
    rng = np.random.default_rng(7)
    source, driving = example_landmarks()
    fed = conditioning(source, driving)
    fed["source_drawing"] = draw_face(source)
    for name in ("source", "mouth_source", "eyes_source"):
        fed[name] = smooth_noise(rng, source_px or config.picture_size_px)
    shapes = {"face_drawing": FACE_SIZE, "mouth_drawing": MOUTH_SIZE, "eyes_drawing": EYE_SIZE}
    assert all(fed[name].shape[-2:] == shape for name, shape in shapes.items())
    return {name: torch.from_numpy(np.ascontiguousarray(value))[None] for name, value in fed.items()}


def layer_inputs(generator: Generator) -> dict[str, Tensor]:
    """What the live loop feeds a LayerGenerator, by name and in its order; ψ is random."""
    noise = np.random.default_rng(3).normal(0, 0.1, (1, generator.psi_size))
    given = {"psi": noise.astype(np.float32), **example_frame()}
    return {name: torch.from_numpy(value) for name, value in given.items()}


def smooth_noise(rng: np.random.Generator, size: int) -> Array:
    """(3, size, size) in [0, 1]."""
    noise = torch.from_numpy(rng.random((1, 3, size // 8, size // 8), np.float32))
    smooth = nn.functional.interpolate(noise, size=(size, size), mode="bilinear", align_corners=False)
    picture: Array = smooth[0].numpy()
    return picture
