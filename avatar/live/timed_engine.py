"""An engine whose inferences show up in the latency table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from avatar.live.latency import LatencyRecorder
from engines.engine import Engine, EngineDescription, Tensors


class TimedEngine:
    """`engine`, with the duration of every inference recorded under "generator"."""

    def __init__(self, engine: Engine, latency: LatencyRecorder) -> None:
        self._engine, self._latency = engine, latency
        self.inputs, self.outputs = engine.inputs, engine.outputs

    def infer(self, inputs: Mapping[str, NDArray[np.generic]]) -> Tensors:
        with self._latency.time("generator"):
            return self._engine.infer(inputs)

    def describe(self) -> EngineDescription:
        return self._engine.describe()

    def close(self) -> None:
        self._engine.close()
