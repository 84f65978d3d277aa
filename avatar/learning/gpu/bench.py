"""What a GPU draws: latency and faces per second of both sizes by precision and batch, beside the roofline."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from avatar.core.model_files import WEIGHTS
from avatar.learning.gpu.machine import seconds_of, synchronise
from avatar.learning.gpu.training import TINY_FULL, TINY_REGION
from avatar.model.full.blocks import without_spectral_norm
from avatar.model.full.config import FullConfig
from avatar.model.full.generator import FullGenerator
from avatar.model.layered_generator import REGIONS, LayeredGenerator, RegionGenerator, load_region

BENCH_FILE = "bench.json"
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
RUNS = 20  # timed, of each network, precision and batch
ROOF_SIDE, ROOF_BYTES = 8192, 1 << 30  # of the product and the copy that measure the machine
PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
ONNX_FILES = ("fast-3/generator.onnx", "fast-3/generator.fp16.onnx")


@dataclass
class BenchRow:
    """One network, precision and batch."""

    network: str
    precision: str
    batch: int
    ms: float  # of a batch
    faces_per_s: float
    roof_ms: float  # the least that the machine's arithmetic or its memory allows
    how: str  # graph, eager or ONNX Runtime


@dataclass
class Roof:
    """What this machine does at best, measured."""

    tflops: dict[str, float]  # by precision
    gb_per_s: float


def bench(device: torch.device, seconds: float, out: Path, tiny: bool, say: Callable[[str], None]) -> list[BenchRow]:
    """Measure until the time is over, the smallest batches first; writes bench.json. Pictures are of random numbers."""
    ends = time.monotonic() + seconds
    roof = measure_roof(device, tiny)
    say(
        f"roof: {', '.join(f'{name} {value:.1f} TFLOP/s' for name, value in roof.tflops.items())}, "
        f"{roof.gb_per_s:.0f} GB/s"
    )
    rows: list[BenchRow] = []
    precisions = ("bf16", "fp16") if device.type == "cuda" else ("fp32",)
    networks = list(_networks(device, tiny))
    for batch in BATCHES[: 2 if tiny else None]:
        for name, network, inputs in networks:
            for precision in precisions:
                if time.monotonic() > ends:
                    say(f"the time is over at batch {batch}")
                    return _written(rows, roof, out)
                row = _measure(name, network, inputs, (precision, batch), roof, say)
                if row:
                    rows.append(row)
                    say(_line(row))
    for row in _onnx_rows(device, ends, say):
        rows.append(row)
        say(_line(row))
    return _written(rows, roof, out)


def measure_roof(device: torch.device, tiny: bool) -> Roof:
    side, size = (512, 1 << 24) if tiny else (ROOF_SIDE, ROOF_BYTES)
    tflops = {}
    for name, dtype in PRECISIONS.items():
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        torch.mm(a, b)
        tflops[name] = 2 * side**3 / seconds_of(lambda a=a, b=b: torch.mm(a, b), device, 5) / 1e12  # type: ignore[misc]
    one = torch.randint(0, 255, (size,), dtype=torch.uint8, device=device)
    other = torch.empty_like(one)
    other.copy_(one)
    gb_per_s = 2 * size / seconds_of(lambda: other.copy_(one), device, 5) / 1e9
    return Roof(tflops, gb_per_s)


def _networks(device: torch.device, tiny: bool) -> Iterator[tuple[str, nn.Module, dict[str, Tensor]]]:
    """Each generator as it runs live, and inputs of one face."""
    shipped = [path for one in REGIONS if (path := WEIGHTS / "fast-3" / f"{one.name}.safetensors").is_file()]
    if tiny or not shipped:
        regions = [RegionGenerator(replace(one, config=TINY_REGION) if tiny else one) for one in REGIONS]
    else:
        regions = [load_region(path) for path in shipped]
    fast = LayeredGenerator(regions)
    yield "fast", fast.to(device).eval(), {name: value.to(device) for name, value in fast.example().items()}
    torch.manual_seed(1)
    config = TINY_FULL if tiny else FullConfig()
    full = FullGenerator(config)
    without_spectral_norm(full)
    drawing = torch.rand(1, 3, config.picture_size_px, config.picture_size_px, device=device)
    psi = torch.randn(1, full.psi_size, device=device) * 0.1
    yield "full", full.to(device), {"drawing": drawing, "psi": psi}


@torch.no_grad()
def _measure(
    name: str,
    network: nn.Module,
    inputs: dict[str, Tensor],
    case: tuple[str, int],
    roof: Roof,
    say: Callable[[str], None],
) -> BenchRow | None:
    """`case`: precision and batch."""
    precision, batch = case
    device = next(iter(inputs.values())).device
    dtype = PRECISIONS[precision]
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    network = network.to(dtype=dtype, memory_format=layout)  # type: ignore[call-overload]
    fed = {key: value.to(dtype).expand(batch, *value.shape[1:]).contiguous() for key, value in inputs.items()}
    fed = {key: value.to(memory_format=layout) if value.ndim == 4 else value for key, value in fed.items()}
    try:
        counter = FlopCounterMode(display=False)
        with counter:
            drawn = network(*fed.values())
        outputs = drawn if isinstance(drawn, tuple) else (drawn,)
        moved = sum(t.numel() * t.element_size() for t in (*fed.values(), *outputs, *network.parameters()))
        run, how = _graphed(network, fed, device, say)
        seconds = seconds_of(run, device, RUNS if device.type == "cuda" else 2)
    except torch.OutOfMemoryError:
        say(f"{name}, {precision}, batch {batch}: does not fit")
        return None
    roof_s = max(counter.get_total_flops() / (roof.tflops[precision] * 1e12), moved / (roof.gb_per_s * 1e9))
    return BenchRow(name, precision, batch, seconds * 1e3, batch / seconds, roof_s * 1e3, how)


def _graphed(
    network: nn.Module, fed: dict[str, Tensor], device: torch.device, say: Callable[[str], None]
) -> tuple[Callable[[], object], str]:
    """The run as a CUDA graph, which spares the launches, or as it is, with the reason said."""
    if device.type != "cuda":
        return (lambda: network(*fed.values())), "eager"
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(3):
            network(*fed.values())
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            network(*fed.values())
    except RuntimeError as error:
        synchronise(device)
        say(f"no CUDA graph: {str(error).splitlines()[0][:160]}")
        return (lambda: network(*fed.values())), "eager"
    return graph.replay, "graph"


def _onnx_rows(device: torch.device, ends: float, say: Callable[[str], None]) -> Iterator[BenchRow]:
    """The shipped files by ONNX Runtime on the GPU, where its provider is there."""
    try:
        from engines.quiet_onnxruntime import onnxruntime
    except ImportError:
        say("ONNX Runtime is not installed here: not measured")
        return
    provider = "CUDAExecutionProvider"
    if device.type != "cuda" or provider not in onnxruntime.get_available_providers():
        say(f"ONNX Runtime has {', '.join(onnxruntime.get_available_providers())} here, no {provider}: not measured")
        return
    for name in ONNX_FILES:
        path = WEIGHTS / name
        if not path.is_file():
            say(f"{path} did not come along: not measured")
            continue
        session = onnxruntime.InferenceSession(str(path), providers=[provider])
        for batch in (1, 16, 64):
            if time.monotonic() > ends:
                return
            fed = {}
            for value in session.get_inputs():
                kind = np.float16 if "float16" in value.type else np.float32
                shape = [batch, *(int(side) for side in value.shape[1:])]
                fed[value.name] = np.random.default_rng(1).random(shape).astype(kind)
            session.run(None, fed)
            seconds = seconds_of(lambda s=session, f=fed: s.run(None, f), device, RUNS)  # type: ignore[misc]
            yield BenchRow(name, "as stored", batch, seconds * 1e3, batch / seconds, 0.0, "ONNX Runtime, with copies")


def _line(row: BenchRow) -> str:
    roof = f", roof {row.roof_ms:.3f} ms" if row.roof_ms else ""
    return (
        f"{row.network:>10} {row.precision} batch {row.batch:>3}: {row.ms:8.3f} ms, {row.faces_per_s:9.1f} faces/s"
        f"{roof} ({row.how})"
    )


def _written(rows: list[BenchRow], roof: Roof, out: Path) -> list[BenchRow]:
    told: dict[str, Any] = {"roof": asdict(roof), "rows": [asdict(row) for row in rows]}
    out.mkdir(parents=True, exist_ok=True)
    (out / BENCH_FILE).write_text(json.dumps(told, indent=1), encoding="utf-8")
    return rows
