"""The nets of `fast-3`, trained region by region, as one graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from avatar.model.checkpoint import DAMAGE, read_header
from avatar.model.layered_generator import REGIONS, LayeredGenerator, load_region
from avatar.render.generator import OwnTensors
from export.networks import Traced, put_weights
from export.to_onnx import Exported, staged, write_onnx


def is_region(checkpoint: Path) -> bool:
    """Whether it is of one region of `fast-3`. False for what cannot be read."""
    try:
        return "hints" in read_header(checkpoint)[0]
    except DAMAGE:
        return False


def regions_beside(checkpoint: Path) -> list[Path]:
    """The checkpoints of all regions that lie in its folder, in the order of the graph."""
    return [path for region in REGIONS if (path := checkpoint.parent / f"{region.name}.safetensors").is_file()]


def write_layered(checkpoints: Sequence[Path], out: Path, own: OwnTensors | None = None) -> Exported:
    """Write `generator.onnx` into the folder `out`. `own`: a person's tensors in place of the checkpoints'; its owner
    alone may read it then. Raises InputError for a checkpoint that cannot be read and for tensors that do not fit,
    VisavisError as `write_onnx` and `staged` do."""
    generator = LayeredGenerator([load_region(path) for path in checkpoints]).eval()
    if own is not None:
        put_weights(generator, *own)
    with staged(out, private=own is not None) as folder:
        written = write_onnx(Traced(generator, generator.example(), generator.outputs), folder / "generator.onnx")
    return replace(written, path=out / written.path.name)
