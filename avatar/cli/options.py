"""Options that several commands share, each declared once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avatar.core.errors import UsageError, VisavisError
from avatar.core.extras import install

if TYPE_CHECKING:
    from avatar.core.avatar import Avatar
    from avatar.render.engine_options import EngineOptions
    from avatar.render.full_network import FullNetwork
    from avatar.render.own_weights import OwnTensors
    from avatar.retarget.retargeter import ExpressionMode
    from avatar.trust.label import LabelStyle
    from engines import Engine


def _names(incomplete: str) -> list[str]:
    """Of avatars, for the shell that completes one."""
    from avatar.identity.bundle import all_names

    return [name for name in all_names() if name.startswith(incomplete)]


AvatarName = Annotated[
    str, typer.Argument(help="The avatar: a name given to `enroll`, or a .avatar file.", autocompletion=_names)
]
OwnAvatarName = Annotated[str, typer.Argument(help="The avatar's name.", autocompletion=_names)]
WEIGHTS_HELP = "With full: the folder that `visavis export` made of its checkpoint."


@dataclass(frozen=True)
class Length:
    """How long the run lasts."""

    seconds: Annotated[float | None, typer.Option(help="Stop after so many seconds.", min=0.1)] = None
    loop: Annotated[bool, typer.Option("--loop", help="Start the video over when it ends.")] = False


@dataclass(frozen=True)
class Verbosity:
    """Whether the figures of engineers are told too."""

    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also tell which engine runs, and how long each stage took.")
    ] = False


@dataclass(frozen=True)
class DriverChoice:
    """Who may drive, and how the expression is read."""

    mode: Annotated[
        str,
        typer.Option(
            help="relative: the changes of a face drive the avatar. absolute: the face as it is, for your own avatar. "
            "auto: absolute once your face is known as the avatar's own."
        ),
    ] = "auto"
    unlock: Annotated[
        str | None,
        typer.Option(
            help="Let somebody else drive an avatar that is locked to its own person. The reason is kept in it.",
            metavar="REASON",
        ),
    ] = None

    def opened(self, name: str) -> Avatar:
        """The avatar of that name or file, unlocked where that was asked for. Raises UsageError or InputError."""
        from avatar.identity.bundle import find_avatar
        from avatar.identity.mattes import open_shown
        from avatar.live.avatar_file import unlock_file

        path = find_avatar(name)
        return open_shown(path) if self.unlock is None else unlock_file(path, self.unlock)

    def expression(self) -> ExpressionMode:
        """As the product has it. Raises UsageError."""
        from avatar.retarget.retargeter import expression_mode

        return expression_mode(self.mode)


@dataclass(frozen=True)
class Disclosure:
    """What says that AI has made the picture: the label in it, and the signature in the file."""

    label: Annotated[
        str, typer.Option(help='Where "AI generated" stands: top-left, top-right, bottom-left or bottom-right.')
    ] = "top-left"
    label_size: Annotated[float, typer.Option(help="Its height, in % of the picture's shorter side: 4 to 20.")] = 6.0
    no_label: Annotated[
        str | None,
        typer.Option(
            metavar="REASON", help="No visible label, for this reason, which is recorded. The invisible mark stays."
        ),
    ] = None

    sign_with: Annotated[
        Path | None,
        typer.Option(
            metavar="PEM", help="Sign what is written with this key and its certificates; else with one made here."
        ),
    ] = None

    def key_file(self) -> Path | None:
        """Raises UsageError without what signs, InputError for a file that cannot sign."""
        from avatar.live.signing import check_key

        if self.sign_with is not None:
            check_key(self.sign_with)
        return self.sign_with

    def style(self) -> LabelStyle:
        """As the product has it. Raises UsageError."""
        from avatar.trust.label import LabelStyle

        return LabelStyle.of(self.label, self.label_size, self.no_label)


@dataclass(frozen=True)
class EngineChoice:
    """What runs the generator."""

    engine: Annotated[
        str,
        typer.Option(
            help="auto (the fastest, measured once), onnxruntime, openvino, tensorrt or torch, "
            "with a device where there are several: onnxruntime:cuda."
        ),
    ] = "auto"
    precision: Annotated[
        str, typer.Option(help="auto, fp32, fp16, bf16 or int8: the numbers that the generator computes with.")
    ] = "auto"

    def options(self, full: FullNetwork | None = None, threads: int | None = None) -> EngineOptions:
        """As the product has them. `full` draws instead of the network that comes with visavis."""
        from avatar.render.engine_options import EngineOptions

        return EngineOptions(self.engine, self.precision, threads, full, open_torch)


@dataclass(frozen=True)
class ThreadedEngineChoice(EngineChoice):
    """The same, where the generator shares the processor with the rest of a live run."""

    threads: Annotated[int | None, typer.Option(help="CPU threads of the generator.", min=1, max=1024)] = None


@dataclass(frozen=True)
class NetworkChoice:
    """The network that draws, where it is not the one that comes with visavis."""

    network: Annotated[
        str, typer.Option(help="fast, or full: the paper's own network, for GPUs. full needs --weights.")
    ] = "fast"
    weights: Annotated[Path | None, typer.Option(help=WEIGHTS_HELP)] = None

    def full(self) -> FullNetwork | None:
        """None: the one that comes with visavis. Raises UsageError."""
        return named_network(self.network, self.weights)


def named_network(network: str, weights: Path | None) -> FullNetwork | None:
    """None: the one that comes with visavis. Raises UsageError."""
    if network not in ("fast", "full"):
        raise UsageError(f"There is no network '{network}'. Choose fast or full.")
    if network == "fast":
        if weights is not None:
            raise UsageError("--weights is for full: fast comes with visavis.")
        return None
    from avatar.render.full_network import HOW, FullNetwork

    if weights is None:
        raise UsageError(HOW)
    return FullNetwork(weights)


def open_torch(
    weights: Path, device: str | None, precision: str, own: OwnTensors | None, threads: int | None
) -> Engine:
    """As of `OpenTorch`. Raises VisavisError when torch is not installed."""
    try:
        from export.torch_engine import open_torch_engine
    except ModuleNotFoundError as error:
        raise VisavisError(f"--engine torch needs {error.name}: {install('torch')}") from error
    return open_torch_engine(weights, device, precision, own, threads)
