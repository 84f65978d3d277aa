"""The person's parameters from photos: the embedder E and the projection P, run by an engine without torch."""

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
    engine = open_engine(model_file("fast/embedder.onnx"), say=say)
    try:
        yield engine
    finally:
        engine.close()


def embed(
    engine: Engine,
    portraits: NDArray[np.uint8],
    landmarks: Array,
    draw: Callable[[Array], Array] = draw_face,
) -> tuple[Array, Array]:
    """K crops (K, 512, 512, 3) with landmarks (K, 478, 3) in [0, 1] to the mean embedding (512,) and its ψ.

    draw: one photo's landmarks to the landmark image (3, S, S) that this embedder takes.
    P is affine, so the mean of the photos' ψ is the ψ of their mean embedding (paper, §3.1: e is averaged over K).
    """
    size_px = engine.inputs["picture"][-1]
    embeddings, psis = [], []
    for portrait, points in zip(portraits, landmarks, strict=True):
        small = cv2.resize(portrait, (size_px, size_px), interpolation=cv2.INTER_AREA)
        picture = np.ascontiguousarray(small.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
        result = engine.infer({"picture": picture, "drawing": draw(points)[None]})
        embeddings.append(result["embedding"][0])
        psis.append(result["psi"][0])
    return np.mean(embeddings, axis=0).astype(np.float32), np.mean(psis, axis=0).astype(np.float32)
