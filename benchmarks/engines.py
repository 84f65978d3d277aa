"""Every engine, size and precision that this computer has, side by side, with the paper's generator as the baseline.

    python benchmarks/engines.py                      # tables; a few minutes
    python benchmarks/engines.py --batch 1,2,4,8      # also: several persons in one call
    python benchmarks/engines.py --quick --markdown   # a rough answer, as Markdown

All run in turn, in one process and on the same cores, so that a busy moment hits them all; figures are medians. The
share of the peak is of what this computer reaches in a large matrix product of the same numbers, in the same run.

FLOPs and bytes are those of the graph's convolutions and matrix products (two for each multiply-accumulate; what each
reads and writes, once, at four bytes a number). Where torch finds a GPU, its CUDA graphs are measured too, which has
not been tried for want of one. Needs the train extra.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))  # or `engines` would be this file

from avatar.core.model_files import model_file
from avatar.render.layered_network import NETWORK, TRAINED
from benchmarks.reporting import machine
from engines import Engine, EngineFailure, open_engine
from engines.backends import Candidate, Devices, candidates, installed_versions
from engines.network import thread_count
from engines.selection.measure import find_devices
from engines.torch import TorchEngine
from export.networks import Networks, Traced, load_networks, trace_generator, untrained_full
from export.to_onnx import write_onnx

BASELINE = "full 256²"
LIVE, CROWD = "fast", "fast, batch"
ROUND_S = 0.15  # of each contender, in turn
PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
TORCH_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
GPU_BATCHES = (1, 4, 16, 64, 256)


@dataclass(frozen=True)
class Network:
    """A graph to run, and what it costs."""

    name: str
    path: Path
    inputs: dict[str, NDArray[Any]]
    gflop: float
    megabytes: float  # that its convolutions and products read and write
    parameters: int
    batch: int = 1


@dataclass
class Contender:
    """One network in one engine."""

    network: str
    engine: str
    batch: int
    gflop: float
    megabytes: float
    run: Callable[[], object]
    durations_ms: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """A line of the report."""

    network: str
    engine: str
    batch: int
    gflop: float
    megabytes: float
    ms: float
    spread_ms: float  # between the quartiles
    frames_per_s: float  # persons × calls
    gflop_per_s: float
    peak_share: float  # of the measured peak of the same numbers
    roof_share: float  # of what peak and memory allow: min(peak, FLOP/byte × bandwidth)
    times_faster: float  # frames per second, than the baseline in its fastest engine with all digits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, help="CPU threads of one inference (default: as the live loop takes)")
    parser.add_argument("--batch", default="", help="persons in one call, such as 1,2,4,8")
    parser.add_argument("--rounds", type=int, default=15, help="how often each has its turn (default: 15)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the report as JSON")
    form.add_argument("--markdown", action="store_true", help="print the report as Markdown")
    options = parser.parse_args()
    batches = _batches(parser, options.batch)
    rounds = min(5, options.rounds) if options.quick else options.rounds
    threads = thread_count(options.threads)
    with tempfile.TemporaryDirectory(prefix="visavis-benchmark-") as folder:
        report = _measure(Path(folder), threads, batches, rounds)
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        _print(report, options.markdown)


def _batches(parser: argparse.ArgumentParser, text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",") if part]
    except ValueError:
        sizes = [0]
    if any(size < 1 for size in sizes):
        parser.error(f"--batch takes numbers of persons, such as 1,2,4,8, not '{text}'")
    return sizes


def _measure(folder: Path, threads: int, batches: Sequence[int], rounds: int) -> dict[str, Any]:
    torch.set_num_threads(threads)
    fast, full = load_networks(model_file(TRAINED)), untrained_full(256)
    _say("writing the networks")
    networks = _networks(folder, fast, full)
    crowds, ways = _crowds(folder, fast, batches), _all_ways(networks)
    contenders, failed = _contenders(networks, crowds, ways, {BASELINE: full, LIVE: fast}, threads)
    peaks = {name: _Peak(dtype) for name, dtype in TORCH_DTYPES.items() if name != "fp16"}
    copy = _Copy()
    for number in range(rounds):
        _say(f"round {number + 1} of {rounds}")
        for peak in peaks.values():
            peak.round()
        copy.round()
        for contender in contenders:
            _round(contender)
    peak_gflop_per_s = {name: peak.gflop_per_s for name, peak in peaks.items()}
    rows = _rows(contenders, peak_gflop_per_s, copy.gigabytes_per_s)
    return {
        "machine": machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python", "benchmarks/engines.py", *sys.argv[1:]]),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, **installed_versions()},
        "threads": threads,
        "rounds": rounds,
        "peak_gflop_per_s": peak_gflop_per_s,
        "copy_gigabytes_per_s": copy.gigabytes_per_s,
        "parameters": {network.name: network.parameters for network in networks},
        "rows": [asdict(row) for row in rows],
        "failed": failed,
        "gpu": _gpu(networks, {BASELINE: full, LIVE: fast}, rounds) if torch.cuda.is_available() else None,
    }


# ---- what is measured


def open_batches(batches: Sequence[int], threads: int) -> list[Contender]:
    """The live network for so many persons in one call, in every engine that has it with all digits."""
    torch.set_num_threads(threads)
    fast = load_networks(model_file(TRAINED))
    with tempfile.TemporaryDirectory(prefix="visavis-benchmark-") as folder:
        ways = _all_ways([_shipped(fast)])
        contenders, _ = _contenders([], _crowds(Path(folder), fast, batches), ways, {}, threads)
    return [contender for contender in contenders if contender.network == CROWD]


def _networks(folder: Path, fast: Networks, full: Networks) -> list[Network]:
    return [_written(BASELINE, folder, trace_generator(full)), _shipped(fast)]


def _shipped(fast: Networks) -> Network:
    inputs = {name: value.numpy() for name, value in trace_generator(fast).inputs.items()}
    return _network(LIVE, model_file(NETWORK), inputs)


def _crowds(folder: Path, fast: Networks, batches: Sequence[int]) -> list[Network]:
    return [_written(CROWD, folder, _crowd(trace_generator(fast), size), size) for size in batches]


def _crowd(traced: Traced, batch: int) -> Traced:
    """For `batch` persons in one call, each with an embedding of its own."""
    many = {name: value.repeat(batch, *[1] * (value.dim() - 1)) for name, value in traced.inputs.items()}
    own = torch.randn(many["embedding"].shape, generator=torch.Generator().manual_seed(5))
    many["embedding"] = many["embedding"] + 0.05 * own
    return Traced(traced.network, many, traced.outputs)


def _written(name: str, folder: Path, traced: Traced, batch: int = 1) -> Network:
    path = folder / f"{len(list(folder.iterdir()))}.onnx"
    write_onnx(traced, path)
    return _network(name, path, {key: value.numpy() for key, value in traced.inputs.items()}, batch)


def _network(name: str, path: Path, inputs: dict[str, NDArray[Any]], batch: int = 1) -> Network:
    graph = onnx.shape_inference.infer_shapes(onnx.load(path), data_prop=True).graph
    sizes = {
        info.name: [size.dim_value for size in info.type.tensor_type.shape.dim]
        for info in (*graph.input, *graph.output, *graph.value_info)
    }
    weights = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    sizes |= weights
    flop = numbers = 0
    for node in graph.node:
        if node.op_type in PRODUCTS:
            flop += 2 * _multiplications(node, sizes)
            numbers += sum(_count(sizes[tensor]) for tensor in (*node.input, *node.output) if tensor)
    return Network(name, path, inputs, flop / 1e9, 4 * numbers / 1e6, sum(map(_count, weights.values())), batch)


def _multiplications(node: onnx.NodeProto, sizes: Mapping[str, list[int]]) -> int:
    left, right, out = sizes[node.input[0]], sizes[node.input[1]], sizes[node.output[0]]
    if node.op_type == "Conv":  # weights (out, in / groups, h, w)
        return _count(out) * _count(right[1:])
    if node.op_type == "ConvTranspose":  # weights (in, out / groups, h, w)
        return _count(left) * _count(right[1:])
    transposed = node.op_type == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute)
    return _count(out) * (left[0] if transposed else left[-1])


def _count(shape: Sequence[int]) -> int:
    return int(np.prod(shape, dtype=np.int64))


# ---- on the CPU, and whatever else the engines find


def _all_ways(networks: Sequence[Network]) -> list[tuple[Network, Candidate]]:
    devices = {name: found for name, found in find_devices().items() if isinstance(found, Devices)}
    return [way for name, found in devices.items() for way in _ways(networks, name, found)]


def _ways(networks: Sequence[Network], backend: str, devices: Devices) -> list[tuple[Network, Candidate]]:
    return [(network, way) for network in networks for way in candidates(network.path, backend, devices)]


def _contenders(
    networks: Sequence[Network],
    crowds: Sequence[Network],
    ways: Sequence[tuple[Network, Candidate]],
    in_torch: Mapping[str, Networks],
    threads: int,
) -> tuple[list[Contender], dict[str, str]]:
    found: list[Contender] = []
    failed: dict[str, str] = {}
    live = {way for network, way in ways if network.name == LIVE and way.file(network.path) == network.path}
    crowded = [(crowd, way) for crowd in crowds for way in sorted(live, key=lambda way: way.name)]
    for network, way in (*ways, *crowded):
        _say(f"{network.name} in {way.label}")
        try:
            engine = open_engine(network.path, f"{way.backend}:{way.device}", threads, precision=way.precision)
            found.append(_contender(network, way.label, engine))
        except EngineFailure as error:
            failed[f"{network.name}, {way.label}"] = str(error)
    for network in networks:
        if network.name in in_torch:
            engine = _torch_engine(trace_generator(in_torch[network.name]), threads=threads)
            found.append(_contender(network, "torch (cpu, fp32)", engine))
    return found, failed


def _contender(network: Network, label: str, engine: Engine) -> Contender:
    for _ in range(2):
        engine.infer(network.inputs)
    return Contender(
        network.name, label, network.batch, network.gflop, network.megabytes, partial(engine.infer, network.inputs)
    )


def _torch_engine(traced: Traced, **how: Any) -> TorchEngine:
    inputs = {name: value.numpy() for name, value in traced.inputs.items()}
    return TorchEngine(traced.network, inputs, traced.outputs, **how)


def _round(contender: Contender) -> None:
    contender.run()  # brings its weights back into the cache
    contender.durations_ms += _timed(contender.run)


def _timed(run: Callable[[], object]) -> list[float]:
    durations: list[float] = []
    while not durations or sum(durations) < ROUND_S * 1e3:
        started = time.perf_counter()
        run()
        durations.append((time.perf_counter() - started) * 1e3)
    return durations


class _Peak:
    """A large matrix product in torch: what this computer's cores can do with such numbers."""

    SIDE = 1536

    def __init__(self, dtype: torch.dtype, device: str = "cpu", side: int = SIDE) -> None:
        self._side, self._on_gpu = side, device == "cuda"
        self._a, self._b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        self._durations_ms: list[float] = []
        self._run()

    def _run(self) -> None:
        self._a @ self._b
        if self._on_gpu:
            torch.cuda.synchronize()

    def round(self) -> None:
        self._durations_ms += _timed(self._run)

    @property
    def gflop_per_s(self) -> float:
        """By the quickest: a peak is what is possible, and neighbours only slow it down."""
        return 2 * self._side**3 / min(self._durations_ms) / 1e6


class _Copy:
    """Copying memory that no cache holds: reading and writing counted."""

    def __init__(self, device: str = "cpu", numbers: int = 64_000_000) -> None:
        self._on_gpu = device == "cuda"
        self._from, self._to = torch.ones(numbers, device=device), torch.zeros(numbers, device=device)
        self._durations_ms: list[float] = []
        self._run()

    def _run(self) -> None:
        self._to.copy_(self._from)
        if self._on_gpu:
            torch.cuda.synchronize()

    def round(self) -> None:
        self._durations_ms += _timed(self._run)

    @property
    def gigabytes_per_s(self) -> float:
        return 8 * self._from.numel() / min(self._durations_ms) / 1e6


def _rows(contenders: Sequence[Contender], peaks: Mapping[str, float], gigabytes_per_s: float) -> list[Row]:
    def ms(contender: Contender) -> float:
        return statistics.median(contender.durations_ms)

    baseline = min(ms(c) for c in contenders if c.network == BASELINE and "fp32" in c.engine)
    rows = []
    for contender in contenders:
        median = ms(contender)
        speed = contender.gflop / median * 1e3
        peak = peaks["bf16" if "bf16" in contender.engine else "fp32"]
        roof = min(peak, contender.gflop / contender.megabytes * 1e3 * gigabytes_per_s)
        low, _, high = statistics.quantiles(contender.durations_ms, n=4)
        rows.append(
            Row(
                contender.network, contender.engine, contender.batch, contender.gflop, contender.megabytes, median,
                high - low, contender.batch / median * 1e3, speed, speed / peak, speed / roof,
                contender.batch * baseline / median,
            )
        )  # fmt: skip
    return sorted(rows, key=lambda row: (row.network != BASELINE, row.network, row.batch, row.ms))


# ---- on a GPU, which has not been tried


def _gpu(networks: Sequence[Network], in_torch: Mapping[str, Networks], rounds: int) -> dict[str, Any]:
    """torch's CUDA graphs of both sizes, with the GPU's own peak and bandwidth. Copies to and from the GPU count."""
    copy = _Copy("cuda", 256_000_000)
    peaks = {name: _Peak(dtype, "cuda", 8192) for name, dtype in TORCH_DTYPES.items()}
    copy.round()
    for peak in peaks.values():
        peak.round()
    rows: list[dict[str, Any]] = []
    costs = {network.name: network for network in networks if network.name in in_torch}
    for (name, cost), batch in ((item, batch) for item in costs.items() for batch in GPU_BATCHES):
        for precision in TORCH_DTYPES:
            _say(f"{name}, batch {batch}, {precision} on the GPU")
            traced = _crowd(trace_generator(in_torch[name]), batch)
            arrays = {key: value.numpy() for key, value in traced.inputs.items()}
            moved = Traced(deepcopy(traced.network), traced.inputs, traced.outputs)
            try:
                engine = _torch_engine(moved, device="cuda", precision=precision)
                engine.infer(arrays)
            except EngineFailure as error:  # the GPU's memory is full
                rows.append({"network": name, "batch": batch, "precision": precision, "failed": str(error)})
                continue
            durations_ms: list[float] = []
            for _ in range(rounds):
                durations_ms += _timed(partial(engine.infer, arrays))
            median = statistics.median(durations_ms)
            engine.close()
            weights = 4 * cost.parameters / 1e6
            size = {"fp32": 1.0}.get(precision, 0.5)
            megabytes = size * (weights + batch * (cost.megabytes - weights))
            speed = batch * cost.gflop / median * 1e3
            roof = min(peaks[precision].gflop_per_s, batch * cost.gflop / megabytes * 1e3 * copy.gigabytes_per_s)
            rows.append(
                {
                    "network": name, "batch": batch, "precision": precision, "ms": median,
                    "frames_per_s": batch / median * 1e3, "gflop_per_s": speed,
                    "flop_per_byte": batch * cost.gflop / megabytes * 1e3,
                    "peak_share": speed / peaks[precision].gflop_per_s, "roof_share": speed / roof,
                }
            )  # fmt: skip
    return {
        "name": torch.cuda.get_device_name(),
        "copy_gigabytes_per_s": copy.gigabytes_per_s,
        "peak_gflop_per_s": {name: peak.gflop_per_s for name, peak in peaks.items()},
        "rows": rows,
    }


# ---- the report


def _print(report: Mapping[str, Any], markdown: bool) -> None:
    peaks = ", ".join(f"{name} {value:.0f}" for name, value in report["peak_gflop_per_s"].items())
    about = [
        f"{report['machine']}, {report['threads']} threads, {report['date']}: `{report['command']}`",
        ", ".join(f"{name} {version}" for name, version in report["versions"].items()),
        f"Peak (matrix product in torch): {peaks} GFLOP/s; memory (copy): {report['copy_gigabytes_per_s']:.1f} GB/s",
    ]
    heads = ["network", "engine", "persons", "GFLOP", "MB", "ms", "± ms", "frames/s", "GFLOP/s", "of peak", "of roof"]
    heads.append("× baseline")
    lines = [
        [
            row["network"], row["engine"], str(row["batch"]), f"{row['gflop']:.2f}", f"{row['megabytes']:.0f}",
            f"{row['ms']:.1f}", f"{row['spread_ms']:.1f}", f"{row['frames_per_s']:.1f}", f"{row['gflop_per_s']:.0f}",
            f"{row['peak_share']:.0%}", f"{row['roof_share']:.0%}", f"{row['times_faster']:.1f}",
        ]
        for row in report["rows"]
    ]  # fmt: skip
    _print_table(about, heads, lines, markdown)
    gpu = report["gpu"]
    if gpu is None:
        print("\nGPU: none here.")
    else:
        heads = ["network", "persons", "precision", "ms", "frames/s", "GFLOP/s", "FLOP/byte", "of peak", "of roof"]
        lines = [
            [row["network"], str(row["batch"]), row["precision"], row["failed"], *[""] * 5]
            if "failed" in row
            else [
                row["network"], str(row["batch"]), row["precision"], f"{row['ms']:.2f}", f"{row['frames_per_s']:.0f}",
                f"{row['gflop_per_s']:.0f}", f"{row['flop_per_byte']:.0f}", f"{row['peak_share']:.0%}",
                f"{row['roof_share']:.0%}",
            ]
            for row in gpu["rows"]
        ]  # fmt: skip
        _print_table([f"{gpu['name']}, torch with CUDA graphs"], heads, lines, markdown)
    for name, reason in report["failed"].items():
        print(f"Not run: {name}: {reason}")
    live = [row for row in report["rows"] if row["network"] == LIVE]
    exact = max(row["times_faster"] for row in live if "fp32" in row["engine"])
    best = max(row["times_faster"] for row in live)
    print(f"\n{LIVE}: {exact:.0f} times as fast as {BASELINE} on the same cores in fp32, {best:.0f} times at its best.")


def _print_table(about: Sequence[str], heads: Sequence[str], lines: Sequence[Sequence[str]], markdown: bool) -> None:
    if markdown:
        print("\n".join(f"{line}  " for line in about), end="\n\n")
        print(f"| {' | '.join(heads)} |\n|{'|'.join('---' for _ in heads)}|")
        print("\n".join(f"| {' | '.join(line)} |" for line in lines))
        return
    console = Console(width=max(160, Console().width), highlight=False)
    for line in about:
        console.print(line, markup=False)
    table = Table(box=None, pad_edge=False)
    for at, head in enumerate(heads):
        table.add_column(head, justify="right" if at > 1 else "left")
    for cells in lines:
        table.add_row(*cells)
    console.print(table)


def _say(line: str) -> None:
    print(f"\r\x1b[K{line}", end="" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
