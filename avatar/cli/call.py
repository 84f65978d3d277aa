"""`visavis call`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avatar.cli.options import ENGINE_HELP, PRECISION_HELP, open_torch

if TYPE_CHECKING:
    from avatar.call.hosted_call import HostedCall
    from avatar.cli.terminal import Terminal
    from avatar.dashboard.live_run import LiveRun
    from avatar.webrtc.remote_camera import RemoteCamera
    from engines import Say

BROWSER, WHIP, GIVEN = "browser", "whip", "given"  # cameras
TURN_PASSWORD = "VISAVIS_TURN_PASSWORD"
ROOM_LINK = "VISAVIS_ROOM_LINK"
LONGEST_LINK = 4096


def call(
    name: Annotated[
        str | None,
        typer.Argument(help="The avatar: a name given to `enroll`, or a .avatar file. Or choose on the page."),
    ] = None,
    camera: Annotated[
        str,
        typer.Option(
            "--camera", "-c", help="A webcam's number, path or address, a video that plays as one, browser, or whip."
        ),
    ] = "0",
    microphone: Annotated[
        str, typer.Option(help="page (the browser's), none, default, a device's name, or a sound file.")
    ] = "page",
    join: Annotated[
        str | None,
        typer.Option(
            envvar=ROOM_LINK,
            help="The link to somebody else's room; - reads it from the standard input, @FILE from a file. Whoever "
            "else uses this computer can read a command line, and with it the link.",
        ),
    ] = None,
    shown_as: Annotated[str | None, typer.Option("--as", help="Your name in the room; else the avatar's.")] = None,
    port: Annotated[int, typer.Option(help="Of your own page, on loopback; 0: a free one.", min=0, max=65535)] = 0,
    listen: Annotated[
        str | None, typer.Option(help="HOST:PORT for the others, by TLS: 0.0.0.0:8443. Else only this computer.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="PEM file for --listen; else one is made.")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of its key, where that is another.")] = None,
    public_url: Annotated[
        str | None, typer.Option(help="https://NAME of a reverse proxy that leads to --port.")
    ] = None,
    stun: Annotated[list[str] | None, typer.Option(help="stun:HOST:PORT. May be given repeatedly.")] = None,
    turn: Annotated[list[str] | None, typer.Option(help="turn:HOST:PORT, a relay. May be given repeatedly.")] = None,
    turn_user: Annotated[
        str | None, typer.Option(help=f"For the relay; its password comes from {TURN_PASSWORD}.")
    ] = None,
    relay_only: Annotated[
        bool,
        typer.Option(
            "--relay-only",
            help="Media by the relay only. The room's host, or who has a --listen link, still sees your address.",
        ),
    ] = False,
    codec: Annotated[str, typer.Option(help="auto (by negotiation), h264 or vp8.")] = "auto",
    floor_kbps: Annotated[int, typer.Option(help="Lowest bit rate of the video.")] = 150,
    ceiling_kbps: Annotated[int, typer.Option(help="Highest bit rate of the video.")] = 4000,
    seconds: Annotated[float | None, typer.Option(help="Stop after so many seconds.", min=0.1)] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Start the video over when it ends.")] = False,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the picture.")] = "512x512",
    engine: Annotated[str, typer.Option(help=ENGINE_HELP)] = "auto",
    precision: Annotated[str, typer.Option(help=PRECISION_HELP)] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads of the generator.", min=1, max=1024)] = None,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in your browser.")] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the links at the start, and the figures at the end, as JSON.")
    ] = False,
) -> None:
    """Call others as your avatar, from browser to browser, without a server between. Ctrl-C hangs up.

    Your page does everything else too: make avatars of photos or of the webcam, start and stop, a virtual camera.

    Example: visavis call

    Example: visavis call ada --listen 0.0.0.0:8443

    Example: visavis call ada --camera whip --listen 0.0.0.0:8443    # prints the address and token for OBS

    Example: visavis call bob --join 'https://192.0.2.5:8443/#room=…'

    Example: visavis call bob --join -    # then paste the link
    """
    import os

    from avatar.call.hosting import CallOptions, host_call
    from avatar.call.room_client import RoomLink
    from avatar.cli.stop import sigterm_as_ctrl_c
    from avatar.cli.terminal import Terminal, print_json
    from avatar.core.errors import UsageError
    from avatar.dashboard.dashboard import Studio
    from avatar.dashboard.live_choices import Given, Wish
    from avatar.identity.bundle import find_avatar, load_avatar
    from avatar.live.canvas import parse_size
    from avatar.render.engine_options import EngineOptions
    from avatar.tracking.model_asset import tracker_model
    from avatar.webrtc.congestion import BitRates
    from avatar.webrtc.ice import Ice
    from avatar.webrtc.publisher import CallPublisher

    if codec not in ("auto", "h264", "vp8"):
        raise UsageError(f"--codec {codec} is not known. Use auto, h264 or vp8.")
    if camera.startswith(f"{WHIP}:"):
        raise UsageError(f"--camera {camera}: type --camera whip, and the port after --port or --listen.")
    if key is not None and certificate is None:
        raise UsageError("--key belongs to a --certificate.")
    rates = BitRates.between(floor_kbps, ceiling_kbps)
    hosting = CallOptions(
        name=shown_as or (Path(name).stem if name else "visavis"),
        port=port,
        listen=_host_and_port(listen) if listen else None,
        certificate=(certificate, key) if certificate else None,
        public_url=public_url,
        join=RoomLink.parse(_link_text(join)) if join else None,
        microphone=None if microphone in ("page", "none") else microphone,
        whip_sound=microphone == "page",
        ice=Ice(tuple(stun or ()), tuple(turn or ()), turn_user, os.environ.get(TURN_PASSWORD), relay_only),
        codec=None if codec == "auto" else codec,
    )
    parse_size(size)  # a bad one is refused before anything is opened
    bundle = find_avatar(name) if name else None
    shown = load_avatar(bundle).name if bundle else ""
    terminal = Terminal(stderr=True)
    tracker_model()
    cameras = _Cameras(camera, loop)
    given = Given(
        cameras.choices,
        lambda: [CallPublisher(cameras.hosted.call.video, rates)],
        EngineOptions(precision=precision, threads=threads, open_torch=open_torch),
        terminal.note,
    )
    studio = Studio(tracker_model, given)
    sigterm_as_ctrl_c()
    with host_call(hosting, studio=studio, say=terminal.note) as hosted:
        cameras.hosted = hosted
        if as_json:
            tokens = {"whep_token": hosted.tokens.player, "whip_token": hosted.tokens.source}
            links = {"page": hosted.page_link, "invitation": hosted.invitation, **tokens}
            print_json(links, indent=None)
        terminal.say(f"Your page:   {hosted.page_link}", f"For others:  {hosted.invitation}")
        if not (listen or public_url or join):
            terminal.say("Nobody outside of this computer can join: --listen 0.0.0.0:8443 lets your network in.")
        if relay_only and (listen or join):
            whom = "The room's host" if join else "Whoever has the link for others"
            terminal.say(f"{whom} still sees this computer's address: the relay hides it in the media alone.")
        if open_page:
            _open(hosted.page_link)
        if bundle is not None:
            studio.live.start(Wish(shown, cameras.first, engine, size=size), bundle)
        _wait(studio.live, hosted, seconds, bundle is not None, terminal)
        studio.live.close()
        sent_ms, lips_ms = hosted.call.video.latency_ns / 1e6, hosted.call.sound.lip_offset_ms
    if studio.live.failure is not None and _over(studio.live) and bundle is not None:
        raise studio.live.failure
    _report(studio.live, sent_ms, lips_ms, as_json)


def _wait(live: LiveRun, hosted: HostedCall, seconds: float | None, as_started: bool, terminal: Terminal) -> None:
    """Until `seconds` are over or Ctrl-C; `as_started`: also until the session ends by itself, as a video does."""
    import time

    from avatar.cli.tables import drops_line

    end_s = float("inf") if seconds is None or as_started else time.monotonic() + seconds
    told = False
    with terminal.status("Ctrl-C hangs up") as status:
        try:
            while (left_s := end_s - time.monotonic()) > 0 and not (as_started and _over(live)):
                now = live.figures.report
                if not told and live.engine_line:
                    terminal.say(live.engine_line)
                    told = True
                    if seconds is not None and as_started:
                        end_s = time.monotonic() + seconds
                if now is not None and live.shows is not None:
                    hosted.figures = {
                        "fps": round(now.fps, 1),
                        "latency_ms": None if live.figures.latency_ms is None else round(live.figures.latency_ms, 1),
                        "drops": now.drops,
                        "faceless": now.faceless,
                    }
                    viewers = sum(peer["state"] == "connected" for peer in hosted.call.peers.figures())
                    status.update(
                        f"{now.fps:.1f} fps, {hosted.call.video.latency_ns / 1e6:.0f} ms, connections: {viewers}, "
                        f"{drops_line(now.drops)}; Ctrl-C hangs up"
                    )
                time.sleep(min(0.5, left_s))
        except KeyboardInterrupt:
            pass


def _over(live: LiveRun) -> bool:
    """Whether what the command has started ended by itself. What the page has started since then ends no call."""
    return live.ended_by_itself and live.starts == 1


def _report(live: LiveRun, sent_ms: float, lips_ms: float, as_json: bool) -> None:
    """Of the last session; nothing where there was none."""
    from avatar.cli.tables import drops_line, latency_table
    from avatar.cli.terminal import Terminal, print_json

    report = live.figures.report
    if report is None or live.engine is None:
        return
    if as_json:
        figures = {"capture_to_encoder_ms": sent_ms, "sound_after_picture_ms": lips_ms, "engine": asdict(live.engine)}
        print_json({**asdict(report), **figures})
        return
    out = Terminal()
    out.print(latency_table(report.latency))
    out.say(
        f"{report.published} frames in {report.seconds:.1f} s: {report.fps:.1f} fps; {drops_line(report.drops)}; "
        f"capture → encoder {sent_ms:.0f} ms; sound after picture {lips_ms:.0f} ms"
    )


class _Cameras:
    """The page's choice beside the webcams: what --camera names, where that is another, the browser's own, and WHIP."""

    hosted: HostedCall

    def __init__(self, spec: str, loop: bool) -> None:
        from avatar.dashboard.live_choices import CameraChoice
        from avatar.sources.camera import open_driver
        from avatar.sources.network_camera import public_name

        browser = CameraChoice(BROWSER, "This browser's camera", self._browsers)
        whip = CameraChoice(WHIP, "OBS or another program, by WHIP", self._by_whip)
        named = CameraChoice(GIVEN, f"--camera {public_name(spec)}", lambda say: open_driver(spec, loop, say=say))
        self.choices = [browser, whip] if spec in (BROWSER, WHIP) else [named, browser, whip]
        self.first = spec if spec in (BROWSER, WHIP) else GIVEN

    def _browsers(self, say: Say) -> RemoteCamera:
        from avatar.webrtc.remote_camera import RemoteCamera

        camera = self.hosted.browser_camera = RemoteCamera("a browser's camera", say)
        return camera

    def _by_whip(self, say: Say) -> RemoteCamera:
        from avatar.webrtc.remote_camera import RemoteCamera
        from avatar.webrtc.whip_source import source_advice

        camera = self.hosted.whip_camera = RemoteCamera("a source by WHIP", say)
        say(source_advice([f"{address}whip" for address in self.hosted.addresses], self.hosted.tokens.source))
        return camera


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
