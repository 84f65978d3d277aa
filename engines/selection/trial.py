"""What is tried in a process of its own, so that a library that crashes takes nothing along.

`python -m engines.selection.trial` takes one of two pairs of words.

`devices BACKEND` prints the backend's Devices as one line of JSON, or {"reason": …}.

`run JSON` loads a network, runs it once on inputs from a .npz file (and made-up ones for what is not in it), and prints
{"load_ms": …, "bytes": n} and n bytes of outputs (numpy's .npz), or {"reason": …}. Then, for each line on its standard
input, it times a round of inferences and prints how many milliseconds each took, as one line of JSON.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import numpy as np

from engines.backends import BACKENDS, Candidate, LoadedEngine
from engines.engine import EngineFailure, Tensors
from engines.network import TensorSpec

WARM_UP = 3  # inferences
ROUND_S = 0.06
ROUND_MIN = 2  # inferences
PARAMETER = -0.3  # a person's AdaIN parameters, on average: with others INT8, made for people, is plainly wrong


def synthetic_inputs(specs: Mapping[str, TensorSpec]) -> Tensors:
    """Smooth values for any network: small waves in [0, 1] for pictures, about PARAMETER for vectors, or a plain grid
    in [-1, 1] where a tensor is a flow.

    Good for timing, and for telling wrong numbers from right ones; no face is needed.
    """
    return {name: _smooth(spec) for name, spec in specs.items()}


def _fitting(path: Path, specs: Mapping[str, TensorSpec]) -> Tensors:
    """The arrays of a .npz file that the network takes as they are."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files if name in specs}
    return {name: a for name, a in arrays.items() if (a.shape, a.dtype) == (specs[name].shape, specs[name].dtype)}


def _smooth(spec: TensorSpec) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    shape = tuple(max(size, 1) for size in spec.shape)
    if not np.issubdtype(spec.dtype, np.floating):
        top = 255 if spec.dtype == np.uint8 else 1
        return (_waves(shape) * top).astype(spec.dtype)
    axis = _flow_axis(shape)
    if len(shape) < 3:  # no picture but parameters
        return (PARAMETER + (_waves(shape) - 0.5) * 0.2).astype(spec.dtype)
    if axis is None:
        return _waves(shape).astype(spec.dtype)
    height, width = (size for at, size in enumerate(shape[-3:]) if at - 3 != axis)
    y, x = ((np.arange(size) * 2 + 1) / size - 1 for size in (height, width))
    grid = np.stack(np.meshgrid(x, y), axis=0 if axis == -3 else -1)
    return np.ascontiguousarray(np.broadcast_to(grid, shape)).astype(spec.dtype)


def _flow_axis(shape: tuple[int, ...]) -> int | None:
    if len(shape) < 4:
        return None
    return next((axis for axis in (-3, -1) if shape[axis] == 2), None)


def _waves(shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    total = np.zeros(shape)
    for axis, size in enumerate(shape):
        wave = np.cos(np.arange(size) * (2 * np.pi * 1.5 / size) + axis)
        total = total + wave.reshape([-1 if at == axis else 1 for at in range(len(shape))])
    return 0.5 + 0.45 * total / max(len(shape), 1)


def main() -> None:
    # The answers have standard output for themselves; what a library prints goes to standard error.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    what, argument = sys.argv[1:3]
    if what == "devices":
        try:
            _answer(answers, asdict(BACKENDS[argument].devices()))
        except EngineFailure as error:
            _answer(answers, {"reason": str(error).removeprefix(f"{BACKENDS[argument].label}: ")})
        return
    given = json.loads(argument)
    candidate = Candidate(**given["candidate"])
    folder = Path(given["folder"]) if given["folder"] else None
    started = time.perf_counter()
    try:
        engine = candidate.open(Path(given["path"]), given["threads"], folder)
        load_ms = (time.perf_counter() - started) * 1e3
        inputs = synthetic_inputs(engine.specs) | _fitting(Path(given["inputs"]), engine.specs)
        outputs = engine.infer(inputs)
        for _ in range(WARM_UP):
            engine.infer(inputs)
    except EngineFailure as error:
        _answer(answers, {"reason": str(error)})
        return
    buffer = io.BytesIO()
    np.savez(buffer, **outputs)  # type: ignore[arg-type]
    _answer(answers, {"load_ms": load_ms, "bytes": buffer.tell()}, buffer.getvalue())
    for _ in sys.stdin.buffer:
        try:
            _answer(answers, _round_ms(engine, inputs))
        except EngineFailure as error:
            _answer(answers, {"reason": str(error)})
            return


def _round_ms(engine: LoadedEngine, inputs: Tensors) -> list[float]:
    durations: list[float] = []
    while len(durations) < ROUND_MIN or sum(durations) < ROUND_S * 1e3:
        started = time.perf_counter()
        engine.infer(inputs)
        durations.append((time.perf_counter() - started) * 1e3)
    return durations


def _answer(file: BinaryIO, header: object, data: bytes = b"") -> None:
    file.write(json.dumps(header).encode() + b"\n" + data)
    file.flush()


if __name__ == "__main__":
    main()
