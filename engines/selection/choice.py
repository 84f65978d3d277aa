"""Which engine is the fastest here: measured once, and remembered until something that it depends on changes."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engines.backends import BACKENDS, OWN_FILES, PRECISIONS, Candidate, Say, installed_versions, variant
from engines.engine import EngineFailure, Example
from engines.files import Unfit, locked, opened, write_beside
from engines.network import network_file, thread_count
from engines.selection.measure import Result, measure

FILE_NAME = "choice.json"
FORMAT = 2  # grows when what is remembered, or how it is measured, changes
KEPT = 12  # choices, the newest
MAX_BYTES = 1 << 20
MEASURING = "Measuring the engines of this computer for {model}, once: a few seconds"


@dataclass(frozen=True, slots=True)
class Choice:
    """Every way to run one network here, the best first."""

    key: dict[str, Any]  # all that it depends on
    model: str  # file name of the network
    measured: str  # ISO 8601, UTC
    results: tuple[Result, ...]
    unusable: dict[str, str]  # backend -> why

    @property
    def usable(self) -> list[Result]:
        return [result for result in self.results if result.ms is not None]

    @property
    def date(self) -> str:
        return self.measured[:10]


def choose(
    network: Path,
    threads: int | None,
    folder: Path | None,
    say: Say,
    *,
    anew: bool = False,
    example: Example | None = None,
) -> Choice:
    """The remembered choice for the ONNX file `network`, or a new one.

    folder: where it is remembered, in FILE_NAME. Where nothing can be written, that is said and it is measured each
    time; None remembers nothing. anew: measure in any case.
    example: makes inputs for measuring. An int8 network is right only for inputs such as it was made for, so it is told
    from a wrong one by these; tensors that are missing there, or have another shape, get smooth made-up values.
    Measuring says so in one line, takes a few seconds and a process for each candidate. A choice in which no candidate
    works is not remembered. Raises EngineFailure when no process can be started.
    """
    network = network_file(network)
    count = thread_count(threads)
    key = choice_key(network, count)
    if not anew and (known := _known(folder, key, say)):
        return known
    with _alone(folder, say) as writable:
        if not anew and (known := _known(folder, key)):  # another process may have measured while this one waited
            return known
        say(MEASURING.format(model=network.name))
        try:
            results, unusable = measure(network, count, folder if writable else None, example() if example else {})
        except OSError as error:
            raise EngineFailure(f"the engines could not be measured: {error.strerror or error}") from error
        now = datetime.now(UTC).isoformat(timespec="seconds")
        choice = Choice(key, network.name, now, tuple(results), unusable)
        if folder is not None and writable and choice.usable:
            _remember(folder / FILE_NAME, choice, say)
    return choice


def is_measured(network: Path, threads: int | None, folder: Path) -> bool:
    """Whether `choose` would answer at once."""
    return _known(folder, choice_key(network_file(network), thread_count(threads))) is not None


def remembered(folder: Path, say: Say = lambda line: None) -> list[Choice]:
    """All choices in the folder, the newest first."""
    path = folder / FILE_NAME
    try:
        with opened(path) as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise ValueError
        whole = json.loads(text)
        if whole["format"] != FORMAT:
            return []
        return [_from_json(entry) for entry in whole["choices"]]
    except FileNotFoundError:
        return []
    except OSError as error:
        say(f"{path} cannot be read ({error.strerror}): the engines are measured again")
    except Unfit as error:
        say(f"{path} is not used ({error}): the engines are measured again")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        say(f"{path} is damaged: the engines are measured again")
    return []


def _known(folder: Path | None, key: dict[str, Any], say: Say = lambda line: None) -> Choice | None:
    choices = remembered(folder, say) if folder else []
    return next((choice for choice in choices if choice.key == key), None)


def _remember(path: Path, choice: Choice, say: Say) -> None:
    others = [other for other in remembered(path.parent) if other.key != choice.key]
    whole = {"format": FORMAT, "choices": [asdict(one) for one in [choice, *others][:KEPT]]}
    try:
        write_beside(path, json.dumps(whole, indent=1).encode())
    except OSError as error:
        say(f"{path} could not be written ({error.strerror}): the engines are measured again next time")


def _from_json(entry: dict[str, Any]) -> Choice:
    results = []
    for row in entry["results"]:
        candidate = Candidate(**{name: str(value) for name, value in row["candidate"].items()})
        if candidate.backend not in BACKENDS or candidate.precision not in PRECISIONS:
            raise ValueError
        ms = None if row["ms"] is None else _duration(row["ms"])
        results.append(Result(candidate, ms, str(row["reason"]), _duration(row["load_ms"])))
    if not any(result.ms is not None for result in results):
        raise ValueError
    unusable = {str(name): str(why) for name, why in entry["unusable"].items()}
    measured = datetime.fromisoformat(entry["measured"]).isoformat()
    return Choice(dict(entry["key"]), str(entry["model"]), measured, tuple(results), unusable)


def _duration(value: float) -> float:
    if not 0 <= (value := float(value)) < math.inf:
        raise ValueError
    return value


def choice_key(network: Path, threads: int) -> dict[str, Any]:
    """All that a choice depends on, as it is now."""
    files = {network.name: network, **{p: variant(network, p) for p in OWN_FILES if variant(network, p).is_file()}}
    return {
        "network": {name: _sha256(path) for name, path in files.items()},
        "versions": {"python": platform.python_version(), **installed_versions()},
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "accelerators": _accelerators(),
        "threads": threads,
    }


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EngineFailure(f"{path} cannot be read: {error.strerror}") from None


def _cpu() -> str:
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = ("model name", "cpu family", "model", "stepping", "flags", "CPU part", "Features")
        first = dict(reversed([line.split(":", 1) for line in lines if ":" in line]))
        about = [first[name].strip() for name in first if name.strip() in names]
        if about:  # cloud machines hide the model's name, but not what it can do
            return f"{first.get('model name	', '').strip()} {hashlib.sha256(repr(about).encode()).hexdigest()[:12]}"
    return f"{platform.machine()} {platform.processor()}"


def _accelerators() -> list[str]:
    """What stands for the GPUs and NPUs and their drivers, without starting any of them. Linux only."""
    found = []
    for pattern in ("class/drm/renderD*", "class/accel/accel*"):
        for device in sorted(Path("/sys").glob(pattern)):
            with suppress(OSError):
                ids = [(device / "device" / name).read_text().strip() for name in ("vendor", "device")]
                found.append(":".join(ids))
    with suppress(OSError):
        found.append(Path("/proc/driver/nvidia/version").read_text().splitlines()[0])
        found += sorted(
            gpu.read_text().splitlines()[0] for gpu in Path("/proc/driver/nvidia/gpus").glob("*/information")
        )
    return found if sys.platform == "linux" else []


@contextmanager
def _alone(folder: Path | None, say: Say) -> Iterator[bool]:
    """Hold the lock of the folder, so that two processes do not measure each other. False: it cannot be written to."""
    if folder is None:
        yield False
        return
    otherwise = "the engines are measured this time, and again next time"
    with locked(folder / "choice.lock", "measuring the engines", otherwise, say) as writable:
        yield writable
