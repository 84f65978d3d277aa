"""What the networks know of a person, from photos: the embedder E, run by an engine without torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.core.arrays import Array
from avatar.core.model_files import model_file
from avatar.render.conditioning import draw_face
from engines import Engine, Say, on_stderr, open_engine


@contextmanager
def open_embedder(say: Say = on_stderr) -> Iterator[Engine]:
    """The embedder that comes with visavis, closed at the end. Raises VisavisError, EngineFailure."""
    engine = open_engine(model_file("fast-3/embedder.onnx"), say=say)
    try:
        yield engine
    finally:
        engine.close()


def embed(engine: Engine, portraits: NDArray[np.uint8], landmarks: Array) -> Array:
    """K crops (K, 512, 512, 3) with landmarks (K, 478, 3) in [0, 1] to the mean embedding (512,)."""
    return mean_outputs(engine, portraits, landmarks, draw_face)["embedding"]


def mean_outputs(
    engine: Engine, portraits: NDArray[np.uint8], landmarks: Array, draw: Callable[[Array], Array]
) -> dict[str, Array]:
    """The mean over K photos of each vector that an embedder gives (paper, §3.1: e is averaged over K).

    draw: one photo's landmarks to the landmark image (3, S, S) that this embedder takes. Of size `full`, P is affine,
    so the mean of the photos' ψ is the ψ of their mean embedding.
    """
    size_px = engine.inputs["picture"][-1]
    given: dict[str, list[Array]] = {name: [] for name in engine.outputs}
    for portrait, points in zip(portraits, landmarks, strict=True):
        small = cv2.resize(portrait, (size_px, size_px), interpolation=cv2.INTER_AREA)
        picture = np.ascontiguousarray(small.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        for name, value in engine.infer({"picture": picture, "drawing": draw(points)[None]}).items():
            given[name].append(np.asarray(value[0], np.float32))
    return {name: np.mean(values, axis=0).astype(np.float32) for name, values in given.items()}
