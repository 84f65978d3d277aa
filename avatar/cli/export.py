"""`visavis export`: checkpoint to ONNX."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from avatar.errors import UsageError, VisavisError


def export(
    model: Annotated[str, typer.Argument(help="`fast`, or the path of a .safetensors checkpoint.")] = "fast",
    out: Annotated[
        Path | None, typer.Option(help="Folder for generator.onnx and embedder.onnx (default: beside the checkpoint).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Write generator and embedder as ONNX (opset 20, standard operators), checked against torch by a forward pass.

    Example: visavis export fast --out engines-for-me
    """
    try:
        from export.to_onnx import export as to_onnx
    except ImportError as error:
        raise VisavisError(f"Export needs torch and onnx ({error.name}): pip install 'visavis[train]'") from error
    from avatar.model_files import model_file

    if model == "fast":
        weights = model_file("fast/fast.safetensors")
    elif Path(model).suffix == ".safetensors":
        weights = Path(model)
    else:
        raise UsageError(f"There is no model '{model}'. Give `fast` or the path of a .safetensors checkpoint.")
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
