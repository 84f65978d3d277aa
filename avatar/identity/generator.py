"""The generator that draws an avatar: the shared one, or after fine-tuning the person's own."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatar.errors import InputError
from avatar.identity.avatar import Avatar
from avatar.model_files import model_file
from engines import open_engine
from engines.engine import Engine

GENERATOR = "fast/generator.onnx"


def open_generator(avatar: Avatar, backend: str = "auto", threads: int | None = None) -> Engine:
    """Open the avatar's generator. Raises InputError when its own weights do not fit the installed network."""
    shared = model_file(GENERATOR)
    if not avatar.fine_tuned:
        return open_engine(shared, backend, threads=threads)
    descriptor, path = tempfile.mkstemp(prefix="visavis-", suffix=".onnx")  # readable by its owner alone
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(with_weights(shared, avatar.weights))
        return open_engine(Path(path), backend, threads=threads)
    finally:
        Path(path).unlink()


def with_weights(network: Path, weights: NDArray[np.float32]) -> bytes:
    """The ONNX file with its learned tensors replaced by `weights` (n,), in the order of `weight_names`."""
    data, layout = bytearray(network.read_bytes()), _layout(network)
    expected = sum(count for _, _, count in layout)
    if weights.shape != (expected,):
        raise InputError(
            f"This avatar's fine-tuned network has {weights.size} weights, the installed one {expected}. "
            "Enrol the photos again: `visavis enroll PHOTO… --name NAME --force`, then `visavis finetune NAME`."
        )
    start = 0
    for _, offset, count in layout:
        data[offset : offset + 4 * count] = weights[start : start + count].astype("<f4").tobytes()
        start += count
    return bytes(data)


def weight_names(network: Path) -> list[str]:
    """The learned tensors of an exported network, in the order in which a bundle keeps them."""
    return [name for name, _, _ in _layout(network)]


def _layout(network: Path) -> list[tuple[str, int, int]]:
    layout: list[tuple[str, int, int]] = json.loads(network.with_suffix(".layout.json").read_text())
    return layout
