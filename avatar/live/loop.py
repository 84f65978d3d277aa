"""The way of a frame, live: camera → tracker → retarget → generator → publishers, each hop a mailbox of size one.

    capture thread       tracker thread         avatar thread                       caller's thread
    Camera.read ─Frame─▶ FaceTracker ─FaceState─▶ Retargeter, Renderer ─AvatarFrame─▶ Publisher.send

No camera pixel can reach a publisher: the avatar thread is handed FaceState (numbers) and nothing else, and only it
makes AvatarFrames, which is all that publishers get.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NewType

from avatar.errors import VisavisError
from avatar.frame import Frame, NoPicture
from avatar.live.canvas import Canvas
from avatar.live.latency import LatencyRecorder, StageLatency
from avatar.live.mailbox import Mailbox
from avatar.live.renderer import Renderer
from avatar.publish.publisher import Publisher
from avatar.retarget.driving import Driving
from avatar.retarget.retargeter import Retargeter
from avatar.sources.camera import Camera
from avatar.tracking.face_landmarker import FaceTracker
from avatar.tracking.face_state import FaceState, no_face

AvatarFrame = NewType("AvatarFrame", Frame)  # a Frame that was painted from Driving; `paint` alone makes them

CAPTURE_TO_TRACKED, CAPTURE_TO_PUBLISHED = "capture → tracked", "capture → published"
STAGES = ("track", "retarget", "generator", "render", "compose", "publish", CAPTURE_TO_TRACKED, CAPTURE_TO_PUBLISHED)
JOIN_S = 15.0  # longer than the ten seconds for which a webcam's read may block after it was unplugged


@dataclass(frozen=True, slots=True)
class LiveReport:
    """What happened between the first and the last published frame."""

    captured: int
    tracked: int
    faceless: int  # tracked frames without a face
    published: int
    fps: float  # published frames per second
    seconds: float
    drops: dict[str, int]  # by the hop where frames were lost
    latency: dict[str, StageLatency]
    first_frame_ms: float  # from the start of the loop to the first published frame
    interrupted: bool


class LiveLoop:
    """Joins the parts and runs them until the source ends, `seconds` are over, a part fails, or Ctrl-C."""

    def __init__(
        self,
        camera: Camera,
        tracker: FaceTracker,
        retargeter: Retargeter,
        renderer: Renderer,
        canvas: Canvas,
        publishers: Sequence[Publisher],
        latency: LatencyRecorder | None = None,
    ) -> None:
        """The caller keeps and closes all parts, except that `run` opens and closes the publishers.

        `latency` may be shared with a TimedEngine, which then fills the line "generator" (a part of "render").
        """
        self._camera, self._tracker = camera, tracker
        self._retargeter, self._renderer, self._canvas = retargeter, renderer, canvas
        self._publishers = publishers
        self._frames: Mailbox[Frame | NoPicture] = Mailbox("camera → tracker")
        self._states: Mailbox[FaceState] = Mailbox("tracker → avatar")
        self._pictures: Mailbox[AvatarFrame] = Mailbox("avatar → publishers")
        self._latency = latency or LatencyRecorder(STAGES)
        self._captured = self._tracked = self._faceless = self._published = 0
        self._camera_dropped = 0  # what the camera had lost when the figures started
        self._failures: list[BaseException] = []

    def run(
        self,
        seconds: float | None = None,
        settle_s: float = 0.0,
        each_second: Callable[[LiveReport], None] | None = None,
    ) -> LiveReport:
        """Run to the end and report. Figures of the first `settle_s` seconds are left out of the report.

        Raises what a stage raised, after every thread has ended and every publisher was closed.
        """
        opened: list[Publisher] = []
        threads: list[threading.Thread] = []
        interrupted = False
        self._clock = _Clock(time.monotonic_ns(), settle_s)
        try:
            for publisher in self._publishers:
                opened.append(publisher)  # a publisher that fails to open is closed too
                publisher.open(self._canvas.width, self._canvas.height, self._camera.fps)
            end_ns = None if seconds is None else time.monotonic_ns() + round((seconds + settle_s) * 1e9)
            threads = [
                self._stage("capture", lambda: self._capture(end_ns)),
                self._stage("tracker", self._track),
                self._stage("avatar", lambda: self._animate(self._states, self._pictures)),
            ]
            self._publish(each_second)
        except KeyboardInterrupt:
            interrupted = True
        except BaseException as failure:
            self._failures.append(failure)
        finally:
            for mailbox in (self._frames, self._states, self._pictures):
                mailbox.close(discard=True)
            for thread in threads:
                thread.join(JOIN_S)
            self._close(opened)
        if self._failures:
            raise self._failures[0]
        return self._report(interrupted)

    # The four stages, in the order of a frame's way

    def _capture(self, end_ns: int | None) -> None:
        while (frame := self._camera.read()) is not None:
            if end_ns is not None and frame.capture_ns >= end_ns:
                break
            self._captured += 1
            if not self._frames.put(frame):
                break
        self._frames.close()

    def _track(self) -> None:
        while (frame := self._frames.take()) is not None:
            if isinstance(frame, NoPicture):
                state = no_face(frame.capture_ns)
            else:
                with self._latency.time("track"):
                    state = self._tracker.track(frame.rgb, frame.capture_ns)
            self._latency.record(CAPTURE_TO_TRACKED, _since_ms(frame.capture_ns))
            self._tracked += 1
            self._faceless += not state.found
            if not self._states.put(state):
                break
        self._states.close()

    def _animate(self, states: Mailbox[FaceState], pictures: Mailbox[AvatarFrame]) -> None:
        index = 0
        while (state := states.take()) is not None:
            with self._latency.time("retarget"):
                driving = self._retargeter.drive(state)
            picture = paint(driving, index, self._renderer, self._canvas, self._latency)
            index += 1
            if not pictures.put(picture):
                break
        pictures.close()

    def _publish(self, each_second: Callable[[LiveReport], None] | None) -> None:
        clock = self._clock
        while (picture := self._pictures.take()) is not None:
            with self._latency.time("publish"):
                for publisher in self._publishers:
                    publisher.send(picture)
            self._latency.record(CAPTURE_TO_PUBLISHED, _since_ms(picture.capture_ns))
            self._published += 1
            clock.published(time.monotonic_ns())
            if clock.settled_now():
                self._forget_figures()
            if each_second is not None and clock.second_over():
                each_second(self._report(False))

    # Around them

    def _stage(self, name: str, body: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                body()
            except BaseException as failure:
                self._failures.append(failure)
                for mailbox in (self._frames, self._states, self._pictures):
                    mailbox.close(discard=True)

        # daemon: a webcam's driver that never returns must not keep the program alive
        thread = threading.Thread(target=run, name=f"visavis-{name}", daemon=True)
        thread.start()
        return thread

    def _close(self, publishers: Sequence[Publisher]) -> None:
        for publisher in publishers:
            try:
                publisher.close()
            except VisavisError as failure:
                self._failures.append(failure)

    def _forget_figures(self) -> None:
        self._latency.reset()
        self._captured = self._tracked = self._faceless = self._published = 0
        self._camera_dropped = self._camera.dropped
        for mailbox in (self._frames, self._states, self._pictures):
            mailbox.dropped = 0

    def _report(self, interrupted: bool) -> LiveReport:
        drops = {"camera": self._camera.dropped - self._camera_dropped}
        drops |= {mailbox.name: mailbox.dropped for mailbox in (self._frames, self._states, self._pictures)}
        drops["publishers"] = sum(publisher.dropped for publisher in self._publishers)
        return LiveReport(
            captured=self._captured,
            tracked=self._tracked,
            faceless=self._faceless,
            published=self._published,
            fps=self._clock.fps(),
            seconds=self._clock.seconds(),
            drops=drops,
            latency=self._latency.table(),
            first_frame_ms=self._clock.first_frame_ms(),
            interrupted=interrupted,
        )


def paint(driving: Driving, index: int, renderer: Renderer, canvas: Canvas, latency: LatencyRecorder) -> AvatarFrame:
    """The avatar's picture for these numbers: the only place where a publishable frame comes into being."""
    with latency.time("render"):
        square = renderer.render(driving)
    with latency.time("compose"):
        picture = canvas.place(square)
    return AvatarFrame(Frame(picture, driving.capture_ns, index))


class _Clock:
    """When frames were published, for rates and for what happens once a second."""

    def __init__(self, start_ns: int, settle_s: float) -> None:
        self._start_ns, self._settle_ns = start_ns, round(settle_s * 1e9)
        self._settled = settle_s <= 0
        self._first_ns = self._from_ns = self._last_ns = self._second_ns = 0
        self._intervals = 0

    def published(self, now_ns: int) -> None:
        if self._first_ns:
            self._intervals += 1
        else:
            self._first_ns = self._from_ns = self._second_ns = now_ns
        self._last_ns = now_ns

    def settled_now(self) -> bool:
        """True once: when the settling time, counted from the first published frame, is over."""
        if self._settled or self._last_ns - self._first_ns < self._settle_ns:
            return False
        self._settled, self._from_ns, self._intervals = True, self._last_ns, 0
        return True

    def second_over(self) -> bool:
        if self._last_ns - self._second_ns < 1_000_000_000:
            return False
        self._second_ns = self._last_ns
        return True

    def seconds(self) -> float:
        return (self._last_ns - self._from_ns) / 1e9

    def fps(self) -> float:
        return self._intervals / self.seconds() if self._intervals else 0.0

    def first_frame_ms(self) -> float:
        return (self._first_ns - self._start_ns) / 1e6 if self._first_ns else 0.0


def _since_ms(capture_ns: int) -> float:
    return (time.monotonic_ns() - capture_ns) / 1e6
