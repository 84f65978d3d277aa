"""Opening a network with the engine that suits this computer, and saying which runs and why."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from engines.backends import (
    BACKENDS,
    FP16_ON_CPU,
    LABELS,
    OWN_FILES,
    Candidate,
    Devices,
    EngineFolder,
    OwnWeights,
    Say,
    asked_for,
    check_precision,
    short_reason,
)
from engines.engine import Engine, EngineDescription, EngineFailure, Unavailable
from engines.network import REMAKE, network_file, thread_count
from engines.resilient import ResilientEngine, Rung
from engines.selection.choice import Choice, choose, is_measured
from engines.selection.measure import find_devices


def on_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def available_backends() -> dict[str, str | None]:
    """Every backend, with None where it is usable here, or else the reason why it is not.

    Imports no library into this process: one that crashes is "not usable" like any other.
    """
    return {name: None if isinstance(found, Devices) else found for name, found in find_devices().items()}


def open_engine(
    path: Path,
    backend: str = "auto",
    threads: int | None = None,
    *,
    precision: str = "auto",
    folder: EngineFolder | None = None,
    say: Say = on_stderr,
    own: OwnWeights | None = None,
) -> Engine:
    """Load the ONNX file at `path`.

    backend: "auto", which goes on to the next when one fails, also while running; or a name of BACKENDS, with a device
        where it is not the usual one ("onnxruntime:cuda"), which then runs or fails.
    threads: CPU threads of one inference; None leaves one core to the tracker.
    precision: "auto", or one of PRECISIONS. Without a measurement, "auto" is "fp32".
    folder: with "auto", which is the fastest of all that could run the network is measured once and remembered there;
        and there lies what is built and compiled. None keeps nothing, measures nothing and takes the first of BACKENDS
        that loads, as is right for a network that runs a few times.
    say: gets one line when something is measured, and when an engine fails while running and another takes its place.
    own: a person's own weights. What was measured for `path` holds for them; there are no variants of fewer digits.

    `explain(engine)` says in one line what runs, and why. Raises EngineFailure.
    """
    path = network_file(path)
    thread_count(threads)
    check_precision(precision)
    if own is not None and precision in OWN_FILES:
        raise EngineFailure(f"{path.name} with own weights runs in fp32 or bf16 only, not in {precision}")
    compiled = folder.path if folder else None
    opened = partial(_opened, path=path, threads=threads, folder=compiled, own=own, say=say)
    if backend != "auto":
        way = asked_for(backend, precision)
        label = BACKENDS[way.backend].label
        rungs = [Rung(way.backend, label, partial(opened, way), "")]
        asked = f"not used, because {label} was asked for"
        unusable = {name: one.missing() or asked for name, one in BACKENDS.items() if name != way.backend}
    elif folder is None or (folder.later and not is_measured(path, threads, folder.path)):
        rungs, unusable = _in_order(precision, opened)
    else:
        try:
            choice = choose(path, threads, folder.path, say, example=folder.example)
        except EngineFailure as error:  # no process could be started
            say(f"{error}: the first that loads is taken")
            rungs, unusable = _in_order(precision, opened)
        else:
            rungs, unusable = _by_speed(choice, precision, own is not None, opened)
    named = path.name if own is None else f"{path.name} with own weights"
    if not rungs and precision == "fp16":
        raise EngineFailure(f"{path.name} cannot run in fp16 here: {FP16_ON_CPU}, and none is usable")
    if not rungs and precision != "auto" and any(reason is None for reason in available_backends().values()):
        raise EngineFailure(f"{path.name} cannot run in {precision} here: `visavis engines` says in what it can")
    return ResilientEngine(named, rungs, unusable, say, partial(_refusal, path, unusable))


def explain(engine: Engine) -> str:
    """One line: which engine runs, why, and why the others do not."""
    about: EngineDescription = engine.describe()
    threads = f", {about.threads} thread{'s' if about.threads > 1 else ''}" if about.threads else ""
    where = f"{about.device}, {about.precision}{threads}"
    line = f"{about.model} runs on {LABELS.get(about.backend, about.backend)} {about.version} ({where})"
    line += f": {about.why}" if about.why else ""
    return f"{line}. {_listed(about.passed_over)}" if about.passed_over else line


def _in_order(precision: str, opened: Callable[[Candidate], Engine]) -> tuple[list[Rung], dict[str, str]]:
    """The backends as they stand in BACKENDS, each on its usual device, and those that are not usable."""
    rungs: list[Rung] = []
    unusable: dict[str, str] = {}
    for name, backend in BACKENDS.items():
        way = Candidate(name, backend.device, precision.replace("auto", "fp32"))
        if reason := backend.missing():
            unusable[name] = reason
        elif way.possible:
            standing = f"usable, but {rungs[0].label} comes first" if rungs else ""
            rungs.append(Rung(name, backend.label, partial(opened, way), standing))
    return rungs, unusable


def _by_speed(
    choice: Choice, precision: str, personal: bool, opened: Callable[[Candidate], Engine]
) -> tuple[list[Rung], dict[str, str]]:
    """What was measured, the best first, and what is not usable."""
    wanted = [
        result
        for result in choice.usable
        if precision in ("auto", result.candidate.precision)
        and not (personal and result.candidate.precision in OWN_FILES)
    ]
    fastest = min((result.ms or 0.0 for result in wanted), default=0.0)
    rungs = []
    for at, result in enumerate(wanted):
        standing = why = f"{result.ms:.1f} ms"
        if at == 0 and len(wanted) > 1 and result.ms == fastest:
            why += f", the fastest of {len(wanted)}"
        why += f" when measured on {choice.date}"
        if at > 0 and result.ms is not None and wanted[0].ms is not None and result.ms < wanted[0].ms:
            standing += ", too little faster for fewer digits"
        way = result.candidate
        rungs.append(Rung(way.name, way.label, partial(opened, way), standing, why))
    failed = {result.candidate.name: result.reason for result in choice.results if result.ms is None}
    return rungs, failed | choice.unusable


def _opened(
    way: Candidate, *, path: Path, threads: int | None, folder: Path | None, own: OwnWeights | None, say: Say
) -> Engine:
    file = way.file(path)
    try:
        return way.open(file, threads, folder) if own is None else way.open_own(file, own, threads, folder, say)
    except Unavailable:
        raise
    except EngineFailure as error:
        raise EngineFailure(short_reason(error, file)) from error
    except OSError as error:  # of writing the file with own weights
        raise EngineFailure(f"{error.filename or file}: {error.strerror or error}") from error


def _refusal(path: Path, unusable: Mapping[str, str], failures: Mapping[str, EngineFailure]) -> EngineFailure:
    """What to say when no engine loads the network."""
    refused = {label: str(error) for label, error in failures.items() if not isinstance(error, Unavailable)}
    refused |= {_label(name): why for name, why in unusable.items() if ":" in name}  # those that were tried
    if refused:
        return EngineFailure(f"{path} could not be loaded by {_listed(refused)}{REMAKE}")
    missing = {label: str(error).removeprefix(f"{label}: ") for label, error in failures.items()}
    if len(missing) == 1 and len(BACKENDS) == len(unusable) + 1:
        return EngineFailure(_listed(missing))
    return EngineFailure(
        "no engine is usable: " + _listed({_label(name): why for name, why in unusable.items()} | missing)
    )


def _label(name: str) -> str:
    """ "openvino:cpu:bf16" as "OpenVINO (cpu, bf16)"."""
    return Candidate(*name.split(":")).label if name.count(":") == 2 else LABELS.get(name, name)


def _listed(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{_label(name)}: {why}" for name, why in reasons.items())
