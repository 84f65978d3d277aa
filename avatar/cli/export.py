"""`visavis export`: checkpoint to ONNX, and ONNX to TensorRT engines."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from avatar.errors import UsageError, VisavisError

if TYPE_CHECKING:
    from engines.tensorrt_cache import StoredEngine

NETWORKS = ("generator.onnx", "embedder.onnx")


def export(
    model: Annotated[str, typer.Argument(help="`fast`, or the path of a .safetensors checkpoint.")] = "fast",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for generator.onnx and embedder.onnx (default: beside the checkpoint), "
            "or with --engine for the engines (default: visavis' cache)."
        ),
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="`tensorrt`: build engines for NVIDIA GPUs of the networks' ONNX files.")
    ] = None,
    capability: Annotated[
        str | None,
        typer.Option(
            help="With --engine: compute capabilities, such as 75,80,86,89,120; no GPU is needed for these. "
            "Default: that of this computer's GPU."
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="With --engine: `fp32` (default), or `tf32` to compute on tensor cores with fewer digits."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Write generator and embedder as ONNX (opset 20, standard operators), checked against torch by a forward pass.

    Examples: visavis export fast --out networks-for-me

    visavis export fast --engine tensorrt --capability 75,80,86,89,120
    """
    from avatar.model_files import model_file

    if model == "fast":
        weights = model_file("fast/fast.safetensors")
    elif Path(model).suffix == ".safetensors":
        weights = Path(model)
    else:
        raise UsageError(f"There is no model '{model}'. Give `fast` or the path of a .safetensors checkpoint.")
    if engine is not None:
        _export_engines(weights.parent, engine, capability, precision or "fp32", out, as_json)
        return
    if capability is not None or precision is not None:
        raise UsageError("--capability and --precision are for engines: add --engine tensorrt.")
    try:
        from export.to_onnx import export as to_onnx
    except ImportError as error:
        raise VisavisError(f"Export needs torch and onnx ({error.name}): pip install 'visavis[train]'") from error
    report = to_onnx(weights, out or weights.parent)
    if as_json:
        print(json.dumps([{**asdict(r), "path": str(r.path)} for r in report], indent=2))
        return
    table = Table("network", "MB", "operators", "max difference to torch", "mean", title="ONNX opset 20")
    for r in report:
        table.add_row(
            str(r.path), f"{r.megabytes:.1f}", str(sum(r.operators.values())), f"{r.max_difference:.1e}",
            f"{r.mean_difference:.1e}",
        )  # fmt: skip
    Console().print(table)


def _export_engines(
    networks: Path, engine: str, capability: str | None, precision: str, out: Path | None, as_json: bool
) -> None:
    """Build an engine for each of the networks in the folder `networks` and each capability, and report them."""
    if engine != "tensorrt":
        raise UsageError(f"There is no engine '{engine}' to build. The one that is built beforehand is tensorrt.")
    from avatar.paths import cache
    from engines import EngineFailure
    from engines.tensorrt import present_capability
    from engines.tensorrt_build import PRECISIONS, library
    from engines.tensorrt_cache import stored_engine

    if precision not in PRECISIONS:
        raise UsageError(f"There is no precision '{precision}'. Choose {' or '.join(PRECISIONS)}.")
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
    for name in NETWORKS:
        if not (networks / name).is_file():
            raise UsageError(
                f"{networks / name} does not exist. Write it first: visavis export {networks}/….safetensors"
            )
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    folder = out or cache() / "engines"
    rows: list[tuple[str, StoredEngine]] = []
    failed = 0

    def say(line: str) -> None:
        errors.print(line, markup=False)

    for name in NETWORKS:
        for number in targets:
            found = library(number)
            with errors.status(f"{name} for compute capability {number}"):
                try:
                    stored = stored_engine(
                        found, networks / name, number, folder, precision=precision, present=present, say=say
                    )
                except EngineFailure as error:
                    failed += 1
                    say(f"Compute capability {number}: {error}")
                    continue
            rows.append((name, stored))
    if rows:
        _report_engines(rows, f"{found.label} {found.version}", folder, as_json)
    if failed:
        raise VisavisError(f"{failed} of {failed + len(rows)} engines could not be built: the reasons stand above.")


def _report_engines(rows: list[tuple[str, StoredEngine]], title: str, folder: Path, as_json: bool) -> None:
    output = Console()
    if as_json:
        print(json.dumps([_as_json(name, stored) for name, stored in rows], indent=2))
        return
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
            stored.key.precision,
            f"{len(stored.plan) / 1e6:.1f}",
            f"{stored.seconds:.2f}",
            state,
        )
    output.print(table)
    output.print(f"Engines: {folder}", soft_wrap=True, highlight=False)


def _capabilities(text: str | None) -> list[int]:
    """ "75,8.6" as [75, 86]."""
    try:
        return list(dict.fromkeys(int(part.strip().replace(".", "")) for part in text.split(","))) if text else []
    except ValueError:
        raise UsageError(f"'{text}' is no list of compute capabilities. Write them as in 75,80,86,89,120.") from None


def _as_json(name: str, stored: StoredEngine) -> dict[str, object]:
    return {
        **asdict(stored.key),
        "network": name,
        "path": str(stored.path) if stored.path else None,
        "megabytes": len(stored.plan) / 1e6,
        "seconds": stored.seconds,
        "cached": stored.cached,
        "inputs": {tensor: spec.shape for tensor, spec in stored.inputs.items()},
        "outputs": {tensor: spec.shape for tensor, spec in stored.outputs.items()},
    }
