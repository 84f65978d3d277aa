"""`visavis export`: checkpoint or avatar to ONNX, in several precisions, and ONNX to TensorRT engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from avatar.cli.terminal import Terminal, print_json
from avatar.core.avatar_name import file_stem
from avatar.core.errors import UsageError, VisavisError
from avatar.core.extras import install

if TYPE_CHECKING:
    from avatar.core.arrays import Array
    from avatar.core.avatar import Avatar
    from avatar.render.real_frame import RealFrame
    from export.networks import Networks

PRECISIONS = ("fp32", "fp16", "int8")
FULL_PX = 256


@dataclass(frozen=True)
class _Model:
    """What is exported: a checkpoint (None: untrained), and the avatar whose network it becomes."""

    weights: Path | None
    out: Path
    avatar: Avatar | None = None


@dataclass(frozen=True)
class OnnxFiles:
    """What is written as ONNX, and what it is judged by."""

    precision: Annotated[
        str | None,
        typer.Option(
            help="fp32, fp16, int8: one or several with commas; fp32 is always written. With --engine: one of "
            "fp32, tf32, fp16, int8."
        ),
    ] = None
    check: Annotated[
        bool, typer.Option("--check", help="Compare torch and every engine of this computer on real faces.")
    ] = False
    faces: Annotated[
        list[Path] | None,
        typer.Option(
            help="Photos, clips or folders of them, to choose precisions and to check with. "
            "Default: the portrait in scikit-image."
        ),
    ] = None
    size: Annotated[
        int | None,
        typer.Option(help="Of `full` with --untrained: the side of its pictures. Default: 256.", min=1),
    ] = None
    batch: Annotated[int, typer.Option(help="Frames that the generator draws at once.", min=1, max=64)] = 1
    signed: Annotated[
        bool, typer.Option("--signed", help="With int8: without zero points, as TensorRT wants it. Slower on CPUs.")
    ] = False
    untrained: Annotated[
        bool, typer.Option("--untrained", help="`full` with random weights: draws nothing, but shows its speed.")
    ] = False


@dataclass(frozen=True)
class Engines:
    """What is built of ONNX files that are there already."""

    engine: Annotated[
        str | None, typer.Option(help="`tensorrt`: build engines for NVIDIA GPUs of the networks' ONNX files.")
    ] = None
    capability: Annotated[
        str | None,
        typer.Option(
            help="With --engine: compute capabilities, such as 75,80,86,89,120; no GPU is needed for these. "
            "Default: that of this computer's GPU."
        ),
    ] = None


def export(
    model: Annotated[
        str,
        typer.Argument(help="`fast`, `full`, the path of a .safetensors checkpoint, an avatar's name or .avatar file."),
    ] = "fast",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the ONNX files (default: beside the checkpoint; for an avatar, NAME-onnx), "
            "or with --engine for the engines (default: visavis' cache)."
        ),
    ] = None,
    *,
    files: OnnxFiles,
    engines: Engines,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Write generator and embedder as ONNX (opset 20, standard operators), checked against torch by a forward pass.

    A person's parameters are inputs: one network serves every avatar. What a fine-tuned avatar has learned is baked in.

    Example: visavis export fast --precision fp32,fp16,int8 --check --out networks

    Of a region (mouth.safetensors), the regions that lie beside it go into the same graph.

    Example: visavis export fast --engine tensorrt --capability 75,80,86,89,120
    """
    found = _model(model, out, files.untrained)
    if engines.engine is not None:
        from avatar.cli.export_engines import export_engines

        if found.weights is None or found.avatar is not None:
            raise UsageError("--engine is for `fast` and for checkpoints.")
        folder, precision = found.weights.parent, files.precision or "fp32"
        export_engines(folder, engines.engine, engines.capability, precision, out, as_json)
        return
    if engines.capability is not None:
        raise UsageError("--capability is for engines: add --engine tensorrt.")
    precisions = _precisions(files.precision)
    if files.faces and found.avatar is not None:
        raise UsageError("An avatar is checked with its own portraits: leave --faces out.")
    judged = files.check or precisions != ["fp32"]
    if files.faces and not judged:
        raise UsageError("--faces is for --check and for other precisions than fp32.")
    try:
        from export.networks import load_networks, untrained_full
        from export.package import PackageOptions, package
    except ModuleNotFoundError as error:
        raise VisavisError(f"Export needs torch and onnx ({error.name}): {install('torch')}") from error
    messages = Terminal(stderr=True)
    networks = untrained_full(files.size or FULL_PX) if found.weights is None else load_networks(found.weights)
    people = None if found.avatar is None else _become(networks, found.avatar, messages)
    frames = _frames(found.avatar, files.faces, messages) if judged else []
    options = PackageOptions(
        precisions,
        files.size,
        files.batch,
        embedder=found.avatar is None,
        signed=files.signed,
        private=found.avatar is not None,
        checked=files.check,
    )
    with _progress(messages) as say:
        result = package(networks, found.out, options, frames=frames, people=people, say=say)
    if as_json:
        print_json(asdict(result))
        return
    _print(result, Terminal(), frames)


def _model(model: str, out: Path | None, untrained: bool) -> _Model:
    """Raises UsageError and InputError for what is not there."""
    from avatar.core.model_files import model_file
    from avatar.render.layered_network import TRAINED

    if untrained and model != "full":
        raise UsageError("--untrained is for `full`, whose weights do not come with visavis.")
    if model == "fast":
        weights = model_file(TRAINED)
        return _Model(weights, out or weights.parent)
    if model == "full":
        if not untrained:
            raise UsageError(
                "The weights of `full` do not come with visavis. Give a checkpoint of yours "
                "(`visavis train --size full`), or add --untrained to measure its speed."
            )
        return _Model(None, out or Path("full-untrained"))
    if Path(model).suffix == ".safetensors":
        return _Model(Path(model), out or Path(model).parent)
    from avatar.identity.bundle import find_avatar, load_avatar

    avatar = load_avatar(find_avatar(model))
    return _Model(model_file(TRAINED), out or Path(f"{file_stem(avatar.name)}-onnx"), avatar)


def _precisions(text: str | None) -> list[str]:
    """ "fp16,int8" as ["fp32", "fp16", "int8"]: the others are made of float32."""
    named = {part.strip() for part in (text or "fp32").split(",")}
    if unknown := sorted(named - set(PRECISIONS)):
        raise UsageError(f"There is no precision '{unknown[0]}'. Choose from {', '.join(PRECISIONS)}.")
    return [name for name in PRECISIONS if name == "fp32" or name in named]


def _become(networks: Networks, avatar: Avatar, messages: Terminal) -> dict[str, Array]:
    """The shared networks with what was fine-tuned for the avatar; its embedding by its name."""
    from avatar.core.model_files import model_file
    from avatar.render.layered_network import NETWORK
    from avatar.render.own_weights import weight_names
    from export.networks import put_weights

    if avatar.fine_tuned:
        put_weights(networks.generator, weight_names(model_file(NETWORK)), avatar.weights)
    else:
        messages.say(f"{avatar.name} has no weights of its own: this is the network that all share.")
    return {avatar.name: avatar.embedding[None]}


def _frames(avatar: Avatar | None, faces: list[Path] | None, messages: Terminal) -> list[RealFrame]:
    from avatar.cli.faces import avatar_frames, frames_from, shipped_frames
    from avatar.cli.offline import tracker_model_then_offline

    if avatar is not None:
        return avatar_frames(avatar)
    tracker = tracker_model_then_offline(messages)
    if not faces:
        return shipped_frames(tracker)
    frames, left_out = frames_from(faces, tracker)
    for line in left_out:
        messages.note(f"Left out: {line}")
    return frames


@contextmanager
def _progress(messages: Terminal) -> Iterator[Callable[[str, float], None]]:
    with messages.progress() as bar:
        task = bar.add_task("reading", total=None)

        def say(what: str, share: float) -> None:
            bar.update(task, description=what, total=1.0 if share else None, completed=share)

        yield say


def _print(result: Any, output: Terminal, frames: list[RealFrame]) -> None:
    files = Table("file", "MB", "operators", "max difference to float32", "mean", title="ONNX opset 20")
    for r in result.files:
        files.add_row(
            r.path.name, f"{r.megabytes:.1f}", str(sum(r.operators.values())), f"{r.max_difference:.1e}",
            f"{r.mean_difference:.1e}",
        )  # fmt: skip
    output.print(files)
    if result.fp16:
        table = Table("role", "operators", "dB with halves here alone", "kept in float32", title="FP16")
        for group in result.fp16:
            table.add_row(group.role, str(group.nodes), f"{group.psnr_db:.1f}", group.kept or "no")
        output.print(table)
        line = f"fp16 as a GPU rounds: {result.fp16_db:.1f} dB on real faces. A CPU gains nothing by it."
        output.say(line)
    if result.int8:
        table = Table("layer", "weights", "dB with INT8 here alone", "kept in float32", title="INT8")
        for layer in sorted(result.int8, key=lambda layer: layer.psnr_db):
            table.add_row(layer.name, str(layer.values), f"{layer.psnr_db:.1f}", layer.kept or "no")
        output.print(table)
    if result.checks:
        _print_checks(result.checks, len({frame.person for frame in frames}), output)
        for precision in PRECISIONS[1:]:
            if line := _verdict(result.checks, precision):
                output.say(line)
    for one in result.left_out:
        output.say(f"{one.precision} is left out: {one.reason}.")
    output.say(f"Written to {result.files[0].path.parent}")


def _print_checks(rows: list[Any], people: int, output: Terminal) -> None:
    title = f"The same inputs through torch and every engine here ({people} {'person' if people == 1 else 'people'})"
    table = Table("network", "precision", "engine", title=title, box=SIMPLE_HEAD, padding=(0, 1))
    for name in ("max", "mean", "dB", "worst", "ms"):
        table.add_column(name, justify="right", no_wrap=True)

    def text(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    for row in rows:
        table.add_row(
            row.network.partition(".")[0], row.precision, row.engine, text(row.max_difference, ".0e"),
            text(row.mean_difference, ".0e"), text(row.psnr_db, ".1f"), text(row.worst_db, ".1f"), text(row.ms, ".1f"),
        )  # fmt: skip
    output.print(table)
    for row in rows:
        if row.note and row.max_difference is None and not row.engine.startswith("torch"):
            output.say(f"{row.network} in {row.engine} did not run: {row.note}")
        elif row.note and row.max_difference is not None:
            output.say(f"{row.network} in {row.engine}: {row.note}")


def _verdict(rows: list[Any], precision: str) -> str:
    from export.check import verdict

    return verdict([row for row in rows if not row.network.startswith("embedder")], precision)
