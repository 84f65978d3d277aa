"""Engine files: what is built once is found again, unless anything that it depends on has changed.

A file is a header (magic, length, JSON) and the serialised engine. An engine holds code for the GPU, so only files that
are this user's own, name in their header exactly what is asked for, and have the recorded SHA-256 are ever loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from engines.backends import Say
from engines.files import Unfit, locked, opened, sound_or_none, write_beside, write_checked
from engines.network import TensorSpec, network_file
from engines.tensorrt.build import Built, Library, Target, Timings, build

MAGIC = b"VISAVIS\x00TRT\x00\x01"  # the last byte counts up when `build` makes another engine of the same file
LENGTH = struct.Struct("<I")
MAX_HEADER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class EngineKey:
    """All that an engine depends on."""

    onnx_sha256: str
    flavour: str
    version: str
    capability: int
    precision: str
    refit: tuple[str, ...] = ()

    @classmethod
    def of(cls, onnx_sha256: str, library: Library, target: Target) -> EngineKey:
        return cls(
            onnx_sha256, library.flavour, library.version, target.capability, target.precision, tuple(target.refit)
        )

    @property
    def file_name(self) -> str:
        text = json.dumps(asdict(self), sort_keys=True)
        return f"sm{self.capability}-{hashlib.sha256(text.encode()).hexdigest()}.engine"

    @property
    def timings_name(self) -> str:
        """Of the file that all networks share."""
        text = json.dumps([self.flavour, self.version])
        return f"sm{self.capability}-{hashlib.sha256(text.encode()).hexdigest()}.timing"


@dataclass(frozen=True, slots=True)
class StoredEngine:
    """An engine, from its file or newly built."""

    key: EngineKey
    plan: bytes
    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]
    seconds: float  # of building, or of reading
    cached: bool  # it was there already
    path: Path | None  # None: it could not be kept, or was not meant to be


def stored_engine(
    library: Library,
    onnx: Path,
    target: Target,
    folder: Path | None,
    say: Say = lambda line: None,
) -> StoredEngine:
    """The engine of the ONNX file `onnx` from `folder`, built and kept there when it is missing or damaged.

    folder: None keeps nothing, as is right for a person's own weights. Two processes that want the same engine build
    it once. `say` is given one line for each thing that is out of the ordinary. Raises as `build` does.
    """
    data = network_file(onnx).read_bytes()
    key = EngineKey.of(hashlib.sha256(data).hexdigest(), library, target)
    newly_built = partial(build, library, data, onnx.name, target)

    if folder is None:
        built = newly_built()
        return StoredEngine(key, built.plan, built.inputs, built.outputs, built.seconds, cached=False, path=None)
    path = folder / key.file_name
    # A sound file is read without the lock: it was renamed into place whole.
    with suppress(Unfit, FileNotFoundError, NotADirectoryError):
        return _read(path, key)
    doing = f"building the engine of {onnx.name} for compute capability {target.capability}"
    with locked(path.with_suffix(".lock"), doing, "the engine is used from memory", say) as writable:
        try:
            return _read(path, key)  # another process may have built it while this one waited
        except (FileNotFoundError, NotADirectoryError):
            for old, version in _of_other_versions(folder, key):
                say(f"{old.name} was built by {library.label} {version}, here is {key.version}: built again")
                with suppress(OSError):
                    old.unlink()
        except Unfit as error:
            say(f"{path} is not used ({error}): built again")
        if library.times_when_built and writable:
            built = _built_with_timings(newly_built, folder / key.timings_name, say)
        else:
            built = newly_built()
        kept = writable and _keep(path, key, built, say)
    return StoredEngine(
        key, built.plan, built.inputs, built.outputs, built.seconds, cached=False, path=path if kept else None
    )


def _built_with_timings(newly_built: Callable[[Timings], Built], path: Path, say: Say) -> Built:
    """Build with what earlier builds on this GPU timed, and keep what this one adds."""
    timings = Timings(before := sound_or_none(path) or b"")
    built = newly_built(timings)
    if timings.data != before:
        try:
            write_checked(path, timings.data)
        except OSError as error:
            say(f"{path} could not be written ({error.strerror}): the next build times its kernels again")
    return built


def _keep(path: Path, key: EngineKey, built: Built, say: Say) -> bool:
    header = {
        "key": asdict(key),
        "plan_bytes": len(built.plan),
        "plan_sha256": hashlib.sha256(built.plan).hexdigest(),
        "inputs": _as_json(built.inputs),
        "outputs": _as_json(built.outputs),
    }
    text = json.dumps(header).encode()
    try:
        write_beside(path, MAGIC, LENGTH.pack(len(text)), text, built.plan)
    except OSError as error:
        say(
            f"{path} could not be written ({error.strerror}): the engine is used from memory, and built again next time"
        )
        return False
    return True


def _read(path: Path, key: EngineKey) -> StoredEngine:
    """The engine at `path`. Raises FileNotFoundError or NotADirectoryError, or Unfit with what is wrong with it."""
    started = time.perf_counter()
    try:
        with opened(path) as file:
            header = _header(file)
            if header.get("key") != json.loads(json.dumps(asdict(key))):
                raise Unfit(_difference(header.get("key"), key))
            left = os.fstat(file.fileno()).st_size - file.tell()
            if left != header["plan_bytes"]:
                raise Unfit(f"it has {left} of {header['plan_bytes']} bytes")
            plan = file.read()
        if hashlib.sha256(plan).hexdigest() != header["plan_sha256"]:
            raise Unfit("its bytes are not those that were written")
        inputs, outputs = _from_json(header["inputs"]), _from_json(header["outputs"])
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise Unfit(error.strerror or "it cannot be read") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unfit("its header is damaged") from error
    return StoredEngine(key, plan, inputs, outputs, time.perf_counter() - started, cached=True, path=path)


def _header(file: IO[bytes]) -> dict[str, Any]:
    if file.read(len(MAGIC)) != MAGIC:
        raise Unfit("it is no engine file of this version of visavis")
    (length,) = LENGTH.unpack(file.read(LENGTH.size).ljust(LENGTH.size, b"\xff"))
    text = file.read(min(length, MAX_HEADER_BYTES))
    if len(text) != length:
        raise Unfit("its header is cut off")
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise Unfit("its header is damaged")
    return header


def _difference(found: object, key: EngineKey) -> str:
    if isinstance(found, dict):
        for name, wanted in asdict(key).items():
            if found.get(name) != wanted and name in ("flavour", "version", "capability", "precision"):
                return f"it was built for {name} {str(found.get(name))[:40]!r}, not {wanted}"
    return "it was built of another network"


def _of_other_versions(folder: Path, key: EngineKey) -> list[tuple[Path, str]]:
    """Engines of the same network that another version of the same package left here, which nothing will use again."""
    found = []
    for path in folder.glob(f"sm{key.capability}-*.engine"):
        with suppress(Unfit, OSError, ValueError):
            with opened(path) as file:
                about = _header(file).get("key")
            same = asdict(key) | {"refit": list(key.refit)}
            if isinstance(about, dict) and about != same and {**about, "version": key.version} == same:
                found.append((path, str(about["version"])[:20]))
    return found


def _as_json(specs: dict[str, TensorSpec]) -> list[list[Any]]:
    return [[name, list(spec.shape), spec.dtype.name] for name, spec in specs.items()]


def _from_json(rows: list[list[Any]]) -> dict[str, TensorSpec]:
    return {str(name): TensorSpec.of(tuple(int(size) for size in shape), str(dtype)) for name, shape, dtype in rows}
