"""A machine that is lent for minutes: what it is, what it can compile, and how results leave it in small files."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from avatar.core.errors import DeviceError, InputError
from avatar.core.whole_file import whole_file

REHEARSED = "H200"  # the figures in docs/TRAINING.md suppose it
LEAST_GB = {"mouth": 4.0, "eye": 4.0, "full": 40.0}  # of the GPU's memory
PART_BYTES = 15_000_000  # of a file that comes back: the limit is 16 MiB
PARTS_A_CALL = 4  # 60 MB: beside them come a log, a sheet and a list
PARTS_FILE = "parts.json"


def device_of(name: str, size: str, say: Callable[[str], None], force: bool = False) -> torch.device:
    """The device by its name. Raises DeviceError without a GPU, or with too little memory on it; says what it found."""
    if name == "cpu":
        say(f"on the processor, {torch.get_num_threads()} threads: a rehearsal")
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise DeviceError(
            f"torch {torch.__version__} sees no GPU here. Run on a machine that has one, or rehearse: --device cpu."
        )
    device = torch.device("cuda", torch.cuda.current_device())
    properties = torch.cuda.get_device_properties(device)
    free, total = (amount / 1e9 for amount in torch.cuda.mem_get_info(device))
    say(f"{properties.name}: {free:.0f} of {total:.0f} GB free, torch {torch.__version__}")
    if REHEARSED not in properties.name:
        say(f"another GPU than the {REHEARSED} that this was planned for: batch sizes come from `smoke`, times differ")
    if not force:
        check_memory(free, size)
    return device


def check_memory(free_gb: float, size: str) -> None:
    """Raises DeviceError where a size cannot be trained in so much memory."""
    if free_gb < LEAST_GB[size]:
        raise DeviceError(
            f"The GPU has {free_gb:.1f} GB free; `{size}` needs {LEAST_GB[size]:.0f}. End what else runs there, "
            "or give a smaller batch by hand: --batch 8 --force."
        )


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(run: Callable[[], object], device: torch.device, times: int = 1) -> float:
    """Mean seconds of a run, until the device has finished it."""
    synchronise(device)
    started = time.perf_counter()
    for _ in range(times):
        run()
    synchronise(device)
    return (time.perf_counter() - started) / times


@dataclass(frozen=True)
class CompileTrial:
    """What compiling a network brought."""

    works: bool
    took_s: float
    eager_s: float
    compiled_s: float
    reason: str = ""

    @property
    def pays(self) -> bool:
        return self.works and self.compiled_s < 0.9 * self.eager_s


def try_compile(network: nn.Module, run: Callable[[], object], device: torch.device) -> CompileTrial:
    """Compile `network` in place and time `run`, which uses it, before and after. It stays compiled where that pays."""
    run()
    eager_s = seconds_of(run, device, 3)
    started = time.perf_counter()
    try:
        network.compile()
        run()
        synchronise(device)
    except Exception as error:  # torch's compiler raises dozens of kinds, and a machine may lack its C compiler
        network._compiled_call_impl = None
        return CompileTrial(False, time.perf_counter() - started, eager_s, eager_s, str(error).splitlines()[0][:200])
    trial = CompileTrial(True, time.perf_counter() - started, eager_s, seconds_of(run, device, 3))
    if not trial.pays:
        network._compiled_call_impl = None
    return trial


def copy_out(files: Iterable[Path], out: Path) -> None:
    """Copy small files, each whole at any moment. Those that are missing or too large to be sent back are left out."""
    for path in files:
        if path.is_file() and path.stat().st_size <= PART_BYTES:
            with whole_file(out / path.name) as part:
                shutil.copyfile(path, part)


def split_out(files: Sequence[Path], out: Path, call: int) -> int:
    """Write the parts of all files that belong to the `call`-th call, counted from 0, and a list of all parts.

    Returns how many calls it takes in all.
    """
    out.mkdir(parents=True, exist_ok=True)
    parts: list[dict[str, Any]] = []
    for path in files:
        content = path.read_bytes()
        pieces = [content[i : i + PART_BYTES] for i in range(0, max(len(content), 1), PART_BYTES)]
        for i, piece in enumerate(pieces):
            name = f"{path.name}.{i:02d}-of-{len(pieces):02d}"
            parts.append({"file": path.name, "part": name, "sha256": hashlib.sha256(piece).hexdigest()})
            if len(parts) - 1 in range(call * PARTS_A_CALL, (call + 1) * PARTS_A_CALL):
                (out / name).write_bytes(piece)
    (out / PARTS_FILE).write_text(json.dumps(parts, indent=1), encoding="utf-8")
    return -(-len(parts) // PARTS_A_CALL)


def join_parts(folder: Path, out: Path) -> list[Path]:
    """Put together what `split_out` wrote, once all parts lie in `folder`. Raises InputError naming what is missing."""
    try:
        parts = json.loads((folder / PARTS_FILE).read_text(encoding="utf-8"))
        files: dict[str, list[Path]] = {}
        for part in parts:
            path = folder / part["part"]
            if not path.is_file():
                raise InputError(f"{path} is missing: fetch the other parts too (run.sh fetch --call N).")
            if hashlib.sha256(path.read_bytes()).hexdigest() != part["sha256"]:
                raise InputError(f"{path} is damaged or of another run: fetch it again.")
            files.setdefault(part["file"], []).append(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / PARTS_FILE} is missing or damaged ({error}): fetch it again.") from error
    out.mkdir(parents=True, exist_ok=True)
    made = []
    for name, pieces in files.items():
        with whole_file(out / name, durable=True) as joined, joined.open("wb") as file:
            for piece in pieces:
                file.write(piece.read_bytes())
        made.append(out / name)
    return made
