"""`visavis live`."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from avatar.cli.options import (
    AvatarName,
    Disclosure,
    DriverChoice,
    Length,
    NetworkChoice,
    ThreadedEngineChoice,
    Verbosity,
)
from avatar.core.extras import install

if TYPE_CHECKING:
    from collections.abc import Callable

    from avatar.live.control import Control
    from avatar.live.options import LiveOptions
    from avatar.publish.publisher import Publisher
    from avatar.render.engine_options import EngineOptions
    from avatar.retarget.retargeter import Mode
    from avatar.sources.camera import CameraOrMotion
    from engines import Say

KEYS_HELP = "[q]uit [c]alibrate [n]ext [p]ause [f]reeze [m]irror [o]perator [g]ain [+] [-]"


@dataclass(frozen=True)
class Look(Disclosure, DriverChoice):
    """What the picture looks like, and how it moves."""

    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the published picture.")] = "512x512"
    background: Annotated[
        str, typer.Option(help="portrait (its own), blur, a colour such as '#203040', or a picture's path.")
    ] = "portrait"
    absolute_head: Annotated[
        bool, typer.Option("--absolute-head", help="Take your head's place and pose as they are, not since your rest.")
    ] = False
    mirror: Annotated[bool, typer.Option("--mirror", help="Move as your mirror image does.")] = False
    follow: Annotated[
        bool, typer.Option("--follow", help="Keep the head in the middle, gently, as a camera operator does.")
    ] = False
    remember: Annotated[
        bool,
        typer.Option(
            "--remember-me",
            help="Keep what is learnt of your face, as numbers on this computer, so that the next run starts right. "
            "`visavis forget` deletes it.",
        ),
    ] = False

    def options(self, engine: EngineOptions) -> LiveOptions:
        """As the live run takes them. Raises UsageError or InputError."""
        from avatar.live.background import parse_background
        from avatar.live.framing import parse_size
        from avatar.live.options import LiveOptions

        head: Mode = "absolute" if self.absolute_head else "relative"
        return LiveOptions(
            size=parse_size(self.size),
            background=parse_background(self.background),
            mode=head,
            expression=self.expression(),
            mirror=self.mirror,
            remember=self.remember,
            follow=self.follow,
            engine=engine,
            label=self.style(),
            sign_with=self.key_file(),
        )


@dataclass(frozen=True)
class Telling(Verbosity):
    """What is told."""

    as_json: Annotated[bool, typer.Option("--json", help="Print the figures at the end as JSON.")] = False


@dataclass(frozen=True)
class Drawing(ThreadedEngineChoice, NetworkChoice):
    """What draws the picture."""


def live(
    name: AvatarName,
    camera: Annotated[
        str,
        typer.Option(
            "--camera",
            "-c",
            help="A webcam's number, name or path, an address (http://phone:8080/video), a video that plays as one, "
            "recorded motion, or whip[:PORT]: what OBS or GStreamer sends here.",
        ),
    ] = "0",
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            "-t",
            help="virtual-camera[:DEVICE], pipewire, preview, FILE.mp4 (replaced) or whip:URL; as many as you like. "
            "Without it, a preview.",
        ),
    ] = None,
    *,
    length: Length,
    look: Look,
    drawing: Drawing,
    telling: Telling,
) -> None:
    """Let a camera drive an avatar until Ctrl-C. No picture of the camera leaves: only numbers drive the avatar.

    While it runs, in the terminal: c calibrates anew, n shows the next avatar, p pauses, f freezes, m mirrors, o
    lets a camera operator follow you, g chooses a region (mouth, eyes, brows, head) whose motion + and - make larger
    or smaller, q quits.

    Example: visavis live ada --camera 0 --to virtual-camera --to recording.mp4

    Example: visavis live ada --camera whip:8080 --to virtual-camera    # prints the address and token for OBS
    """
    import numpy as np

    from avatar.cli.at_once import at_once
    from avatar.cli.keys import listening
    from avatar.cli.offline import tracker_model_and_note, tracker_model_then_offline
    from avatar.cli.stop import sigterm_as_ctrl_c
    from avatar.cli.tables import drops_line, latency_table
    from avatar.cli.terminal import Terminal, print_json
    from avatar.core.errors import UsageError
    from avatar.identity.bundle import find_avatar, shown_names
    from avatar.live.control import Control
    from avatar.live.live_report import CAPTURE_TO_PUBLISHED, LiveReport
    from avatar.live.outputs import open_publishers
    from avatar.live.session import open_session
    from avatar.sources.camera import PlayedFile, by_whip, check_camera
    from avatar.sources.network_camera import public_name

    to = to or ["preview"]
    full = drawing.full()
    options = look.options(drawing.options(full, drawing.threads))
    terminal = Terminal(stderr=True)
    say = terminal.note
    if full is not None and drawing.engine == "auto" and not has_accelerator():
        raise UsageError(
            "full is live on GPUs, and no engine finds one here (`visavis engines`). A processor draws a few frames a "
            "second: `visavis drive --network full` makes a video of them, and --engine onnxruntime insists."
        )
    with at_once() as check:
        check(lambda: find_avatar(name))
        check(lambda: check_camera(camera))
        publishers = check(lambda: open_publishers(to, camera, say))
    avatar = look.opened(name)
    if look.unlock is not None:
        options = replace(options, unlocked=avatar.name)
    online = by_whip(camera) or any(spec.startswith("whip:") for spec in to)
    tracker = tracker_model_and_note(terminal) if online else tracker_model_then_offline(terminal, camera)
    source = _open_source(camera, length.loop, publishers, say)
    sigterm_as_ctrl_c()

    with ExitStack() as parts:
        session = parts.enter_context(open_session(avatar, tracker, source, publishers, options, say))
        if telling.verbose:
            terminal.say(session.engine_line)
        control = Control(session, shown_names(), say)
        keys = parts.enter_context(listening(_actions(control)))
        way = f"{public_name(camera)} → {avatar.name} → {', '.join(to)}"
        status = parts.enter_context(terminal.status(way))
        hint = KEYS_HELP if keys else "Ctrl-C ends"

        def each_second(now: LiveReport) -> None:
            newest = session.latency.newest(CAPTURE_TO_PUBLISHED, max(1, round(now.fps)))
            lag_ms = float(np.median(newest)) if newest.size else 0.0
            words = [f"{now.fps:.0f} fps"]
            if telling.verbose:
                words += [f"{lag_ms:.0f} ms", drops_line(now.drops), session.engine.backend]
            words += [control.state] if control.state else []
            status.update(f"{', '.join(words)}; {hint}")

        report = session.loop.run(length.seconds, each_second=each_second)
        backend = asdict(session.engine)
    if isinstance(source, PlayedFile) and source.video.damage:
        say(f"Note: {source.video.damage}")
    if telling.as_json:
        print_json({**asdict(report), "engine": backend})
        return
    out = Terminal()
    if telling.verbose:
        out.print(latency_table(report.latency))
    out.say(
        f"{report.published} frames in {report.seconds:.1f} s: {report.fps:.1f} fps; {drops_line(report.drops)}; "
        f"without a face: {report.faceless}"
    )


def has_accelerator() -> bool:
    """Whether an engine finds a GPU or NPU on this computer."""
    from engines.backends import Devices
    from engines.selection.measure import find_devices

    found = [devices.usable for devices in find_devices().values() if isinstance(devices, Devices)]
    return any(device != "cpu" for usable in found for device in usable)


def _open_source(spec: str, loop: bool, publishers: list[Publisher], say: Say) -> CameraOrMotion:
    from avatar.core.errors import UsageError
    from avatar.sources.camera import by_whip, open_camera_or_motion

    if not by_whip(spec):
        return open_camera_or_motion(spec, loop, say=say)
    try:
        from avatar.webrtc.whip import WhipPublisher
        from avatar.webrtc.whip_camera import WhipCamera, whip_port
    except ModuleNotFoundError as error:
        raise UsageError(f"--camera whip needs {error.name}, which is missing: {install('aiortc')}") from error
    sounds = [publisher.sound for publisher in publishers if isinstance(publisher, WhipPublisher)]
    return WhipCamera(whip_port(spec), sounds, say)


def _actions(control: Control) -> dict[str, Callable[[], None]]:
    return {
        "c": control.recalibrate,
        "n": control.next_avatar,
        "p": control.toggle_pause,
        "f": control.toggle_freeze,
        "m": control.toggle_mirror,
        "o": control.toggle_follow,
        "g": control.next_region,
        "+": control.raise_gain,
        "=": control.raise_gain,
        "-": control.lower_gain,
        "q": control.quit,
    }
