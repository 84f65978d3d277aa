"""From networks to a folder of ONNX files: float32, and what is asked for of FP16 and INT8, with proof."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import onnxruntime as ort
import torch

from avatar.core.arrays import Array
from avatar.render.real_frame import RealFrame
from engines.backends import OWN_FILES, variant
from engines.engine import Tensors
from engines.selection.measure import find_devices
from export.check import Checked, check
from export.frames import Scene, photo_of, psnr_db
from export.half import MIN_PSNR_DB, Group, halve
from export.int8 import Layer, quantise
from export.networks import Networks, Traced, trace_embedder, trace_generator
from export.to_onnx import Exported, save_graph, staged, write_onnx

PRECISIONS = ("fp32", "fp16", "int8")
# Frames that a precision is judged on, and that INT8 takes its ranges from. Size `full` takes half a second for each,
# once for every layer.
JUDGED = {"fast": 24, "full": 2}
CALIBRATED = {"fast": 64, "full": 8}

Say = Callable[[str, float], None]  # what is being done, and which share of it is done
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PackageOptions:
    """What is written of the networks."""

    precisions: Sequence[str] = ("fp32",)  # of PRECISIONS; float32 is always written
    size_px: int | None = None  # this and the next as of `trace_generator`
    batch: int = 1
    embedder: bool = True  # beside the generator
    signed: bool = False  # as of `quantise`
    private: bool = False  # as of `staged`
    checked: bool = False  # fill `Package.checks`, which takes frames
    threads: int | None = None  # of the engines that are checked

    @property
    def name(self) -> str:
        size, batch = f"_{self.size_px}" if self.size_px else "", f"_batch{self.batch}" if self.batch > 1 else ""
        return f"generator{size}{batch}.onnx"


EVERYTHING_FP32 = PackageOptions()


@dataclass(frozen=True)
class LeftOut:
    """A precision that was asked for and is not written."""

    precision: str
    reason: str


@dataclass
class Package:
    """What was written, and what is known of it."""

    files: list[Exported] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    fp16: list[Group] = field(default_factory=list)  # what was kept in float32, and what halves cost
    fp16_db: float | None = None  # PSNR of its pictures, rounded as a GPU does
    int8: list[Layer] = field(default_factory=list)
    checks: list[Checked] = field(default_factory=list)


def package(
    networks: Networks,
    out: Path,
    options: PackageOptions = EVERYTHING_FP32,
    *,
    frames: Sequence[RealFrame] = (),
    people: Mapping[str, Array] | None = None,
    say: Say = lambda what, share: None,
) -> Package:
    """Write `generator.onnx` (with another size or batch in its name) and `embedder.onnx` into the folder `out`.

    Other precisions than float32 lie beside it, as `engines.backends.variant` names them, for the generator alone,
    which runs for every frame. One that loses too much is left out.
    frames: real people, for other precisions and for checking. people: as of `Scene`, instead of the embedder's.
    All files appear together, or none; older ones of another network, which engines would take for this one's, go.
    Raises VisavisError as `write_onnx`, `check` and `staged` do.
    """
    with staged(out, options.private) as folder:
        result = Package()
        path = folder / options.name
        say(path.name, 0.0)
        traced = trace_generator(networks, options.size_px, options.batch)
        result.files.append(write_onnx(traced, path))
        photos: Traced | None = None
        if options.embedder:
            say("embedder.onnx", 0.0)
            photos = trace_embedder(networks)
            result.files.append(write_onnx(photos, folder / "embedder.onnx"))
        if frames:
            most = CALIBRATED[networks.size], JUDGED[networks.size]
            calibrating, judging = (_evenly(part, count) for part, count in zip(split(frames), most, strict=True))
            shapes = {key: tuple(value.shape) for key, value in traced.inputs.items()}
            scene = Scene(judging, people or _people(networks, frames))
            fed = scene.fed(shapes)
            _other_precisions(result, path, options, scene, fed, calibrating, say)
            if options.checked:
                say("checking", 0.0)
                devices, threads = find_devices(), options.threads
                result.checks = check(path, [*options.precisions, "bf16"], devices, traced, fed, scene, threads)
                if photos:
                    shown = {frame.person: frame for frame in scene.frames}.values()
                    rows = [photo_of(frame, {n: tuple(v.shape) for n, v in photos.inputs.items()}) for frame in shown]
                    result.checks += check(folder / "embedder.onnx", ("fp32",), devices, photos, rows, None, threads)
        stale = _stale(out / path.name, path)
    for precision, old in stale.items():
        old.unlink(missing_ok=True)
        result.left_out.append(LeftOut(precision, f"the older {old.name} was of another network, and is deleted"))
    result.files = [replace(file, path=out / file.path.name) for file in result.files]
    return result


def _stale(old: Path, new: Path) -> dict[str, Path]:
    """Variants beside `old` that are not written anew although the network has become another."""
    if not old.is_file() or old.read_bytes() == new.read_bytes():
        return {}
    beside = {precision: variant(old, precision) for precision in OWN_FILES}
    return {name: path for name, path in beside.items() if path.is_file() and not (new.parent / path.name).exists()}


def split(frames: Sequence[RealFrame]) -> tuple[list[RealFrame], list[RealFrame]]:
    """Frames to calibrate with, and others to judge by: other people where there are several, else other moments."""
    people = list(dict.fromkeys(frame.person for frame in frames))
    if len(people) > 1:
        judges = set(people[1::2])
        return [f for f in frames if f.person not in judges], [f for f in frames if f.person in judges]
    return list(frames[::2]), list(frames[1::2] or frames)


def _other_precisions(
    result: Package,
    path: Path,
    options: PackageOptions,
    scene: Scene,
    fed: list[Tensors],
    calibrating: list[RealFrame],
    say: Say,
) -> None:
    wanted = scene.pictures(_run(onnx.load(path), fed))

    def quality(model: onnx.ModelProto) -> tuple[float, float]:
        return psnr_db(scene.pictures(_run(model, fed)), wanted)

    if "fp16" in options.precisions:
        say("fp16: which operators suffer", 0.0)
        model, reached, result.fp16 = halve(path, lambda graph: quality(graph)[0])
        result.fp16_db = reached
        if reached >= MIN_PSNR_DB and not all(group.kept for group in result.fp16):
            _keep(result, model, variant(path, "fp16"), path, fed)
        else:
            why = f"its pictures reach {reached:.1f} dB of the {MIN_PSNR_DB:.0f} that are promised"
            result.left_out.append(LeftOut("fp16", why))
    if "int8" in options.precisions:
        shapes = {name: value.shape for name, value in fed[0].items()}
        ranges = Scene(calibrating, scene.people).fed(shapes)
        quantised, reached, result.int8 = quantise(
            path,
            ranges,
            quality,
            signed=options.signed,
            progress=lambda share: say("int8: which layers suffer", share),
        )
        if quantised is not None:
            _keep(result, quantised, variant(path, "int8"), path, fed)
        else:
            kept = sum(bool(layer.kept) for layer in result.int8)
            why = f"with {kept} of {len(result.int8)} layers in float32, its pictures reach {reached:.1f} dB"
            result.left_out.append(LeftOut("int8", why))


def _keep(result: Package, model: onnx.ModelProto, path: Path, exact: Path, fed: Sequence[Tensors]) -> None:
    onnx.checker.check_model(model, full_check=True)
    save_graph(model, path)
    operators: dict[str, int] = {}
    for node in model.graph.node:
        operators[node.op_type] = operators.get(node.op_type, 0) + 1
    pairs = zip(_run(model, fed[:1]), _run(onnx.load(exact), fed[:1]), strict=True)
    differences = [np.abs(np.subtract(got[name], right[name])) for got, right in pairs for name in right]
    worst, mean = max(float(d.max()) for d in differences), float(np.mean([d.mean() for d in differences]))
    result.files.append(Exported(path, path.stat().st_size / 1e6, dict(sorted(operators.items())), worst, mean))


def _run(model: onnx.ModelProto, fed: Sequence[Tensors]) -> list[Tensors]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return [dict(zip(names, session.run(None, inputs), strict=True)) for inputs in fed]


def _people(networks: Networks, frames: Sequence[RealFrame]) -> dict[str, Array]:
    """What the generator knows of each person, from the portrait."""
    traced = trace_embedder(networks)
    shapes = {name: tuple(value.shape) for name, value in traced.inputs.items()}
    found: dict[str, Array] = {}
    for frame in frames:
        if frame.person not in found:
            photo = photo_of(frame, shapes)
            with torch.no_grad():
                known = traced.network(*(torch.from_numpy(photo[name]) for name in traced.inputs))
            found[frame.person] = (known[-1] if isinstance(known, tuple) else known).numpy()  # of `full`: ψ
    return found


def _evenly(items: Sequence[T], count: int) -> list[T]:
    if len(items) <= count:
        return list(items)
    return [items[round(at)] for at in np.linspace(0, len(items) - 1, count)]
