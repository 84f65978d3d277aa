"""`visavis export --engine tensorrt`: ONNX to TensorRT engines."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from avatar.cli.terminal import Terminal, print_json
from avatar.core.errors import UsageError, VisavisError

if TYPE_CHECKING:
    from engines.tensorrt.cache import StoredEngine

NETWORKS = ("generator.onnx", "embedder.onnx")


def export_engines(
    networks: Path, engine: str, capability: str | None, precision: str, out: Path | None, as_json: bool
) -> None:
    """Build an engine for each of the networks in the folder `networks` and each capability, and report them.

    precision: "fp32", "tf32", or "fp16" or "int8" for the generator's own file of that precision.
    """
    if engine != "tensorrt":
        raise UsageError(f"There is no engine '{engine}' to build. The one that is built beforehand is tensorrt.")
    from avatar.core.paths import cache
    from engines import EngineFailure
    from engines.backends import OWN_FILES, variant
    from engines.tensorrt.build import PRECISIONS, Target, library
    from engines.tensorrt.cache import stored_engine
    from engines.tensorrt.engine import present_capability

    if precision not in (*PRECISIONS, *OWN_FILES):
        raise UsageError(f"There is no precision '{precision}'. Choose {', '.join((*PRECISIONS, *OWN_FILES))}.")
    targets = _capabilities(capability)
    present: int | None = None
    try:
        present = present_capability()
        targets = targets or [present]
    except EngineFailure as error:
        if not targets:
            raise VisavisError(
                f"{error}. Name the GPUs that the engines are for, as in --capability 75,80,86,89,120."
            ) from error
    wanted = [networks / name for name in NETWORKS]
    if precision in OWN_FILES:
        wanted = [variant(wanted[0], precision)]
    for path in wanted:
        if not path.is_file():
            how = f" --precision {precision}" if precision in OWN_FILES else ""
            how += " --signed" if precision == "int8" else ""  # TensorRT takes no zero points
            raise UsageError(f"{path} does not exist. Write it first: visavis export {networks}/….safetensors{how}")
    terminal = Terminal(stderr=True)
    folder = out or cache() / "engines"
    rows: list[tuple[str, StoredEngine]] = []
    failed = 0

    digits = precision if precision in PRECISIONS else "fp32"  # for what a file of its own leaves in float32
    for path in wanted:
        for number in targets:
            found = library(number)
            with terminal.status(f"{path.name} for compute capability {number}"):
                try:
                    stored = stored_engine(found, path, Target(number, present, digits), folder, terminal.note)
                except EngineFailure as error:
                    failed += 1
                    terminal.note(f"Compute capability {number}: {error}")
                    continue
            rows.append((path.name, stored))
    if rows:
        _report_engines(rows, f"{found.label} {found.version}", precision, folder, as_json)
    if failed:
        signed = " TensorRT takes INT8 without zero points: write it first with --precision int8 --signed."
        raise VisavisError(
            f"{failed} of {failed + len(rows)} engines could not be built: the reasons stand above."
            + (signed if precision == "int8" else "")
        )


def _report_engines(
    rows: list[tuple[str, StoredEngine]], title: str, precision: str, folder: Path, as_json: bool
) -> None:
    if as_json:
        print_json([_as_json(name, precision, stored) for name, stored in rows])
        return
    output = Terminal()
    tensors = Table("network", "", "tensor", "shape", "type", title="Inputs and outputs")
    for name, stored in dict(rows).items():
        for direction, specs in (("in", stored.inputs), ("out", stored.outputs)):
            for tensor, spec in specs.items():
                tensors.add_row(name, direction, tensor, "×".join(map(str, spec.shape)), spec.dtype.name)
    output.print(tensors)
    table = Table("network", "capability", "precision", "MB", "seconds", "", title=title)
    for name, stored in rows:
        state = "cached" if stored.cached else "built" if stored.path else "built, not kept"
        table.add_row(
            name,
            str(stored.key.capability),
            precision,
            f"{len(stored.plan) / 1e6:.1f}",
            f"{stored.seconds:.2f}",
            state,
        )
    output.print(table)
    output.say(f"Engines: {folder}")


def _capabilities(text: str | None) -> list[int]:
    """ "75,8.6" as [75, 86]."""
    try:
        return list(dict.fromkeys(int(part.strip().replace(".", "")) for part in text.split(","))) if text else []
    except ValueError:
        raise UsageError(f"'{text}' is no list of compute capabilities. Write them as in 75,80,86,89,120.") from None


def _as_json(name: str, precision: str, stored: StoredEngine) -> dict[str, object]:
    return {
        **asdict(stored.key),
        "precision": precision,
        "network": name,
        "path": str(stored.path) if stored.path else None,
        "megabytes": len(stored.plan) / 1e6,
        "seconds": stored.seconds,
        "cached": stored.cached,
        "inputs": {tensor: spec.shape for tensor, spec in stored.inputs.items()},
        "outputs": {tensor: spec.shape for tensor, spec in stored.outputs.items()},
    }
