"""`visavis call`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avatar.cli.options import Length, ThreadedEngineChoice

if TYPE_CHECKING:
    from avatar.call.hosted_call import HostedCall
    from avatar.call.hosting import CallOptions
    from avatar.call.running_call import RunningCall
    from avatar.cli.terminal import Terminal

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
class Extent(Length):
    """How long the call lasts, and how large its picture is."""

    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the picture.")] = "512x512"


@dataclass(frozen=True)
class Announcement:
    """Where the links are shown."""

    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in your browser.")] = True
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the links at the start, and the figures at the end, as JSON.")
    ] = False


def call(
    name: Annotated[
        str | None,
        typer.Argument(help="The avatar: a name given to `enroll`, or a .avatar file. Or choose on the page."),
    ] = None,
    *,
    driver: Input,
    meeting: Meeting,
    path: MediaPath,
    extent: Extent,
    drawing: ThreadedEngineChoice,
    announcement: Announcement,
) -> None:
    """Call others as your avatar, from browser to browser, without a server between. Ctrl-C hangs up.

    Your page does everything else too: make avatars of photos or of the webcam, start and stop, a virtual camera.

    Example: visavis call

    Example: visavis call ada --listen 0.0.0.0:8443

    Example: visavis call ada --camera whip --listen 0.0.0.0:8443    # prints the address and token for OBS

    Example: visavis call bob --join 'https://192.0.2.5:8443/#room=…'

    Example: visavis call bob --join -    # then paste the link
    """
    from avatar.call.cameras import CallCameras
    from avatar.call.running_call import ended_by_itself, run_call
    from avatar.cli.stop import sigterm_as_ctrl_c
    from avatar.cli.terminal import Terminal
    from avatar.identity.bundle import find_avatar, load_avatar
    from avatar.live.framing import parse_size
    from avatar.tracking.model_asset import tracker_model

    options = _call_options(name, driver, meeting, path)
    parse_size(extent.size)  # a bad one is refused before anything is opened
    bundle = find_avatar(name) if name else None
    shown = load_avatar(bundle).name if bundle else ""
    terminal = Terminal(stderr=True)
    tracker_model()
    cameras = CallCameras(driver.camera, extent.loop)
    sigterm_as_ctrl_c()
    with run_call(options, cameras, drawing.options(threads=drawing.threads), terminal.note) as running:
        _tell_links(running.hosted, options, terminal, announcement.as_json)
        if announcement.open_page:
            _open(running.hosted.page_link)
        if bundle is not None:
            running.start(shown, bundle, extent.size)
        _wait(running, extent.seconds, bundle is not None, terminal)
        running.stop()
    if running.live.failure is not None and ended_by_itself(running.live) and bundle is not None:
        raise running.live.failure
    _report(running, announcement.as_json)


def _call_options(name: str | None, driver: Input, meeting: Meeting, path: MediaPath) -> CallOptions:
    """Raises UsageError or InputError."""
    import os

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
        name=meeting.shown_as or (Path(name).stem if name else "visavis"),
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


def _tell_links(hosted: HostedCall, options: CallOptions, terminal: Terminal, as_json: bool) -> None:
    from avatar.cli.terminal import print_json

    if as_json:
        tokens = {"whep_token": hosted.tokens.player, "whip_token": hosted.tokens.source}
        print_json({"page": hosted.page_link, "invitation": hosted.invitation, **tokens}, indent=None)
    terminal.say(f"Your page:   {hosted.page_link}", f"For others:  {hosted.invitation}")
    if not (options.listen or options.public_url or options.join):
        terminal.say("Nobody outside of this computer can join: --listen 0.0.0.0:8443 lets your network in.")
    if options.ice.relay_only and (options.listen or options.join):
        whom = "The room's host" if options.join else "Whoever has the link for others"
        terminal.say(f"{whom} still sees this computer's address: the relay hides it in the media alone.")


def _wait(running: RunningCall, seconds: float | None, as_started: bool, terminal: Terminal) -> None:
    """Until `seconds` are over or Ctrl-C; `as_started`: also until the session ends by itself, as a video does."""
    import time

    from avatar.call.running_call import ended_by_itself
    from avatar.cli.tables import drops_line

    live = running.live
    end_s = float("inf") if seconds is None or as_started else time.monotonic() + seconds
    told = False
    with terminal.status("Ctrl-C hangs up") as status:
        try:
            while (left_s := end_s - time.monotonic()) > 0 and not (as_started and ended_by_itself(live)):
                if not told and live.engine_line:
                    terminal.say(live.engine_line)
                    told = True
                    if seconds is not None and as_started:
                        end_s = time.monotonic() + seconds
                running.show_figures()
                now = live.figures.report
                if now is not None and live.shows is not None:
                    status.update(
                        f"{now.fps:.1f} fps, {running.hosted.call.video.latency_ns / 1e6:.0f} ms, "
                        f"connections: {running.viewers}, {drops_line(now.drops)}; Ctrl-C hangs up"
                    )
                time.sleep(min(0.5, left_s))
        except KeyboardInterrupt:
            pass


def _report(running: RunningCall, as_json: bool) -> None:
    """Of the last session; nothing where there was none."""
    from avatar.cli.tables import drops_line, latency_table
    from avatar.cli.terminal import Terminal, print_json

    report, engine = running.live.figures.report, running.live.engine
    if report is None or engine is None:
        return
    if as_json:
        figures = {"capture_to_encoder_ms": running.sent_ms, "sound_after_picture_ms": running.lips_ms}
        print_json({**asdict(report), **figures, "engine": asdict(engine)})
        return
    out = Terminal()
    out.print(latency_table(report.latency))
    out.say(
        f"{report.published} frames in {report.seconds:.1f} s: {report.fps:.1f} fps; {drops_line(report.drops)}; "
        f"capture → encoder {running.sent_ms:.0f} ms; sound after picture {running.lips_ms:.0f} ms"
    )


def _host_and_port(text: str) -> tuple[str, int]:
    from avatar.core.errors import UsageError

    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--listen {text} is not HOST:PORT, for example 0.0.0.0:8443.")
    return host.strip("[]"), int(port)


def _link_text(spec: str) -> str:
    """What --join leads to: `spec` itself, a line of the standard input or a file. Raises UsageError or InputError."""
    import os
    import sys

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


def _open(link: str) -> None:
    """Open the page by a private file that leads to it: a command line with the token in it is for everybody to see."""
    import html
    import webbrowser

    from avatar.core.paths import home

    leader = home() / "call.html"
    leader.unlink(missing_ok=True)
    leader.touch(0o600)
    target = html.escape(link, quote=True)
    leader.write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={target}">', encoding="utf-8")
    webbrowser.open(leader.as_uri())
