"""A person's own weights in the network that all share."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from avatar.core.arrays import Array
from avatar.core.errors import InputError
from engines import Engine, OwnWeights

# the names of the learned tensors, and a person's values for them (n,), in that order
OwnTensors = tuple[Sequence[str], Array]
# weights, device (None: a GPU where there is one), precision, tensors in place of the weights' own, threads: what draws
# by torch, for comparison. Handed in, because what runs live knows no torch.
OpenTorch = Callable[[Path, str | None, str, OwnTensors | None, int | None], Engine]


def own_weights(network: Path, weights: Array) -> OwnWeights:
    """A person's `weights` (n,) for a network that everybody shares."""

    @contextmanager
    def file() -> Iterator[Path]:
        descriptor, path = tempfile.mkstemp(prefix="visavis-", suffix=".onnx")  # readable by its owner alone
        try:
            with os.fdopen(descriptor, "wb") as made:
                made.write(with_weights(network, weights))
            yield Path(path)
        finally:
            Path(path).unlink()

    return OwnWeights(lambda: named_weights(network, weights), file)


def with_weights(network: Path, weights: Array) -> bytes:
    """The ONNX file with its learned tensors replaced by `weights` (n,), in the order of `weight_names`."""
    data, layout = bytearray(network.read_bytes()), _layout(network)
    parts = _parts(layout, weights)
    for (_, offset, count), part in zip(layout, parts, strict=True):
        data[offset : offset + 4 * count] = part.astype("<f4").tobytes()
    return bytes(data)


def named_weights(network: Path, weights: Array) -> dict[str, Array]:
    """`weights` (n,), cut up by the learned tensors' names, for an engine whose weights can be replaced."""
    return dict(zip(weight_names(network), _parts(_layout(network), weights), strict=True))


def weight_names(network: Path) -> list[str]:
    """The learned tensors of an exported network, in the order in which a bundle keeps them."""
    return [name for name, _, _ in _layout(network)]


def layout_name(network: Path) -> str:
    """What tells a network's learned tensors from those of every other: weights made for one fit no other."""
    tensors = [(name, count) for name, _, count in _layout(network)]
    return hashlib.sha256(json.dumps(tensors).encode()).hexdigest()[:16]


def weight_count(network: Path) -> int:
    """Of the learned tensors together."""
    return sum(count for _, _, count in _layout(network))


def _layout(network: Path) -> list[tuple[str, int, int]]:
    layout: list[tuple[str, int, int]] = json.loads(network.with_suffix(".layout.json").read_text())
    return layout


def _parts(layout: list[tuple[str, int, int]], weights: Array) -> list[Array]:
    """Raises InputError when there are not as many weights as the layout has places."""
    counts = [count for _, _, count in layout]
    if weights.shape != (sum(counts),):
        raise InputError(
            f"This avatar's fine-tuned network has {weights.size} weights, the installed one {sum(counts)}. "
            "Enrol the photos again: `visavis enroll PHOTO… --name NAME --force`, then `visavis finetune NAME`."
        )
    return np.split(weights, np.cumsum(counts)[:-1])
