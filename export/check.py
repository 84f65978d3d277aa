"""The same inputs through torch and every engine that is here, in every precision: how far apart, and how fast."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from avatar.core.errors import VisavisError
from engines.backends import BACKENDS, Candidate, Devices, LoadedEngine, candidates, variant
from engines.engine import EngineFailure, Tensors
from export.frames import Scene, psnr_db
from export.networks import Traced
from export.to_onnx import MAX_DIFFERENCE

ROUNDS = 10  # of all engines in turn, so that a busy moment hits them all
MAX_INPUTS = 8  # that are timed
NEAR_DB = {"fp32": 60.0, "bf16": 45.0, "fp16": 45.0, "int8": 35.0}  # what pictures must keep on real faces


@dataclass(frozen=True)
class Checked:
    """One file in one engine against torch."""

    network: str  # file name
    precision: str
    engine: str  # "ONNX Runtime, cpu"
    version: str
    max_difference: float | None = None  # over all outputs on real faces; None: it did not run
    mean_difference: float | None = None
    psnr_db: float | None = None  # over all pictures; None for a network that draws none
    worst_db: float | None = None  # of one picture
    ms: float | None = None  # median of one inference
    note: str = ""  # why it did not run, or what is wrong with it


@dataclass
class _Way:
    candidate: Candidate
    row: Checked
    engine: LoadedEngine
    ms: list[float] = field(default_factory=list)


def reference(traced: Traced, fed: Sequence[Tensors]) -> list[Tensors]:
    """What torch gives in float32."""
    results = []
    for inputs in fed:
        with torch.no_grad():
            drawn = traced.network(*(torch.from_numpy(inputs[name]) for name in traced.inputs))
        drawn = drawn if isinstance(drawn, tuple) else (drawn,)
        results.append({name: value.numpy() for name, value in zip(traced.outputs, drawn, strict=True)})
    return results


def check(
    network: Path,
    precisions: Sequence[str],
    devices: Mapping[str, Devices | str],
    traced: Traced,
    fed: Sequence[Tensors],
    scene: Scene | None,
    threads: int | None = None,
) -> list[Checked]:
    """Run `network` and its variants of `precisions` with every engine of this computer, and torch.

    precisions: of `engines.backends.PRECISIONS`; bf16 is the float32 file, computed with fewer digits.
    devices: of `engines.selection.measure.find_devices`. fed: inputs of real frames.
    scene: draws the pictures of the outputs; None for a network that draws none.
    threads: of one inference on the CPU. Raises VisavisError when the float32 file differs from torch by more than
    MAX_DIFFERENCE in ONNX Runtime on the CPU: then the file is wrong, and not an engine.
    """
    wanted = reference(traced, fed)
    pictures = scene.pictures(wanted) if scene else []
    rows = [Checked(network.name, "fp32", "torch, cpu", torch.__version__, note="the reference")]
    ways: list[_Way] = []
    for found, row in _ways(network, precisions, devices):
        path = found.file(network)
        try:
            # a CPU computes FP16 files in float32
            digits = "fp32" if (found.device, found.precision) == ("cpu", "fp16") else found.precision
            engine = replace(found, precision=digits).open(path, threads, None)
            row = _compared(row, [engine.infer(inputs) for inputs in fed], wanted, scene, pictures)
        except EngineFailure as error:
            rows.append(replace(row, note=str(error)))
            continue
        ways.append(_Way(found, row, engine))
        if found.name == "onnxruntime:cpu:fp32" and not (row.max_difference or 0.0) <= MAX_DIFFERENCE:
            raise VisavisError(
                f"{network.name} differs from torch by {row.max_difference:.2g} on real faces, more than "
                f"{MAX_DIFFERENCE:.0e}: not written."
            )
    _time([way for way in ways if way.candidate.possible], fed[:MAX_INPUTS])
    for way in ways:
        rows.append(replace(way.row, ms=statistics.median(way.ms) if way.ms else None))
        way.engine.close()
    return rows


def verdict(rows: Sequence[Checked], precision: str) -> str:
    """One sentence: whether a precision is faster here than every other one. "" where it did not run."""
    timed = [row for row in rows if row.ms]
    own = min((row for row in timed if row.precision == precision), key=lambda row: row.ms or 0, default=None)
    other = min((row for row in timed if row.precision != precision), key=lambda row: row.ms or 0, default=None)
    if own is None or other is None or own.ms is None or other.ms is None:
        return ""
    share = own.ms / other.ms
    return (
        f"{precision} in {own.engine}: {share:.2f} times the time of the fastest other way, {other.precision} in "
        f"{other.engine}: {'faster' if share < 1 else 'not faster'} on this computer."
    )


def _ways(
    network: Path, precisions: Sequence[str], devices: Mapping[str, Devices | str]
) -> list[tuple[Candidate, Checked]]:
    """Every engine here with every file that it may run, and FP16 on the CPU, where nothing is gained by it."""
    ways = []
    for name, found in devices.items():
        backend = BACKENDS[name]
        if not isinstance(found, Devices):
            continue
        usable = candidates(network, name, found)
        if "cpu" in found.usable and variant(network, "fp16").is_file():
            usable.append(Candidate(name, "cpu", "fp16"))
        for way in usable:
            if way.precision in precisions:
                label = f"{backend.label}, {way.device}"
                ways.append((way, Checked(way.file(network).name, way.precision, label, found.version)))
    return ways


def _compared(
    row: Checked,
    outputs: Sequence[Tensors],
    wanted: Sequence[Tensors],
    scene: Scene | None,
    pictures: Sequence[NDArray[np.uint8]],
) -> Checked:
    worst, total, count = 0.0, 0.0, 0
    for got, right in zip(outputs, wanted, strict=True):
        for name, value in right.items():
            difference = np.abs(np.subtract(got[name], value, dtype=np.float64))
            worst = max(worst, float(difference.max())) if np.isfinite(difference).all() else float("inf")
            total, count = total + float(difference.sum()), count + difference.size
    far = f"more than {MAX_DIFFERENCE:.0e} from torch" if row.precision == "fp32" and worst > MAX_DIFFERENCE else ""
    row = replace(row, max_difference=worst, mean_difference=total / max(count, 1), note=far)
    if scene is None:
        return row
    over_all, of_worst = psnr_db(scene.pictures(outputs), pictures)
    near = NEAR_DB[row.precision]
    note = far if over_all >= near else f"below the {near:.0f} dB that are promised"
    return replace(row, psnr_db=over_all, worst_db=of_worst, note=note)


def _time(ways: Sequence[_Way], fed: Sequence[Mapping[str, NDArray[np.generic]]]) -> None:
    for at in range(ROUNDS):
        for way in ways:
            inputs = fed[at % len(fed)]
            started = time.perf_counter()
            way.engine.infer(inputs)
            way.ms.append((time.perf_counter() - started) * 1e3)
