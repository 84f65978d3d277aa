"""The options of `visavis call`, and what they come to."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from avatar.cli.options import Disclosure, Length, Verbosity

if TYPE_CHECKING:
    from avatar.call.hosting import CallOptions

TURN_PASSWORD = "VISAVIS_TURN_PASSWORD"
ROOM_LINK = "VISAVIS_ROOM_LINK"
LONGEST_LINK = 4096


@dataclass(frozen=True)
class Input:
    """What drives the avatar, and what is heard."""

    camera: Annotated[
        str,
        typer.Option(
            "--camera", "-c", help="A webcam's number, path or address, a video that plays as one, browser, or whip."
        ),
    ] = "0"
    microphone: Annotated[
        str, typer.Option(help="page (the browser's), none, default, a device's name, or a sound file.")
    ] = "page"


@dataclass(frozen=True)
class Meeting:
    """Whose room it is, and how the others get there."""

    join: Annotated[
        str | None,
        typer.Option(
            envvar=ROOM_LINK,
            help="The link to somebody else's room; - reads it from the standard input, @FILE from a file. Whoever "
            "else uses this computer can read a command line, and with it the link.",
        ),
    ] = None
    shown_as: Annotated[str | None, typer.Option("--as", help="Your name in the room; else the avatar's.")] = None
    port: Annotated[int, typer.Option(help="Of your own page, on loopback; 0: a free one.", min=0, max=65535)] = 0
    listen: Annotated[
        str | None, typer.Option(help="HOST:PORT for the others, by TLS: 0.0.0.0:8443. Else only this computer.")
    ] = None
    certificate: Annotated[Path | None, typer.Option(help="PEM file for --listen; else one is made.")] = None
    key: Annotated[Path | None, typer.Option(help="PEM file of its key, where that is another.")] = None
    public_url: Annotated[str | None, typer.Option(help="https://NAME of a reverse proxy that leads to --port.")] = None


@dataclass(frozen=True)
class MediaPath:
    """How picture and sound get to the others."""

    stun: Annotated[list[str] | None, typer.Option(help="stun:HOST:PORT. May be given repeatedly.")] = None
    turn: Annotated[list[str] | None, typer.Option(help="turn:HOST:PORT, a relay. May be given repeatedly.")] = None
    turn_user: Annotated[str | None, typer.Option(help=f"For the relay; its password comes from {TURN_PASSWORD}.")] = (
        None
    )
    relay_only: Annotated[
        bool,
        typer.Option(
            "--relay-only",
            help="Media by the relay only. The room's host, or who has a --listen link, still sees your address.",
        ),
    ] = False
    codec: Annotated[str, typer.Option(help="auto (by negotiation), h264 or vp8.")] = "auto"
    floor_kbps: Annotated[int, typer.Option(help="Lowest bit rate of the video.")] = 150
    ceiling_kbps: Annotated[int, typer.Option(help="Highest bit rate of the video.")] = 4000


@dataclass(frozen=True)
class Extent(Disclosure, Length):
    """How long the call lasts, and what its picture is like."""

    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the picture.")] = "512x512"


@dataclass(frozen=True)
class Announcement(Verbosity):
    """Where the links are shown, and what else is told."""

    invites: ClassVar[bool] = True  # the link for others is told too
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in your browser.")] = True
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the links at the start, and the figures at the end, as JSON.")
    ] = False


class PageLink(Announcement):
    """Of the page alone."""

    invites = False


def call_options(name: str | None, driver: Input, meeting: Meeting, path: MediaPath) -> CallOptions:
    """Raises UsageError or InputError."""
    from avatar.call.hosting import CallOptions
    from avatar.call.room_client import RoomLink
    from avatar.core.errors import UsageError
    from avatar.webrtc.congestion import BitRates
    from avatar.webrtc.ice import Ice

    if path.codec not in ("auto", "h264", "vp8"):
        raise UsageError(f"--codec {path.codec} is not known. Use auto, h264 or vp8.")
    if driver.camera.startswith("whip:"):
        raise UsageError(f"--camera {driver.camera}: type --camera whip, and the port after --port or --listen.")
    if meeting.key is not None and meeting.certificate is None:
        raise UsageError("--key belongs to a --certificate.")
    password = os.environ.get(TURN_PASSWORD)
    return CallOptions(
        rates=BitRates.between(path.floor_kbps, path.ceiling_kbps),
        name=meeting.shown_as or (Path(name).stem if name else "Host"),
        port=meeting.port,
        listen=_host_and_port(meeting.listen) if meeting.listen else None,
        certificate=(meeting.certificate, meeting.key) if meeting.certificate else None,
        public_url=meeting.public_url,
        join=RoomLink.parse(_link_text(meeting.join)) if meeting.join else None,
        microphone=None if driver.microphone in ("page", "none") else driver.microphone,
        whip_sound=driver.microphone == "page",
        ice=Ice(tuple(path.stun or ()), tuple(path.turn or ()), path.turn_user, password, path.relay_only),
        codec=None if path.codec == "auto" else path.codec,
    )


def _host_and_port(text: str) -> tuple[str, int]:
    from avatar.core.errors import UsageError

    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--listen {text} is not HOST:PORT, for example 0.0.0.0:8443.")
    return host.strip("[]"), int(port)


def _link_text(spec: str) -> str:
    """What --join leads to: `spec` itself, a line of the standard input or a file. Raises UsageError or InputError."""
    from avatar.cli.terminal import Terminal
    from avatar.core.errors import InputError, UsageError

    os.environ.pop(ROOM_LINK, None)  # of no use to the programs that are started
    if spec == "-":
        if sys.stdin is not None and sys.stdin.isatty():
            Terminal(stderr=True).print("Paste the link to the room: ", end="")
        try:
            text = sys.stdin.readline(LONGEST_LINK) if sys.stdin is not None else ""
        except (OSError, UnicodeDecodeError):
            text = ""
        if not text.strip():
            raise UsageError("--join - found no link in the standard input.")
    elif spec.startswith("@"):
        path = Path(spec[1:])
        try:
            with path.open(encoding="utf-8") as file:
                text = file.read(LONGEST_LINK)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read as a room's link ({error}). Check --join @FILE.") from error
    else:
        text = spec
    return text.strip()
