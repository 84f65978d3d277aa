"""`visavis call`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from avatar.cli.call_options import Announcement, Extent, Input, MediaPath, Meeting, call_options
from avatar.cli.options import ThreadedEngineChoice

if TYPE_CHECKING:
    from avatar.call.hosted_call import HostedCall
    from avatar.call.hosting import CallOptions
    from avatar.call.running_call import RunningCall
    from avatar.cli.terminal import Terminal


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
    from avatar.cli.page_link import open_link, served
    from avatar.cli.stop import sigterm_as_ctrl_c
    from avatar.cli.terminal import Terminal
    from avatar.identity.bundle import find_avatar, load_avatar
    from avatar.live.framing import parse_size
    from avatar.tracking.model_asset import tracker_model

    options = call_options(name, driver, meeting, path)
    parse_size(extent.size)  # what is bad is refused before anything is opened
    label = extent.style()
    bundle = find_avatar(name) if name else None
    shown = load_avatar(bundle).name if bundle else ""
    terminal = Terminal(stderr=True)
    tracker_model()
    cameras = CallCameras(driver.camera, extent.loop)
    sigterm_as_ctrl_c()
    with run_call(
        options, cameras, drawing.options(threads=drawing.threads), terminal.note, extent.key_file()
    ) as running:
        _tell_links(running.hosted, options, terminal, announcement)
        if announcement.open_page:
            open_link(running.hosted.page_link)
        if bundle is not None:
            running.start(shown, bundle, extent.size, label)
        with served(running.hosted.page_link):
            _wait(running, extent.seconds, bundle is not None, terminal, announcement.verbose)
        running.stop()
    if running.live.failure is not None and ended_by_itself(running.live) and bundle is not None:
        raise running.live.failure
    _report(running, announcement)


def _tell_links(hosted: HostedCall, options: CallOptions, terminal: Terminal, announcement: Announcement) -> None:
    from avatar.cli.page_link import goes_to_journal
    from avatar.cli.terminal import print_json

    if announcement.as_json:
        tokens = {"whep_token": hosted.tokens.player, "whip_token": hosted.tokens.source}
        links = {"page": hosted.page_link, "invitation": hosted.invitation, "fingerprint": hosted.fingerprint}
        print_json({**links, **tokens}, indent=None)
    if not announcement.invites and goes_to_journal():
        terminal.say("Your page is served: `visavis open` opens it.")
        return
    if not announcement.invites:
        terminal.say(f"Your page: {hosted.page_link}", "Ctrl-C ends it.")
        return
    terminal.say(f"Your page:   {hosted.page_link}", f"For others:  {hosted.invitation}")
    if hosted.reach == "this computer":
        terminal.say(
            "Nobody outside of this computer can join: --listen 0.0.0.0:8443 lets your network in,",
            "and so does a button of the page.",
        )
    if hosted.fingerprint:
        terminal.say(
            "Browsers will warn of its certificate, which this computer has made itself. Tell the others its SHA-256 "
            "fingerprint;",
            "if their browser shows the same, they may go on (“Advanced”, then “Proceed” or “Accept the Risk”):",
            f"    {hosted.fingerprint}",
        )
    if options.ice.relay_only and (options.listen or options.join):
        whom = "The room's host" if options.join else "Whoever has the link for others"
        terminal.say(f"{whom} still sees this computer's address: the relay hides it in the media alone.")


def _wait(running: RunningCall, seconds: float | None, as_started: bool, terminal: Terminal, verbose: bool) -> None:
    """Until `seconds` are over or Ctrl-C; `as_started`: also until the session ends by itself, as a video does.

    verbose: tell which engine runs, and figures.
    """
    import time

    from avatar.call.running_call import ended_by_itself
    from avatar.cli.tables import drops_line

    live = running.live
    end_s = float("inf") if seconds is None or as_started else time.monotonic() + seconds
    told = False
    with terminal.status("Ctrl-C ends it") as status:
        try:
            while (left_s := end_s - time.monotonic()) > 0 and not (as_started and ended_by_itself(live)):
                if not told and live.engine_line:
                    if verbose:
                        terminal.say(live.engine_line)
                    told = True
                    if seconds is not None and as_started:
                        end_s = time.monotonic() + seconds
                running.show_figures()
                now = live.figures.report
                if now is not None and live.shows is not None:
                    words = [f"{live.shows} is live", f"connections: {running.viewers}"]
                    if verbose:
                        words += [f"{now.fps:.1f} fps", f"{running.hosted.call.video.latency_ns / 1e6:.0f} ms"]
                        words += [drops_line(now.drops)]
                    status.update(f"{', '.join(words)}; Ctrl-C ends it")
                time.sleep(min(0.5, left_s))
        except KeyboardInterrupt:
            pass


def _report(running: RunningCall, announcement: Announcement) -> None:
    """Of the last session, where figures were asked for; nothing where there was none."""
    from avatar.cli.tables import drops_line, latency_table
    from avatar.cli.terminal import Terminal, print_json

    report, engine = running.live.figures.report, running.live.engine
    if report is None or engine is None:
        return
    if announcement.as_json:
        figures = {"capture_to_encoder_ms": running.sent_ms, "sound_after_picture_ms": running.lips_ms}
        print_json({**asdict(report), **figures, "engine": asdict(engine)})
        return
    if not announcement.verbose:
        return
    out = Terminal()
    out.print(latency_table(report.latency))
    out.say(
        f"{report.published} frames in {report.seconds:.1f} s: {report.fps:.1f} fps; {drops_line(report.drops)}; "
        f"capture → encoder {running.sent_ms:.0f} ms; sound after picture {running.lips_ms:.0f} ms"
    )
