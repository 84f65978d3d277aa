"""Timing every way to run a network on this computer, each in a process of its own."""

from __future__ import annotations

import io
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from engines.backends import BACKENDS, FP16_ON_CPU, Candidate, Devices, candidates, short_reason, variant
from engines.child_process import import_paths, without_secrets
from engines.engine import EngineFailure, Tensors

ROUNDS = 8  # of each candidate, in turn, so that a busy moment hits them all
START_S = 60.0  # by then a network is loaded; building for a GPU takes longest
ROUND_S = 20.0
# Nearest that outputs in [0, 1] may be to those of the first candidate, in dB of PSNR. Smaller numbers are allowed to
# be rougher: their quality is judged on real pictures when a network is exported, here only what is plainly wrong.
NEAR_DB = {"fp32": 60.0, "fp16": 40.0, "bf16": 40.0, "int8": 25.0}
# A candidate with fewer digits must be this much faster than the fastest with all of them.
WORTH_FEWER_DIGITS = 0.9

WINDOWS_DEATHS = {0xC000001D: "SIGILL", 0xC0000005: "SIGSEGV"}
DEATHS = {
    "SIGILL": "died of an illegal instruction: it was built for a newer CPU",
    "SIGSEGV": "died of a segmentation fault",
    "SIGKILL": "was killed, perhaps because memory ran out",
}


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one candidate."""

    candidate: Candidate
    ms: float | None  # median of one inference; None where it was disqualified
    reason: str = ""  # why it was
    load_ms: float = 0.0


def find_devices() -> dict[str, Devices | str]:
    """Backend -> its devices, or why it is not usable. Imports no library into this process."""
    found: dict[str, Devices | str] = {}
    with ExitStack() as closing:
        asked: dict[str, _Process] = {}  # all at once, since importing takes a while
        for name, backend in BACKENDS.items():
            if reason := backend.missing():
                found[name] = reason
            else:
                asked[name] = closing.enter_context(_Process("devices", name))
        for name, process in asked.items():
            try:
                about = process.answer(START_S)
            except EngineFailure as error:
                found[name] = str(error)
                continue
            found[name] = about.get("reason") or Devices(
                about["version"], tuple(about["usable"]), about["absent"], tuple(about["bf16"])
            )
    return {name: found[name] for name in BACKENDS}


def measure(
    network: Path, threads: int, folder: Path | None, example: Mapping[str, NDArray[np.generic]]
) -> tuple[list[Result], dict[str, str]]:
    """(every candidate, the best first; backends that are not usable, and why).

    folder: for what backends compile; what they keep there, the later start finds. example: as of `choose`.
    Raises OSError when no process can be started, or nothing written for it to read.
    """
    devices = find_devices()
    unusable = {name: found for name, found in devices.items() if isinstance(found, str)}
    ways = [
        way for name, found in devices.items() if isinstance(found, Devices) for way in candidates(network, name, found)
    ]
    if variant(network, "fp16").is_file() and not any(way.precision == "fp16" for way in ways):
        unusable["fp16"] = FP16_ON_CPU
    with ExitStack() as closing:
        inputs = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="visavis-"))) / "inputs.npz"
        np.savez(inputs, allow_pickle=False, **example)
        trials = [closing.enter_context(_Trial(way, network, inputs, threads, folder)) for way in ways]
        reference: Tensors | None = None
        for trial in trials:
            trial.start()
            if trial.reason is None:
                trial.reason = _wrong(trial.outputs, reference, trial.candidate.precision)
            if trial.reason is None and reference is None and trial.candidate.precision == "fp32":
                reference = trial.outputs
        for _ in range(ROUNDS):
            for trial in trials:
                trial.round()
    return rank([trial.result() for trial in trials]), unusable


def rank(results: Sequence[Result]) -> list[Result]:
    """The fastest first, but those with fewer digits behind the exact ones unless they are clearly faster."""
    exact = min((r.ms for r in results if r.ms is not None and r.candidate.precision == "fp32"), default=None)

    def place(result: Result) -> tuple[int, float]:
        if result.ms is None:
            return 2, 0.0
        slow = result.candidate.precision != "fp32" and exact is not None and result.ms > WORTH_FEWER_DIGITS * exact
        return int(slow), result.ms

    return sorted(results, key=place)


def _wrong(outputs: Tensors, reference: Tensors | None, precision: str) -> str | None:
    """Why these outputs cannot be right, or None."""
    if not all(np.isfinite(array).all() for array in outputs.values()):
        return "gives numbers that are not finite"
    if reference is None:
        return None
    if {name: array.shape for name, array in outputs.items()} != {n: a.shape for n, a in reference.items()}:
        return "gives other outputs than the first"
    nearest = min((_psnr_db(outputs[name], reference[name]) for name in reference), default=np.inf)
    if nearest < NEAR_DB[precision]:
        return f"gives other numbers than the first ({nearest:.0f} dB, at least {NEAR_DB[precision]:.0f} are wanted)"
    return None


def _psnr_db(outputs: np.ndarray[Any, Any], reference: np.ndarray[Any, Any]) -> float:
    wanted = reference.astype(np.float64)
    peak = max(float(np.abs(wanted).max(initial=0)), 1.0)
    error = float(np.mean((outputs.astype(np.float64) - wanted) ** 2)) if wanted.size else 0.0
    return 10 * np.log10(peak**2 / error) if error else np.inf


class _Trial:
    """One candidate in its process."""

    def __init__(self, candidate: Candidate, network: Path, inputs: Path, threads: int, folder: Path | None) -> None:
        self.candidate = candidate
        self.path = candidate.file(network)
        self.reason: str | None = None
        self.outputs: Tensors = {}
        self._load_ms = 0.0
        self._durations: list[float] = []
        given = {
            "candidate": asdict(candidate),
            "path": str(self.path.absolute()),
            "inputs": str(inputs),
            "threads": threads,
            "folder": str(folder.absolute()) if folder else None,
        }
        self._process = _Process("run", json.dumps(given))

    def start(self) -> None:
        self._try(self._read_outputs)

    def round(self) -> None:
        if self.reason is None:
            self._try(self._time_round)

    def _read_outputs(self) -> None:
        header = self._answer(START_S)
        self._load_ms = header["load_ms"]
        with np.load(io.BytesIO(self._process.read(header["bytes"], ROUND_S)), allow_pickle=False) as file:
            self.outputs = {name: file[name] for name in file.files}

    def _time_round(self) -> None:
        self._process.ask()
        self._durations += self._answer(ROUND_S)

    def _answer(self, within_s: float) -> Any:
        answer = self._process.answer(within_s)
        if isinstance(answer, dict) and (reason := answer.get("reason")):
            raise EngineFailure(short_reason(EngineFailure(reason), self.path))
        return answer

    def _try(self, step: Any) -> None:
        try:
            step()
        except EngineFailure as error:
            self.reason = str(error)

    def result(self) -> Result:
        ms = statistics.median(self._durations) if self.reason is None and self._durations else None
        return Result(self.candidate, ms, self.reason or "", self._load_ms)

    def __enter__(self) -> _Trial:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.close()


class _Process:
    """`python -m engines.selection.trial`, and what it answers. Never in the way of the caller for long."""

    def __init__(self, *words: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "engines.selection.trial", *words],
            env=without_secrets() | {"PYTHONPATH": import_paths()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._late = False

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self) -> None:
        try:
            self._in.write(b"\n")
            self._in.flush()
        except OSError:
            raise EngineFailure(self._death()) from None

    def answer(self, within_s: float) -> Any:
        """The next line, from JSON. Raises EngineFailure when there is none in time."""
        line = self._within(within_s, lambda: self._out.readline())
        if not line.endswith(b"\n"):
            raise EngineFailure(f"was not done within {within_s:.0f} s" if self._late else self._death())
        return json.loads(line)

    def read(self, count: int, within_s: float) -> bytes:
        data = self._within(within_s, lambda: self._out.read(count))
        if len(data) < count:
            raise EngineFailure(f"was not done within {within_s:.0f} s" if self._late else self._death())
        return data

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._in.close()
        self._out.close()

    @property
    def _in(self) -> IO[bytes]:
        return cast(IO[bytes], self._process.stdin)

    @property
    def _out(self) -> IO[bytes]:
        return cast(IO[bytes], self._process.stdout)

    def _within(self, seconds: float, step: Any) -> bytes:
        """Reading from a pipe waits for ever; killing who should write ends that on every system."""
        timer = threading.Timer(seconds, self._stop)
        timer.start()
        try:
            return bytes(step())
        finally:
            timer.cancel()

    def _stop(self) -> None:
        self._late = True
        self._process.kill()

    def _death(self) -> str:
        code = self._process.wait()
        name = signal.Signals(-code).name if code < 0 else WINDOWS_DEATHS.get(code & 0xFFFFFFFF, "")
        return f"{DEATHS.get(name, 'ended while it was tried')} ({name or f'exit code {code}'})"
