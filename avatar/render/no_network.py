"""What stands where a renderer has its engine, and changes nothing: its pictures are those of the layers alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from avatar.render.layered_network import example_inputs
from engines.engine import EngineDescription, Tensors


class NoNetwork:
    """Keeps what a network would have been fed last."""

    def __init__(self, inputs: Mapping[str, tuple[int, ...]] | None = None) -> None:
        """`inputs`: of the network that it stands for, by name; None: of the one that comes with visavis."""
        shapes = inputs or {name: value.shape for name, value in example_inputs().items()}
        self.inputs: dict[str, tuple[int, ...]] = dict(shapes)
        self.outputs: dict[str, tuple[int, ...]] = {}
        self.fed: Tensors = {}

    def infer(self, inputs: Mapping[str, NDArray[np.generic]]) -> Tensors:
        self.fed = dict(inputs)
        return {}

    def describe(self) -> EngineDescription:
        return EngineDescription("none", "", "", "", "no network")

    def close(self) -> None:
        self.fed = {}
